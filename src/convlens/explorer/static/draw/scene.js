// A network as a scene: shapes in the plane, each with a colour token and its bounds, laid out once and painted by anybody:
// on a canvas as far as it is visible, as an SVG file, small on a map of the whole.

import { localised } from "../core/labels.js";
import { language, t } from "../core/text.js";
import { layered } from "./layers.js";

const [WIDEST, THICKEST, THINNEST] = [120, 64, 3];
const UPRIGHT = 3; // across the page there is room above and below: slabs are so many times as thick
const GAPS = { rank: 26, lane: 22 };
const LINE = 14; // pixels of a line of text
const SIGNS = { add: "+", multiply: "×", concat: "concat" };

/** Pixels an image pixel, and a channel, so that all of these graphs have one scale. */
export function scaleOf(graphs) {
  const maps = graphs.flatMap((graph) => graph.nodes.filter((node) => node.shape.length === 3));
  const largest = (axis) => Math.max(1, ...maps.map((node) => node.shape[axis]));
  return { pixel: WIDEST / Math.max(largest(1), largest(2)), channel: THICKEST / largest(0), thickest: THICKEST };
}

/** Runs of equal blocks, one after the other, become one node that says how many it stands for. */
export function once({ nodes, edges, ...rest }) {
  const [into, out] = [counted(edges, 1), counted(edges, 0)];
  const same = (a, b) => a.module && b.module && JSON.stringify([a.label, a.shape, a.parameters, a.macs, a.group]) === JSON.stringify([b.label, b.shape, b.parameters, b.macs, b.group]);
  const stands = new Map();
  const kept = [];
  for (const node of nodes) {
    const before = kept.at(-1);
    const chained = before && into.get(node.id)?.length === 1 && (stands.get(into.get(node.id)[0]) ?? into.get(node.id)[0]) === before.id && out.get(into.get(node.id)[0]).length === 1;
    if (chained && same(before, node)) {
      before.times = (before.times ?? 1) + 1;
      stands.set(node.id, before.id);
    } else kept.push({ ...node });
  }
  const now = (id) => stands.get(id) ?? id;
  const joined = new Map(edges.map(([a, b]) => [`${now(a)} ${now(b)}`, [now(a), now(b)]]).filter(([, [a, b]]) => a !== b));
  return { nodes: kept, edges: [...joined.values()], ...rest };
}

function counted(edges, end) {
  const found = new Map();
  for (const edge of edges) found.set(edge[end], [...(found.get(edge[end]) ?? []), edge[1 - end]]);
  return found;
}

/** shapes: [{d | text, fill, stroke, width, x, y, box}]; places: node id -> its box. `tint(node)` may give a node a colour. */
export function sceneOf(graph, { scale, across, tint }) {
  if (across) scale = { ...scale, channel: scale.channel * UPRIGHT, thickest: scale.thickest * UPRIGHT };
  const lanes = layered(graph.nodes, graph.edges);
  const sizes = new Map(graph.nodes.map((node) => [node.id, sized(node, scale)]));
  const places = placed(graph, lanes, sizes, across);
  const shapes = [...frames(graph, places, across), ...graph.edges.flatMap((edge) => wire(edge, places, lanes, across)), ...graph.nodes.flatMap((node) => drawn(node, places.get(node.id), sizes.get(node.id), tint(node)))];
  const boxes = shapes.map((shape) => shape.box);
  const box = [0, 1].map((axis) => Math.min(...boxes.map((each) => each[axis]))).concat([2, 3].map((axis) => Math.max(...boxes.map((each) => each[axis]))));
  return { shapes, places, box };
}

/** The slab of a node and the room that it takes with its words; `broken` where the scale could not be kept. */
function sized(node, scale) {
  const lines = words(node);
  const letters = Math.max(...lines.map((line) => line.text.length));
  const map = node.shape.length === 3;
  const [channels, height, width] = map ? node.shape : [node.shape.at(-1) ?? 1, 1, 1];
  const [thick, wide] = [channels * scale.channel, width * scale.pixel];
  const slab = SIGNS[node.type] ? { wide: node.type === "concat" ? 58 : 26, thick: 26, dx: 0, dy: 0 } : {
    wide: Math.max(THINNEST, wide), thick: Math.min(scale.thickest, Math.max(THINNEST, thick)),
    dx: Math.max(1.5, height * scale.pixel * 0.3), dy: Math.max(1, height * scale.pixel * 0.17),
    broken: thick > scale.thickest + 0.5 || thick < THINNEST || wide < THINNEST,
  };
  return { slab, lines, wide: Math.max(slab.wide + slab.dx, letters * 6.3), tall: slab.thick + slab.dy + 8 + lines.length * LINE };
}

