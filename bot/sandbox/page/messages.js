// The messages of the open channel: kept in order, shown as Discord shows them, updated by events.

import { avatar } from "./avatar.js";
import { components, problemOf } from "./components.js";
import { messageMenu, userMenu } from "./context_menus.js";
import { postedAt } from "./dates.js";
import { el } from "./dom.js";
import { embeds } from "./embeds.js";
import { focusMessage, keepMark } from "./jump.js";
import { markdown, plainText } from "./markdown.js";
import { attachments } from "./media.js";
import { examples } from "./examples.js";
import { noteAnswer } from "./next_stop.js";
import {
  focusConversation,
  isAtEnd,
  isEndWithinOneScreen,
  keepInPlace,
  offerEnd,
  scrollToEnd,
} from "./scrolling.js";
import { channelTitle, isBot, nameOf, store } from "./store.js";
import { t, tElements } from "./translation.js";

const SUPPRESS_NOTIFICATIONS = 1 << 12;
const EPHEMERAL = 1 << 6;
const LOADING = 1 << 7;
const REPLY = 19;
const GROUPING_INTERVAL = 7 * 60_000; // milliseconds between messages of one author that share a heading

const list = document.getElementById("messages");
const announcer = document.getElementById("announcer");

const messages = new Map(); // id -> message, in order
const dismissed = new Set();

/** Shows the messages of a channel that was just opened. */
export function showMessages(found) {
  messages.clear();
  for (const message of found) if (!dismissed.has(message.id)) messages.set(message.id, message);
  list.setAttribute("aria-label", t("Messages in {channel}", { channel: channelTitle(store.channel) }));
  list.replaceChildren(channelStart(), ...renderAll());
  scrollToEnd();
}

/** Draws them all again: the language of the page is another one. */
export function rerenderMessages() {
  const notes = list.querySelectorAll(".note");
  list.setAttribute("aria-label", t("Messages in {channel}", { channel: channelTitle(store.channel) }));
  list.replaceChildren(channelStart(), ...renderAll(), ...notes);
}

/** The commands are others now, and with them what the channel begins with. */
export function rerenderStart() {
  const giveFocusBack = focusWithin(list.firstElementChild);
  list.firstElementChild.replaceWith(channelStart());
  giveFocusBack(list.firstElementChild);
}

export function hasMessage(id) {
  return messages.has(id);
}

/** A message came or changed. */
export function upsertMessage(message) {
  if (dismissed.has(message.id)) return;
  const before = messages.get(message.id);
  messages.set(message.id, message);
  if (before) rerenderMessage(message.id);
  else append(message);
  announce(message, before);
}

function append(message) {
  const isFollowed = isAtEnd() || (isOwn(message) && isEndWithinOneScreen());
  list.append(render(message, [...messages.values()].at(-2)));
  if (isFollowed) scrollToEnd();
  else offerEnd();
  if (message.flags & EPHEMERAL) noteAnswer(message);
}

/** Whether the user wrote a message or asked for it. */
function isOwn({ author, interaction_metadata: how }) {
  return [author.id, how?.user.id].includes(store.session.userId);
}

export function removeMessage(id) {
  if (!messages.delete(id)) return;
  const element = elementOf(id);
  const hadFocus = element?.contains(document.activeElement);
  const neighbour = element?.nextElementSibling ?? element?.previousElementSibling;
  element?.remove();
  rerenderFollowing(id);
  if (hadFocus) focusConversation(neighbour?.querySelector("button"));
}

/** Draws one message again, with the focus where it was. */
function rerenderMessage(id) {
  const message = messages.get(id);
  const old = elementOf(id);
  if (!message || !old) return;
  const ids = [...messages.keys()];
  const giveFocusBack = focusWithin(old);
  const fresh = render(message, messages.get(ids[ids.indexOf(id) - 1]));
  keepMark(old, fresh);
  keepInPlace(old, () => {
    old.replaceWith(fresh);
    giveFocusBack(fresh);
  });
}

/** Remembers what has the focus in an element; the result finds it in the element that takes its place. */
function focusWithin(old) {
  if (!old.contains(document.activeElement)) return () => {};
  if (old === document.activeElement) return focusMessage;
  const { key } = document.activeElement.dataset;
  const among = "a, button, [tabindex]";
  const index = [...old.querySelectorAll(among)].indexOf(document.activeElement);
  return (fresh) =>
    (fresh.querySelector(`[data-key="${CSS.escape(key ?? "")}"]`) ?? fresh.querySelectorAll(among)[index])?.focus({
      preventScroll: true,
    });
}

function renderAll() {
  const all = [...messages.values()];
  return all.map((message, index) => render(message, all[index - 1]));
}

function channelStart() {
  const title = channelTitle(store.channel);
  return el(
    "li",
    { class: "beginning" },
    el("p", { class: "heading-1" }, title),
    el("p", {}, t("This is the start of {channel}. Type / to see the bot's commands.", { channel: title })),
    examples(),
  );
}

function elementOf(id) {
  return document.getElementById(`message-${id}`);
}

function rerenderFollowing(id) {
  const following = [...messages.keys()].find((one) => BigInt(one) > BigInt(id));
  if (following) rerenderMessage(following);
}

