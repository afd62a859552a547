// Choosing files: by a dialog, by dropping them, by pasting.

import { el } from "./dom.js";
import { formatSize } from "./media.js";
import { t } from "./translation.js";

/** A box to drop files on or to choose them with; `files()` gives those that are in it. */
export function filePicker({ labelledBy = null, label = null, max = 1, onChange = () => {} }) {
  let chosen = [];
  const input = el("input", {
    type: "file",
    multiple: max > 1,
    class: "file-input",
    "aria-labelledby": labelledBy,
    "aria-label": label,
  });
  const list = el("ul", { class: "chosen-files" });
  const element = el("div", { class: "file-picker" }, input, list);

  const add = (files) => {
    chosen = max === 1 ? [...files].slice(0, 1) : [...chosen, ...files].slice(0, max);
    draw();
    onChange();
  };
  const draw = () => list.replaceChildren(...chosen.map((file) => fileChip(file, () => remove(file))));
  const remove = (file) => {
    chosen = chosen.filter((one) => one !== file);
    draw();
    input.focus();
    onChange();
  };
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
  onFilesDropped(element, add);
  return { element, input, add, files: () => chosen };
}

/** One chosen file, with a button that takes it out again. */
export function fileChip(file, onRemove) {
  const remove = el(
    "button",
    { type: "button", class: "icon", "aria-label": t("Remove {file}", { file: file.name }), onclick: onRemove },
    "✕",
  );
  return el("li", { class: "chip" }, el("span", {}, file.name), el("small", {}, formatSize(file.size)), remove);
}

/** Has `take(files)` called for what is dropped on an element. */
export function onFilesDropped(element, take) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  element.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    element.classList.add("dropping");
  });
  element.addEventListener(
    "dragleave",
    (event) => element.contains(event.relatedTarget) || element.classList.remove("dropping"),
  );
  element.addEventListener("drop", (event) => {
    element.classList.remove("dropping");
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    take([...event.dataTransfer.files]);
  });
}
