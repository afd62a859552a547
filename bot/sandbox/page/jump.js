// Goes to the message that a link leads to, and marks it for a moment.

const HIGHLIGHT_TIME = 2500; // milliseconds

let timer = null;

/** Scrolls to a message of the open channel and gives it the focus; false where it is not there. */
export function jumpTo(messageId) {
  const found = document.getElementById(`message-${messageId}`);
  if (!found) return false;
  focusMessage(found);
  const isTall = found.offsetHeight > found.closest("#scroller").clientHeight;
  found.scrollIntoView({ block: isTall ? "start" : "center" });
  unmark();
  found.classList.add("marked");
  clearTimeout(timer);
  timer = setTimeout(unmark, HIGHLIGHT_TIME);
  return true;
}

/** Gives a message itself the focus, so that the next Tab is the first control in it. */
export function focusMessage(element) {
  element.tabIndex = -1;
  element.addEventListener("blur", () => element.removeAttribute("tabindex"), { once: true });
  element.focus({ preventScroll: true });
}

/** A message that was drawn again stays marked. */
export function keepMark(old, fresh) {
  fresh.classList.toggle("marked", old.classList.contains("marked"));
}

function unmark() {
  for (const one of document.querySelectorAll(".message.marked")) one.classList.remove("marked");
}
