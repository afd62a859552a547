// Options typed or pasted as `name:value`, read as Discord's client reads them.

/**
 * Takes `text` apart at the names of options: what stands `before` the first of them, and `found`, a list of
 * `{option, value}`. A name counts once, at the beginning or behind a space; anything else is part of a value.
 */
export function splitOptions(text, options) {
  const named = new Map(options.flatMap((option) => [option.name, option.shown].map((name) => [name, option])));
  const names = [...named.keys()].sort((one, other) => other.length - one.length).map(escaped);
  const starts = [];
  if (names.length > 0) {
    for (const match of text.matchAll(new RegExp(`(?<=^|\\s)(${names.join("|")}):`, "gu"))) {
      const option = named.get(match[1]);
      if (starts.some((start) => start.option === option)) continue;
      starts.push({ option, at: match.index, valueAt: match.index + match[0].length });
    }
  }
  const found = starts.map(({ option, valueAt }, index) => ({
    option,
    value: text.slice(valueAt, starts[index + 1]?.at).trim(),
  }));
  return { before: text.slice(0, starts[0]?.at).trim(), found };
}

/** The text of a field without the field's own name in front of it, which is pasted along with the rest of a command. */
export function withoutOwnName(text, option) {
  const name = [option.name, option.shown].find((each) => text.trimStart().startsWith(`${each}:`));
  return name === undefined ? text : text.trimStart().slice(name.length + 1);
}

function escaped(name) {
  return name.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
