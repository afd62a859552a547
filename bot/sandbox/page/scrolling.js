// The conversation scrolls by itself while its end is in sight; else a button offers to go there.

const NEAR_END = 120; // pixels
const MARGIN = 8; // pixels between the conversation's edge and what must stay in sight

const scroller = document.getElementById("scroller");
const list = document.getElementById("messages");
const toEnd = document.getElementById("to-end");

export function isAtEnd() {
  return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END;
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
 * Moves the conversation up until there are `height` pixels of the window below an element of it, as far as the element
 * stays in sight; at the end of the conversation by empty space, which the result takes away again.
 */
export function makeRoomBelow(element, height) {
  if (!scroller.contains(element)) return () => {};
  const around = element.getBoundingClientRect();
  const most = around.top - scroller.getBoundingClientRect().top - MARGIN;
  const room = Math.min(Math.ceil(around.bottom + height - innerHeight), most);
  if (room <= 0) return () => {};
  list.style.paddingBottom = `${parseFloat(getComputedStyle(list).paddingBottom) + room}px`;
  scroller.scrollTop += element.getBoundingClientRect().top - around.top + room;
  return () => (list.style.paddingBottom = "");
}

toEnd.addEventListener("click", scrollToEnd);
scroller.addEventListener("scroll", () => isAtEnd() && (toEnd.hidden = true));
