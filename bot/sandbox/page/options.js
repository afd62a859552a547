// The options of a slash command while it is being typed: one field each, checked as Discord's client checks them.

import { withFiles } from "./api.js";
import { el, newId } from "./dom.js";
import { channelItems, mentionableItems, roleItems, sameValue, userItems } from "./entities.js";
import { filePicker } from "./files.js";
import { matching } from "./listbox.js";
import { store } from "./store.js";
import { t, tPlural } from "./translation.js";

const STRING = 3;
const INTEGER = 4;
const BOOLEAN = 5;
const ATTACHMENT = 11;
const ENTITIES = {
  6: userItems,
  7: (channel, option) => channelItems(channel, option.channel_types),
  8: roleItems,
  9: mentionableItems,
};
const MAX_INTEGER = 2 ** 53;
const AUTOCOMPLETE_DELAY = 250; // milliseconds without a key until an autocomplete is asked

/** What was typed does not fit its option; the sentence says why. */
export class InvalidOption extends Error {}

/**
 * The field for one option. `form` has `changed(field)`: its suggestions or its value are others now; and
 * `splitTyped(field)`: takes what belongs to other options out of it.
 */
export function optionField(option, form) {
  if (option.type === ATTACHMENT) return new FileField(option, form);
  if (option.choices.length > 0)
    return new ChoiceField(
      option,
      form,
      option.choices.map((choice) => ({ title: choice.shown, value: choice.value })),
    );
  if (option.type === BOOLEAN)
    return new ChoiceField(option, form, [
      { title: t("True"), value: true },
      { title: t("False"), value: false },
    ]);
  if (ENTITIES[option.type]) return new ChoiceField(option, form, ENTITIES[option.type](store.channel, option));
  return option.autocomplete ? new AutocompleteField(option, form) : new TextField(option, form);
}

/** What an option takes, in a few words. */
export function limitsOf(option) {
  const min = option.min_value ?? option.min_length;
  const max = option.max_value ?? option.max_length;
  if (option.type === STRING) {
    if (min !== undefined && max !== undefined)
      return tPlural("{min} to {count} character", "{min} to {count} characters", max, { min });
    if (min !== undefined) return tPlural("at least {count} character", "at least {count} characters", min);
    return max !== undefined ? tPlural("at most {count} character", "at most {count} characters", max) : "";
  }
  if (min !== undefined && max !== undefined) return t("{min} to {max}", { min, max });
  if (min !== undefined) return t("at least {min}", { min });
  return max !== undefined ? t("at most {max}", { max }) : "";
}

class Field {
  constructor(option, form) {
    this.option = option;
    this.form = form;
    this.id = newId("option");
  }

  /** Puts the input under its name. */
  frame(input) {
    this.input = input;
    input.id = this.id;
    if (this.option.required) input.setAttribute("aria-required", "true");
    this.element = el(
      "div",
      { class: "option-field" },
      el("label", { for: this.id }, this.option.shown),
      this.box ?? input,
    );
    input.addEventListener("focus", () => this.form.changed(this));
    input.addEventListener("input", () => this.typed());
  }

  typed() {
    this.input.removeAttribute("aria-invalid");
    if (!this.form.splitTyped(this)) this.form.changed(this);
  }

  get isEmpty() {
    return this.input.value.trim() === "";
  }

  /** What Enter and Tab may take from the list. */
  get suggestions() {
    return [];
  }

  /** Whether the first suggestion is what was meant, so that Enter takes it at once. */
  get takesFirstSuggestion() {
    return false;
  }

  problem(sentence) {
    this.input.setAttribute("aria-invalid", "true");
    return new InvalidOption(t("{option}: {problem}", { option: this.option.shown, problem: sentence }));
  }

  requireFilled() {
    if (this.isEmpty && this.option.required) throw this.problem(t("This option is required. Specify a value."));
  }
}

/** Words or a number. */
class TextField extends Field {
  constructor(option, form) {
    super(option, form);
    const isText = option.type === STRING;
    const attributes = {
      rows: 1,
      autocomplete: "off",
      spellcheck: "false",
      enterkeyhint: "send",
      inputmode: isText ? null : option.type === INTEGER ? "numeric" : "decimal",
    };
    this.frame(el("textarea", attributes));
  }

  typed() {
    if (this.input.value.includes("\n")) this.input.value = this.input.value.replace(/\s*\n\s*/g, " ");
    super.typed();
  }

  fill(text) {
    this.input.value = text;
  }

  value() {
    this.requireFilled();
    return this.isEmpty ? undefined : this.checked(this.input.value);
  }

