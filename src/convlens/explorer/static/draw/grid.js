// A plane of numbers in squares: to be edited, to be picked from, or only to be read. Built anew when its shape changes;
// a step of the window only moves an overlay and changes a few classes, so sliding stays smooth.

import { h } from "../core/dom.js";
import { readable } from "../core/numbers.js";
import { t } from "../core/text.js";

export class NumberGrid {
  #cells = [];
  #shape = "";
  #marked = [];
  #frame = h("div", { class: "grid-window", hidden: true });

  /**
   * tone: "input" | "kernel" | "output"; onEdit(row, column, number) makes cells editable; onPick(row, column) makes
   * them buttons. Rows and columns count without the margin. `digits` are the significant ones.
   * @typedef {{ label: string, tone: string, digits?: number, onPick?: (row: number, column: number) => void,
   *   onEdit?: (row: number, column: number, value: number) => void }} GridOptions
   */
  constructor(/** @type {GridOptions} */ { label, tone, onEdit, onPick, digits = 3 }) {
    this.tone = tone;
    this.digits = digits;
    this.onEdit = onEdit;
    this.onPick = onPick;
    this.element = h("div", { class: `number-grid tone-${tone}`, role: "group", "aria-label": label });
    this.element.addEventListener("keydown", (event) => this.#move(event));
  }

  /**
   * values: rows of numbers, margin (padding) included; margin: [top, right, bottom, left] cells that are padding. Where
   * cells lie apart, `sources` says for every drawn row and column whose it is, -1 for nobody's.
   */
  draw(values, /** @type {number[]} */ margin = [0, 0, 0, 0], sources = null) {
    const shape = JSON.stringify([values.length, values[0].length, margin, sources]);
    if (shape !== this.#shape) this.#build(sources ?? within(values, margin));
    this.#shape = shape;
    values.forEach((line, row) => line.forEach((value, column) => this.#write(this.#cells[row][column], value)));
  }

  /** Show the window at a cell (margin included), `height` x `width` cells large; null hides it. */
  window(place) {
    this.#frame.hidden = !place;
    if (!place) return;
    const style = this.#frame.style;
    style.setProperty("--row", place.row);
    style.setProperty("--column", place.column);
    style.setProperty("--height", place.height);
    style.setProperty("--width", place.width);
  }

  /** Mark cells: [{row, column, kind, note}]; `note` is a small number in the corner, such as the kernel's. */
  mark(marks) {
    for (const cell of this.#marked) {
      cell.classList.remove("tap", "now", "done");
      delete cell.dataset.note;
    }
    this.#marked = marks.map(({ row, column, kind = "tap", note }) => {
      const cell = this.#cells[row]?.[column];
      cell?.classList.add(kind);
      if (note !== undefined && cell) cell.dataset.note = readable(note, 3);
      return cell;
    }).filter(Boolean);
  }

  /** Make one cell stand out, margin included; whoever lit it takes the class `lit` away. */
  light(row, column) {
    this.#cells[row]?.[column]?.classList.add("lit");
  }

  #build({ rows, columns }) {
    this.element.style.setProperty("--rows", rows.length);
    this.element.style.setProperty("--columns", columns.length);
    this.#marked = [];
    let first = true;
    this.#cells = rows.map((row) => columns.map((column) => {
      const inside = row >= 0 && column >= 0;
      const cell = this.#cell(row, column, inside, first);
      if (inside) first = false;
      return cell;
    }));
    this.element.replaceChildren(...this.#cells.flat(), this.#frame);
  }

  #cell(row, column, inside, first) {
    const place = t("grid.cell", { row: row + 1, column: column + 1 });
    // a cell is wrapped, because a note in its corner needs ::after, which an input does not have
    const wrap = h("span", { class: inside ? "cell" : "cell padded" });
    const tabindex = first ? "0" : "-1";
    if (inside && this.onEdit) {
      const input = h("input", { inputmode: "text", size: 1, autocomplete: "off", "aria-label": place, tabindex, "data-row": row, "data-column": column });
      input.addEventListener("input", () => this.#edited(input, row, column));
      input.addEventListener("focus", () => input.select());
      input.addEventListener("blur", () => {
        input.value = wrap.dataset.value;
        input.removeAttribute("aria-invalid");
      });
      wrap.append(input);
    } else if (inside && this.onPick) {
      wrap.append(h("button", { type: "button", tabindex, "data-place": place, onclick: () => this.onPick(row, column) }));
    }
    return wrap;
  }

  #write(wrap, value) {
    const text = readable(value, this.digits);
    wrap.dataset.value = text;
    const inner = wrap.firstElementChild;
    if (!inner) wrap.textContent = text;
    else if (inner.tagName === "BUTTON") {
      inner.textContent = text;
      inner.setAttribute("aria-label", `${inner.dataset.place}: ${text}`);
    } else if (inner !== document.activeElement) inner.value = text;
    wrap.classList.toggle("long", text.length > 3);
    wrap.classList.toggle("longer", text.length > 5);
  }

  #edited(input, row, column) {
    const text = input.value.trim().replace("−", "-").replace(",", ".");
    const value = Number(text);
    const valid = text !== "" && Number.isFinite(value) && Math.abs(value) < 1e6;
    if (valid) input.removeAttribute("aria-invalid");
    else input.setAttribute("aria-invalid", "true");
    if (!valid) return;
    input.parentElement.dataset.value = readable(value, 3);
    this.onEdit(row, column, value);
  }

  /** The cell that an arrow leads to, beyond what lies between cells. */
  #beyond(row, column, [down, right]) {
    for (let away = 1; ; away += 1) {
      const cell = this.#cells[row + away * down]?.[column + away * right];
      if (!cell || cell.firstElementChild) return cell?.firstElementChild;
    }
  }

  /** Arrow keys go from cell to cell, as in a spreadsheet; Tab leaves the grid. */
  #move(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], Enter: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || (event.key === "Enter" && event.target.tagName === "BUTTON")) return;
    const row = this.#cells.findIndex((line) => line.some((cell) => cell.contains(event.target)));
    const column = this.#cells[row]?.findIndex((cell) => cell.contains(event.target));
    const next = this.#beyond(row, column, step);
    event.stopPropagation(); // the page uses arrows for stepping
    if (!next) return;
    event.preventDefault();
    event.target.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  }
}

/** Rows and columns of the cells inside a margin, -1 for those of the margin. */
function within(values, /** @type {number[]} */ [top, right, bottom, left]) {
  const count = (length, before, after) => Array.from({ length }, (_, i) => (i >= before && i < length - after ? i - before : -1));
  return { rows: count(values.length, top, bottom), columns: count(values[0].length, left, right) };
}
