// The conversation scrolls by itself while its end is in sight; else a button offers to go there.

const NEAR_END = 120; // pixels

const scroller = document.getElementById("scroller");
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

toEnd.addEventListener("click", scrollToEnd);
scroller.addEventListener("scroll", () => isAtEnd() && (toEnd.hidden = true));
