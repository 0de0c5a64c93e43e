// Making elements. Styles go through classes and custom properties: the page's policy forbids inline style attributes.

const SVG = "http://www.w3.org/2000/svg";

/** h("button", {class: "quiet", onclick: f, "aria-label": "x"}, "text", child, [more]) */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG elements. */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "vars") for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
    else if (name === "value" && "value" in element) element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A number as people read it: a real minus, at most `digits` significant digits, no trailing zeros. */
export function readable(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const text = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
}

/** 25557032 -> "25,557,032" (or with the language's own separator). */
export function grouped(value) {
  return new Intl.NumberFormat(document.documentElement.lang).format(value);
}

/** 25557032 -> "25.6 M": for counts whose size matters more than their digits. */
export function short(value) {
  const units = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  for (const [size, unit] of units) if (Math.abs(value) >= size * 0.9995) return `${trimmed(value / size)} ${unit}`;
  return trimmed(value);
}

/** Bytes in binary units. */
export function bytes(value) {
  const units = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];
  for (const [size, unit] of units) if (value >= size) return `${trimmed(value / size)} ${unit}`;
  return `${value} B`;
}

function trimmed(value) {
  const text = Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
  return new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 3 }).format(Number(text));
}

/** The value of a colour token, for canvas: colour("--input"). */
export function colour(token) {
  return getComputedStyle(document.documentElement).getPropertyValue(token).trim();
}
