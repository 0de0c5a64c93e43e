// Page 1: a picture is a tensor: its numbers, its channels, their order in memory, gray, normalised and back.

import { get, Newest, post } from "../core/api.js";
import { button, copyLink, picturePicker, segments } from "../core/controls.js";
import { h } from "../core/dom.js";
import { grouped, readable } from "../core/numbers.js";
import { choice, integer, word } from "../core/settings.js";
import { t } from "../core/text.js";
import { NumberGrid } from "../draw/grid.js";
import { Magnifier } from "./image/magnifier.js";
import { memory } from "./image/memory.js";

export const settings = (opened) => ({
  picture: word(opened.picture ?? "temple"),
  row: integer(110, { least: 0, most: 4095 }),
  column: integer(190, { least: 0, most: 4095 }),
  normalisation: choice("imagenet", ["imagenet", "half", "none"]),
});

export async function show(root, { settings, signal, notify }) {
  const magnifier = new Magnifier({ onPoint: (row, column) => settings.set({ row, column }) });
  const numbers = new Numbers(settings);
  const card = (title, text, ...parts) => h("section", { class: "card" }, h("h2", {}, title), text && h("p", { class: "quiet-text" }, text), parts);
  const [order, planes, gray, normal] = ["order", "planes", "gray-sum", "normal"].map((name) => h("div", { class: `image-${name}` }));
  const picker = await picturePicker(settings, "picture", t("controls.pictureLabel"), { signal });
  root.append(
    h("section", { class: "card" },
      h("div", { class: "image-top" }, magnifier.element,
        h("div", {}, magnifier.shape, picker, h("div", { class: "panel-end" }, button(t("controls.reset"), () => settings.reset()), copyLink(settings)))),
      numbers.element),
    card(t("image.order"), t("image.orderText"), order),
    card(t("image.channels"), t("image.channelsText"), planes, gray),
    card(t("image.normal"), t("image.normalText"),
      h("div", { class: "bar" }, segments(settings, "normalisation", t("image.normalisation"), { imagenet: t("image.normalisations.imagenet"), half: t("image.normalisations.half"), none: t("image.normalisations.none") }, { signal })), normal),
  );
  let whole = null;
  const pixel = new Newest(signal);
  const point = () => pixel.run((ending) => post("/image", { picture: settings.get("picture"), row: settings.get("row"), column: settings.get("column"), normalisation: settings.get("normalisation") }, ending), (answer) => {
    magnifier.point(answer.row, answer.column);
    numbers.draw(answer, whole.channels);
    order.replaceChildren(memory(answer, whole));
    gray.replaceChildren(graySum(answer, whole.channels));
    normal.replaceChildren(normalised(answer, whole, settings));
  });
  const newest = new Newest(signal);
  const update = () => newest.run((ending) => get(`/image/${settings.get("picture")}`, { normalisation: settings.get("normalisation") }, ending), (answer) => {
    whole = answer;
    magnifier.show(`/api/pictures/${settings.get("picture")}`, answer);
    planes.replaceChildren(...planePictures(settings, answer));
  }).then(() => whole && point()).catch((error) => notify(error.message));
  settings.on(["picture", "normalisation"], update, signal);
  settings.on(["row", "column"], () => whole && point().catch((error) => notify(error.message)), signal);
  await update();
}

/** The numbers around the pixel, a grid a channel. */
class Numbers {
  #grids = [];
  #first = [0, 0];

  constructor(settings) {
    this.settings = settings;
    this.title = h("h2", { class: "image-pixel", "aria-live": "polite" });
    this.body = h("div", { class: "image-grids" });
    this.element = h("div", {}, this.title, h("p", { class: "quiet-text" }, t("image.numbersText")), this.body, h("p", { class: "ends" }, h("span", { class: "end black" }), t("image.black"), h("span", { class: "end white" }), t("image.white")));
  }

