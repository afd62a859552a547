// What the page knows at the moment: who uses it, what that user sees, which channel is open.

export const store = {
  session: null,
  view: null,
  users: new Map(),
  channels: new Map(),
  channel: null,
  commands: [],
};

export function setView(view) {
  store.view = view;
  store.users = new Map(view.users.map((user) => [user.id, user]));
  store.channels = new Map();
  for (const guild of view.guilds) {
    for (const channel of guild.channels) store.channels.set(channel.id, { ...channel, guild });
  }
  for (const channel of view.private_channels) store.channels.set(channel.id, { ...channel, guild: null });
}

/** The locale that the user chose in Discord: how dates are written, whatever language the page has. */
export function userLocale() {
  return store.view?.me.locale ?? "en-US";
}

export function nameOf(user) {
  return user.global_name ?? user.username;
}

export function isBot(user) {
  return user.id === store.view.bot_id;
}

export function channelName(channel) {
  if (channel.guild) return channel.name;
  return channel.name || nameOf(store.users.get(store.view.bot_id));
}

/** How a channel is called in a sentence: "#general" or "@Anima". */
export function channelTitle(channel) {
  return (channel.guild ? "#" : "@") + channelName(channel);
}

export function membersOf(channel) {
  return channel.member_ids.map((id) => store.users.get(id)).filter(Boolean);
}

export function rolesOf(channel) {
  return channel.guild?.roles ?? [];
}

export function roleNamed(id) {
  return store.view.guilds.flatMap((guild) => guild.roles).find((role) => role.id === id);
}
