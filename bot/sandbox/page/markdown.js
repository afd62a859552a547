// Discord's markdown, from text to elements. Blocks first (code, quotes, headings, lists), then what is in a line.

import { timestamp } from "./dates.js";
import { el } from "./dom.js";
import { link, webAddress } from "./links.js";
import { spoiler } from "./spoiler.js";
import { channelTitle, nameOf, roleNamed, store } from "./store.js";
import { t } from "./translation.js";

/** The elements for a whole message or text display. */
export function markdown(text) {
  return blocks(text.split("\n"));
}

/** The elements for a short text: no headings, quotes and lists. */
export function inlineMarkdown(text) {
  return inline(text);
}

/** What a text says without its marks, for excerpts and announcements. */
export function plainText(text) {
  return el("div", {}, ...markdown(text)).textContent;
}

// Blocks

function blocks(lines) {
  const found = [];
  let paragraph = [];
  const endParagraph = () => {
    if (paragraph.length > 0) found.push(...inline(paragraph.join("\n")));
    paragraph = [];
  };
  for (let at = 0; at < lines.length;) {
    const block = codeBlock(lines, at) ?? quote(lines, at) ?? heading(lines, at) ?? list(lines, at);
    if (block === null) {
      paragraph.push(lines[at]);
      at += 1;
      continue;
    }
    endParagraph();
    if (block.before) found.push(...inline(block.before));
    found.push(block.element);
    at = block.next;
    if (block.after) lines = [...lines.slice(0, at), block.after, ...lines.slice(at)];
  }
  endParagraph();
  return found;
}

function codeBlock(lines, at) {
  const start = lines[at].indexOf("```");
  if (start < 0) return null;
  const rest = [lines[at].slice(start + 3), ...lines.slice(at + 1)].join("\n");
  const end = rest.indexOf("```");
  if (end < 0) return null;
  let code = rest.slice(0, end);
  const named = /^([a-zA-Z0-9_+-]+)\n/.exec(code);
  if (named) code = code.slice(named[0].length);
  code = code.replace(/^\n/, "").replace(/\n$/, "");
  const next = at + rest.slice(0, end).split("\n").length;
  const after = rest.slice(end + 3).split("\n")[0];
  return { element: el("pre", {}, el("code", {}, code)), next, before: lines[at].slice(0, start), after };
}

function quote(lines, at) {
  if (lines[at].startsWith(">>> ")) {
    const inner = [lines[at].slice(4), ...lines.slice(at + 1)];
    return { element: el("blockquote", {}, ...blocks(inner)), next: lines.length };
  }
  let next = at;
  const inner = [];
  while (next < lines.length && /^> /.test(lines[next])) inner.push(lines[next++].slice(2));
  return inner.length === 0 ? null : { element: el("blockquote", {}, ...blocks(inner)), next };
}

