// What the small model that comes with the bot can draw, at the top of a channel, with examples to click on.

import { send } from "./context_menus.js";
import { el } from "./dom.js";
import { store } from "./store.js";
import { t } from "./translation.js";

const IMAGINE = "anima imagine";

/** The examples; nothing where the model needs none or the command is not offered. */
export function examples() {
  const { examples: prompts } = store.view;
  const command = store.commands.find(({ name }) => name === IMAGINE);
  if (prompts.length === 0 || command === undefined || !store.channel.may_write) return null;
  const about = t(
    "The bot uses the small model that comes with it. It draws heads, 128 pixels wide: hair, clothes, glasses, faces and backgrounds in many colours. Try one:",
  );
  return el(
    "div",
    { class: "examples" },
    el("p", {}, about),
    el(
      "ul",
      {},
      prompts.map((prompt) => el("li", {}, exampleButton(prompt, command))),
    ),
  );
}

function exampleButton(prompt, command) {
  const draw = () => {
    const payload = { command: command.name, options: { prompt } };
    send(store.session.post(`/channels/${store.channel.id}/slash`, payload), `/${command.shown}`);
  };
  return el("button", { type: "button", class: "button secondary", onclick: draw }, `/${command.shown} ${prompt}`);
}
