// Select menus, in messages and in forms: a button that says what is chosen, and a list to choose from.

import { el } from "./dom.js";
import { channelItems, mentionableItems, roleItems, sameValue, userItems } from "./entities.js";
import { Listbox, matching } from "./listbox.js";
import { openPopup } from "./popup.js";
import { listOf, t } from "./translation.js";

const STRING_SELECT = 3;
const SOURCES = { 5: userItems, 6: roleItems, 7: mentionableItems, 8: channelItems };
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
  const least = select.required === false ? 0 : select.min_values;
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

  const open = () => {
    button.setAttribute("aria-expanded", "true");
    openChoices(
      items,
      values,
      { least, most: select.max_values, label: label ?? select.placeholder ?? t("Selection") },
      button,
      (picked) => {
        button.setAttribute("aria-expanded", "false");
        if (picked === null || sameValue(picked, values)) return;
        values = picked;
        updateLabel();
        onChosen(picked);
      },
    );
  };
  button.addEventListener("click", open);
  button.addEventListener("keydown", (event) => {
    if (!["ArrowDown", "ArrowUp"].includes(event.key)) return;
    event.preventDefault();
    open();
  });
  return button;
}

/** Opens the list; `onDone` gets the values that were picked, or null where it was left without a choice. */
function openChoices(items, before, { least, most, label }, anchor, onDone) {
  let picked = [...before];
  const isMultiple = most > 1;
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
  const done = el("button", { type: "button", class: "button primary", onclick: () => close("done") }, t("Done"));
  const note = el("p", { class: "select-note", role: "status" });
  function show(active) {
    const shown = matching(items, input.value).map((item) => ({ ...item, isSelected: isPicked(item) }));
    list.show(input, shown, active ?? (input.value ? 0 : -1));
    note.textContent =
      least === most
        ? t("Choose {number}.", { number: most })
        : t("Choose {min} to {max} ({chosen} chosen).", { min: least, max: most, chosen: picked.length });
    done.disabled = picked.length < least || picked.length > most;
  }

  function isPicked(item) {
    return picked.some((value) => sameValue(value, item.value));
  }

  function pick(item) {
    if (!isMultiple) {
      picked = isPicked(item) && least === 0 ? [] : [item.value];
      return close("done");
    }
    const at = matching(items, input.value).findIndex((one) => sameValue(one.value, item.value));
    if (isPicked(item)) picked = picked.filter((value) => !sameValue(value, item.value));
    else if (picked.length < most) picked = [...picked, item.value];
    show(at);
  }

  input.addEventListener("input", () => show());
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") list.move(1);
    else if (event.key === "ArrowUp") list.move(-1);
    else if (event.key === "Enter" && list.active) pick(list.active);
    else if (event.key === "Tab" && !isMultiple) return close("done");
    else return;
    event.preventDefault();
  });
  show(Math.max(items.findIndex(isPicked), 0)); // filled before it is placed, so that its size is known
  const close = openPopup(
    el(
      "div",
      { class: "select-popup" },
      input,
      list.element,
      isMultiple && el("div", { class: "select-end" }, note, done),
    ),
    anchor,
    (reason) => {
      const isFit = picked.length >= least && picked.length <= most;
      const isFocusLost = document.activeElement === document.body;
      onDone(reason === "escape" || !isFit ? null : picked);
      if (reason !== "outside" || isFocusLost) restoreFocus(anchor);
    },
  );
  input.focus();
}

/** Gives the focus back to what was focused, or to what took its place when its message was drawn again. */
function restoreFocus(element) {
  const key = element.dataset.key;
  const now = element.isConnected || !key ? element : document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  now?.focus();
}
