// `t(...)`: a sentence in the page's language. English sentences are in the code and are the keys.
//
// Babel finds those that are written out in `t("…")`, `tPlural("…", "…", n)` and `tElements("…")`.

const GAP = /\{(\w+)\}/;

let language = "en-US";
let catalog = {};
let plurals = new Intl.PluralRules(language);

/** From here on the page speaks a language: `sentences` has what each English sentence becomes in it. */
export function setLanguage({ language: code, sentences }) {
  language = code;
  catalog = sentences;
  plurals = new Intl.PluralRules(code);
}

/** The language of the page as browsers name it, such as "ja" or "pt-BR". */
export function currentLanguage() {
  return language;
}

/** A sentence, its `{names}` replaced by `values`. What people typed goes into `values`, never into the sentence. */
export function t(sentence, values = {}) {
  return parts(catalog[sentence] ?? sentence, values).join("");
}

/** The same for a number of things: `{count}` is that number, and the language decides which form it takes. */
export function tPlural(one, many, count, values = {}) {
  const forms = catalog[one];
  const english = count === 1 ? one : many;
  const found = forms ? (forms[plurals.select(count)] ?? forms.other) : english;
  return parts(found, { count: formatNumber(count), ...values }).join("");
}

/** The same with elements as values: gives texts and elements in the order that the language has them. */
export function tElements(sentence, values) {
  return parts(catalog[sentence] ?? sentence, values);
}

export function formatNumber(number, options = {}) {
  return new Intl.NumberFormat(language, options).format(number);
}

/** Several names in a row: "a, b". */
export function listOf(names) {
  return names.join(t(", "));
}

function parts(text, values) {
  return text.split(GAP).map((part, index) => (index % 2 === 0 ? part : (values[part] ?? `{${part}}`)));
}