function render(message, previous) {
  const isLoading = Boolean(message.flags & LOADING);
  const isEphemeral = Boolean(message.flags & EPHEMERAL);
  const above = contextLine(message);
  const isContinued = !above && previous && isContinuation(message, previous);
  const mentionsMe = message.mention_everyone || message.mentions.some((user) => user.id === store.session.userId);
  const cssClass = [
    "message",
    isContinued && "continued",
    isEphemeral && "ephemeral",
    mentionsMe && !isEphemeral && "mentions-me",
  ];
  const problem = problemOf(message.id);
  const body = el(
    "div",
    { class: "body" },
    isLoading ? thinking(message) : content(message),
    problem && el("p", { class: "problem", role: "alert" }, problem),
    isEphemeral && ephemeralNotice(message),
  );
  const item = el(
    "li",
    { id: `message-${message.id}`, class: cssClass.filter(Boolean).join(" "), "data-author": message.author.id },
    messageToolbar(message), // first, as it is at the top: what follows the last control is the next message
    el("article", { "aria-label": `${nameOf(message.author)}` }, above, !isContinued && messageHeader(message), body),
  );
  item.addEventListener("contextmenu", (event) => {
    if (event.target.closest("a, img, input, textarea") || String(getSelection()) !== "") return;
    event.preventDefault();
    messageMenu(message, { x: event.clientX, y: event.clientY }, item.querySelector(".more"), dismiss);
  });
  return item;
}

function isContinuation(message, previous) {
  const isSoon = Date.parse(message.timestamp) - Date.parse(previous.timestamp) < GROUPING_INTERVAL;
  return (
    message.author.id === previous.author.id && isSoon && (message.flags & EPHEMERAL) === (previous.flags & EPHEMERAL)
  );
}

/** Above a message: what it answers, or the command that it came by. */
function contextLine(message) {
  if (message.type === REPLY && message.message_reference) {
    const original = message.referenced_message;
    const words = original
      ? [el("strong", {}, nameOf(original.author)), " ", excerpt(original)]
      : el("em", {}, t("Original message was deleted"));
    const sign = el("span", { class: "visually-hidden" }, t("Reply to:"), " ");
    return el("p", { class: "context reply" }, sign, words);
  }
  if (!message.command) return null;
  const user = message.interaction_metadata.user;
  const name = message.type === 23 ? message.command : `/${message.command}`;
  return el(
    "p",
    { class: "context" },
    avatar(user, "tiny"),
    tElements("{name} used {command}", {
      name: el("strong", {}, nameOf(user)),
      command: el("span", { class: "command-name" }, name),
    }),
  );
}

function excerpt(message) {
  const words = spokenText(message).replace(/\s+/g, " ").trim();
  return words.length > 120 ? `${words.slice(0, 120)}…` : words || t("(picture or file)");
}

function messageHeader(message) {
  const author = message.author;
  const name = el("button", { type: "button", class: "author", "data-key": `author/${message.id}` }, nameOf(author));
  const open = (event) => {
    event.preventDefault();
    event.stopPropagation();
    userMenu(author, event.type === "contextmenu" ? { x: event.clientX, y: event.clientY } : name, name);
  };
  name.addEventListener("click", open);
  name.addEventListener("contextmenu", open);
  const silent =
    message.flags & SUPPRESS_NOTIFICATIONS ? el("span", { title: t("Sent without a notification") }, "🔕") : null;
  return el(
    "header",
    {},
    avatar(author),
    name,
    isBot(author) && el("span", { class: "badge" }, t("APP")),
    postedAt(message.timestamp),
    silent,
  );
}

function thinking(message) {
  return el(
    "p",
    { class: "thinking" },
    el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
    t("{name} is thinking…", { name: nameOf(message.author) }),
  );
}

function content(message) {
  const edited =
    message.edited_timestamp && !message.components.length && el("small", { class: "edited" }, " ", t("(edited)"));
  return [
    message.content && el("div", { class: "text" }, ...markdown(message.content), edited),
    attachments(message),
    embeds(message),
    message.components.length > 0 && el("div", { class: "components" }, components(message, rerenderMessage)),
  ];
}

function ephemeralNotice(message) {
  const button = el(
    "button",
    { type: "button", class: "link", "data-key": `dismiss/${message.id}`, onclick: () => dismiss(message.id) },
    t("Dismiss message"),
  );
  return el("p", { class: "only-you" }, t("Only you can see this"), " · ", button);
}

function dismiss(id) {
  dismissed.add(id);
  removeMessage(id);
}

function messageToolbar(message) {
  const more = el(
    "button",
    {
      type: "button",
      class: "icon more",
      "aria-haspopup": "menu",
      "aria-label": t("More actions for the message from {name}", { name: nameOf(message.author) }),
      "data-key": `more/${message.id}`,
    },
    "⋯",
  );
  more.addEventListener("click", () => messageMenu(message, more, more, dismiss));
  return el("div", { class: "toolbar" }, more);
}

// For those who do not see the page

/** Tells those who do not see the page of a new message, and of one that was waited for; not of steps in between. */
function announce(message, before) {
  const isDone = before && before.flags & LOADING && !(message.flags & LOADING);
  const gotImage = before && hasImage(message) && !hasImage(before);
  if (before && !isDone && !gotImage) return;
  announcer.textContent = announcement(message, nameOf(message.author));
}

function announcement(message, name) {
  if (message.flags & LOADING) return t("{name} is thinking…", { name });
  const text = excerpt(message);
  return hasImage(message) ? t("{name}: {text} (with a picture)", { name, text }) : t("{name}: {text}", { name, text });
}

function hasImage(message) {
  return (
    message.attachments.some((one) => one.width) || walk(message.components).some((component) => component.type === 12)
  );
}

function spokenText(message) {
  const texts = walk(message.components).filter((component) => component.type === 10);
  const all = [
    message.content,
    ...texts.map((text) => text.content),
    ...message.embeds.map((one) => one.title ?? one.description ?? ""),
  ];
  return all.join("\n").split("\n").map(plainText).join(" ").trim();
}

function walk(found) {
  return found.flatMap((component) => [
    component,
    ...walk(component.components ?? []),
    ...walk(component.accessory ? [component.accessory] : []),
  ]);
}
