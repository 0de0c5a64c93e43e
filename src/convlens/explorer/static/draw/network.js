// A network drawn with its tensors to scale: width and depth of a slab are the image's, its thickness the channels.

import { s } from "../core/dom.js";
import { localised } from "../core/labels.js";
import { t } from "../core/text.js";
import { GAP, layered } from "./layers.js";

const THICKEST = 64;
const WIDEST = 200;
const WIDEST_BRANCH = 104;
const ROW_GAP = 30;
const SIGNS = new Set(["add", "multiply", "concat"]);

/** The scale that shows all of these graphs: pixels per image pixel, and per channel. */
export function scaleOf(graphs) {
  const [alone, beside, thick] = [[1], [1], [1]];
  for (const graph of graphs) {
    const places = layered(graph.nodes, graph.edges);
    const rank = (node) => places.get(node.id).rank;
    for (const node of graph.nodes.filter((each) => each.shape.length === 3 && !SIGNS.has(each.type))) {
      const branches = graph.nodes.filter((other) => rank(other) === rank(node)).length > 1;
      (branches ? beside : alone).push(node.shape[2]);
      thick.push(node.shape[0]);
    }
  }
  return { pixel: Math.min(WIDEST / Math.max(...alone), WIDEST_BRANCH / Math.max(...beside)), channel: THICKEST / Math.max(...thick) };
}

export class NetworkDrawing {
  constructor({ label, onOpen, onClose, onTell }) {
    Object.assign(this, { onOpen, onClose, onTell });
    this.svg = s("svg", { class: "network", role: "group", "aria-label": label });
  }

