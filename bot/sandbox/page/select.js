// Select menus, in messages and in forms: a button that says what is chosen, and a list to choose from.

import { current, el } from "./dom.js";
import { channelItems, mentionableItems, roleItems, sameValue, userItems } from "./entities.js";
import { Listbox, matching } from "./listbox.js";
import { openPopup } from "./popup.js";
import { listOf, t } from "./translation.js";

const STRING_SELECT = 3;
const SOURCES = { 5: userItems, 6: roleItems, 7: mentionableItems, 8: channelItems };
const MIN_HEIGHT = 240; // pixels: the field for the search, four choices, and *Done*
const DEFAULT_KINDS = { user: "user", role: "role", channel: "channel" };

/** What a select component offers: items with a `value`. */
function itemsOf(select, channel) {
  if (select.type === STRING_SELECT) {
    return select.options.map((option) => ({
      title: option.label,
      detail: option.description,
      mark: option.emoji?.name,
      value: option.value,
    }));
  }
  return SOURCES[select.type](channel, select.channel_types);
}

export function defaultsOf(select) {
  if (select.type === STRING_SELECT)
    return select.options.filter((option) => option.default).map((option) => option.value);
  return (select.default_values ?? []).map((value) => ({ [DEFAULT_KINDS[value.type]]: value.id }));
}

/**
 * The button of a select menu. `onChosen(values)` is called when a choice was made that differs from before. `key`
 * marks the button, so that the focus finds it again when its message is rendered again.
 */
export function selectButton(
  select,
  channel,
  { onChosen, label = null, labelledBy = null, chosen = defaultsOf(select), key = null },
) {
  const items = itemsOf(select, channel);
  const min = select.required === false ? 0 : select.min_values;
  let values = chosen;
  const words = el("span", { class: "select-words" });
  const button = el(
    "button",
    {
      type: "button",
      class: "select",
      "aria-haspopup": "listbox",
      "aria-expanded": "false",
      disabled: select.disabled,
      "data-key": key,
    },
    words,
    el("span", { class: "select-arrow", "aria-hidden": "true" }, "▾"),
  );

  const updateLabel = () => {
    const titles = items
      .filter((item) => values.some((value) => sameValue(value, item.value)))
      .map((item) => item.title);
    words.textContent = listOf(titles) || select.placeholder || t("Make a selection");
    words.classList.toggle("placeholder", titles.length === 0);
    const name = label ?? select.placeholder ?? t("Selection");
    if (labelledBy) button.setAttribute("aria-labelledby", `${labelledBy} ${words.id}`);
    else
      button.setAttribute(
        "aria-label",
        titles.length > 0 ? t("{name}: {value}", { name, value: listOf(titles) }) : name,
      );
  };
  if (labelledBy) words.id = `${labelledBy}-value`;
  updateLabel();

  let close = null; // closes the list while it is open
  const open = () => {
    button.setAttribute("aria-expanded", "true");
    close = openChoices(
      items,
      values,
      { min, max: select.max_values, label: label ?? select.placeholder ?? t("Selection") },
      button,
      (picked) => {
        close = null;
        button.setAttribute("aria-expanded", "false");
        if (picked === null || sameValue(picked, values)) return;
        values = picked;
        updateLabel();
        onChosen(picked);
      },
    );
  };
  button.addEventListener("click", () => (close ? close() : open()));
  button.addEventListener("keydown", (event) => {
    if (!["ArrowDown", "ArrowUp"].includes(event.key)) return;
    event.preventDefault();
    open();
  });
  return button;
}

/**
 * Opens the list and returns what closes it. However that happens, `onDone` gets the values that were picked; null where
 * they are too few.
 */
function openChoices(items, before, { min, max, label }, anchor, onDone) {
  let popup = null;
  let picked = [...before];
  const isMultiple = max > 1;
  const input = el("input", {
    class: "select-filter",
    type: "text",
    placeholder: t("Search"),
    "aria-label": t("Search: {name}", { name: label }),
    autocomplete: "off",
    spellcheck: "false",
  });
  const list = new Listbox({ label: () => label, isMultiple, onPick: pick });
  list.attach(input);
  const done = el("button", { type: "button", class: "button primary", onclick: () => popup.close() }, t("Done"));
  const note = el("p", { class: "select-note", role: "status" });
  function show(active) {
    const shown = matching(items, input.value).map((item) => ({ ...item, isSelected: isPicked(item) }));
    list.show(input, shown, active ?? (input.value ? 0 : -1));
    note.textContent =
      min === max
        ? t("Choose {number}.", { number: max })
        : t("Choose {min} to {max} ({chosen} chosen).", { min, max, chosen: picked.length });
    done.disabled = picked.length < min || picked.length > max;
    popup?.place();
  }

  function isPicked(item) {
    return picked.some((value) => sameValue(value, item.value));
  }

  function pick(item) {
    if (!isMultiple) {
      picked = isPicked(item) && min === 0 ? [] : [item.value];
      return popup.close();
    }
    const at = matching(items, input.value).findIndex((one) => sameValue(one.value, item.value));
    if (isPicked(item)) picked = picked.filter((value) => !sameValue(value, item.value));
    else if (picked.length < max) picked = [...picked, item.value];
    show(at);
  }

  input.addEventListener("input", () => show());
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") list.move(1);
    else if (event.key === "ArrowUp") list.move(-1);
    else if (event.key === "Enter" && list.active) pick(list.active);
    else return;
    event.preventDefault();
  });
  show(Math.max(items.findIndex(isPicked), 0)); // filled before it is placed, so that its size is known
  const content = el(
    "div",
    { class: "select-popup" },
    input,
    list.element,
    isMultiple && el("div", { class: "select-end" }, note, done),
  );
  content.addEventListener("keydown", (event) => {
    if (event.key !== "Tab") return;
    const last = isMultiple && !done.disabled ? done : input;
    // The focus is back on the button by the time that the browser moves it on.
    if (event.target === (event.shiftKey ? input : last)) popup.close();
  });
  const onClose = (reason) => {
    const isFit = picked.length >= min && picked.length <= max;
    const isFocusLost = document.activeElement === document.body;
    if (reason !== "outside" || isFocusLost) current(anchor).focus();
    onDone(isFit ? picked : null); // draws the message again, with the focus where it is now
  };
  popup = openPopup(content, anchor, onClose, { minHeight: MIN_HEIGHT });
  input.focus();
  return popup.close;
}
