// Where on the picture the network saw what it answers: a heat map over the picture, by one of several methods.

import { get, Newest } from "../../core/api.js";
import { segments, select } from "../../core/controls.js";
import { colour, h } from "../../core/dom.js";
import { t } from "../../core/text.js";
import { channels, decoded } from "../../draw/maps.js";
import { subject } from "../inside.js";

export const METHODS = ["gradcam", "gradcam++", "eigencam", "occlusion", "integrated-gradients"];

export function whyCard(context) {
  const { settings, signal } = context;
  const picture = h("img", { class: "seen", alt: t("inside.seen") });
  const heat = h("canvas", { class: "heat", role: "img", "aria-label": t("inside.why.map") });
  const told = h("p", { class: "quiet-text", role: "status" });
  const classes = select(settings, "target", t("inside.why.target"), { "": t("inside.why.likeliest") }, { signal });
  const element = h("div", {}, h("h2", {}, t("inside.why.title")), h("p", { class: "quiet-text" }, t("inside.why.text")),
    h("div", { class: "why" },
      h("div", { class: "why-picture" }, picture, heat),
      h("div", { class: "why-choice" }, segments(settings, "method", t("inside.why.method"), Object.fromEntries(METHODS.map((method) => [method, t(`inside.why.methods.${method}`)])), { signal }), classes, told)));
  const newest = new Newest(signal);
  const update = () => {
    picture.src = `data:image/png;base64,${context.overview.seen}`;
    classes.offer({ "": t("inside.why.likeliest"), ...Object.fromEntries(context.overview.softmax.rows.map(({ label }) => [label, label])) });
    told.textContent = t("inside.why.working");
    return newest.run((ending) => get("/inside/why", { ...subject(settings), method: settings.get("method"), target: settings.get("target") }, ending), (found) => {
      drawHeat(heat, decoded(found.levels), found.drawn);
      told.textContent = t(found.layer ? "inside.why.toldLayer" : "inside.why.told", { target: found.target, layer: found.layer });
    }).catch((error) => {
      heat.width = 0;
      told.textContent = error.message;
    });
  };
  return { element, update };
}

/** What did not matter stays clear; what mattered most is nearly covered. */
function drawHeat(canvas, levels, [height, width]) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  const [red, green, blue] = channels(colour("--heat"));
  levels.forEach((level, index) => image.data.set([red, green, blue, level * 0.8], index * 4));
  canvas.getContext("2d").putImageData(image, 0, 0);
}
