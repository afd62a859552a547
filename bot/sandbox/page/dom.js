// Builds elements. Whatever people typed only ever becomes text or an attribute here, never markup.

const PROPERTIES = new Set(["value", "checked", "selected", "multiple"]);

/** An element: `on…` functions listen, true sets an attribute, null and false leave it out; strings become text. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

let numbered = 0;

/** An id for an element that another one refers to. */
export function newId(prefix) {
  numbered += 1;
  return `${prefix}-${numbered}`;
}

/** An element that is on the page, or what took its place when its message was drawn again. */
export function current(element) {
  const { key } = element.dataset;
  if (element.isConnected || !key) return element;
  return document.querySelector(`[data-key="${CSS.escape(key)}"]`) ?? element;
}
