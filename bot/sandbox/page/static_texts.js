// The texts of index.html.

import { currentLanguage, t } from "./translation.js";

/** Writes them in the language of the page; called again when that changes. */
export function writeStaticTexts() {
  document.documentElement.lang = currentLanguage();
  setText(".skip", t("Skip to the message field"));
  setText("#notice", t("A sandbox on this computer. This is not Discord."));
  setText("label[for=who]", t("Use the sandbox as"));
  setText("label[for=language]", t("Language"));
  setText("#start-over", t("Start over"));
  setText("#to-end", t("New messages ↓"));
  setLabel("#sidebar", t("Channels"));
  setLabel("#open-sidebar", t("Channels and users"));
  setLabel("#open-members", t("Members"));
  setLabel("#members", t("Members"));
  setLabel("#scroller", t("Conversation"));
  setLabel("#attach", t("Attach files"));
  setLabel("#send", t("Send message"));
}

function setText(selector, text) {
  document.querySelector(selector).textContent = text;
}

function setLabel(selector, text) {
  document.querySelector(selector).setAttribute("aria-label", text);
}
