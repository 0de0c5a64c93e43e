// What a fully connected layer makes of a picture: row after row is taken out of the square and put into one long line.
// Moved by a pixel, the same digit is other inputs, with other weights.

import { button } from "../../core/controls.js";
import { h, s } from "../../core/dom.js";
import { t } from "../../core/text.js";

const SIDE = 12; // pixels of the picture: a digit of 8×8 and a margin of 2
const MARGIN = 2;
const [CELL, GAP] = [17, 2];
const LINE = 6; // width of a cell in the line

export async function unrollingCard(settings, signal) {
  const digit = await pixels("/api/pictures/digit");
  const cells = Array.from({ length: SIDE * SIDE }, (_, index) => s("rect", { class: "unroll-cell", width: CELL, height: CELL, vars: { "--delay": `${Math.floor(index / SIDE) * 90}ms` } }));
  const wires = s("g", { class: "unroll-wires" });
  const ghost = s("g", { class: "unroll-ghost" });
  const svg = s("svg", { class: "unrolling", viewBox: `0 0 ${SIDE * SIDE * LINE + 24} 372`, role: "img", "aria-label": t("dense.unroll.drawing") }, ghost, wires, cells,
    Array.from({ length: 4 }, (_, index) => s("circle", { class: "unroll-unit", cx: 180 + index * 180, cy: 346, r: 13 })));
  const act = button("", () => settings.set({ unrolled: !settings.get("unrolled") }), { class: "plain unroll-act" });
  const move = button("", () => settings.set({ moved: (settings.get("moved") + 1) % (MARGIN + 1) }));
  const told = h("p", { class: "told", role: "status" });
  const shade = (index, moved) => {
    const [row, column] = [Math.floor(index / SIDE) - MARGIN, (index % SIDE) - MARGIN - moved];
    return row >= 0 && row < 8 && column >= 0 && column < 8 ? digit[row * 8 + column] : 0;
  };
  const draw = () => {
    const [unrolled, moved] = [settings.get("unrolled"), settings.get("moved")];
    let other = 0;
    cells.forEach((cell, index) => {
      const [row, column] = [Math.floor(index / SIDE), index % SIDE];
      const square = [12 + column * (CELL + GAP), 4 + row * (CELL + GAP)];
      const line = [12 + index * LINE, 268];
      const [x, y] = unrolled ? line : square;
      cell.style.setProperty("--x", `${x}px`);
      cell.style.setProperty("--y", `${y}px`);
      cell.style.setProperty("--wide", unrolled ? LINE / CELL : 1);
      const value = shade(index, moved);
      const differs = value !== shade(index, 0);
      other += Number(differs);
      cell.style.setProperty("--shade", value / 255);
      cell.classList.toggle("other", differs);
    });
    ghost.replaceChildren(...cells.map((_, index) => s("rect", { class: "unroll-ghost-cell", x: 12 + (index % SIDE) * (CELL + GAP), y: 4 + Math.floor(index / SIDE) * (CELL + GAP), width: CELL, height: CELL, vars: { "--shade": shade(index, moved) / 255 } })));
    const step = 9;
    wires.replaceChildren(...(unrolled ? Array.from({ length: Math.ceil((SIDE * SIDE) / step) }, (_, index) => [0, 1, 2, 3].map((unit) => s("line", { x1: 15 + index * step * LINE, y1: 268 + CELL, x2: 180 + unit * 180, y2: 334 }))).flat() : []));
    act.textContent = t(unrolled ? "dense.unroll.back" : "dense.unroll.act");
    move.textContent = t(moved === MARGIN ? "dense.unroll.home" : "dense.unroll.move");
    told.textContent = moved ? t("dense.unroll.moved", { count: moved, other, inked: digit.filter((value) => value > 0).length, all: SIDE * SIDE }) : t("dense.unroll.told", { side: SIDE, all: SIDE * SIDE });
  };
  settings.on(["unrolled", "moved"], draw, signal);
  draw();
  return h("section", { class: "card" }, h("h2", {}, t("dense.unroll.title")), h("p", { class: "quiet-text" }, t("dense.unroll.text")), h("div", { class: "unroll-frame" }, svg), told, h("div", { class: "panel-end" }, act, move));
}

/** The 8×8 gray values of the digit, each the middle of the square that it is drawn as. */
async function pixels(source) {
  const image = h("img", { src: source, alt: "" });
  await image.decode();
  const canvas = h("canvas", { width: 8, height: 8 });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, 8, 8);
  return [...context.getImageData(0, 0, 8, 8).data].filter((_, index) => index % 4 === 0);
}
