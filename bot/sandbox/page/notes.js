// The client's own notes at the end of the conversation.

import { el } from "./dom.js";
import { focusConversation, scrollToEnd } from "./scrolling.js";
import { t } from "./translation.js";

const list = document.getElementById("messages");

/** Adds a line such as "Sending command…" and scrolls to it, as Discord does; returns a function that removes it. */
export function addNote(words, { isProblem = false } = {}) {
  const remove = () => {
    const hadFocus = note.contains(document.activeElement);
    note.remove();
    if (hadFocus) focusConversation();
  };
  const said = el("span", { role: isProblem ? "alert" : "status" }, words);
  const note = el("li", { class: `note ${isProblem ? "problem" : ""}` }, said);
  if (isProblem) note.append(" ", el("button", { type: "button", class: "link", onclick: remove }, t("Dismiss")));
  list.append(note);
  scrollToEnd();
  return remove;
}
