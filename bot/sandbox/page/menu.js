// Context menus: of a message (the Apps menu and what the client itself offers) and of a user.

import { current, el } from "./dom.js";
import { openPopup } from "./popup.js";
import { t } from "./translation.js";

/**
 * Opens a menu of `groups` (each `{label, items}`, each item `{title, run, isDangerous}`) at an element or a point; the
 * focus goes back to `returnTo` when it closes.
 */
export function openMenu(groups, anchor, returnTo) {
  const entries = [];
  const menu = el("div", { class: "menu", role: "menu" });
  for (const { label, items } of groups.filter((group) => group.items.length > 0)) {
    const group = el(
      "div",
      { role: "group", "aria-label": label },
      el("p", { class: "menu-label", "aria-hidden": "true" }, label),
    );
    for (const item of items) {
      const entry = el(
        "button",
        { type: "button", role: "menuitem", tabindex: "-1", class: item.isDangerous ? "dangerous" : null },
        item.title,
      );
      entry.addEventListener("click", () => {
        popup.close();
        item.run();
      });
      entries.push(entry);
      group.append(entry);
    }
    menu.append(group);
  }
  if (entries.length === 0) menu.append(el("p", { class: "menu-label" }, t("No actions available.")));
  const popup = openPopup(menu, anchor, () => returnTo && current(returnTo).focus());
  const focus = (index) => entries.at(index % entries.length)?.focus();
  menu.addEventListener("keydown", (event) => {
    const at = entries.indexOf(document.activeElement);
    if (event.key === "ArrowDown") focus(at + 1);
    else if (event.key === "ArrowUp") focus(at - 1);
    else if (event.key === "Home") focus(0);
    else if (event.key === "End") focus(-1);
    else if (event.key === "Tab") popup.close();
    else if (event.key.length === 1)
      entries.find((entry) => entry.textContent.toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
    else return;
    event.preventDefault();
  });
  menu.tabIndex = -1;
  (entries[0] ?? menu).focus();
}
