// Where one types: messages, and after "/" the commands of the bot.

import { RequestError } from "./api.js";
import { CommandForm } from "./command_form.js";
import { fileChip, onFilesDropped } from "./files.js";
import { Listbox } from "./listbox.js";
import { addNote } from "./notes.js";
import { scrollToEnd } from "./scrolling.js";
import { channelTitle, store } from "./store.js";
import { t } from "./translation.js";

const SLASH = 1;

const composer = document.getElementById("composer");
const plain = document.getElementById("plain");
const textarea = document.getElementById("text");
const panel = document.getElementById("panel");
const fileInput = document.getElementById("files");
const chips = document.getElementById("chosen-files");

let form = null;
let files = [];
const picker = new Listbox({ label: () => t("Commands"), onPick: (item) => startCommand(item.command) });
picker.attach(textarea);

/** Another channel, or other commands in it. What was being typed is given up where it does not fit any more. */
export function resetComposer() {
  form?.element.remove();
  const draft = form ? "" : textarea.value;
  endCommand(draft, { focus: false });
  describeComposer();
}

/** Says in the empty message field what it is for. */
export function describeComposer() {
  const mayWrite = store.channel.may_write;
  textarea.placeholder = mayWrite
    ? t("Message {channel}", { channel: channelTitle(store.channel) })
    : t("You can't write here.");
  textarea.setAttribute("aria-label", textarea.placeholder);
}

/** The same channel, with commands that may have changed. */
export function commandsChanged() {
  if (document.activeElement === textarea) showPicker();
}

export function focusComposer() {
  if (form === null) textarea.focus();
}

function startCommand(command, rest = "") {
  picker.hide();
  plain.hidden = true;
  form = new CommandForm(command, panel, endCommand);
  composer.append(form.element);
  form.begin(rest);
}

function endCommand(text = "", { focus = true } = {}) {
  form = null;
  picker.hide();
  panel.replaceChildren(picker.element);
  plain.hidden = false;
  textarea.value = text;
  if (!focus) return;
  textarea.focus();
  showPicker();
}

function showPicker() {
  if (form !== null) return;
  const typed = /^\/([^\n]*)$/.exec(textarea.value);
  if (!typed) return picker.hide();
  const whole = commandTyped(typed[1]);
  if (whole) return startCommand(whole.command, whole.rest);
  const wanted = typed[1].toLowerCase();
  const rank = ({ shown, name }) =>
    shown.startsWith(wanted) || name.startsWith(wanted) ? 0 : shown.includes(wanted) || name.includes(wanted) ? 1 : 2;
  const found = slashCommands()
    .filter((command) => rank(command) < 2)
    .sort((one, other) => rank(one) - rank(other) || one.shown.localeCompare(other.shown));
  const items = found.map((command) => ({
    title: `/${command.shown}`,
    detail: command.description,
    note: "Anima",
    command,
  }));
  picker.show(textarea, items, 0);
}

/** The command that stands there in full with a space behind it, and what is behind that. */
function commandTyped(text) {
  for (const command of slashCommands()) {
    for (const name of [command.shown, command.name]) {
      if (text.startsWith(`${name} `)) return { command, rest: text.slice(name.length + 1).trim() };
    }
  }
  return null;
}

function slashCommands() {
  return store.commands.filter((command) => command.type === SLASH);
}

textarea.addEventListener("input", showPicker);
textarea.addEventListener("focus", showPicker);
textarea.addEventListener("blur", () => picker.hide());
textarea.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "ArrowDown" && picker.isOpen) picker.move(1);
  else if (event.key === "ArrowUp" && picker.isOpen) picker.move(-1);
  else if (event.key === "Home" && picker.isOpen) picker.moveTo(0);
  else if (event.key === "End" && picker.isOpen) picker.moveTo(-1);
  else if (["Enter", "Tab"].includes(event.key) && !event.shiftKey && picker.active)
    startCommand(picker.active.command);
  else if (event.key === "Escape" && picker.isOpen) picker.hide();
  else if (event.key === "Enter" && !event.shiftKey) sendMessage();
  else return;
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  const mention = event.target.closest("[data-command]");
  if (mention && form === null) endCommand(`/${mention.dataset.command} `);
});

// Messages of the user's own

async function sendMessage() {
  const content = textarea.value;
  if (content.trim() === "" && files.length === 0) return;
  const sent = files;
  textarea.value = "";
  setFiles([]);
  scrollToEnd();
  try {
    await store.session.post(`/channels/${store.channel.id}/messages`, { content }, sent);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    addNote(error.message, { isProblem: true });
    textarea.value ||= content;
    setFiles(sent);
  }
}

function setFiles(chosen) {
  files = chosen;
  chips.replaceChildren(...files.map((file) => fileChip(file, () => removeFile(file))));
}

function removeFile(file) {
  setFiles(files.filter((one) => one !== file));
  textarea.focus();
}

function addFiles(chosen) {
  if (form) form.takeFiles(chosen);
  else setFiles([...files, ...chosen].slice(0, 10));
}

document.getElementById("send").addEventListener("click", sendMessage);
document.getElementById("attach").addEventListener("click", () => fileInput.click());
fileInput.addEventListener("change", () => {
  addFiles([...fileInput.files]);
  fileInput.value = "";
});
onFilesDropped(document.getElementById("main"), addFiles);
composer.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length === 0) return;
  event.preventDefault();
  addFiles([...event.clipboardData.files]);
});
