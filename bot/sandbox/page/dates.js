// Dates and times, as the user's locale writes them.

import { el } from "./dom.js";
import { userLocale } from "./store.js";

const STYLES = {
  t: { timeStyle: "short" },
  T: { timeStyle: "medium" },
  d: { dateStyle: "short" },
  D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" },
  F: { dateStyle: "full", timeStyle: "short" },
  s: { dateStyle: "short", timeStyle: "short" },
  S: { dateStyle: "short", timeStyle: "medium" },
};
const UNITS = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
const REFRESH_INTERVAL = 10_000; // milliseconds

/** What `<t:seconds:style>` shows. */
export function timestamp(seconds, style) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return null;
  const attributes = { class: "timestamp", datetime: date.toISOString(), title: format(date, "F") };
  if (style === "R") attributes["data-relative"] = seconds;
  return el("time", attributes, style === "R" ? relative(seconds) : format(date, style));
}

/** When a message was posted: the hour, with the date where that was not today. */
export function postedAt(iso) {
  const date = new Date(iso);
  const style = date.toDateString() === new Date().toDateString() ? "t" : "s";
  return el("time", { datetime: iso, title: format(date, "F") }, format(date, style));
}

function format(date, style) {
  return new Intl.DateTimeFormat(userLocale(), STYLES[style] ?? STYLES.f).format(date);
}

function relative(seconds) {
  const distance = seconds - Date.now() / 1000;
  const [unit, length] = UNITS.find(([, length]) => Math.abs(distance) >= length) ?? UNITS.at(-1);
  return new Intl.RelativeTimeFormat(userLocale(), { numeric: "auto" }).format(Math.trunc(distance / length), unit);
}

setInterval(() => {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    time.textContent = relative(Number(time.dataset.relative));
  }
}, REFRESH_INTERVAL);
