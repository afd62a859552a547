// Where Tab goes after a button was pressed that the bot answers with a message only its user sees: into that message.
// The focus itself stays on the button until then, so that nobody who types or presses on loses it.

const FOCUSABLE = "button:not(:disabled), a[href], [tabindex='0']";

let answer = null; // the last such message

/** A message came that only its user sees: it may be the answer to what was pressed in another one. */
export function noteAnswer(message) {
  if (sourceOf(message)) answer = message;
}

/** The id of the message whose button or form this one answers. */
function sourceOf({ interaction_metadata: how }) {
  return how?.interacted_message_id ?? how?.triggering_interaction_metadata?.interacted_message_id;
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Tab" || answer === null) return;
  const from = document.activeElement?.closest(".message")?.id;
  const item = document.getElementById(`message-${answer.id}`);
  const isPressed = from === `message-${sourceOf(answer)}` && "key" in document.activeElement.dataset;
  const isLoading = item?.querySelector(".thinking");
  answer = null;
  if (!item || !isPressed || event.shiftKey || event.defaultPrevented) return;
  const stop = (!isLoading && item.querySelector(".body").querySelector(FOCUSABLE)) || item.querySelector(FOCUSABLE);
  event.preventDefault();
  stop.focus();
});
