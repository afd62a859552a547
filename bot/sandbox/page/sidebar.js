// Beside the messages: channels on one side with who uses the page, members on the other.

import { userMenu } from "./context_menus.js";
import { el } from "./dom.js";
import { avatar } from "./avatar.js";
import { channelName, channelTitle, isBot, membersOf, nameOf, store } from "./store.js";
import { openChannel, switchTo } from "./address.js";

const THREAD = 11;

const channels = document.getElementById("channels");
const members = document.getElementById("members");
const who = document.getElementById("who");
const languages = document.getElementById("language");
const drawer = document.getElementById("sidebar");
const drawerButton = document.getElementById("open-sidebar");
const membersButton = document.getElementById("open-members");

const unread = new Set();

/** Fills the choice of users and languages, once. */
export function offerPeople({ people, languages: offered }, onLanguage) {
  who.replaceChildren(...people.map((user) => el("option", { value: user.id }, `${nameOf(user)} (${user.about})`)));
  who.addEventListener("change", () => switchTo(who.value));
  languages.replaceChildren(...offered.map(({ code, name }) => el("option", { value: code }, name)));
  languages.addEventListener("change", () => onLanguage(languages.value));
}

export function drawSidebar() {
  const { view, session } = store;
  who.value = session.userId;
  const { locale } = view.me;
  if (![...languages.options].some((option) => option.value === locale))
    languages.append(el("option", { value: locale }, locale));
  languages.value = locale;
  document.getElementById("me").replaceChildren(avatar(store.users.get(session.userId)));
  channels.replaceChildren(
    ...view.guilds.map((guild) =>
      group(
        guild.name,
        guild.channels.map((channel) => ({ ...channel, guild })),
      ),
    ),
    group(
      "Private messages",
      view.private_channels.map((channel) => ({ ...channel, guild: null })),
    ),
  );
  drawMembers();
}

export function markUnread(channelId) {
  if (!store.channels.has(channelId)) return;
  unread.add(channelId);
  document.getElementById(`channel-${channelId}`)?.replaceChildren(...channelWords(store.channels.get(channelId)));
}

export function markRead(channelId) {
  unread.delete(channelId);
}

function closeDrawers() {
  for (const [button, side] of [
    [drawerButton, drawer],
    [membersButton, members],
  ]) {
    side.classList.remove("open");
    button.setAttribute("aria-expanded", "false");
  }
}

function group(title, found) {
  const id = `group-${title.replace(/\W+/g, "-")}`;
  return el(
    "section",
    { "aria-labelledby": id },
    el("h2", { id }, title),
    el(
      "ul",
      {},
      found.map((channel) => el("li", {}, channelLink(channel))),
    ),
  );
}

function channelLink(channel) {
  const isOpen = channel.id === store.channel.id;
  const attributes = {
    id: `channel-${channel.id}`,
    href: `#${store.session.userId}/${channel.id}`,
    class: channel.type === THREAD ? "thread" : null,
    "aria-current": isOpen ? "page" : null,
  };
  return el("a", { ...attributes, onclick: closeDrawers }, channelWords(channel));
}

function channelWords(channel) {
  const sign = channel.type === THREAD ? "↳" : channel.guild ? "#" : "@";
  return [
    el("span", { class: "sign", "aria-hidden": "true" }, sign),
    el("span", { class: "channel-name" }, channelName(channel)),
    channel.nsfw && el("span", { class: "badge", title: "Age-restricted" }, "18+"),
    unread.has(channel.id) &&
      el("span", { class: "unread" }, el("span", { class: "visually-hidden" }, "unread messages")),
  ].filter(Boolean);
}

function drawMembers() {
  const { channel, view } = store;
  const rolesById = new Map((channel.guild?.roles ?? []).map((role) => [role.id, role]));
  const rows = membersOf(channel).map((user) => {
    const roles = (channel.guild?.members[user.id] ?? []).map((id) => rolesById.get(id)?.name).filter(Boolean);
    const about = user.id === channel.guild?.owner_id ? "owner" : roles.join(", ");
    const state = isBot(user) ? (view.bot_is_connected ? "online" : "offline") : null;
    const row = el(
      "button",
      { type: "button", class: "member", "aria-haspopup": "menu" },
      avatar(user),
      el(
        "span",
        { class: "member-words" },
        el("span", {}, nameOf(user), isBot(user) && el("span", { class: "badge" }, "APP")),
        el("small", {}, [state, about].filter(Boolean).join(" · ")),
      ),
    );
    row.addEventListener("click", () => userMenu(user, row, row));
    row.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      userMenu(user, { x: event.clientX, y: event.clientY }, row);
    });
    return el("li", {}, row);
  });
  members.replaceChildren(el("h2", {}, `Members of ${channelTitle(channel)}`), el("ul", {}, rows));
}

function drawerToggle(button, side) {
  button.addEventListener("click", () => {
    const isOpen = side.classList.toggle("open");
    button.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) side.querySelector("a, button")?.focus();
  });
  side.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !side.classList.contains("open")) return;
    closeDrawers();
    button.focus();
  });
}

drawerToggle(drawerButton, drawer);
drawerToggle(membersButton, members);
document.getElementById("main").addEventListener("pointerdown", (event) => {
  if (!event.target.closest("#open-sidebar, #open-members, #members")) closeDrawers();
});

document.addEventListener("click", (event) => {
  const mention = event.target.closest("button.mention[data-channel]");
  if (mention) openChannel(mention.dataset.channel);
});