function words(node) {
  if (SIGNS[node.type]) return node.follows.length ? [{ text: node.follows.join(" · "), soft: true }] : [{ text: "" }];
  const name = node.id.split(".").at(-1);
  const first = node.type === "input" ? t("network.input") : node.module ? `${name}  ${localised(node.label)}${node.times ? `  ×${node.times}` : ""}` : localised(node.label);
  return [{ text: first, strong: true }, node.follows.length ? { text: node.follows.join(" · "), soft: true } : null, { text: node.shape.join("×"), soft: true }].filter(Boolean);
}

/** Ranks go down the page or across it; lanes beside each other. */
function placed(graph, lanes, sizes, across) {
  const ranks = [];
  for (const node of graph.nodes) (ranks[lanes.get(node.id).rank] ??= []).push(node.id);
  const step = across ? Math.max(...[...sizes.values()].map((size) => size.tall)) + GAPS.lane : Math.min(230, Math.max(...[...sizes.values()].map((size) => size.wide)) + GAPS.lane);
  const opens = new Map();
  for (const { path } of graph.groups) {
    const members = graph.nodes.filter((node) => node.group.includes(path)).map((node) => lanes.get(node.id).rank);
    const first = Math.min(...members);
    opens.set(first, (opens.get(first) ?? 0) + 1);
  }
  const places = new Map();
  let along = 0;
  ranks.forEach((row, rank) => {
    along += (opens.get(rank) ?? 0) * (across ? 16 : 24);
    const room = Math.max(...row.map((id) => (across ? sizes.get(id).wide : sizes.get(id).tall)));
    for (const id of row) {
      const [size, lane] = [sizes.get(id), lanes.get(id).x * step];
      const slab = size.slab.dy + size.slab.thick / 2;
      const [cx, cy] = across ? [along + room / 2, lane + size.tall / 2 - slab] : [lane, along + size.tall / 2];
      places.set(id, { x: cx - size.wide / 2, y: cy - size.tall / 2, wide: size.wide, tall: size.tall, cx, cy, middle: cy - size.tall / 2 + size.slab.dy + size.slab.thick / 2 });
    }
    along += room + GAPS.rank;
  });
  return places;
}

