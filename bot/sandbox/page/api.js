// Talks to the stand-in: requests on behalf of the chosen user, and the stream of what happens.

import { t } from "./translation.js";

const RETRY_DELAY = 500;
const MAX_RETRY_DELAY = 4000;

/** The stand-in would not do it, as Discord's client would not; the message is a sentence for the person. */
export class RequestError extends Error {}

export function fetchPeople() {
  return sendRequest("GET", "/sandbox/people");
}

/** What each English sentence of the page becomes in a language. */
export function fetchCatalog(locale) {
  return sendRequest("GET", `/page/locales/${locale}.json`);
}

/** Requests of one user. */
export class Session {
  constructor(userId) {
    this.userId = userId;
    this.root = `/sandbox/as/${userId}`;
  }

  get(path) {
    return sendRequest("GET", this.root + path);
  }

  post(path, payload, files = []) {
    return sendRequest("POST", this.root + path, payload, files);
  }

  put(path, payload) {
    return sendRequest("PUT", this.root + path, payload);
  }

  delete(path) {
    return sendRequest("DELETE", this.root + path);
  }

  /**
   * Follows what happens after event number `after`; reconnects for as long as it takes. `listener` has
   * `happened(event)`, `connected(instance)` and `lost()`. Returns what ends it.
   */
  follow(after, listener) {
    let source = null;
    let timer = null;
    let wait = RETRY_DELAY;
    let ended = false;
    const connect = () => {
      source = new EventSource(`${this.root}/events?after=${after}`);
      source.addEventListener("hello", (message) => {
        wait = RETRY_DELAY;
        listener.connected(JSON.parse(message.data).instance);
      });
      source.addEventListener("happened", (message) => {
        const event = JSON.parse(message.data);
        after = event.number;
        listener.happened(event);
      });
      source.addEventListener("error", () => {
        source.close();
        if (ended) return;
        listener.lost();
        timer = setTimeout(connect, wait);
        wait = Math.min(wait * 2, MAX_RETRY_DELAY);
      });
    };
    connect();
    return () => {
      ended = true;
      clearTimeout(timer);
      source.close();
    };
  }
}

async function sendRequest(method, path, payload, files = []) {
  const request = { method };
  if (files.length > 0) {
    request.body = new FormData();
    request.body.append("payload_json", JSON.stringify(payload));
    files.forEach((file, number) => request.body.append(`files[${number}]`, file, file.name));
  } else if (payload !== undefined) {
    request.body = JSON.stringify(payload);
    request.headers = { "Content-Type": "application/json" };
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new RequestError(t("The sandbox isn't responding. Is it still running?"));
  }
  if (response.ok) return response.json();
  const answer = response.headers.get("Content-Type")?.startsWith("application/json") ? await response.json() : null;
  const { status } = response;
  throw new RequestError(
    answer?.refused ?? t("The sandbox returned error {status}. See its terminal for details.", { status }),
  );
}

/** Replaces every File in a value by its number, and gathers them: what `post` takes. */
export function withFiles(value, files = []) {
  if (value instanceof File) {
    files.push(value);
    return { value: { file: String(files.length - 1) }, files };
  }
  if (Array.isArray(value)) return { value: value.map((item) => withFiles(item, files).value), files };
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).map(([key, item]) => [key, withFiles(item, files).value]);
    return { value: Object.fromEntries(entries), files };
  }
  return { value, files };
}
