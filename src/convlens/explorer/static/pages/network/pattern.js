// The pattern of a convolutional network, told once: convolution, activation, pooling, again and again, then fully connected.

import { h, s } from "../../core/dom.js";
import { t } from "../../core/text.js";

const CURVES = { ReLU: (x) => Math.max(0, x), sigmoid: (x) => 1 / (1 + Math.exp(-x)), tanh: Math.tanh, SiLU: (x) => x / (1 + Math.exp(-x)) };

export function pattern() {
  const step = (tone, key) => h("li", { class: `pattern-step type-${tone}` }, h("b", {}, t(`network.pattern.${key}`)), h("span", { class: "quiet-text" }, t(`network.pattern.${key}Text`)));
  return h("section", { class: "card pattern" }, h("h2", {}, t("network.pattern.title")),
    h("ol", {}, step("convolution", "convolution"), step("input", "activation"), h("li", { class: "pattern-curves" }, Object.entries(CURVES).map(curve)), step("pool", "pooling"), h("li", { class: "pattern-again" }, t("network.pattern.again")), step("linear", "dense")),
    h("p", { class: "quiet-text" }, t("network.pattern.without"), " ", h("a", { href: "/inside?network=lenet5_digits&panel=everywhere" }, t("network.pattern.try"))));
}

/** The activation from −4 to 4. */
function curve([name, f]) {
  const points = Array.from({ length: 41 }, (_, index) => -4 + index / 5).map((x) => `${10 + (x + 4) * 7.5},${46 - Math.max(-1, Math.min(4, f(x))) * 9}`);
  return h("figure", {}, s("svg", { viewBox: "0 0 80 60", role: "img", "aria-label": t("network.pattern.curve", { name }) }, s("line", { class: "rule", x1: 10, x2: 70, y1: 46, y2: 46 }), s("line", { class: "rule", x1: 40, x2: 40, y1: 6, y2: 56 }), s("polyline", { class: "pattern-curve", points: points.join(" ") })), h("figcaption", {}, name));
}