function heading(lines, at) {
  const found = /^(#{1,3}|-#) +(\S.*)$/.exec(lines[at]);
  if (!found) return null;
  const [, mark, text] = found;
  // Headings of messages are no headings of the page: the outline stays the page's own.
  const attributes = mark === "-#" ? { class: "subtext" } : { class: `heading-${mark.length}` };
  return { element: el("p", attributes, ...inline(text)), next: at + 1 };
}

const ITEM = /^( *)([-*]|\d{1,9}\.) +(\S.*)$/;

function list(lines, at) {
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const isOrdered = /\d/.test(first[2]);
  const indent = first[1].length;
  const items = [];
  let next = at;
  while (next < lines.length) {
    const found = ITEM.exec(lines[next]);
    if (!found || found[1].length < indent) break;
    if (found[1].length >= indent + 2 && items.length > 0) {
      const inner = list(lines, next);
      items.at(-1).append(inner.element);
      next = inner.next;
      continue;
    }
    if (/\d/.test(found[2]) !== isOrdered) break;
    items.push(el("li", {}, ...inline(found[3])));
    next += 1;
  }
  const start = isOrdered ? parseInt(first[2], 10) : null;
  return { element: el(isOrdered ? "ol" : "ul", isOrdered ? { start } : {}, ...items), next };
}

// In a line: the rule that matches first where we stand; longer marks before shorter ones.

const RULES = [
  [/^\\([^\p{L}\p{N}\s])/u, ([, character]) => character],
  [/^(`{1,2})((?:(?!\1)[^])+?)\1(?!`)/, ([, , code]) => el("code", {}, code)],
  [/^<t:(-?\d{1,13})(?::([tTdDfFRsS]))?>/, ([all, seconds, style]) => timestamp(Number(seconds), style ?? "f") ?? all],
  [/^<@!?(\d+)>/, ([, id]) => mention("user", id, "@", nameOfUser(id))],
  [/^<@&(\d+)>/, ([, id]) => mention("role", id, "@", roleNamed(id)?.name ?? t("unknown-role"))],
  [/^<#(\d+)>/, ([, id]) => mentionedChannel(id)],
  [
    /^<\/([^:>\n]{1,100}):(\d+)>/,
    ([, name]) => el("button", { type: "button", class: "mention", "data-command": name }, `/${name}`),
  ],
  [/^<a?:(\w{2,32}):\d+>/, ([, name]) => el("span", { class: "custom-emoji" }, `:${name}:`)],
  [/^@(everyone|here)\b/, ([all]) => el("span", { class: "mention" }, all)],
  [/^<(https?:\/\/[^\s>]+)>/, ([, address]) => link(address, address)],
  [
    /^\[((?:\\.|[^\]\\\n])+)\]\(<?(https?:\/\/[^\s)>]+)>?(?: +"[^"\n]*")?\)/,
    ([, text, address]) => link(address, ...inline(text)),
  ],
  [/^https?:\/\/[^\s<]*[^\s<.,:;"')\]!?]/, ([address]) => (webAddress(address) ? link(address, address) : address)],
  [/^\|\|([^]+?)\|\|/, ([, inner]) => spoiler(inline(inner))],
  [/^\*\*\*([^]+?)\*\*\*(?!\*)/, ([, inner]) => el("strong", {}, el("em", {}, ...inline(inner)))],
  [/^\*\*([^]+?)\*\*(?!\*)/, ([, inner]) => el("strong", {}, ...inline(inner))],
  [/^__([^]+?)__(?!_)/, ([, inner]) => el("u", {}, ...inline(inner))],
  [/^~~([^]+?)~~/, ([, inner]) => el("s", {}, ...inline(inner))],
  [/^\*(?=\S)((?:\*\*(?:(?!\*\*)[^])+\*\*|[^*])+?)(?<=\S)\*(?!\*)/, ([, inner]) => el("em", {}, ...inline(inner))],
  [/^_((?:__(?:(?!__)[^])+__|[^_])+?)_(?![_\p{L}\p{N}])/u, ([, inner]) => el("em", {}, ...inline(inner))],
];
const PLAIN = /^(?:[^\\`<@[h|*_~]+|[^])/u;

function inline(text) {
  const found = [];
  let before = "";
  while (text !== "") {
    const [match, rule] = firstMatch(text, before);
    if (match === null) {
      const [plain] = PLAIN.exec(text);
      if (typeof found.at(-1) === "string") found[found.length - 1] += plain;
      else found.push(plain);
      before = plain.at(-1);
      text = text.slice(plain.length);
    } else {
      found.push(rule(match));
      before = match[0].at(-1);
      text = text.slice(match[0].length);
    }
  }
  return found;
}

function firstMatch(text, before) {
  const isInWord = /[\p{L}\p{N}]/u.test(before);
  for (const [pattern, rule] of RULES) {
    if (isInWord && (text[0] === "_" || text[0] === "h")) continue; // snake_case, and letters before an address
    const match = pattern.exec(text);
    if (match !== null) return [match, rule];
  }
  return [null, null];
}

function nameOfUser(id) {
  const user = store.users.get(id);
  return user ? nameOf(user) : t("unknown-user");
}

function mention(kind, id, sign, name) {
  return el("span", { class: "mention", [`data-${kind}`]: id }, sign + name);
}

function mentionedChannel(id) {
  const channel = store.channels.get(id);
  if (!channel) return el("span", { class: "mention" }, "#", t("unknown"));
  return el("button", { type: "button", class: "mention", "data-channel": id }, channelTitle(channel));
}
