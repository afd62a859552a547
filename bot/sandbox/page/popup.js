// Popups: small boxes on top of everything, beside what opened them; closed by Escape, by a press elsewhere, or by their owner.

import { el } from "./dom.js";

const MARGIN = 8;

/**
 * Shows `content` beside `anchor` (an element, or a point `{x, y}`) and returns what closes it. `onClose(reason)` hears
 * "escape", "outside" or "done".
 */
export function openPopup(content, anchor, onClose = () => {}) {
  const owner = anchor instanceof Element ? anchor.closest("dialog") : null;
  const box = el("div", { class: "popup" }, content);
  (owner ?? document.body).append(box);
  place(box, anchor);

  const close = (reason) => {
    if (!box.isConnected) return;
    document.removeEventListener("pointerdown", outside, true);
    box.removeEventListener("keydown", escape);
    box.remove();
    onClose(reason);
  };
  const outside = (event) => box.contains(event.target) || close("outside");
  const escape = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    close("escape");
  };
  document.addEventListener("pointerdown", outside, true);
  box.addEventListener("keydown", escape);
  return (reason = "done") => close(reason);
}

function place(box, anchor) {
  const around = anchor instanceof Element ? anchor.getBoundingClientRect() : new DOMRect(anchor.x, anchor.y, 0, 0);
  if (anchor instanceof Element) box.style.minWidth = `${Math.min(around.width, innerWidth - 2 * MARGIN)}px`;
  const size = box.getBoundingClientRect();
  const fitsBelow = around.bottom + size.height + MARGIN <= innerHeight;
  const top = fitsBelow ? around.bottom + 4 : Math.max(MARGIN, around.top - size.height - 4);
  const left = Math.max(MARGIN, Math.min(around.left, innerWidth - size.width - MARGIN));
  box.style.top = `${top}px`;
  box.style.left = `${left}px`;
}
