// Popups: small boxes on top of everything, beside what opened them; closed by Escape, by a press elsewhere, or by their owner.

import { current, el } from "./dom.js";
import { makeRoomBelow } from "./scrolling.js";

const MARGIN = 8; // pixels to the edges of the window
const GAP = 4; // pixels to what opened the popup
const MIN_HEIGHT = 96; // pixels of height that it keeps where there is no room
const CLICK_DELAY = 300; // milliseconds after a press in which its click comes

let closeOpened = null; // closes the popup that is open, if one is

/**
 * Shows `content` beside `anchor` (an element, or a point `{x, y}`): below it, or above where only there is room.
 * `onClose(reason)` hears "escape", "outside" or "done". With `minHeight`, the popup is rather cut to that many pixels than
 * shown above, and the conversation makes room for them. The result has `close()`, and `place()` to be called when the
 * content has another size.
 */
export function openPopup(content, anchor, onClose = () => {}, { minHeight = Infinity } = {}) {
  closeOpened?.("outside");
  const owner = anchor instanceof Element ? anchor.closest("dialog") : null;
  const box = el("div", { class: "popup" }, content);
  (owner ?? document.body).append(box);
  const height = Math.min(box.offsetHeight, minHeight);
  const giveRoomBack =
    anchor instanceof Element && minHeight < Infinity ? makeRoomBelow(anchor, height + GAP + MARGIN) : () => {};
  const side = sideFor(height, box.offsetHeight, anchor);
  const place = () => placeBeside(box, anchor, side);
  place();

  const close = (reason) => {
    if (closeOpened !== close) return;
    closeOpened = null;
    document.removeEventListener("pointerdown", outside, true);
    document.removeEventListener("scroll", place, true);
    removeEventListener("resize", place);
    box.removeEventListener("keydown", escape);
    box.remove();
    giveRoomBack();
    onClose(reason);
  };
  // What is pressed outside stays where it is until it got its click: closing moves the conversation.
  const outside = (event) => {
    if (box.contains(event.target)) return;
    const closeOutside = () => close("outside");
    addEventListener("click", closeOutside, { once: true });
    addEventListener("pointerup", () => setTimeout(closeOutside, CLICK_DELAY), { once: true });
    addEventListener("pointercancel", closeOutside, { once: true });
  };
  const escape = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    close("escape");
  };
  closeOpened = close;
  document.addEventListener("pointerdown", outside, true);
  document.addEventListener("scroll", place, true);
  addEventListener("resize", place);
  box.addEventListener("keydown", escape);
  return { close: (reason = "done") => close(reason), place };
}

/** Where a popup goes that needs at least `height` pixels and would like `natural` ones. */
function sideFor(height, natural, anchor) {
  const { above, below } = roomAround(anchor);
  if (height <= below) return "below";
  return natural <= above || above > below ? "above" : "below";
}

function placeBeside(box, anchor, side) {
  const around = rectOf(anchor);
  const room = roomAround(anchor)[side];
  if (anchor instanceof Element) box.style.minWidth = `${Math.min(around.width, innerWidth - 2 * MARGIN)}px`;
  box.style.maxHeight = `${Math.max(room, MIN_HEIGHT)}px`;
  const top = side === "below" ? around.bottom + GAP : around.top - box.offsetHeight - GAP;
  box.style.top = `${within(top, innerHeight - box.offsetHeight)}px`;
  box.style.left = `${within(around.left, innerWidth - box.offsetWidth)}px`;
}

/** A distance from the window's edge, between MARGIN and the `max` that leaves MARGIN at the other edge. */
function within(distance, max) {
  return Math.max(MARGIN, Math.min(distance, max - MARGIN));
}

/** Pixels of the window that a popup may take above and below what opened it. */
function roomAround(anchor) {
  const { top, bottom } = rectOf(anchor);
  return { above: top - GAP - MARGIN, below: innerHeight - bottom - GAP - MARGIN };
}

function rectOf(anchor) {
  return anchor instanceof Element ? current(anchor).getBoundingClientRect() : new DOMRect(anchor.x, anchor.y, 0, 0);
}
