// The training images that the chosen channel answers to most, with the place where it does.

import { get, Newest } from "../../core/api.js";
import { button } from "../../core/controls.js";
import { h } from "../../core/dom.js";
import { readable } from "../../core/numbers.js";
import { t } from "../../core/text.js";

export function favouritesCard(context) {
  const { settings, signal } = context;
  const images = h("div", { class: "favourites" });
  const told = h("p", { class: "quiet-text" });
  const ask = button(t("inside.findFavourites"), () => find());
  const element = h("div", { hidden: true }, h("h2", {}, t("inside.favourites")), told, ask, images);
  const newest = new Newest(signal);
  let found = ""; // the network and layer whose images were asked for: other channels of it cost nothing more
  const layer = () => `${settings.get("network")} ${context.layer.id}`;
  const find = () => {
    found = layer();
    ask.disabled = true;
    told.textContent = t("inside.looking");
    return newest.run((ending) => get("/inside/favourites", { network: settings.get("network"), layer: context.layer.id, channel: settings.get("channel") }, ending), (answer) => {
      told.textContent = t("inside.favouritesText", { channel: settings.get("channel"), layer: context.layer.id, looked: answer.looked_at, of: answer.of });
      images.replaceChildren(...answer.images.map((image) => figure(image, answer.map)));
    }).catch((error) => context.notify(error.message)).finally(() => (ask.disabled = false));
  };
  const update = () => {
    element.hidden = !context.overview?.has_images;
    if (element.hidden) return null;
    if (found === layer()) return find();
    images.replaceChildren();
    told.textContent = t("inside.favouritesAsk", { channel: settings.get("channel"), layer: context.layer.id });
    return null;
  };
  return { element, update };
}

function figure(image, [height, width]) {
  const mark = height ? h("span", { class: "cross", vars: { "--top": (image.where[0] + 0.5) / height, "--left": (image.where[1] + 0.5) / width, "--tall": 1 / height, "--wide": 1 / width } }) : null;
  return h("figure", {}, h("div", { class: "favourite" }, h("img", { src: `data:image/png;base64,${image.png}`, alt: image.key, title: image.key }), mark), h("figcaption", {}, `${image.label} · ${readable(image.value, 3)}`));
}
