// Starts the page: who uses it, which channel is open, and how it reacts to events.

import { addressOf, currentAddress } from "./address.js";
import { RequestError, Session, fetchCatalog, fetchPeople } from "./api.js";
import { commandsChanged, describeComposer, focusComposer, resetComposer } from "./composer.js";
import { el } from "./dom.js";
import { handleInteractionEvent, resetInteractions } from "./interactions.js";
import { jumpTo } from "./jump.js";
import { hasMessage, removeMessage, rerenderMessages, rerenderStart, showMessages, upsertMessage } from "./messages.js";
import { addNote } from "./notes.js";
import { markRead, markUnread, renderSidebar, setUpAccount } from "./sidebar.js";
import { writeStaticTexts } from "./static_texts.js";
import { channelTitle, nameOf, setView, store } from "./store.js";
import { setLanguage, t } from "./translation.js";

const TYPING_TIMEOUT = 10_000; // milliseconds, as Discord shows it
const TEXT_CHANNEL = 0;

const status = document.getElementById("status");
const typing = document.getElementById("typing");

let endFollowing = () => {};
let typingTimer = null;
let queuedEvents = null; // what happened while a channel was being loaded; null: nothing is
let shownAddress = ""; // user and channel, as the address has them
let openCount = 0; // how many channels were opened; only the last one is shown
let reloading = Promise.resolve();

async function start() {
  writeStaticTexts();
  const everyone = await retrying(fetchPeople);
  setUpAccount(everyone, chooseLanguage);
  addEventListener("hashchange", navigate);
  document.getElementById("start-over").addEventListener("click", startOver);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    focusComposer();
  });
  await navigate(everyone.people.find((user) => user.username === "alice")?.id);
}

/** Goes where the address says: another user, another channel, or both, and to a message in it. */
async function navigate(otherwise) {
  const { userId, channelId, messageId } = currentAddress();
  const user = userId ?? (typeof otherwise === "string" ? otherwise : store.session?.userId);
  if (store.session?.userId !== user) return becomeUser(user, channelId, messageId);
  if (!store.channels.has(channelId)) return refuseChannel(channelId);
  if (store.channel?.id !== channelId) return showChannel(channelId, messageId);
  if (messageId) goToMessage(messageId);
}

function goToMessage(messageId) {
  writeAddress();
  if (!jumpTo(messageId)) addNote(t("You can't see this message. It may be deleted or too old."), { isProblem: true });
}

/** The address names a channel that the user does not see: says so, and goes back to the address of the open one. */
function refuseChannel(channelId) {
  if (channelId === null || store.channel === null) return;
  writeAddress();
  addNote(t("You can't see this channel."), { isProblem: true });
}

function writeAddress() {
  history.replaceState(null, "", addressOf(store.channel.id));
}

/** Becomes a user: everything is loaded as that user sees it. */
async function becomeUser(userId, channelId, messageId = null) {
  endFollowing();
  resetInteractions();
  store.session = new Session(userId);
  const { session } = store;
  const view = await retrying(() => session.get("/view"));
  if (store.session !== session) return;
  setView(view);
  await retrying(loadLanguage);
  if (store.session !== session) return;
  queuedEvents = [];
  endFollowing = session.follow(view.last_event, {
    happened: (event) => store.session === session && handleEvent(event),
    connected: (instance) => connected(instance),
    lost: () => showStatus(t("The sandbox isn't responding. Trying again…")),
  });
  if (store.channels.has(channelId)) return showChannel(channelId, messageId);
  await showChannel(firstChannel());
  if (messageId && store.session === session) refuseChannel(channelId);
}

function firstChannel() {
  const all = [...store.channels.values()];
  return (all.find((channel) => channel.type === TEXT_CHANNEL) ?? all[0]).id;
}

