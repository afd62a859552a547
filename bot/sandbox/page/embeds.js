// Embeds, and why some of them are not shown.

import { postedAt } from "./dates.js";
import { el } from "./dom.js";
import { link } from "./links.js";
import { inlineMarkdown, markdown } from "./markdown.js";
import { imageButton, plainImage } from "./media.js";

const SUPPRESS_EMBEDS = 1 << 2;

export function embeds(message) {
  return message.flags & SUPPRESS_EMBEDS ? [] : message.embeds.map(embed);
}

function embed(one) {
  const box = el("div", { class: "embed" });
  if (one.color !== undefined) box.style.borderInlineStartColor = cssColor(one.color);
  const words = el(
    "div",
    { class: "embed-words" },
    one.author &&
      el(
        "p",
        { class: "embed-author" },
        icon(one.author.icon_url),
        one.author.url ? link(one.author.url, one.author.name) : one.author.name,
      ),
    one.title &&
      el(
        "p",
        { class: "embed-title" },
        one.url ? link(one.url, ...inlineMarkdown(one.title)) : inlineMarkdown(one.title),
      ),
    one.description && el("div", { class: "text" }, ...markdown(one.description)),
    one.fields?.length > 0 && el("dl", { class: "fields" }, one.fields.map(field)),
  );
  box.append(words);
  if (one.thumbnail) box.append(plainImage(one.thumbnail, "", "embed-thumbnail"));
  if (one.image) box.append(imageButton(one.image, one.title ?? "", true));
  if (one.footer || one.timestamp) box.append(footer(one));
  return box;
}

function field(one) {
  const attributes = { class: one.inline ? "inline" : null };
  return el(
    "div",
    attributes,
    el("dt", {}, ...inlineMarkdown(one.name)),
    el("dd", { class: "text" }, ...markdown(one.value)),
  );
}

function footer(one) {
  const parts = [icon(one.footer?.icon_url), one.footer?.text, one.footer && one.timestamp && " · "];
  return el("p", { class: "embed-footer" }, parts, one.timestamp && postedAt(one.timestamp));
}

function icon(url) {
  return url && plainImage({ url, width: 24, height: 24 }, "", "embed-icon");
}

export function cssColor(number) {
  return `#${number.toString(16).padStart(6, "0")}`;
}