  draw(graph, scale) {
    const places = layered(graph.nodes, graph.edges);
    const boxes = boxesOf(graph, places, scale);
    const skips = skipsOf(graph, boxes, places);
    const frames = framesOf(graph, boxes, skips);
    const all = [...boxes.values(), ...frames];
    const left = Math.min(...all.map((box) => box.left), ...skips.values()) - 14;
    const right = Math.max(...all.map((box) => box.right)) + 14;
    const bottom = Math.max(...all.map((box) => box.bottom)) + 12;
    this.svg.setAttribute("viewBox", `${left} 0 ${right - left} ${bottom}`);
    this.svg.setAttribute("width", right - left);
    this.svg.setAttribute("height", bottom);
    this.svg.style.minWidth = `${Math.min(right - left, 320) * 0.9}px`;
    const focused = this.svg.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.svg.replaceChildren(
      s("g", { class: "frames", "aria-hidden": "true" }, frames.map((frame) => s("rect", { x: frame.left, y: frame.top, width: frame.right - frame.left, height: frame.bottom - frame.top, rx: 12 }))),
      s("g", { "aria-hidden": "true" }, graph.edges.map((each) => edge(...each, boxes, places, skips.get(each)))),
      s("g", {}, graph.nodes.map((node) => this.#node(node, boxes.get(node.id)))),
      s("g", {}, frames.map((frame) => this.#title(frame))),
    );
    // what had the keyboard is gone when it was opened: go on with what came out of it
    if (focused) this.svg.querySelector(`[data-id="${CSS.escape(focused)}"], [data-id^="${CSS.escape(focused)}."]`)?.focus();
  }

  #title(frame) {
    const close = () => this.onClose(frame.path);
    return s("g", { class: "frame-title", role: "button", tabindex: "0", "data-id": frame.path, "aria-label": t("network.fold", { name: frame.path }), onclick: close, onkeydown: pressed(close) },
      s("text", { x: frame.title, y: frame.top + 18 }, s("tspan", { class: "strong" }, `− ${frame.path.split(".").at(-1)} `), frame.label));
  }

  #node(node, box) {
    const tell = (event) => this.onTell(node, event.currentTarget);
    const act = (event) => (node.module ? this.onOpen(node.module) : tell(event));
    const name = node.id.split(".").at(-1);
    return s("g", {
      class: `node type-${node.type}`, role: "button", tabindex: "0", "data-id": node.id, "aria-label": spoken(node),
      onclick: act, onkeydown: pressed(act), onpointerenter: tell, onpointerleave: () => this.onTell(null), onfocus: tell, onblur: () => this.onTell(null),
    }, s("rect", { class: "reach", x: box.left, y: box.top - 4, width: box.right - box.left, height: box.bottom - box.top + 8, rx: 8 }),
    SIGNS.has(node.type) ? sign(node, box) : slab(box),
    words(node, box, name));
  }
}

const pressed = (act) => (event) => {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  event.stopPropagation();
  act(event);
};

function spoken(node) {
  const what = node.type === "input" ? t("network.input") : [node.id, node.label, ...node.follows].join(" ");
  return `${what}, ${node.shape.join("×")}${node.module ? `, ${t("network.unfold")}` : ""}`;
}

/** Where each node is drawn: the slab's corner and sizes, and all that it covers with its words. */
function boxesOf(graph, places, scale) {
  const rows = [];
  for (const node of graph.nodes) (rows[places.get(node.id).rank] ??= []).push(node);
  const boxes = new Map();
  let y = 10;
  const opens = startsOf(graph, places);
  rows.forEach((row, rank) => {
    y += 30 * (opens.starts.get(rank) ?? 0);
    const sizes = row.map((node) => sizeOf(node, scale));
    const tall = Math.max(...sizes.map((size) => size.deep.y + size.thick));
    row.forEach((node, index) => {
      const size = sizes[index];
      const middle = places.get(node.id).x * GAP;
      const wide = size.wide + size.deep.x;
      const top = y + tall - size.thick - size.deep.y;
      const letters = node.module ? `${node.id.split(".").at(-1)} ${node.label}`.length : node.label.length;
      const half = Math.max(wide / 2, 66, letters * 3.4);
      boxes.set(node.id, { ...size, x: middle - wide / 2, y: top + size.deep.y, middle, top, left: middle - half, right: middle + half, bottom: y + tall + textHeight(node) });
    });
    y = Math.max(...row.map((node) => boxes.get(node.id).bottom)) + ROW_GAP + 12 * (opens.ends.get(rank) ?? 0);
  });
  return boxes;
}

const textHeight = (node) => (SIGNS.has(node.type) ? (node.follows.length ? 18 : 4) : node.follows.length ? 48 : 34);

function sizeOf(node, scale) {
  if (SIGNS.has(node.type)) return { wide: node.type === "concat" ? 66 : 28, thick: 28, deep: { x: 0, y: 0 } };
  const map = node.shape.length === 3;
  const [channels, height, width] = map ? node.shape : [node.shape.at(-1) ?? 1, 1, 1];
  return {
    wide: Math.max(4, width * scale.pixel),
    thick: Math.min(THICKEST, Math.max(3, channels * scale.channel)),
    deep: { x: Math.max(1.5, height * scale.pixel * 0.3), y: Math.max(1, height * scale.pixel * 0.17) },
  };
}

/** How many open modules begin before a rank and end after it: their frames need room. */
function startsOf(graph, places) {
  const [starts, ends] = [new Map(), new Map()];
  for (const { path } of graph.groups) {
    const ranks = graph.nodes.filter((node) => node.group.includes(path)).map((node) => places.get(node.id).rank);
    const [first, last] = [Math.min(...ranks), Math.max(...ranks)];
    starts.set(first, (starts.get(first) ?? 0) + 1);
    ends.set(last, (ends.get(last) ?? 0) + 1);
  }
  return { starts, ends };
}

/** For each edge that passes other nodes of its lane, how far to the left it goes; longer ones go further. */
function skipsOf(graph, boxes, places) {
  const skips = new Map();
  const taken = [];
  const span = ([from, to]) => places.get(to).rank - places.get(from).rank;
  for (const edge of [...graph.edges].sort((a, b) => span(a) - span(b))) {
    const [from, to] = edge;
    const [first, last] = [places.get(from).rank, places.get(to).rank];
    const between = [...places].filter(([id, place]) => place.rank > first && place.rank < last && Math.abs(boxes.get(id).middle - boxes.get(from).middle) < GAP * 0.7);
    if (!between.length) continue;
    let out = Math.min(boxes.get(from).x, boxes.get(to).x, ...between.map(([id]) => boxes.get(id).left)) - 12;
    for (const other of taken) if (other.first < last && other.last > first) out = Math.min(out, other.out - 16);
    taken.push({ first, last, out });
    skips.set(edge, out);
  }
  return skips;
}

function framesOf(graph, boxes, skips) {
  const depth = (path) => path.split(".").length;
  const frames = [...graph.groups].sort((a, b) => depth(b.path) - depth(a.path)).map((group) => ({ ...group, members: graph.nodes.filter((node) => node.group.includes(group.path)) }));
  const done = [];
  for (const frame of frames) {
    const inside = [...frame.members.map((node) => boxes.get(node.id)), ...done.filter((other) => other.path.startsWith(`${frame.path}.`))];
    const own = new Set(frame.members.map((node) => node.id));
    const around = graph.edges.filter((each) => skips.has(each) && own.has(each[1])).map((each) => skips.get(each));
    frame.left = Math.min(...inside.map((box) => box.left), ...around) - 16;
    frame.title = frame.left + (around.length ? 28 : 12);
    const wide = `− ${frame.path.split(".").at(-1)} ${frame.label}`.length * 7 + 12;
    frame.right = Math.max(...inside.map((box) => box.right + 14), frame.title + wide);
    frame.top = Math.min(...inside.map((box) => box.top)) - 30;
    frame.bottom = Math.max(...inside.map((box) => box.bottom)) + 10;
    done.push(frame);
  }
  return frames.reverse();
}

function slab({ x, y, wide, thick, deep }) {
  const top = `${x},${y} ${x + deep.x},${y - deep.y} ${x + wide + deep.x},${y - deep.y} ${x + wide},${y}`;
  const side = `${x + wide},${y} ${x + wide + deep.x},${y - deep.y} ${x + wide + deep.x},${y - deep.y + thick} ${x + wide},${y + thick}`;
  return s("g", { class: "slab" }, s("polygon", { class: "slab-side", points: side }), s("polygon", { class: "slab-top", points: top }), s("rect", { class: "slab-front", x, y, width: wide, height: thick }));
}

function sign(node, box) {
  const text = { add: "+", multiply: "×", concat: "concat" }[node.type];
  return s("g", { class: "sign" }, s("rect", { x: box.x, y: box.y, width: box.wide, height: box.thick, rx: 14 }), s("text", { x: box.middle, y: box.y + (node.type === "concat" ? 18.5 : 20), "text-anchor": "middle" }, text));
}

function words(node, box, name) {
  const line = (text, y, type = "") => s("text", { x: box.middle, y, class: type, "text-anchor": "middle" }, text);
  const below = box.y + box.thick;
  if (SIGNS.has(node.type)) return node.follows.length ? line(node.follows.join(" · "), below + 15, "soft") : null;
  const first = node.type === "input" ? t("network.input") : node.module ? [s("tspan", { class: "strong" }, `${name} `), localised(node.label)] : localised(node.label);
  return [
    s("text", { x: box.middle, y: below + 16, "text-anchor": "middle", class: node.module ? "" : "strong" }, first),
    node.follows.length ? line(node.follows.join(" · "), below + 31, "soft") : null,
    line(node.shape.join("×"), below + (node.follows.length ? 46 : 31), "soft"),
  ];
}

/** Straight down where the way is free; around the side where it passes other nodes, as skip connections do. */
function edge(from, to, boxes, places, out) {
  const [a, b] = [boxes.get(from), boxes.get(to)];
  const [rankA, rankB] = [places.get(from).rank, places.get(to).rank];
  const [x1, y1, x2] = [a.middle, a.bottom + 1, b.middle];
  const y2 = b.top - 5;
  if (out !== undefined) {
    const [ya, yb] = [a.y + a.thick / 2, b.y + b.thick / 2];
    const start = a.x - 2;
    return s("g", {}, s("path", { class: "edge skip", d: `M${start},${ya} C${out - 8},${ya} ${out},${ya + 18} ${out},${ya + 44} L${out},${yb - 40} C${out},${yb - 14} ${out},${yb} ${b.x - 6},${yb}` }), arrow(b.x - 2, yb, 90));
  }
  const middle = Math.min(y1 + 26, (y1 + y2) / 2);
  const last = Math.max(y2 - 26, (y1 + y2) / 2);
  const d = Math.abs(x1 - x2) < 1 ? `M${x1},${y1} L${x2},${y2}` : rankB - rankA > 1 && Math.abs(x1 - x2) >= 1
    ? `M${x1},${y1} L${x1},${last - 10} C${x1},${y2 - 2} ${x2},${last - 16} ${x2},${y2}`
    : `M${x1},${y1} C${x1},${middle + 12} ${x2},${last - 12} ${x2},${y2}`;
  return s("g", {}, s("path", { class: "edge", d }), arrow(x2, y2 + 3, 180));
}

const arrow = (x, y, turn) => s("path", { class: "edge-head", d: "M0,0 L-4,7 L4,7 Z", transform: `translate(${x} ${y}) rotate(${turn})` });