  draw(answer, channels) {
    this.#first = answer.first;
    if (this.#grids.length !== channels.length) this.#build(channels);
    this.title.replaceChildren(t("image.pixel", { row: answer.row, column: answer.column }), " = ", ...values(answer.value, channels));
    this.#grids.forEach((grid, channel) => {
      grid.draw(answer.around[channel]);
      grid.mark([{ row: answer.row - answer.first[0], column: answer.column - answer.first[1], kind: "tap" }]);
    });
  }

  #build(channels) {
    const pick = (row, column) => this.settings.set({ row: this.#first[0] + row, column: this.#first[1] + column });
    this.#grids = channels.map((name) => new NumberGrid({ label: t(`image.channel.${name}`), tone: "input", onPick: pick }));
    this.body.replaceChildren(...this.#grids.map((grid, channel) => h("div", { class: "stage-part" }, h("h3", { class: `caption of-${channels[channel]}` }, t(`image.channel.${channels[channel]}`)), grid.element)));
  }
}

const values = (numbers, channels) => ["(", numbers.map((number, index) => [index ? ", " : "", h("b", { class: `of-${channels[index]}` }, readable(number))]), ")"].flat(Infinity);

function planePictures(settings, whole) {
  const names = [...whole.channels.filter((name) => name !== "gray"), "gray"];
  const picture = (name) => h("figure", {}, h("img", { src: `/api/image/${settings.get("picture")}/${name}`, alt: t("image.planeAlt", { name: t(`image.channel.${name}`) }) }),
    h("figcaption", { class: `of-${name}` }, t(`image.channel.${name}`), name === "gray" || whole.channels.length === 1 ? "" : ` · ${statistics(whole.before[whole.channels.indexOf(name)])}`));
  return [h("div", { class: "image-planes" }, names.map(picture))];
}

const statistics = ({ low, high, mean }) => t("image.statistics", { low: readable(low, 3), high: readable(high, 3), mean: readable(mean, 3) });

function graySum(answer, channels) {
  const terms = answer.value.map((value, channel) => [channel ? " + " : "", readable(answer.weights[channel]), "·", h("b", { class: `of-${channels[channel]}` }, value)]);
  return h("p", { class: "sum" }, t("image.graySum"), " = ", terms, " ≈ ", h("strong", {}, answer.gray));
}

/** Value, scaled, normalised, and back, for each channel; and what it did to the whole picture. */
function normalised(answer, whole, settings) {
  const head = ["channel.label", "value", "scaled", "normalised", "back"].map((key) => h("th", { scope: "col" }, t(`image.${key}`)));
  const line = (name, channel) => h("tr", { "data-channel": name },
    h("th", { scope: "row", class: `of-${name}` }, t(`image.channel.${name}`)),
    h("td", {}, answer.value[channel]),
    h("td", {}, `${answer.value[channel]} / 255 = ${readable(answer.scaled[channel])}`),
    h("td", {}, `(${readable(answer.scaled[channel])} − ${readable(whole.mean[channel])}) / ${readable(whole.std[channel])} = `, h("b", {}, readable(answer.normalised[channel]))),
    h("td", {}, `(${bracketed(answer.normalised[channel])}·${readable(whole.std[channel])} + ${readable(whole.mean[channel])})·255 ≈ `, h("b", {}, answer.restored[channel])));
  const after = whole.channels.map((name, channel) => `${t(`image.channel.${name}`)}: ${statistics(whole.after[channel])}`).join(" · ");
  return h("div", {},
    h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("image.normal") }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, whole.channels.map(line)))),
    h("div", { class: "image-after" },
      h("figure", {}, h("img", { src: `/api/image/${settings.get("picture")}/normalised?normalisation=${settings.get("normalisation")}`, alt: t("image.normalisedAlt") }), h("figcaption", {}, t("image.normalisedAlt"))),
      h("p", {}, after, h("br"), t("image.lost", { lost: whole.lost, count: grouped(whole.height * whole.width * whole.channels.length) }))));
}

const bracketed = (value) => (value < 0 ? `(${readable(value)})` : readable(value));