async function showChannel(channelId, messageId = null) {
  const { session } = store;
  queuedEvents ??= [];
  openCount += 1;
  const number = openCount;
  const path = `/channels/${channelId}`;
  const [messages, commands] = await retrying(() =>
    Promise.all([session.get(`${path}/messages`), session.get(`${path}/commands`)]),
  );
  if (number !== openCount) return;
  store.channel = store.channels.get(channelId);
  store.commands = commands;
  const here = `#${session.userId}/${channelId}`;
  history.replaceState(null, "", here);
  markRead(channelId);
  renderSidebar();
  renderHeader();
  showMessages(messages);
  typing.textContent = "";
  if (here !== shownAddress) resetComposer(); // else it was loaded again, and what is being typed stays
  shownAddress = here;
  const since = queuedEvents ?? [];
  queuedEvents = null;
  since.forEach(handleEvent);
  if (messageId) goToMessage(messageId);
  else if (!matchMedia("(pointer: coarse)").matches) focusComposer();
}

function renderHeader() {
  const { channel } = store;
  const title = channelTitle(channel);
  document.title = t("{channel} · Anima sandbox", { channel: title });
  document
    .getElementById("channel-title")
    .replaceChildren(title, ...(channel.nsfw ? [" ", el("span", { class: "badge" }, t("Age-restricted"))] : []));
}

// What happens

function handleEvent(event) {
  if (queuedEvents !== null) return queuedEvents.push(event);
  const { kind, data } = event;
  if (kind.startsWith("message_")) handleMessageEvent(kind, data);
  else if (kind.startsWith("interaction_")) handleInteractionEvent(kind, data);
  else if (kind === "typing") showTyping(data);
  else reloading = reloading.then(reload);
}

function handleMessageEvent(kind, message) {
  if (message.channel_id !== store.channel.id) {
    if (kind === "message_create") {
      if (store.channels.has(message.channel_id)) markUnread(message.channel_id);
      else reloading = reloading.then(reload).then(() => markUnread(message.channel_id));
    }
    return;
  }
  if (kind === "message_delete") return removeMessage(message.id);
  if (kind === "message_update" && !hasMessage(message.id)) return; // too old to be shown here
  if (message.author.id === store.view.bot_id) typing.textContent = "";
  upsertMessage(message);
}

function showTyping({ channel_id, user_id }) {
  if (channel_id !== store.channel.id) return;
  typing.textContent = t("{name} is typing…", { name: nameOf(store.users.get(user_id)) });
  clearTimeout(typingTimer);
  typingTimer = setTimeout(() => (typing.textContent = ""), TYPING_TIMEOUT);
}

/** Channels, commands or the bot's presence changed: what is around the messages is loaded again. */
async function reload() {
  const { session, channel } = store;
  const { locale } = store.view.me;
  try {
    const view = await session.get("/view");
    if (store.session !== session) return;
    if (view.instance !== store.view.instance) return reopen();
    setView(view);
    if (locale !== view.me.locale) await changeLanguage();
    if (!store.channels.has(channel.id)) return showChannel(firstChannel());
    const commands = await session.get(`/channels/${channel.id}/commands`);
    if (store.session !== session || store.channel.id !== channel.id) return;
    store.channel = store.channels.get(channel.id);
    store.commands = commands;
    renderSidebar();
    renderHeader();
    rerenderStart();
    commandsChanged();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    showStatus(error.message);
  }
}

/** Has the page speak the language that the user chose. */
async function loadLanguage() {
  setLanguage(await fetchCatalog(store.view.me.locale));
  writeStaticTexts();
}

/** The same where something is on the page already. */
async function changeLanguage() {
  await loadLanguage();
  rerenderMessages();
  describeComposer();
}

function connected(instance) {
  showStatus("");
  if (instance !== store.view.instance) reopen();
}

/** The sandbox was started again: it knows nothing of what is shown here. */
function reopen() {
  return becomeUser(store.session.userId, store.channel?.id);
}

async function chooseLanguage(locale) {
  try {
    await store.session.put("/language", { locale });
    await reload();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    addNote(error.message, { isProblem: true });
  }
}

async function startOver() {
  if (!confirm(t("Delete every message here? Credits, preferences and server settings stay."))) return;
  try {
    await store.session.delete("/messages");
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    addNote(error.message, { isProblem: true });
  }
}

function showStatus(sentence) {
  status.textContent = sentence;
  status.hidden = sentence === "";
}

/** Asks until there is an answer: the sandbox may be starting or starting again. */
async function retrying(request) {
  for (let wait = 250; ; wait = Math.min(wait * 2, 4000)) {
    try {
      const answer = await request();
      showStatus("");
      return answer;
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      showStatus(error.message);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

start();
