// Numbers as colours: 0 is the ground, positive towards blue, negative towards orange, in the colours of the theme.

import { colour } from "../core/dom.js";

/** A table of 256 colours for bytes that run from `low` to `high`. */
export function colourTable(low, high) {
  const [ground, up, down] = ["--card", "--input", "--kernel"].map((token) => channels(colour(token)));
  const table = new Uint8ClampedArray(256 * 4);
  for (let level = 0; level < 256; level += 1) {
    const value = low + (level / 255) * (high - low);
    const part = Math.min(1, Math.abs(value) / Math.max(Math.abs(low), Math.abs(high), 1e-12)) ** 0.8;
    const end = value < 0 ? down : up;
    for (let channel = 0; channel < 3; channel += 1) table[level * 4 + channel] = ground[channel] + (end[channel] - ground[channel]) * part;
    table[level * 4 + 3] = 255;
  }
  return table;
}

/** "#2458c5" -> [36, 88, 197] */
export function channels(text) {
  const digits = text.replace("#", "");
  return [0, 2, 4].map((at) => Number.parseInt(digits.slice(at, at + 2), 16));
}

/** Draw bytes, rows after rows, on a canvas of just that size; CSS makes it as large as is wanted. */
export function drawMap(canvas, levels, height, width, table) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < levels.length; i += 1) image.data.set(table.subarray(levels[i] * 4, levels[i] * 4 + 4), i * 4);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

export function decoded(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
