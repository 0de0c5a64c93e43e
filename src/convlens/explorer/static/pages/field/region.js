// The picture with the region that one unit sees; what lies outside is veiled, the fields of earlier layers are outlined.

import { colour, h, s } from "../../core/dom.js";
import { channels, decoded } from "../../draw/maps.js";

export class RegionPicture {
  constructor({ label, onPoint }) {
    this.svg = s("svg", { class: "region", role: "img", "aria-label": label });
    this.element = h("div", { class: "region-frame" }, this.svg);
    const point = (event) => {
      const box = this.svg.getBoundingClientRect();
      onPoint(share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height));
    };
    this.svg.addEventListener("pointerdown", point);
    this.svg.addEventListener("pointermove", (event) => event.buttons && point(event));
  }

  /** Lay how much each pixel matters over the picture: {levels, drawn}, or null for nothing. */
  heat(found) {
    if (!this.warmth) return;
    this.svg.classList.toggle("heated", found !== null);
    if (!found) {
      this.warmth.removeAttribute("href");
      return;
    }
    const [height, width] = found.drawn;
    const canvas = h("canvas", { width, height });
    const image = new ImageData(width, height);
    const [red, green, blue] = channels(colour("--heat"));
    decoded(found.levels).forEach((level, index) => image.data.set([red, green, blue, level], index * 4));
    canvas.getContext("2d").putImageData(image, 0, 0);
    this.warmth.setAttribute("href", canvas.toDataURL());
  }

  draw({ image: [height, width], source, layer, before }) {
    if (this.svg.dataset.source !== source || this.svg.dataset.size !== `${height}`) {
      this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.picture = s("image", { href: source, width, height, preserveAspectRatio: "xMidYMid slice" });
      this.marks = s("g", {});
      this.warmth = s("image", { class: "warmth", width, height, preserveAspectRatio: "none" });
      this.svg.replaceChildren(this.picture, this.warmth, this.marks);
      Object.assign(this.svg.dataset, { source, size: `${height}` });
    }
    const region = layer.local ?? layer;
    this.marks.replaceChildren(...[
      veil(region, height, width),
      ...outlines(before).map((each) => rectangle(each, "earlier")),
      layer.local ? s("rect", { class: "gate-frame", x: 0, y: 0, width, height }) : null,
      rectangle(region, layer.local ? "now local" : "now"),
    ].filter(Boolean));
  }
}

const share = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1000) / 1000;

/** Different earlier regions, at most a dozen of them. */
function outlines(layers) {
  const found = new Map();
  for (const layer of layers) {
    const region = layer.local ?? layer;
    if (region.rows && region.columns && !region.global) found.set([...region.rows, ...region.columns].join(), region);
  }
  const all = [...found.values()];
  const step = Math.max(1, Math.ceil(all.length / 12));
  return all.filter((_, index) => index % step === 0);
}

function rectangle(region, type) {
  if (!region.rows || !region.columns) return null;
  return s("rect", { class: `field-rect ${type}`, ...box(region) });
}

const box = ({ rows, columns }) => ({ x: columns[0], y: rows[0], width: columns[1] - columns[0] + 1, height: rows[1] - rows[0] + 1 });

function veil(region, height, width) {
  const whole = `M0,0 H${width} V${height} H0 Z`;
  if (!region.rows || !region.columns) return s("path", { class: "veil", d: whole });
  const { x, y, width: wide, height: tall } = box(region);
  return s("path", { class: "veil", "fill-rule": "evenodd", d: `${whole} M${x},${y} h${wide} v${tall} h${-wide} Z` });
}
