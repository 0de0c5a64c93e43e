// The pages in the order of the lecture; `wide` ones have the whole window, and the menu folded away. `name` is the address, the module in pages/, and the key of the words.

export const PAGES = [
  { name: "image", part: "image", number: 1 },
  { name: "convolution", part: "layer", number: 2 },
  { name: "signals", part: "layer", number: 3 },
  { name: "pooling", part: "layer", number: 4 },
  { name: "dense", part: "layer", number: 5 },
  { name: "field", part: "network", number: 6 },
  { name: "network", part: "network", number: 7, wide: true },
  { name: "inside", part: "network", number: 8, wide: true },
  { name: "accuracy", part: "field", number: 9 },
  { name: "gradient", part: "field", number: 10 },
  { name: "practice", part: "field", number: 11 },
  { name: "run", part: "run", number: 12 },
];
