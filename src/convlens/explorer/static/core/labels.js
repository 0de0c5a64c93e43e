// What the library calls a part of a network, "3×3 conv, 64 /2", in the language of the page. Classes keep their names.

import { language, t } from "./text.js";

// longer ones first: "average pool" before "pool"
const WORDS = ["transposed conv", "depthwise", "conv", "global average pool", "global max pool", "adaptive average pool", "adaptive max pool", "average pool", "max pool", "fc", "groups", "dilation", "dropout"];

export function localised(label) {
  if (language() === "en") return label;
  return WORDS.reduce((text, word) => text.replace(new RegExp(`(?<![\\w.])${word}(?!\\w)`, "g"), () => t(`labels.${word}`)), label);
}
