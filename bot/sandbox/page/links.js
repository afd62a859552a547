// Links: to other sites, which open in a tab of their own, and to channels and messages, which open here.

import { addressOf } from "./address.js";
import { el } from "./dom.js";

const DISCORD = /^(?:(?:www|ptb|canary)\.)?discord(?:app)?\.com$/;
const CHANNEL_PATH = /^\/channels\/(?:@me|\d+)\/(\d+)(?:\/(\d+))?\/?$/;

/** A link, or its text alone where the address is none that a browser should open. */
export function link(address, ...children) {
  const url = webAddress(address);
  if (url === null) return el("span", {}, ...children);
  const place = channelAndMessage(url);
  if (place !== null) return el("a", { href: addressOf(place.channelId, place.messageId) }, ...children);
  return el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

export function webAddress(address) {
  try {
    const url = new URL(address);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** The channel and, if there is one, the message that an address of Discord's names; null for any other address. */
function channelAndMessage(url) {
  const { hostname, pathname } = new URL(url);
  const found = DISCORD.test(hostname) && CHANNEL_PATH.exec(pathname);
  return found ? { channelId: found[1], messageId: found[2] ?? null } : null;
}
