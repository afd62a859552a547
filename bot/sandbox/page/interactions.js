// Sends interactions and shows their result: waiting, failed, or a form that the bot opens.

import { RequestError } from "./api.js";
import { openModal } from "./modal.js";
import { store } from "./store.js";

const AUTOCOMPLETE = 4;

const waiting = new Map(); // id of an interaction -> what to do once it is settled
const settled = new Map(); // the same, where the news was faster than the answer to the request

/**
 * Waits for what comes of `send` (a promise of `{interaction}`) and calls exactly one of: `acknowledged()`, `failed()`
 * when the bot did not answer in time, `refused(sentence)` when Discord's client would not have sent it.
 */
export async function interact(send, { acknowledged, failed, refused }) {
  let id;
  try {
    id = (await send).interaction;
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return refused(error.message);
  }
  waiting.set(id, { acknowledged, failed });
  if (settled.has(id)) settle(id, settled.get(id));
}

/** Takes news about interactions out of the stream of events. */
export function handleInteractionEvent(kind, data) {
  if (data.type === AUTOCOMPLETE) return;
  if (kind === "interaction_acknowledged") settle(data.id, { outcome: "acknowledged", modal: data.modal });
  else if (kind === "interaction_failed") settle(data.id, { outcome: "failed" });
}

/** Nothing more will be heard of what was under way: the server is another one now. */
export function resetInteractions() {
  for (const { failed } of waiting.values()) failed();
  waiting.clear();
  settled.clear();
}

/** A form opens only where it was asked for: the same user may be in another tab, too. */
function settle(id, news) {
  const waits = waiting.get(id);
  if (waits === undefined) {
    settled.set(id, news);
    return;
  }
  waiting.delete(id);
  settled.delete(id);
  waits[news.outcome]();
  if (news.modal) openModal(news.modal, submitTo(id));
}

/** Sends a form that was opened in answer to the interaction `id`. */
function submitTo(id) {
  const { session } = store;
  return (payload, files, outcomes) => interact(session.post(`/modals/${id}`, payload, files), outcomes);
}
