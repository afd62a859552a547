// The conversation scrolls by itself while its end is in sight; else a button offers to go there.

const NEAR_END = 120; // pixels
const END_TOLERANCE = 2; // pixels, as sizes are not whole numbers
const MARGIN = 8; // pixels between the conversation's edge and what must stay in sight

const scroller = document.getElementById("scroller");
const list = document.getElementById("messages");
const toEnd = document.getElementById("to-end");

export function isAtEnd(near = NEAR_END) {
  return distanceToEnd() < near;
}

/** Whether the end is no more than one screen further down: the user's own messages are followed from there. */
export function isEndWithinOneScreen() {
  return distanceToEnd() <= scroller.clientHeight;
}

export function scrollToEnd() {
  scroller.scrollTop = scroller.scrollHeight;
  toEnd.hidden = true;
}

/** Says that there is something new below. */
export function offerEnd() {
  toEnd.hidden = false;
}

/** Gives the focus to an element of the conversation, or to the conversation itself where there is none. */
export function focusConversation(element) {
  (element ?? scroller).focus();
}

/**
 * Runs `change`, which draws `element` again, and keeps the end of the conversation in sight. A control in the element
 * that has the focus and is in sight goes before: it stays so, and where it was unless the very end was in sight.
 */
export function keepInPlace(element, change) {
  const wasAtEnd = isAtEnd();
  const wasAtVeryEnd = isAtEnd(END_TOLERANCE);
  const before = element.contains(document.activeElement) ? topInSight(document.activeElement) : null;
  change();
  if (before === null) {
    if (wasAtEnd) scrollToEnd();
    return;
  }
  const focused = document.activeElement;
  if (wasAtVeryEnd) scrollToEnd();
  else if (list.contains(focused)) scroller.scrollTop += focused.getBoundingClientRect().top - before;
  if (list.contains(focused)) focused.scrollIntoView({ block: "nearest" });
}

/** Where on the screen an element of the conversation begins; null where it is out of sight. */
function topInSight(element) {
  const { top, bottom } = element.getBoundingClientRect();
  const frame = scroller.getBoundingClientRect();
  return bottom > frame.top && top < frame.bottom ? top : null;
}

/**
 * Moves the conversation up until there are `height` pixels of the window below an element of it, as far as the element
 * stays in sight; at the end of the conversation by empty space, which the result takes away again.
 */
export function makeRoomBelow(element, height) {
  if (!scroller.contains(element)) return () => {};
  const around = element.getBoundingClientRect();
  const max = around.top - scroller.getBoundingClientRect().top - MARGIN;
  const room = Math.min(Math.ceil(around.bottom + height - innerHeight), max);
  if (room <= 0) return () => {};
  list.style.paddingBottom = `${parseFloat(getComputedStyle(list).paddingBottom) + room}px`;
  scroller.scrollTop += element.getBoundingClientRect().top - around.top + room;
  return () => (list.style.paddingBottom = "");
}

function distanceToEnd() {
  return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
}

toEnd.addEventListener("click", () => {
  const hadFocus = document.activeElement === toEnd;
  scrollToEnd();
  if (hadFocus) focusConversation();
});
scroller.addEventListener("scroll", () => isAtEnd() && (toEnd.hidden = true));
