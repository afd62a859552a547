// A slash command that was picked and is being filled in: its fields in a line, what each takes in the panel above.

import { send } from "./context_menus.js";
import { el, newId } from "./dom.js";
import { Listbox, matching } from "./listbox.js";
import { InvalidOption, collectValues, isFileField, limitsOf, optionField, takesFile } from "./options.js";
import { store } from "./store.js";
import { t } from "./translation.js";
import { splitOptions, withoutOwnName } from "./typed_options.js";

export class CommandForm {
  #fields = [];
  #current = null;

  /** `panel` is the element above the composer; `onEnd(text)` is called at the end, with what to type next. */
  constructor(command, panel, onEnd) {
    this.command = command;
    this.panel = panel;
    this.onEnd = onEnd;
    this.list = new Listbox({ label: () => t("Suggestions"), onPick: (item) => this.#take(item) });
    this.about = el("div", { class: "panel-about", id: newId("about") });
    this.problem = el("p", { class: "problem", role: "alert" });
    this.more = el("input", {
      class: "more-options",
      type: "text",
      "aria-label": t("Add an option"),
      autocomplete: "off",
      spellcheck: "false",
      enterkeyhint: "send",
    });
    this.list.attach(this.more);
    this.line = el("div", { class: "fields-line" });
    const sendButton = el("button", { type: "submit", class: "icon send", "aria-label": t("Send command") }, "➤");
    const cancel = el(
      "button",
      { type: "button", class: "icon", "aria-label": t("Cancel command"), onclick: () => this.#end() },
      "✕",
    );
    this.element = el(
      "form",
      { class: "command-form", novalidate: true, "aria-label": t("Command {name}", { name: `/${command.shown}` }) },
      el("span", { class: "pill" }, `/${command.shown}`),
      this.line,
      cancel,
      sendButton,
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("focusin", (event) => event.target.closest("button") && this.list.hide());
    this.more.addEventListener("focus", () => this.#showMore());
    this.more.addEventListener("input", () => this.#splitMore() || this.#showMore());
  }

  /**
   * Puts the form into the composer; `rest` is what was typed behind the command's name: `name:value` for its options,
   * and what stands before them for the first one.
   */
  begin(rest = "") {
    const { before, found } = splitOptions(rest, this.command.options.filter(isTyped));
    for (const option of this.command.options.filter((one) => one.required)) this.#add(option);
    if (before && this.#fields.length === 0 && this.command.options.length > 0) this.#add(this.command.options[0]);
    this.line.append(this.more);
    this.#countMore();
    this.panel.replaceChildren(this.about, this.problem, this.list.element);
    const [first] = this.#fields;
    if (before && first?.fill) first.fill(before);
    this.#fillIn(found);
    const empty = this.#fields.find((field) => field.isEmpty);
    (found.length > 0 ? (empty?.input ?? this.more) : (first?.input ?? this.more)).focus();
  }

  /** Takes `name:value` of other options out of what was typed or pasted into a field. Whether there was any. */
  splitTyped(field) {
    if (isFileField(field)) return false;
    const text = withoutOwnName(field.input.value, field.option);
    const { before, found } = splitOptions(text, this.#unused().filter(isTyped));
    if (found.length === 0) return false;
    field.fill(before);
    this.#fillIn(found).focus();
    return true;
  }

  /** Fills options in; returns the input of the last one. */
  #fillIn(found) {
    let last = this.more;
    for (const { option, value } of found) {
      const field = this.#fields.find((one) => one.option === option) ?? this.#add(option);
      field.fill(value);
      last = field.input;
    }
    return last;
  }

  /** Files dropped or pasted go to the options that take one. */
  takeFiles(files) {
    for (const file of files) {
      const empty = this.#fields.find((field) => isFileField(field) && field.isEmpty);
      const option = this.#unused().find(takesFile);
      const field = empty ?? (option && this.#add(option));
      if (!field) return this.#complain(t("You can't add more files to this command."));
      field.fillFile(file);
    }
  }

  /** What is in the other fields as far as it fits already: an autocomplete is told that. Files are not. */
  otherValues(field) {
    const values = {};
    for (const other of this.#fields) {
      if (other === field || isFileField(other)) continue;
      try {
        const value = other.value();
        if (value !== undefined) values[other.option.name] = value;
      } catch (error) {
        if (!(error instanceof InvalidOption)) throw error;
        other.input.removeAttribute("aria-invalid");
      }
    }
    return values;
  }

  /** A field got the focus, or what it suggests is another now. */
  changed(field) {
    this.#current = field;
    const { option } = field;
    this.#describe(option.shown, option.description, limitsOf(option), field.note);
    field.input.setAttribute("aria-describedby", this.about.id);
    const items = field.suggestions;
    if (items.length > 0) this.list.show(field.input, items, field.takesFirstSuggestion ? 0 : -1);
    else this.list.hide();
  }

  #describe(name, ...details) {
    const words = details.filter(Boolean).flatMap((detail, index) => [index === 0 ? " " : " · ", detail]);
    this.about.replaceChildren(el("strong", {}, name), ...words);
  }

  #unused() {
    return this.command.options.filter((option) => !this.#fields.some((field) => field.option === option));
  }

  #add(option) {
    const field = optionField(option, this);
    if (!isFileField(field)) this.list.attach(field.input);
    this.#fields.push(field);
    if (this.more.isConnected) this.more.before(field.element);
    else this.line.append(field.element);
    this.#countMore();
    return field;
  }

  #remove(field) {
    const at = this.#fields.indexOf(field);
    this.#fields.splice(at, 1);
    const previous = this.#fields[at - 1] ?? this.#fields[0];
    (previous?.input ?? this.more).focus();
    field.element.remove();
    this.#countMore();
  }

  #countMore() {
    const count = this.#unused().length;
    this.more.placeholder = count > 0 ? t("+{count} optional", { count }) : "";
    this.more.readOnly = count === 0;
  }

  /** Takes `name:value` typed where an option can be added. Whether there was any. */
  #splitMore() {
    const { before, found } = splitOptions(this.more.value, this.#unused().filter(isTyped));
    if (before || found.length === 0) return false;
    this.more.value = "";
    this.#fillIn(found).focus();
    return true;
  }

  #showMore() {
    this.#current = null;
    const items = this.#unused().map((option) => ({ title: option.shown, detail: option.description, option }));
    this.#describe(`/${this.command.shown}`, this.command.description);
    const found = matching(items, this.more.value);
    if (found.length > 0) this.list.show(this.more, found, this.more.value.trim() ? 0 : -1);
    else this.list.hide();
  }

  #take(item) {
    if (this.#current === null) {
      this.more.value = "";
      this.#add(item.option).input.focus();
      return;
    }
    this.#current.take(item);
    this.list.hide();
    this.#next();
  }

  /** To the next field that is still empty, or to where more can be added. */
  #next() {
    const at = this.#fields.indexOf(this.#current);
    const empty = this.#fields.slice(at + 1).find((field) => field.isEmpty);
    (empty?.input ?? this.more).focus();
  }

  #key(event) {
    if (event.isComposing || (event.target.closest("button") && event.key !== "Escape")) return;
    const isMore = event.target === this.more;
    const field = isMore ? null : this.#current;
    if (event.key === "ArrowDown" && this.list.isOpen) this.list.move(1);
    else if (event.key === "ArrowUp" && this.list.isOpen) this.list.move(-1);
    else if (event.key === "Enter" && !event.shiftKey) this.list.active ? this.#take(this.list.active) : this.#submit();
    else if (event.key === "Tab" && !event.shiftKey && this.list.active) this.#take(this.list.active);
    else if (event.key === "Escape") this.list.isOpen ? this.list.hide() : this.#end();
    else if (event.key === "Backspace" && isMore && this.more.value === "")
      this.#fields.length > 0 ? this.#fields.at(-1).input.focus() : this.#end("/");
    else if (event.key === "Backspace" && field?.isEmpty)
      field.option.required ? this.#fields.every((one) => one.isEmpty) && this.#end("/") : this.#remove(field);
    else return;
    event.preventDefault();
  }

  #submit() {
    let filled;
    try {
      filled = collectValues(this.#fields);
    } catch (error) {
      if (!(error instanceof InvalidOption)) throw error;
      this.#fields.find((field) => field.input.getAttribute("aria-invalid") === "true")?.input.focus();
      return this.#complain(error.message);
    }
    const payload = { command: this.command.name, options: filled.value };
    send(store.session.post(`/channels/${store.channel.id}/slash`, payload, filled.files), `/${this.command.shown}`);
    this.#end();
  }

  #complain(sentence) {
    this.problem.textContent = sentence;
    this.element.addEventListener("input", () => (this.problem.textContent = ""), { once: true });
  }

  #end(text = "") {
    this.list.hide();
    this.panel.replaceChildren();
    this.element.remove();
    this.onEnd(text);
  }
}

/** Whether an option's value can be typed; files cannot. */
function isTyped(option) {
  return !takesFile(option);
}
