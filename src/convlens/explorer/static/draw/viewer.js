// A window onto a scene: zoom, pan, fit, a small map of the whole, what is chosen. Only what is visible is painted.

import { colour, h } from "../core/dom.js";
import { t } from "../core/text.js";

const [CLOSEST, FARTHEST] = [4, 0.02];
const READABLE = 0.45; // below this scale no words are painted

export class Viewer {
  #scene = null;
  #paths = new Map();
  #colours = new Map();
  #frame = 0;
  #at = { x: 0, y: 0, k: 1 };

  /** onPick(node id | null), onOpen(node id | group path, isGroup), onKey(event) for what is not about the view. */
  constructor({ label, signal, onPick, onOpen, onKey }) {
    this.onPick = onPick;
    this.onOpen = onOpen;
    this.onKey = onKey;
    this.width = 0;
    this.height = 0;
    this.dense = 1;
    this.canvas = h("canvas", { class: "viewer-canvas", tabindex: "0", role: "img", "aria-label": label });
    this.map = h("canvas", { class: "viewer-map", "aria-hidden": "true" });
    const tool = (text, words, act) => h("button", { type: "button", class: "round", "aria-label": words, title: words, onclick: act }, text);
    this.tools = h("div", { class: "viewer-tools" }, tool("+", t("viewer.closer"), () => this.zoom(1.3)), tool("−", t("viewer.farther"), () => this.zoom(1 / 1.3)), tool("▣", t("viewer.fit"), () => this.fit()));
    this.element = h("div", { class: "viewer" }, this.canvas, this.map, this.tools);
    this.canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => this.#drag(event));
    this.canvas.addEventListener("dblclick", (event) => this.#under(event, this.onOpen));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.map.addEventListener("pointerdown", (event) => this.#jump(event));
    this.map.addEventListener("pointermove", (event) => event.buttons && this.#jump(event));
    const resize = new ResizeObserver(() => this.#resize());
    resize.observe(this.element);
    signal.addEventListener("abort", () => resize.disconnect());
  }

  /** Show a scene; the view stays where it was, unless `fit` asks for all of it. */
  draw(scene, { fit }) {
    this.#scene = scene;
    this.#paths = new Map();
    this.#colours = new Map();
    this.#resize();
    if (fit) this.fit();
    this.#drawMap();
    this.paint();
  }

  choose(id) {
    this.chosen = id;
    this.paint();
  }

  /** Bring a node into the middle. */
  show(id) {
    const place = this.#scene?.places.get(id);
    if (!place) return;
    const k = Math.max(this.#at.k, 0.9);
    this.#at = { k, x: this.width / 2 - place.cx * k, y: this.height / 2 - place.cy * k };
    this.choose(id);
  }

  /** Whether a node can be seen now; what is chosen by keyboard is brought into view. */
  visible(id) {
    const place = this.#scene?.places.get(id);
    if (!place) return false;
    const [x, y] = [place.cx * this.#at.k + this.#at.x, place.cy * this.#at.k + this.#at.y];
    return x > 20 && y > 20 && x < this.width - 20 && y < this.height - 20;
  }

  /** How large a scene of this size is drawn if all of it is to be seen. */
  zoomFor(/** @type {number[]} */ [x, y, right, bottom]) {
    this.#resize();
    return Math.min(1.5, (this.width - 40) / (right - x), (this.height - 40) / (bottom - y));
  }

  fit() {
    if (!this.#scene) return;
    const [x, y, right, bottom] = this.#scene.box;
    const k = this.zoomFor(this.#scene.box);
    // a long network is shown from its beginning, large enough to be read
    const readable = k >= READABLE ? k : Math.max(k, Math.min(0.75, Math.max((this.width - 40) / (right - x), (this.height - 40) / (bottom - y))));
    this.#at = { k: readable, x: readable > (this.width - 40) / (right - x) + 1e-9 ? 20 - x * readable : this.width / 2 - ((x + right) / 2) * readable, y: readable > (this.height - 40) / (bottom - y) + 1e-9 ? 20 - y * readable : this.height / 2 - ((y + bottom) / 2) * readable };
    this.paint();
  }

  zoom(factor, at = [this.width / 2, this.height / 2]) {
    const k = Math.min(CLOSEST, Math.max(FARTHEST, this.#at.k * factor));
    const change = k / this.#at.k;
    this.#at = { k, x: at[0] - (at[0] - this.#at.x) * change, y: at[1] - (at[1] - this.#at.y) * change };
    this.paint();
  }

  pan(dx, dy) {
    this.#at = { ...this.#at, x: this.#at.x + dx, y: this.#at.y + dy };
    this.paint();
  }

  /** Paint with the next frame, however often it is asked for until then. */
  paint() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    this.#frame = 0;
    if (!this.#scene) return;
    const context = this.canvas.getContext("2d");
    const { x, y, k } = this.#at;
    const seen = [-x / k, -y / k, (this.width - x) / k, (this.height - y) / k];
    context.setTransform(this.dense, 0, 0, this.dense, 0, 0);
    context.fillStyle = this.#colour("--card");
    context.fillRect(0, 0, this.width, this.height);
    context.setTransform(this.dense * k, 0, 0, this.dense * k, this.dense * x, this.dense * y);
    let painted = 0;
    for (const shape of this.#scene.shapes) {
      const [left, top, right, bottom] = shape.box;
      if (left > seen[2] || right < seen[0] || top > seen[3] || bottom < seen[1]) continue;
      painted += 1;
      this.#shape(context, shape, k);
    }
    this.painted = painted;
    const chosen = this.#scene.places.get(this.chosen);
    if (chosen) {
      context.strokeStyle = this.#colour("--heat");
      context.lineWidth = 2.5 / k;
      context.strokeRect(chosen.x - 5, chosen.y - 5, chosen.wide + 10, chosen.tall + 10);
    }
    this.#drawFrame(seen);
  }

  #shape(context, shape, k) {
    if (shape.text !== undefined) {
      if (k < READABLE) return;
      context.font = `${shape.strong ? "600 " : ""}11.5px system-ui, sans-serif`;
      context.textAlign = shape.start ? "left" : "center";
      context.fillStyle = this.#colour(shape.fill);
      context.fillText(shape.text, shape.x, shape.y);
      return;
    }
    let path = this.#paths.get(shape);
    if (!path) this.#paths.set(shape, (path = new Path2D(shape.d)));
    context.globalAlpha = shape.faint ? 0.45 : 1;
    context.setLineDash(shape.faint ? [4, 4] : []);
    if (shape.fill) {
      context.fillStyle = this.#colour(shape.fill);
      context.fill(path);
    }
    context.globalAlpha = 1;
    if (shape.shade) {
      context.fillStyle = "rgb(0 0 0 / 8%)";
      context.fill(path);
    }
    if (shape.stroke) {
      context.strokeStyle = this.#colour(shape.stroke);
      context.lineWidth = Math.max(shape.width, 0.7 / k);
      context.stroke(path);
    }
  }

  #colour(token) {
    if (!token.startsWith("--")) return token;
    if (!this.#colours.has(token)) this.#colours.set(token, colour(token));
    return this.#colours.get(token);
  }

  /** The whole as one picture, kept; only the frame on it moves. */
  #drawMap() {
    const [x, y, right, bottom] = this.#scene.box;
    const k = Math.min(190 / (right - x), 150 / (bottom - y));
    Object.assign(this.map, { width: Math.max(12, (right - x) * k + 8), height: Math.max(12, (bottom - y) * k + 8) });
    this.mapped = { x: 4 - x * k, y: 4 - y * k, k };
    this.whole = h("canvas", { width: this.map.width, height: this.map.height });
    const context = this.whole.getContext("2d");
    context.setTransform(k, 0, 0, k, this.mapped.x, this.mapped.y);
    for (const shape of this.#scene.shapes) if (shape.d) this.#shape(context, shape, k);
  }

  #drawFrame(/** @type {number[]} */ [left, top, right, bottom]) {
    const context = this.map.getContext("2d");
    const { x, y, k } = this.mapped;
    context.clearRect(0, 0, this.map.width, this.map.height);
    context.drawImage(this.whole, 0, 0);
    context.strokeStyle = this.#colour("--heat");
    context.lineWidth = 2;
    context.strokeRect(left * k + x, top * k + y, (right - left) * k, (bottom - top) * k);
    const [l, t_, r, b] = this.#scene.box;
    this.map.hidden = left <= l && top <= t_ && right >= r && bottom >= b;
  }

  #jump(event) {
    const box = this.map.getBoundingClientRect();
    const [wx, wy] = [(event.clientX - box.left - this.mapped.x) / this.mapped.k, (event.clientY - box.top - this.mapped.y) / this.mapped.k];
    this.#at = { ...this.#at, x: this.width / 2 - wx * this.#at.k, y: this.height / 2 - wy * this.#at.k };
    this.paint();
  }

  #wheel(event) {
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey || Math.abs(event.deltaY) > Math.abs(event.deltaX)) this.zoom(Math.exp(-event.deltaY * 0.0016), [event.clientX - box.left, event.clientY - box.top]);
    else this.pan(-event.deltaX, 0);
  }

  #drag(event) {
    this.canvas.setPointerCapture(event.pointerId);
    const start = [event.clientX, event.clientY];
    let last = start;
    let moved = false;
    const move = (each) => {
      moved ||= Math.hypot(each.clientX - start[0], each.clientY - start[1]) > 4;
      if (moved) this.pan(each.clientX - last[0], each.clientY - last[1]);
      last = [each.clientX, each.clientY];
    };
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", (each) => {
      this.canvas.removeEventListener("pointermove", move);
      if (!moved) this.#under(each, (id, isGroup) => this.onPick(isGroup ? null : id, isGroup ? id : null));
    }, { once: true });
  }

  /** What lies under a pointer: a node, else the title of a frame. */
  #under(event, act) {
    const box = this.canvas.getBoundingClientRect();
    const [wx, wy] = [(event.clientX - box.left - this.#at.x) / this.#at.k, (event.clientY - box.top - this.#at.y) / this.#at.k];
    const hit = ([left, top, right, bottom]) => wx >= left && wx <= right && wy >= top && wy <= bottom;
    for (const [id, place] of this.#scene.places) if (hit([place.x - 3, place.y - 3, place.x + place.wide + 3, place.y + place.tall + 3])) return act(id, false);
    const title = this.#scene.shapes.find((shape) => shape.group && shape.text !== undefined && hit(shape.box));
    return title ? act(title.group, true) : act(null, false);
  }

  #key(event) {
    const step = 80;
    if (event.shiftKey && event.key.startsWith("Arrow")) {
      const [dx, dy] = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
      this.pan(dx, dy);
    } else if (event.key === "+" || event.key === "=") this.zoom(1.3);
    else if (event.key === "-") this.zoom(1 / 1.3);
    else if (event.key === "0") this.fit();
    else if (!this.onKey(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  #resize() {
    const box = this.element.getBoundingClientRect();
    [this.width, this.height, this.dense] = [Math.max(50, box.width), Math.max(50, box.height), devicePixelRatio || 1];
    Object.assign(this.canvas, { width: this.width * this.dense, height: this.height * this.dense });
    this.paint();
  }
}