  checked(text) {
    const { type, min_value: low, max_value: high, min_length: shortest, max_length: longest } = this.option;
    if (type === STRING) {
      const value = text.trim();
      const length = [...value].length;
      if (length < (shortest ?? 0) || length > (longest ?? 6000))
        throw this.problem(t("Enter {limits}. This has {count}.", { limits: limitsOf(this.option), count: length }));
      return value;
    }
    const value = Number(text.trim());
    if (type === INTEGER && !/^[+-]?\d+$/.test(text.trim())) throw this.problem(t("Enter a whole number."));
    if (!Number.isFinite(value)) throw this.problem(t("Enter a number."));
    if (value < (low ?? -MAX_INTEGER) || value > (high ?? MAX_INTEGER))
      throw this.problem(
        limitsOf(this.option)
          ? t("Enter a number: {limits}.", { limits: limitsOf(this.option) })
          : t("That number is too large."),
      );
    return value;
  }
}

/** Words or a number for which the bot suggests values while they are typed. */
class AutocompleteField extends TextField {
  #found = [];
  #chosen = null;
  #asked = 0;
  #timer = null;

  constructor(option, form) {
    super(option, form);
    this.note = null;
    this.input.addEventListener("focus", () => this.#ask());
  }

  typed() {
    this.#chosen = null;
    super.typed();
    this.#ask();
  }

  get suggestions() {
    return this.#found;
  }

  take(item) {
    this.input.value = item.title;
    this.#chosen = item;
    this.#found = [];
    this.#asked += 1;
  }

  value() {
    if (this.#chosen && !this.isEmpty) return this.#chosen.value;
    return super.value();
  }

  #ask() {
    clearTimeout(this.#timer);
    const number = ++this.#asked;
    this.note = t("Loading options…");
    this.#timer = setTimeout(async () => {
      try {
        const answer = await store.session.post(`/channels/${store.channel.id}/autocomplete`, {
          command: this.form.command.name,
          option: this.option.name,
          typed: this.input.value,
          options: this.form.otherValues(this),
        });
        if (number !== this.#asked) return;
        this.#found = answer.choices.map((choice) => ({ title: choice.name, value: choice.value }));
        this.note = this.#found.length > 0 ? null : t("No options match your search.");
      } catch (error) {
        if (number !== this.#asked) return;
        this.#found = [];
        this.note = error.message;
      }
      if (this.input === document.activeElement) this.form.changed(this);
    }, AUTOCOMPLETE_DELAY);
    this.form.changed(this);
  }
}

/** One of a list: choices, true or false, users, roles, channels. */
class ChoiceField extends Field {
  #items;
  #chosen = null;

  constructor(option, form, items) {
    super(option, form);
    this.#items = items;
    this.frame(el("input", { type: "text", autocomplete: "off", spellcheck: "false", enterkeyhint: "send" }));
  }

  typed() {
    this.#chosen = null;
    super.typed();
  }

  fill(text) {
    const wanted = text.toLowerCase();
    const item = this.#items.find((one) => one.title.toLowerCase() === wanted || String(one.value) === wanted);
    if (item) this.take(item);
    else this.input.value = text;
  }

  get suggestions() {
    if (this.#chosen)
      return this.#items.map((item) => ({ ...item, isSelected: sameValue(item.value, this.#chosen.value) }));
    return matching(this.#items, this.input.value);
  }

  get takesFirstSuggestion() {
    return !this.#chosen && !this.isEmpty;
  }

  take(item) {
    this.input.value = item.title;
    this.#chosen = item;
    this.input.removeAttribute("aria-invalid");
  }

  value() {
    this.requireFilled();
    if (this.isEmpty) return undefined;
    const typed = this.input.value.trim().toLowerCase();
    const item = this.#chosen ?? this.#items.find((one) => one.title.toLowerCase() === typed);
    if (!item) throw this.problem(t("Choose one from the list."));
    return item.value;
  }
}

/** A file, chosen, dropped or pasted. */
class FileField extends Field {
  constructor(option, form) {
    super(option, form);
    this.picker = filePicker({ onChange: () => this.typed() });
    this.box = this.picker.element;
    this.frame(this.picker.input);
  }

  get isEmpty() {
    return this.picker.files().length === 0;
  }

  fillFile(file) {
    this.picker.add([file]);
  }

  value() {
    this.requireFilled();
    const [file] = this.picker.files();
    if (file && file.size > store.view.me.upload_limit)
      throw this.problem(
        t("{file} is too large. The limit is {size} MiB.", { file: file.name, size: store.view.me.upload_limit >> 20 }),
      );
    return file;
  }
}

/** The options of fields as they are sent, with the files that go along. Throws the first InvalidOption. */
export function collectValues(fields) {
  const values = {};
  for (const field of fields) {
    const value = field.value();
    if (value !== undefined) values[field.option.name] = value;
  }
  return withFiles(values);
}

export function isFileField(field) {
  return field instanceof FileField;
}

export function takesFile(option) {
  return option.type === ATTACHMENT;
}
