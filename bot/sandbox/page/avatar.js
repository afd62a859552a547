// How users look: a letter on a colour of their own.

import { el } from "./dom.js";
import { nameOf } from "./store.js";

const BOT_HUE = 355;
const HUES = [210, 255, 150, 60, 300, 30, 185, 120];

export function avatar(user, size = "") {
  const circle = el("span", { class: `avatar ${size}`, "aria-hidden": "true" }, nameOf(user).charAt(0).toUpperCase());
  circle.style.setProperty(
    "--hue",
    user.bot ? BOT_HUE : HUES[Number(((BigInt(user.id) >> 22n) / 86_400_000n) % BigInt(HUES.length))],
  );
  return circle;
}
