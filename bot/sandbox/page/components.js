// Components of messages: rows of buttons and menus, and the layouts of Components V2.

import { el } from "./dom.js";
import { cssColor } from "./embeds.js";
import { interact } from "./interactions.js";
import { link } from "./links.js";
import { markdown } from "./markdown.js";
import { fileBox, gallery, plainImage } from "./media.js";
import { selectButton } from "./select.js";
import { spoilerCover } from "./spoiler.js";
import { store } from "./store.js";
import { t } from "./translation.js";

const LINK = 5;
const STYLES = { 1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "secondary", 6: "primary" };

const waiting = new Set(); // keys of components whose interaction is under way
const choices = new Map(); // user and key of a select menu -> what was chosen, in which version of its message
const problems = new Map(); // id of a message -> why its last interaction came to nothing

/** The components of a message; `redraw(messageId)` is called when something about them changes by itself. */
export function components(message, redraw) {
  const context = { message, redraw, channel: store.channels.get(message.channel_id) };
  return message.components.map((component) => render(component, context));
}

/** Why the last thing done with a message's components failed, if it did. */
export function problemOf(messageId) {
  return problems.get(messageId) ?? null;
}

function render(component, context) {
  return (
    renderers[component.type]?.(component, context) ??
    el("p", { class: "unknown" }, t("This page can't show components of type {type}.", { type: component.type }))
  );
}

const renderers = {
  1: (row, context) =>
    el(
      "div",
      { class: "row" },
      row.components.map((child) => render(child, context)),
    ),
  2: button,
  3: select,
  5: select,
  6: select,
  7: select,
  8: select,
  9: (section, context) =>
    el(
      "div",
      { class: "section" },
      el(
        "div",
        { class: "section-words" },
        section.components.map((child) => render(child, context)),
      ),
      render(section.accessory, context),
    ),
  10: (text) => el("div", { class: "text" }, ...markdown(text.content)),
  11: (thumbnail) => {
    const image = plainImage(thumbnail.media, thumbnail.description, "thumbnail");
    return thumbnail.spoiler ? spoilerCover(`${thumbnail.media.url.split("?")[0]}#thumbnail`, image) : image;
  },
  12: (items) => gallery(items.items),
  13: (file) => fileBox({ url: file.file.url, filename: file.name, size: file.size }, file.spoiler),
  14: (separator) =>
    el("hr", { class: `separator ${separator.spacing === 2 ? "large" : ""} ${separator.divider ? "" : "invisible"}` }),
  17: (container, context) => {
    const box = el(
      "div",
      { class: "container" },
      container.components.map((child) => render(child, context)),
    );
    if (container.accent_color !== null) box.style.borderInlineStartColor = cssColor(container.accent_color);
    return container.spoiler ? spoilerCover(`${context.message.id}#${container.id}`, box) : box;
  },
};

function button(component, context) {
  const words = [
    component.emoji &&
      el("span", { class: "emoji", "aria-hidden": component.label ? "true" : null }, component.emoji.name),
    component.label && el("span", {}, component.label),
  ];
  if (component.style === LINK) {
    if (component.disabled) return el("button", { type: "button", class: "button secondary", disabled: true }, words);
    const anchor = link(component.url, words, el("span", { class: "out", "aria-hidden": "true" }, "↗"));
    anchor.className = "button secondary";
    return anchor;
  }
  const key = `${context.message.id}/${component.custom_id}`;
  const isWaiting = waiting.has(key);
  const attributes = {
    type: "button",
    class: `button ${STYLES[component.style]}`,
    disabled: component.disabled,
    "data-key": key,
    "aria-busy": isWaiting ? "true" : null,
  };
  const press = () => isWaiting || sendInteraction(key, context, "press", { custom_id: component.custom_id });
  return el("button", { ...attributes, onclick: press }, words);
}

function select(component, context) {
  const key = `${context.message.id}/${component.custom_id}`;
  const version = context.message.edited_timestamp;
  const own = `${store.session.userId}/${key}`;
  const before = choices.get(own);
  const onChosen = (values) => {
    choices.set(own, { values, version });
    sendInteraction(key, context, "choose", { custom_id: component.custom_id, values });
  };
  // What was chosen stays there until the bot changes the message.
  const chosen = before?.version === version ? before.values : undefined;
  return selectButton(component, context.channel, { key, chosen, onChosen });
}

function sendInteraction(key, { message, redraw }, action, payload) {
  const finish = (problem) => {
    waiting.delete(key);
    if (problem) problems.set(message.id, problem);
    redraw(message.id);
  };
  waiting.add(key);
  problems.delete(message.id);
  redraw(message.id);
  interact(store.session.post(`/messages/${message.id}/${action}`, payload), {
    acknowledged: () => finish(null),
    failed: () => finish(t("This interaction failed")),
    refused: finish,
  });
}
