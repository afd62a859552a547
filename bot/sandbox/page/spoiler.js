// Spoilers: hidden until clicked. A spoiler that was shown stays shown when its message is drawn again.

import { el } from "./dom.js";
import { t } from "./translation.js";

const shown = new Set();

/** Hidden words of a text. */
export function spoiler(children) {
  const words = el("span", { class: "spoiler-words" }, ...children);
  const cover = el("span", { class: "spoiler", role: "button", tabindex: "0", "aria-label": t("Show spoiler") }, words);
  words.inert = true;
  const reveal = (event) => {
    if (cover.classList.contains("shown") || (event.type === "keydown" && event.key !== "Enter" && event.key !== " "))
      return;
    event.preventDefault();
    cover.classList.add("shown");
    words.inert = false;
    for (const name of ["role", "tabindex", "aria-label"]) cover.removeAttribute(name);
  };
  cover.addEventListener("click", reveal);
  cover.addEventListener("keydown", reveal);
  return cover;
}

/** A picture, file or box that is blurred under a button until that is pressed; `key` says which one it is. */
export function spoilerCover(key, content) {
  if (shown.has(key)) return content;
  const cover = el(
    "button",
    { type: "button", class: "spoiler-button", "aria-label": t("Show spoiler") },
    t("Spoiler"),
  );
  const hidden = el("div", { class: "covered" }, content, cover);
  content.inert = true;
  cover.addEventListener("click", () => {
    shown.add(key);
    content.inert = false;
    const hadFocus = document.activeElement === cover;
    hidden.classList.add("shown");
    cover.remove();
    if (hadFocus) (content.matches("button, a") ? content : content.querySelector("button, a"))?.focus();
  });
  return hidden;
}
