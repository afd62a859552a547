// Beside the messages: channels on one side with who uses the page, members on the other.

import { openChannel, switchTo } from "./address.js";
import { avatar } from "./avatar.js";
import { userMenu } from "./context_menus.js";
import { el, newId } from "./dom.js";
import { channelName, channelTitle, isBot, membersOf, nameOf, store } from "./store.js";
import { listOf, t } from "./translation.js";

const THREAD = 11;

const channels = document.getElementById("channels");
const members = document.getElementById("members");
const who = document.getElementById("who");
const languages = document.getElementById("language");
const drawer = document.getElementById("sidebar");
const drawerButton = document.getElementById("open-sidebar");
const membersButton = document.getElementById("open-members");

const unread = new Set();

let everyone = [];

/** Fills the choice of languages, and learns who can be chosen; once. */
export function setUpAccount({ people, languages: offered }, onLanguage) {
  everyone = people;
  who.addEventListener("change", () => switchTo(who.value));
  languages.replaceChildren(...offered.map(({ code, name }) => el("option", { value: code, lang: code }, name)));
  languages.addEventListener("change", () => onLanguage(languages.value));
}

/** Who somebody is in the first server: the owner, a member with roles, or somebody outside. */
function describePerson({ is_owner: isOwner, is_member: isMember, roles }) {
  if (isOwner) return t("server owner");
  if (!isMember) return t("app installed, not a member");
  return listOf(roles) || t("member");
}

export function renderSidebar() {
  const { view, session } = store;
  who.replaceChildren(
    ...everyone.map((user) => el("option", { value: user.id }, `${nameOf(user)} (${describePerson(user)})`)),
  );
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
      t("Direct messages"),
      view.private_channels.map((channel) => ({ ...channel, guild: null })),
    ),
  );
  renderMembers();
}

export function markUnread(channelId) {
  if (!store.channels.has(channelId)) return;
  unread.add(channelId);
  document.getElementById(`channel-${channelId}`)?.replaceChildren(...channelLabel(store.channels.get(channelId)));
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
  const id = newId("group");
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
  return el("a", { ...attributes, onclick: closeDrawers }, channelLabel(channel));
}

function channelLabel(channel) {
  const sign = channel.type === THREAD ? "↳" : channel.guild ? "#" : "@";
  return [
    el("span", { class: "sign", "aria-hidden": "true" }, sign),
    el("span", { class: "channel-name" }, channelName(channel)),
    channel.nsfw && el("span", { class: "badge", title: t("Age-restricted") }, "18+"),
    unread.has(channel.id) &&
      el("span", { class: "unread" }, el("span", { class: "visually-hidden" }, t("unread messages"))),
  ].filter(Boolean);
}

function renderMembers() {
  const { channel, view } = store;
  const rolesById = new Map((channel.guild?.roles ?? []).map((role) => [role.id, role]));
  const rows = membersOf(channel).map((user) => {
    const roles = (channel.guild?.members[user.id] ?? []).map((id) => rolesById.get(id)?.name).filter(Boolean);
    const about = user.id === channel.guild?.owner_id ? t("server owner") : listOf(roles);
    const state = isBot(user) ? (view.bot_is_connected ? t("online") : t("offline")) : null;
    const row = el(
      "button",
      { type: "button", class: "member", "aria-haspopup": "menu" },
      avatar(user),
      el(
        "span",
        { class: "member-words" },
        el("span", {}, nameOf(user), isBot(user) && el("span", { class: "badge" }, t("APP"))),
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
  members.replaceChildren(
    el("h2", {}, t("Members of {channel}", { channel: channelTitle(channel) })),
    el("ul", {}, rows),
  );
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
