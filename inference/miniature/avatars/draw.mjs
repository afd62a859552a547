// Reads one drawing a line from standard input, writes its pixels (8-bit RGB, row by row) to standard output.
// A drawing: {style, options, bolder: [[svg, svg], ...], frame: [x, y, width, height], size: [width, height], background}.
// The frame is the part of the drawing that is seen, in fractions of its side; it may reach beyond the drawing, where
// there is only background.

import { readFileSync, writeSync } from "node:fs";
import { createAvatar } from "@dicebear/core";
import * as collection from "@dicebear/collection";
import { Resvg } from "@resvg/resvg-js";

const camelCase = (name) => name.replace(/-./g, (match) => match[1].toUpperCase());

// resvg takes every mask for a luminance mask; where the artist meant the shape alone, white has the same effect.
const whitenAlphaMasks = (svg) =>
  svg.replace(/<mask [^>]*mask-type:\s*alpha[^>]*>.*?<\/mask>/gs, (mask) => mask.replace(/fill="[^"]*"/g, 'fill="#fff"'));

function draw({ style, options, bolder, frame, size, background }) {
  let svg = whitenAlphaMasks(createAvatar(collection[camelCase(style)], options).toString());
  for (const [from, to] of bolder) svg = svg.replaceAll(from, to);
  const side = Number(svg.match(/viewBox="0 0 (\d+)/)[1]);
  svg = svg.replace(/viewBox="[^"]*"/, `viewBox="${frame.map((part) => part * side).join(" ")}"`);
  const font = { loadSystemFonts: false }; // there is no writing, and looking for fonts takes longer than drawing
  const rgba = new Resvg(svg, { background, font, fitTo: { mode: "width", value: size[0] } }).render().pixels;
  const rgb = Buffer.alloc(size[0] * size[1] * 3);
  for (let pixel = 0; pixel < size[0] * size[1]; pixel++) rgba.copy(rgb, pixel * 3, pixel * 4, pixel * 4 + 3);
  return rgb;
}

function writeAll(buffer) {
  for (let written = 0; written < buffer.length; ) written += writeSync(1, buffer, written);
}

for (const line of readFileSync(0, "utf8").split("\n")) if (line) writeAll(draw(JSON.parse(line)));
