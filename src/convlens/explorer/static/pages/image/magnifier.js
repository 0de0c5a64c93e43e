// A picture with a cross on one pixel, moved by the pointer or the arrow keys; pressing holds it.

import { h } from "../../core/dom.js";
import { t } from "../../core/text.js";

export class Magnifier {
  #size = null;
  #at = [0, 0];
  #held = true;

  /** onPoint(row, column) hears where the cross should be. */
  constructor({ onPoint }) {
    this.onPoint = onPoint;
    this.image = h("img", { alt: t("image.picture") });
    this.cross = h("span", { class: "pixel-cross" });
    this.frame = h("div", { class: "pixel-frame", tabindex: "0", role: "group", "aria-label": t("image.point") }, this.image, this.cross);
    this.hint = h("p", { class: "quiet-text" });
    this.shape = h("p", { class: "image-shape" });
    this.reduced = h("p", { class: "quiet-text", hidden: true });
    this.element = h("div", {}, this.frame, this.hint, this.reduced);
    this.frame.addEventListener("pointermove", (event) => this.#held || this.#pointer(event));
    this.frame.addEventListener("pointerdown", (event) => {
      this.#held = !this.#held;
      this.#pointer(event);
      this.#say();
    });
    this.frame.addEventListener("keydown", (event) => this.#key(event));
    this.#say();
  }

  show(source, whole) {
    this.#size = whole;
    if (this.image.getAttribute("src") !== source) this.image.src = source;
    this.image.width = whole.width;
    this.image.height = whole.height;
    this.frame.style.setProperty("--ratio", whole.width / whole.height); // a tall picture is as high as the window, no higher
    const { height, width, channels, reduced_from: file } = whole;
    this.reduced.hidden = !file;
    if (file) this.reduced.textContent = t("image.reduced", { file: file.join("×"), shown: `${height}×${width}` });
    this.shape.replaceChildren(h("b", {}, `(H, W, C) = (${height}, ${width}, ${channels.length})`), " → ", h("b", {}, `(N, C, H, W) = (1, ${channels.length}, ${height}, ${width})`));
  }

  point(row, column) {
    this.#at = [row, column];
    this.cross.style.setProperty("--x", `${(100 * (column + 0.5)) / this.#size.width}%`);
    this.cross.style.setProperty("--y", `${(100 * (row + 0.5)) / this.#size.height}%`);
  }

  #say() {
    this.hint.textContent = t(this.#held ? "image.held" : "image.free");
    this.frame.classList.toggle("held", this.#held);
  }

  #pointer(event) {
    if (!this.#size) return;
    const box = this.image.getBoundingClientRect();
    const place = (from, length, size) => Math.min(Math.max(Math.floor((from / length) * size), 0), size - 1);
    this.#go(place(event.clientY - box.top, box.height, this.#size.height), place(event.clientX - box.left, box.width, this.#size.width));
  }

  /** The cross moves at once; the numbers follow. */
  #go(row, column) {
    this.point(row, column);
    this.onPoint(row, column);
  }

  #key(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || !this.#size) return;
    event.preventDefault();
    const far = event.shiftKey ? 10 : 1;
    const [row, column] = [this.#at[0] + far * step[0], this.#at[1] + far * step[1]];
    this.#go(Math.min(Math.max(row, 0), this.#size.height - 1), Math.min(Math.max(column, 0), this.#size.width - 1));
  }
}
