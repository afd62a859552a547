// What the menus of messages and users offer: the bot's commands for them, and the client's own actions.

import { switchTo } from "./address.js";
import { RequestError } from "./api.js";
import { interact } from "./interactions.js";
import { openMenu } from "./menu.js";
import { addNote } from "./notes.js";
import { nameOf, store } from "./store.js";
import { t } from "./translation.js";

const USER_MENU = 2;
const MESSAGE_MENU = 3;
const EPHEMERAL = 1 << 6;

export function messageMenu(message, anchor, returnTo, dismiss) {
  const isEphemeral = Boolean(message.flags & EPHEMERAL);
  const apps = isEphemeral
    ? []
    : commandsOfType(MESSAGE_MENU).map((command) => entry(command, `/messages/${message.id}/menu`, {}));
  const own = [];
  if (message.content) own.push({ title: t("Copy text"), run: () => navigator.clipboard?.writeText(message.content) });
  own.push({ title: t("Copy message ID"), run: () => navigator.clipboard?.writeText(message.id) });
  const mayDelete = message.author.id === store.session.userId || store.channel.may_manage_messages;
  if (isEphemeral) own.push({ title: t("Dismiss message"), run: () => dismiss(message.id) });
  else if (mayDelete) own.push({ title: t("Delete message"), isDangerous: true, run: () => remove(message) });
  openMenu(
    [
      { label: t("Apps"), items: apps },
      { label: t("Message"), items: own },
    ],
    anchor,
    returnTo,
  );
}

export function userMenu(user, anchor, returnTo) {
  const apps = commandsOfType(USER_MENU).map((command) =>
    entry(command, `/channels/${store.channel.id}/user-menu`, { user: user.id }),
  );
  const own = [{ title: t("Copy user ID"), run: () => navigator.clipboard?.writeText(user.id) }];
  const canBeUsed = !user.bot && user.id !== store.session.userId;
  if (canBeUsed)
    own.unshift({ title: t("Use the sandbox as {name}", { name: nameOf(user) }), run: () => switchTo(user.id) });
  openMenu(
    [
      { label: t("Apps"), items: apps },
      { label: nameOf(user), items: own },
    ],
    anchor,
    returnTo,
  );
}

function commandsOfType(type) {
  return store.commands.filter((command) => command.type === type);
}

function entry(command, path, payload) {
  return {
    title: command.shown,
    run: () => send(store.session.post(path, { ...payload, command: command.name }), command.shown),
  };
}

/** Sends a command, with a line in the channel that says how it gets on until the bot has answered. */
export function send(request, name) {
  const endSending = addNote(t("Sending command {name}…", { name }));
  const showProblem = (sentence) => {
    endSending();
    addNote(sentence, { isProblem: true });
  };
  return interact(request, {
    acknowledged: endSending,
    failed: () => showProblem(t("{name}: The application did not respond", { name })),
    refused: showProblem,
  });
}

async function remove(message) {
  try {
    await store.session.delete(`/messages/${message.id}`);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    addNote(error.message, { isProblem: true });
  }
}
