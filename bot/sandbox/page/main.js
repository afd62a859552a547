// Ties it together: who uses the page, which channel is open, and what is to be done when something happens.

import { place } from "./address.js";
import { Refused, Session, fetchCatalog, people } from "./api.js";
import { commandsChanged, describeComposer, focusComposer, resetComposer } from "./composer.js";
import { el } from "./dom.js";
import { forgetInteractions, hearOfInteraction } from "./interactions.js";
import { dropMessage, hasMessage, putMessage, redrawMessages, showMessages } from "./messages.js";
import { addNote } from "./notes.js";
import { drawSidebar, markRead, markUnread, offerPeople } from "./sidebar.js";
import { writeStaticTexts } from "./static_texts.js";
import { channelTitle, nameOf, setView, store } from "./store.js";
import { setLanguage, t } from "./translation.js";

const TYPING_SHOWN = 10_000; // milliseconds, as Discord shows it
const TEXT_CHANNEL = 0;

const status = document.getElementById("status");
const typing = document.getElementById("typing");

let endFollowing = () => {};
let typingTimer = null;
let missed = null; // what happened while a channel was being loaded; null: nothing is
let shown = ""; // user and channel, as the address has them
let opening = 0; // how many channels were opened; only the last one is shown
let refresh = Promise.resolve();

async function start() {
  writeStaticTexts();
  const everyone = await persistently(people);
  offerPeople(everyone, chooseLanguage);
  addEventListener("hashchange", go);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    focusComposer();
  });
  await go(everyone.people.find((user) => user.username === "alice")?.id);
}

/** Goes where the address says: another user, another channel, or both. */
async function go(otherwise) {
  const { userId, channelId } = place();
  const user = userId ?? (typeof otherwise === "string" ? otherwise : store.session?.userId);
  if (store.session?.userId !== user) return enter(user, channelId);
  if (store.channel?.id !== channelId && store.channels.has(channelId)) return openChannel(channelId);
}

/** Becomes a user: everything is loaded as that user sees it. */
async function enter(userId, channelId) {
  endFollowing();
  forgetInteractions();
  store.session = new Session(userId);
  const { session } = store;
  const view = await persistently(() => session.get("/view"));
  if (store.session !== session) return;
  setView(view);
  await persistently(learnLanguage);
  if (store.session !== session) return;
  missed = [];
  endFollowing = session.follow(view.last_event, {
    happened: (event) => store.session === session && happened(event),
    connected: (instance) => connected(instance),
    lost: () => say(t("The sandbox isn't responding. Trying again…")),
  });
  await openChannel(store.channels.has(channelId) ? channelId : firstChannel());
}

function firstChannel() {
  const all = [...store.channels.values()];
  return (all.find((channel) => channel.type === TEXT_CHANNEL) ?? all[0]).id;
}

async function openChannel(channelId) {
  const { session } = store;
  missed ??= [];
  opening += 1;
  const number = opening;
  const path = `/channels/${channelId}`;
  const [messages, commands] = await persistently(() =>
    Promise.all([session.get(`${path}/messages`), session.get(`${path}/commands`)]),
  );
  if (number !== opening) return;
  store.channel = store.channels.get(channelId);
  store.commands = commands;
  const here = `#${session.userId}/${channelId}`;
  history.replaceState(null, "", here);
  markRead(channelId);
  drawSidebar();
  drawHeader();
  showMessages(messages);
  typing.textContent = "";
  if (here !== shown) resetComposer(); // else it was loaded anew, and what is being typed stays
  shown = here;
  const since = missed ?? [];
  missed = null;
  since.forEach(happened);
  if (!matchMedia("(pointer: coarse)").matches) focusComposer();
}

function drawHeader() {
  const { channel } = store;
  const title = channelTitle(channel);
  document.title = t("{channel} · Anima sandbox", { channel: title });
  document
    .getElementById("channel-title")
    .replaceChildren(title, ...(channel.nsfw ? [" ", el("span", { class: "badge" }, t("Age-restricted"))] : []));
}

// What happens

function happened(event) {
  if (missed !== null) return missed.push(event);
  const { kind, data } = event;
  if (kind.startsWith("message_")) hearOfMessage(kind, data);
  else if (kind.startsWith("interaction_")) hearOfInteraction(kind, data);
  else if (kind === "typing") showTyping(data);
  else refresh = refresh.then(reload);
}

function hearOfMessage(kind, message) {
  if (message.channel_id !== store.channel.id) {
    if (kind === "message_create") {
      if (store.channels.has(message.channel_id)) markUnread(message.channel_id);
      else refresh = refresh.then(reload).then(() => markUnread(message.channel_id));
    }
    return;
  }
  if (kind === "message_delete") return dropMessage(message.id);
  if (kind === "message_update" && !hasMessage(message.id)) return; // too old to be shown here
  if (message.author.id === store.view.bot_id) typing.textContent = "";
  putMessage(message);
}

function showTyping({ channel_id, user_id }) {
  if (channel_id !== store.channel.id) return;
  typing.textContent = t("{name} is typing…", { name: nameOf(store.users.get(user_id)) });
  clearTimeout(typingTimer);
  typingTimer = setTimeout(() => (typing.textContent = ""), TYPING_SHOWN);
}

/** Channels, commands or the bot's presence changed: what is around the messages is loaded again. */
async function reload() {
  const { session, channel } = store;
  const { locale } = store.view.me;
  try {
    const view = await session.get("/view");
    if (store.session !== session) return;
    setView(view);
    if (locale !== view.me.locale) await changeLanguage();
    if (!store.channels.has(channel.id)) return openChannel(firstChannel());
    const commands = await session.get(`/channels/${channel.id}/commands`);
    if (store.session !== session || store.channel.id !== channel.id) return;
    store.channel = store.channels.get(channel.id);
    store.commands = commands;
    drawSidebar();
    drawHeader();
    commandsChanged();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(error.message);
  }
}

/** Has the page speak the language that the user chose. */
async function learnLanguage() {
  setLanguage(await fetchCatalog(store.view.me.locale));
  writeStaticTexts();
}

/** The same where something is on the page already. */
async function changeLanguage() {
  await learnLanguage();
  redrawMessages();
  describeComposer();
}

function connected(instance) {
  say("");
  if (instance === store.view.instance) return;
  // The sandbox was started again: it knows nothing of what stood here.
  const { userId } = store.session;
  const channelId = store.channel?.id;
  enter(userId, channelId);
}

async function chooseLanguage(locale) {
  try {
    await store.session.put("/language", { locale });
    await reload();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    addNote(error.message, { isProblem: true });
  }
}

function say(sentence) {
  status.textContent = sentence;
  status.hidden = sentence === "";
}

/** Asks until there is an answer: the sandbox may be starting or starting again. */
async function persistently(request) {
  for (let wait = 250; ; wait = Math.min(wait * 2, 4000)) {
    try {
      const answer = await request();
      say("");
      return answer;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(error.message);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

start();
