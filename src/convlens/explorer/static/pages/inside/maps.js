// The maps of one layer, and the chosen one large: a unit is chosen on it by pointer or arrow keys.

import { get, Newest } from "../../core/api.js";
import { button } from "../../core/controls.js";
import { h } from "../../core/dom.js";
import { readable } from "../../core/numbers.js";
import { t } from "../../core/text.js";
import { colourTable, decoded, drawMap } from "../../draw/maps.js";
import { subject } from "../inside.js";

const A_PAGE = 64;

export class MapsCard {
  #shown = "";
  #answer = null;

  constructor(context) {
    this.context = context;
    this.settings = context.settings;
    this.newest = new Newest(context.signal);
    this.grid = h("div", { class: "maps", role: "group", "aria-label": t("inside.maps") });
    this.grid.addEventListener("keydown", (event) => this.#key(event));
    this.pager = h("div", { class: "pager" });
    this.large = h("canvas", { class: "map-large", tabindex: "0", role: "img", "aria-label": t("inside.large") });
    this.cross = h("div", { class: "cross" });
    this.told = h("p", { class: "quiet-text" });
    this.element = h("div", { class: "maps-layout" }, h("div", {}, this.grid, this.pager), h("div", { class: "map-frame" }, h("h3", {}, t("inside.channelMap")), h("div", { class: "map-large-box" }, this.large, this.cross), this.told));
    this.large.addEventListener("pointerdown", (event) => this.#point(event));
    this.large.addEventListener("pointermove", (event) => event.buttons && this.#point(event));
    this.large.addEventListener("keydown", (event) => this.#step(event));
  }

  update() {
    const { context, settings } = this;
    if (!context.layer) return null;
    const page = Math.floor(settings.get("channel") / A_PAGE);
    const query = { ...subject(settings), layer: context.layer.id, page };
    const wanted = JSON.stringify(query);
    if (wanted === this.#shown) return this.#mark();
    return this.newest.run((ending) => get("/inside/maps", query, ending), (answer) => {
      this.#shown = wanted;
      this.#answer = { ...answer, bytes: decoded(answer.levels), table: colourTable(answer.low, answer.high) };
      this.#draw();
      this.#mark();
      if (this.position) this.place(this.position);
    }).catch((error) => context.notify(error.message));
  }

  #draw() {
    const { bytes, table, drawn: [height, width], first, channels } = this.#answer;
    const count = bytes.length / (height * width);
    this.grid.classList.toggle("few", channels <= 16);
    this.grid.replaceChildren(...Array.from({ length: count }, (_, index) => {
      const canvas = h("canvas", {});
      drawMap(canvas, bytes.subarray(index * height * width, (index + 1) * height * width), height, width, table);
      const number = first + index;
      return h("button", { type: "button", class: "map", value: number, tabindex: "-1", "aria-label": t("inside.channelNumber", { number }), onclick: () => this.settings.set({ channel: number, row: -1, column: -1 }) }, canvas);
    }));
    const pages = Math.ceil(channels / A_PAGE);
    const page = first / A_PAGE;
    const turn = (to) => this.settings.set({ channel: to * A_PAGE, row: -1, column: -1 });
    this.pager.replaceChildren(...(pages < 2 ? [] : [
      button("‹", () => turn(page - 1), { disabled: page === 0, "aria-label": t("inside.before") }),
      h("span", {}, t("inside.range", { from: first, to: first + count - 1, count: channels })),
      button("›", () => turn(page + 1), { disabled: page === pages - 1, "aria-label": t("inside.after") })]));
  }

  #mark() {
    const { bytes, table, drawn: [height, width], first } = this.#answer;
    const index = Math.min(this.settings.get("channel") - first, this.grid.children.length - 1);
    [...this.grid.children].forEach((each, i) => {
      each.setAttribute("aria-pressed", String(i === index));
      each.tabIndex = i === index ? 0 : -1;
    });
    drawMap(this.large, bytes.subarray(index * height * width, (index + 1) * height * width), height, width, table);
    this.told.textContent = t("inside.mapText", { channel: first + index, low: readable(this.#answer.low, 3), high: readable(this.#answer.high, 3), size: `${this.#answer.height}×${this.#answer.width}` });
  }

  /** Show where the unit is, once the arithmetic says; maps that come after it show it when they come. */
  place(position) {
    this.position = position;
    if (!this.#answer) return;
    const [row, column] = position.length === 3 ? position.slice(1) : [0, 0];
    const style = this.cross.style;
    style.setProperty("--top", (row + 0.5) / this.#answer.height);
    style.setProperty("--left", (column + 0.5) / this.#answer.width);
    style.setProperty("--tall", 1 / this.#answer.height);
    style.setProperty("--wide", 1 / this.#answer.width);
    this.now = [row, column];
  }

  #point(event) {
    const box = this.large.getBoundingClientRect();
    const { height, width } = this.#answer;
    this.#set(Math.floor(((event.clientY - box.top) / box.height) * height), Math.floor(((event.clientX - box.left) / box.width) * width));
  }

  #step(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || !this.now) return;
    event.preventDefault();
    this.#set(this.now[0] + step[0], this.now[1] + step[1]);
  }

  #set(row, column) {
    const { height, width } = this.#answer;
    const place = { row: Math.min(height - 1, Math.max(0, row)), column: Math.min(width - 1, Math.max(0, column)) };
    this.place([0, place.row, place.column]);
    this.settings.set(place);
  }

  #key(event) {
    const across = Math.max(1, getComputedStyle(this.grid).gridTemplateColumns.split(" ").length);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
    const next = this.grid.children[[...this.grid.children].indexOf(document.activeElement) + step];
    if (!step || !next) return;
    event.preventDefault();
    next.focus();
  }
}
