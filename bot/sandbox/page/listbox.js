// The suggestions of an input: ARIA's combobox pattern. The focus stays in the input; the list follows its keys.

import { el, newId } from "./dom.js";

/** An item has `title`, and may have `detail`, `note`, `isSelected`; the caller finds its own things on it again. */
export class Listbox {
  #inputs = new Set();
  #input = null;
  #items = [];
  #options = [];
  #active = -1;

  /** `label()` names the list, `onPick(item)` is called when one is chosen with the pointer; keys are the caller's. */
  constructor({ label, onPick, isMultiple = false }) {
    this.label = label;
    this.onPick = onPick;
    this.element = el("div", {
      class: "listbox",
      id: newId("listbox"),
      role: "listbox",
      tabindex: "-1", // browsers stop at what scrolls, and nothing can be done there
      hidden: true,
    });
    if (isMultiple) this.element.setAttribute("aria-multiselectable", "true");
    // Pressing the pointer must not take the focus away from the input.
    this.element.addEventListener("mousedown", (event) => event.preventDefault());
  }

  /** Makes an input the one that this list belongs to, as soon as it shows something there. */
  attach(input) {
    this.#inputs.add(input);
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-haspopup", "listbox");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-controls", this.element.id);
  }

  get isOpen() {
    return !this.element.hidden;
  }

  get active() {
    return this.#items[this.#active] ?? null;
  }

  /** Shows items for `input`; `active` is the index of the one that Enter would take, -1 for none. */
  show(input, items, active = -1) {
    if (items.length === 0) return this.hide();
    if (this.#input !== input) this.#collapse();
    this.#input = input;
    this.#items = items;
    this.element.setAttribute("aria-label", this.label());
    this.#options = items.map((item, index) => this.#option(item, index));
    this.element.replaceChildren(...this.#options);
    this.element.hidden = false;
    input.setAttribute("aria-expanded", "true");
    this.#activate(active);
  }

  hide() {
    this.element.hidden = true;
    this.element.replaceChildren();
    this.#items = [];
    this.#options = [];
    this.#active = -1;
    this.#collapse();
  }

  /** Moves to the next (1) or the one before (-1), around the ends. */
  move(step) {
    const count = this.#items.length;
    if (count === 0) return;
    const from = this.#active < 0 && step < 0 ? 0 : this.#active;
    this.#activate((from + step + count) % count);
  }

  moveTo(index) {
    this.#activate(index < 0 ? this.#items.length - 1 : index);
  }

  #collapse() {
    for (const input of this.#inputs) {
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    }
  }

  #activate(index) {
    this.#options[this.#active]?.classList.remove("active");
    this.#active = index;
    const option = this.#options[index];
    if (!option) return this.#input?.removeAttribute("aria-activedescendant");
    option.classList.add("active");
    option.scrollIntoView({ block: "nearest" });
    this.#input?.setAttribute("aria-activedescendant", option.id);
  }

  #option(item, index) {
    const selected = item.isSelected ?? false;
    return el(
      "div",
      {
        class: "option",
        id: `${this.element.id}-${index}`,
        role: "option",
        "aria-selected": String(selected),
        onclick: () => this.onPick(item),
        onmousemove: () => this.#active === index || this.#activate(index),
      },
      item.mark && el("span", { class: "option-mark", "aria-hidden": "true" }, item.mark),
      el(
        "span",
        { class: "option-words" },
        el("span", { class: "option-title" }, item.title),
        item.detail && el("span", { class: "option-detail" }, item.detail),
      ),
      item.note && el("span", { class: "option-note" }, item.note),
    );
  }
}

/** The items whose title (or detail) contains what was typed, those that begin with it first. */
export function matching(items, typed) {
  const wanted = typed.trim().toLowerCase();
  if (wanted === "") return items;
  const rank = (item) => {
    const title = item.title.toLowerCase();
    if (title.startsWith(wanted)) return 0;
    if (title.includes(wanted)) return 1;
    return item.detail?.toLowerCase().includes(wanted) ? 2 : 3;
  };
  return items.filter((item) => rank(item) < 3).sort((one, other) => rank(one) - rank(other));
}
