// Forms that the bot opens. What is in them is checked by the stand-in when it is sent, as Discord's client would.

import { withFiles } from "./api.js";
import { current, el, newId } from "./dom.js";
import { filePicker } from "./files.js";
import { markdown } from "./markdown.js";
import { defaultsOf, selectButton } from "./select.js";
import { nameOf, store } from "./store.js";
import { t } from "./translation.js";

const ACTION_ROW = 1;
const TEXT_INPUT = 4;
const TEXT_DISPLAY = 10;
const LABEL = 18;
const FILE_UPLOAD = 19;
const RADIO_GROUP = 21;
const CHECKBOX_GROUP = 22;
const CHECKBOX = 23;
const PARAGRAPH = 2;

/**
 * Opens the form that an interaction was answered with. `submit(payload, files, outcomes)` sends what was entered and calls
 * one of the outcomes, as `interact` does.
 */
export function openModal(modal, submit) {
  const channel = store.channel;
  const readers = new Map(); // custom_id -> what is in that field now
  const title = el("h2", { id: newId("modal") }, modal.title);
  const problem = el("p", { class: "problem", role: "alert" });
  const send = el("button", { class: "button primary", type: "submit" }, t("Submit"));
  const cancel = el("button", { class: "button quiet", type: "button", onclick: () => dialog.close() }, t("Cancel"));
  const close = el(
    "button",
    { type: "button", class: "close", "aria-label": t("Close"), onclick: () => dialog.close() },
    "✕",
  );
  const fields = modal.components.map((component) => part(component, channel, readers));
  const form = el(
    "form",
    { novalidate: true },
    el("div", { class: "modal-fields" }, fields),
    problem,
    el("div", { class: "modal-end" }, cancel, send),
  );
  const about = el(
    "p",
    { class: "modal-about" },
    t("This form will be sent to {bot} on this computer.", { bot: nameOf(store.users.get(store.view.bot_id)) }),
  );
  const dialog = el(
    "dialog",
    { class: "modal", "aria-labelledby": title.id },
    el("header", {}, title, close),
    about,
    form,
  );
  const returnTo = document.activeElement;

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries([...readers].map(([customId, read]) => [customId, read()]));
    const { value, files } = withFiles(values);
    send.disabled = true;
    problem.textContent = "";
    const complain = (sentence) => {
      problem.textContent = sentence;
      send.disabled = false;
    };
    submit({ values: value }, files, {
      acknowledged: () => dialog.close(),
      failed: () => complain(t("Something went wrong. Try again.")),
      refused: complain,
    });
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    // The browser has given the focus back, unless an update replaced the element or the person has gone elsewhere.
    if (returnTo && document.activeElement === document.body) current(returnTo).focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  form.querySelector("input, textarea, select, button")?.focus();
}

function part(component, channel, readers) {
  if (component.type === TEXT_DISPLAY) return el("div", { class: "text" }, ...markdown(component.content));
  if (component.type === ACTION_ROW) return component.components.map((inner) => field(inner, inner, channel, readers));
  return component.type === LABEL ? field(component, component.component, channel, readers) : null;
}

/** One input with the words above it; `words` has `label` and `description`, `input` is the component. */
function field(words, input, channel, readers) {
  const id = newId("field");
  const isRequired = input.type !== CHECKBOX && input.required !== false && input.min_values !== 0;
  const text = [
    words.label ?? input.placeholder ?? "",
    isRequired && el("span", { class: "required", title: t("required") }, " *"),
  ];
  const description = words.description && el("p", { class: "description", id: `${id}-about` }, words.description);
  const about = words.description ? `${id}-about` : null;
  if (input.type === RADIO_GROUP || input.type === CHECKBOX_GROUP) {
    const group = choices(input, id, readers);
    return el("fieldset", { class: "field", "aria-describedby": about }, el("legend", {}, text), description, group);
  }
  const control =
    controls[input.type]?.({ input, id, about, isRequired, channel, readers }) ??
    controls.select({ input, id, channel, readers });
  const label = el(
    input.type === TEXT_INPUT || input.type === CHECKBOX ? "label" : "span",
    { class: "label", id: `${id}-label` },
    text,
  );
  if (label.tagName === "LABEL") label.htmlFor = id;
  const parts =
    input.type === CHECKBOX
      ? [el("div", { class: "choice" }, control, label), description]
      : [label, description, control];
  return el("div", { class: "field" }, parts);
}

const controls = {
  [TEXT_INPUT]({ input, id, about, isRequired, readers }) {
    const isLong = input.style === PARAGRAPH;
    const attributes = {
      id,
      name: input.custom_id,
      placeholder: input.placeholder,
      minlength: input.min_length,
      maxlength: input.max_length ?? 4000,
    };
    Object.assign(attributes, {
      "aria-required": isRequired ? "true" : null,
      "aria-describedby": about,
      autocomplete: "off",
      value: input.value ?? "",
    });
    const box = el(
      isLong ? "textarea" : "input",
      isLong ? { ...attributes, rows: 4 } : { ...attributes, type: "text" },
    );
    readers.set(input.custom_id, () => box.value);
    return box;
  },
  [CHECKBOX]({ input, id, about, readers }) {
    const box = el("input", { id, type: "checkbox", checked: Boolean(input.default), "aria-describedby": about });
    readers.set(input.custom_id, () => box.checked);
    return box;
  },
  [FILE_UPLOAD]({ input, id, readers }) {
    const picker = filePicker({ labelledBy: `${id}-label`, max: input.max_values ?? 1 });
    readers.set(input.custom_id, () => picker.files());
    return picker.element;
  },
  select({ input, id, channel, readers }) {
    let values = defaultsOf(input);
    readers.set(input.custom_id, () => values);
    return selectButton(input, channel, { labelledBy: `${id}-label`, onChosen: (chosen) => (values = chosen) });
  },
};

function choices(input, id, readers) {
  const type = input.type === RADIO_GROUP ? "radio" : "checkbox";
  const boxes = input.options.map((option) =>
    el("input", { type, id: newId("choice"), name: id, value: option.value, checked: Boolean(option.default) }),
  );
  readers.set(input.custom_id, () => {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    return type === "radio" ? (chosen[0] ?? null) : chosen;
  });
  return input.options.map((option, index) =>
    el(
      "div",
      { class: "choice" },
      boxes[index],
      el("label", { for: boxes[index].id }, option.label, option.description && el("small", {}, option.description)),
    ),
  );
}
