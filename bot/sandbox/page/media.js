// Pictures and files of messages. Only what this server keeps is loaded; what is elsewhere becomes a link.

import { el } from "./dom.js";
import { link, webAddress } from "./links.js";
import { spoilerCover } from "./spoiler.js";
import { formatNumber, t, tElements } from "./translation.js";

const MAX_SHOWN = { width: 550, height: 400 };
const SIZES = [
  { from: 1e6, unit: "megabyte", digits: 2 },
  { from: 1e3, unit: "kilobyte", digits: 1 },
  { from: 1, unit: "byte", digits: 0 },
];
const addresses = new Map();

/** The files of a message that stand under its text. */
export function attachments(message) {
  const images = message.attachments.filter(isImage);
  const others = message.attachments.filter((attachment) => !isImage(attachment));
  const items = images.map((attachment) => ({
    media: attachment,
    description: attachment.description ?? attachment.filename,
    spoiler: isSpoiler(attachment),
  }));
  return [items.length > 0 && gallery(items), others.map((attachment) => fileBox(attachment))];
}

/** Pictures beside and below each other: an item has `media`, `description` and `spoiler`. */
export function gallery(items) {
  return el(
    "div",
    { class: `gallery of-${Math.min(items.length, 4)}` },
    items.map((item) => galleryItem(item, items.length)),
  );
}

function galleryItem(item, count) {
  const image = imageButton(item.media, item.description ?? "", count === 1);
  return item.spoiler ? spoilerCover(pathOf(item.media.url), image) : image;
}

/** One picture that opens in full when it is pressed. */
export function imageButton(media, description, isAlone) {
  if (!isLocal(media.url)) return externalLink(media.url, description);
  const attributes = { src: stableUrl(media.url), alt: description, decoding: "async" };
  if (media.width) Object.assign(attributes, isAlone ? shownSize(media) : { width: media.width, height: media.height });
  const image = el("img", attributes);
  const name = description ? t("Open the picture: {description}", { description }) : t("Open the picture");
  return el(
    "button",
    { type: "button", class: "image", "aria-label": name, onclick: () => openLightbox(media, description) },
    image,
  );
}

/** A picture that only decorates: a thumbnail, an icon. */
export function plainImage(media, description, cssClass) {
  if (!isLocal(media.url)) return externalLink(media.url, description);
  return el("img", {
    class: cssClass,
    src: stableUrl(media.url),
    alt: description ?? "",
    width: media.width,
    height: media.height,
  });
}

/** One file to save; `file` has `url`, `filename` and `size`. */
export function fileBox(file, isHidden = isSpoiler(file)) {
  const name = isLocal(file.url)
    ? el("a", { href: stableUrl(file.url), download: file.filename }, file.filename)
    : link(file.url, file.filename);
  const box = el("div", { class: "file" }, el("span", { class: "file-icon", "aria-hidden": "true" }, "▤"), name);
  if (file.size) box.append(el("small", {}, formatSize(file.size)));
  return isHidden ? spoilerCover(pathOf(file.url), box) : box;
}

export function formatSize(bytes) {
  const { from, unit, digits } = SIZES.find((size) => bytes >= size.from) ?? SIZES.at(-1);
  return formatNumber(bytes / from, {
    style: "unit",
    unit,
    unitDisplay: unit === "byte" ? "long" : "short",
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

function shownSize({ width, height }) {
  const scale = Math.min(
    MAX_SHOWN.width / width,
    MAX_SHOWN.height / height,
    Math.max(1, 256 / Math.max(width, height)),
  );
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}

function externalLink(url, description) {
  return el(
    "span",
    { class: "elsewhere" },
    tElements("Not loaded because it is on another site: {link}", { link: link(url, description || url) }),
  );
}

function openLightbox(media, description) {
  const image = el("img", { src: stableUrl(media.url), alt: description });
  const close = el(
    "button",
    { type: "button", class: "close", "aria-label": t("Close"), autofocus: true, onclick: () => dialog.close() },
    "✕",
  );
  const open = link(new URL(media.url, location).href, t("Open in a new tab"));
  const caption = description && el("p", {}, description);
  const bar = el("div", { class: "lightbox-bar" }, open, close);
  const dialog = el("dialog", { class: "lightbox", "aria-label": t("Picture") }, bar, image, caption);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function isImage(attachment) {
  return Boolean(attachment.width) && isLocal(attachment.url);
}

function isSpoiler(attachment) {
  return attachment.filename.startsWith("SPOILER_");
}

function isLocal(url) {
  return webAddress(new URL(url, location).href) !== null && new URL(url, location).origin === location.origin;
}

function pathOf(url) {
  return new URL(url, location).pathname;
}

/** The address first seen for a file, while it still works: they are signed again each time, and a browser would load
 * the picture again with every edit. */
function stableUrl(url) {
  const path = pathOf(url);
  const known = addresses.get(path);
  if (known !== undefined && expiry(known) > Date.now() / 1000 + 60) return known;
  addresses.set(path, url);
  return url;
}

function expiry(url) {
  return parseInt(new URL(url, location).searchParams.get("ex") ?? "0", 16);
}
