// Users, roles and channels as items of a list, for options of commands and for select menus.

import { channelName, isBot, membersOf, nameOf, rolesOf, store } from "./store.js";
import { t } from "./translation.js";

export function userItems(channel) {
  return membersOf(channel).map((user) => ({
    title: nameOf(user),
    detail: user.username,
    mark: "@",
    note: isBot(user) ? t("APP") : null,
    value: { user: user.id },
  }));
}

export function roleItems(channel) {
  return rolesOf(channel).map((role) => ({
    title: role.name.replace(/^@/, ""),
    mark: "@",
    note: t("role"),
    value: { role: role.id },
  }));
}

/** The channels of the same server that the user sees, of the wanted types where there are any. */
export function channelItems(channel, types) {
  const channels = channel.guild ? channel.guild.channels : [...store.channels.values()].filter((one) => !one.guild);
  return channels
    .filter((one) => !types?.length || types.includes(one.type))
    .map((one) => ({ title: channelName({ ...one, guild: channel.guild }), mark: "#", value: { channel: one.id } }));
}

export function mentionableItems(channel) {
  return [...userItems(channel), ...roleItems(channel)];
}

/** Whether two values that name an entity (or are plain) are the same. */
export function sameValue(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
