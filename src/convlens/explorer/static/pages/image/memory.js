// The same numbers in two orders: channels together for each pixel, or each channel as a plane of its own.

import { h } from "../../core/dom.js";
import { grouped } from "../../core/numbers.js";
import { t } from "../../core/text.js";

const SHOWN = 6; // pixels of each strip

export function memory(answer, whole) {
  const { height, width, channels } = whole;
  const count = channels.length;
  const strip = (cells) => h("div", { class: "memory", "aria-hidden": "true" }, cells.map((cell) => h("span", { class: cell === null ? "gap" : `memory-cell on-${channels[cell]}` }, cell === null ? "…" : initial(channels[cell]))));
  const together = [...Array.from({ length: SHOWN }, () => channels.map((_, channel) => channel)).flat(), null];
  const apart = channels.flatMap((_, channel) => [...Array.from({ length: SHOWN }, () => channel), null]);
  const offset = (text, values) => h("p", { class: "memory-offset" }, text, " = ", values.map((value, channel) => [channel ? ", " : "", h("b", { class: `of-${channels[channel]}` }, grouped(value))]));
  const [r, c] = [answer.row, answer.column];
  const index = count > 1 ? `{${channels.map((_, channel) => channel).join(",")}}` : "0";
  return h("div", { class: "memory-orders" },
    h("div", {}, h("h3", {}, `(H, W, C) = (${height}, ${width}, ${count})`), h("p", { class: "quiet-text" }, t("image.together")), strip(together), offset(`x[${r}, ${c}, ${index}]: (${r}·${width} + ${c})·${count} + ${index}`, answer.offset_hwc)),
    h("div", {}, h("h3", {}, `(N, C, H, W) = (1, ${count}, ${height}, ${width})`), h("p", { class: "quiet-text" }, t("image.apart")), strip(apart), offset(`x[0, ${index}, ${r}, ${c}]: (${index}·${height} + ${r})·${width} + ${c}`, answer.offset_chw)));
}

const initial = (name) => t(`image.initial.${name}`);