/** Straight to the next rank; in a bow beside the nodes that lie between, as shortcuts do. */
function wire([from, to], places, lanes, across) {
  const [a, b] = [places.get(from), places.get(to)];
  const far = lanes.get(to).rank - lanes.get(from).rank > 1;
  const [x1, y1, x2, y2] = across ? [a.cx + a.wide / 2 - 2, a.middle, b.cx - b.wide / 2 - 3, b.middle] : [a.cx, a.y + a.tall + 1, b.cx, b.y - 3];
  const head = across ? `M${x2 + 3} ${y2}l-7 -4v8Z` : `M${x2} ${y2 + 3}l-4 -7h8Z`;
  if (!far || (across ? Math.abs(y1 - y2) : Math.abs(x1 - x2)) > 1) {
    const bend = across ? Math.min(40, (x2 - x1) / 2) : Math.min(40, (y2 - y1) / 2);
    const d = across ? `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` : `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
    return [stroke(d, "--line-strong", 1.4, [x1, y1, x2, y2]), filled(head, "--line-strong", [x2 - 8, y2 - 8, x2 + 8, y2 + 8])];
  }
  const out = across ? Math.min(a.y, b.y) - 14 - 4 * Math.min(8, lanes.get(to).rank - lanes.get(from).rank) : Math.min(a.x, b.x) - 26 - 3 * Math.min(8, lanes.get(to).rank - lanes.get(from).rank);
  const d = across ? `M${a.cx} ${a.y}C${a.cx} ${out} ${a.cx + 20} ${out} ${a.cx + 40} ${out}L${b.cx - 40} ${out}C${b.cx - 20} ${out} ${b.cx} ${out} ${b.cx} ${b.y - 6}`
    : `M${a.x} ${a.middle}C${out} ${a.middle} ${out} ${a.middle + 18} ${out} ${a.middle + 40}L${out} ${b.middle - 40}C${out} ${b.middle - 18} ${out} ${b.middle} ${b.cx - 18} ${b.middle}`;
  return [stroke(d, "--accent", 1.8, [Math.min(out, x1, x2), Math.min(out, y1, y2), Math.max(x1, x2), Math.max(y1, y2)]), filled(across ? `M${b.cx} ${b.y - 1}l-4 -7h8Z` : `M${b.cx - 14} ${b.middle}l-7 -4v8Z`, "--accent", [b.x, b.y, b.x + 8, b.y + 8])];
}

function drawn(node, place, size, tint) {
  const { slab } = size;
  const x = place.cx - (slab.wide + slab.dx) / 2;
  const y = place.y + slab.dy;
  const box = [place.x, place.y, place.x + place.wide, place.y + place.tall];
  const tone = { input: "input", convolution: "kernel", pool: "output", linear: "linear", module: "accent" }[node.type];
  const [fill, line] = tint ? [tint, "--ink"] : [tone ? `--${tone}-soft` : "--sunk", tone ? `--${tone}` : "--line-strong"];
  const text = size.lines.map((each, index) => ({ text: each.text, fill: each.soft ? "--ink-soft" : "--ink", strong: each.strong, x: place.cx, y: place.y + slab.dy + slab.thick + 17 + index * LINE, box, node: node.id }));
  if (SIGNS[node.type]) return [{ ...filled(rounded(x, y, slab.wide, slab.thick, 13), "--card", box), stroke: "--ink", width: 1.5, node: node.id }, { text: SIGNS[node.type], fill: "--ink", strong: true, x: place.cx, y: y + 18, box, node: node.id }, ...text];
  /** @type {object[]} */
  const parts = [
    { ...filled(`M${x} ${y}l${slab.dx} ${-slab.dy}h${slab.wide}l${-slab.dx} ${slab.dy}Z`, fill, box), stroke: line, width: 1.1, node: node.id },
    { ...filled(`M${x + slab.wide} ${y}l${slab.dx} ${-slab.dy}v${slab.thick}l${-slab.dx} ${slab.dy}Z`, fill, box), stroke: line, width: 1.1, shade: true, node: node.id },
    { ...filled(`M${x} ${y}h${slab.wide}v${slab.thick}h${-slab.wide}Z`, fill, box), stroke: line, width: 1.1, node: node.id, behind: node.times > 1 },
  ];
  if (slab.broken) parts.push({ text: "≈", fill: "--ink-soft", x: x + slab.wide + slab.dx + 8, y: y + slab.thick / 2 + 4, box, node: node.id });
  return [...parts, ...text];
}

function frames(graph, places, across) {
  const depth = (path) => path.split(".").length;
  const deepest = Math.max(0, ...graph.groups.map((group) => depth(group.path)));
  return graph.groups.flatMap(({ path, label }) => {
    const inside = graph.nodes.filter((node) => node.group.includes(path)).map((node) => places.get(node.id));
    const outer = deepest - depth(path);
    const pad = 10 + 8 * outer;
    const shift = across ? 24 : 34; // shortcuts run inside the frame of their block
    const x = Math.min(...inside.map((each) => each.x)) - pad - (across ? 0 : shift);
    const y = Math.min(...inside.map((each) => each.y)) - 22 - 20 * outer - (across ? shift : 0);
    const [right, bottom] = [Math.max(...inside.map((each) => each.x + each.wide)) + pad, Math.max(...inside.map((each) => each.y + each.tall)) + pad];
    const box = [x, y, right, bottom];
    return [
      { ...filled(rounded(x, y, right - x, bottom - y, 12), "--sunk", box), stroke: "--line-strong", width: 1, faint: true, group: path },
      { text: `− ${path.split(".").at(-1)}  ${label}`, fill: "--ink", strong: true, start: true, x: x + 10, y: y + 15, box: [x, y, right, y + 20], group: path },
    ];
  });
}

const rounded = (x, y, w, h, r) => `M${x + r} ${y}h${w - 2 * r}a${r} ${r} 0 0 1 ${r} ${r}v${h - 2 * r}a${r} ${r} 0 0 1 ${-r} ${r}h${-(w - 2 * r)}a${r} ${r} 0 0 1 ${-r} ${-r}v${-(h - 2 * r)}a${r} ${r} 0 0 1 ${r} ${-r}Z`;
const stroke = (d, token, width, [x1, y1, x2, y2]) => ({ d, stroke: token, width, box: [Math.min(x1, x2) - 4, Math.min(y1, y2) - 4, Math.max(x1, x2) + 4, Math.max(y1, y2) + 4] });
const filled = (d, token, box) => ({ d, fill: token, box });

/** The scene as an SVG file, in the colours that `paint(token)` gives. */
export function asSvg(scene, paint) {
  const [x, y, right, bottom] = scene.box;
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const shapes = scene.shapes.map((shape) => (shape.d
    ? `<path d="${shape.d}" fill="${shape.fill ? paint(shape.fill) : "none"}"${shape.faint ? ' fill-opacity=".45" stroke-dasharray="4 4"' : ""} stroke="${shape.stroke ? paint(shape.stroke) : "none"}" stroke-width="${shape.width ?? 0}"/>`
    : `<text x="${shape.x}" y="${shape.y}" text-anchor="${shape.start ? "start" : "middle"}" fill="${paint(shape.fill)}"${shape.strong ? ' font-weight="600"' : ""}>${escaped(shape.text)}</text>`));
  return `<svg xmlns="http://www.w3.org/2000/svg" xml:lang="${language()}" viewBox="${x - 12} ${y - 12} ${right - x + 24} ${bottom - y + 24}" font-family="system-ui, sans-serif" font-size="11.5"><rect x="${x - 12}" y="${y - 12}" width="${right - x + 24}" height="${bottom - y + 24}" fill="${paint("--card")}"/>${shapes.join("")}</svg>`;
}
