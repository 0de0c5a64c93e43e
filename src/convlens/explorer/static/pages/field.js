// Page 6: which part of the image a unit can see, layer by layer, exactly.

import { get, Newest } from "../core/api.js";
import { button, copyLink, picturePicker, toggle } from "../core/controls.js";
import { h } from "../core/dom.js";
import { percent, readable } from "../core/numbers.js";
import { localised } from "../core/labels.js";
import { flag, integer, real, word } from "../core/settings.js";
import { t } from "../core/text.js";
import { Player } from "../draw/player.js";
import { Growth } from "./field/growth.js";
import { RegionPicture } from "./field/region.js";
import { UnitMap } from "./field/map.js";

export const settings = (opened) => ({
  network: word(opened.run ?? opened.network ?? "resnet18"),
  picture: word(opened.picture ?? "temple"),
  across: real(0.5, { least: 0, most: 1 }),
  down: real(0.5, { least: 0, most: 1 }),
  step: integer(5, { least: 0, most: 9999 }),
  effective: flag(false),
});

export async function show(root, { settings, signal, notify }) {
  const listed = (await get("/networks", {}, signal)).filter((each) => each.family !== "block");
  const player = new Player(settings, { signal });
  const picture = new RegionPicture({ label: t("field.picture"), onPoint: (across, down) => settings.set({ across, down }) });
  const map = new UnitMap({ label: t("field.map"), onPoint: (across, down) => settings.set({ across, down }) });
  const growth = new Growth({ label: t("field.growth"), onPick: (index) => player.go(index) });
  const title = h("h2", { class: "field-layer" });
  const mapTitle = h("h3", {});
  const facts = h("dl", { class: "facts" });
  const measured = h("p", { class: "quiet-text", role: "status" });
  const gate = h("p", { class: "gate", hidden: true });
  root.append(
    h("section", { class: "card" },
      h("div", { class: "bar field-bar" }, chooser(settings, listed, signal), await picturePicker(settings, "picture", t("controls.pictureLabel"), { signal }), h("div", { class: "panel-end" }, button(t("controls.reset"), () => settings.reset()), copyLink(settings)))),
    h("section", { class: "card stage-card" }, title,
      h("div", { class: "field-stage" }, picture.element, h("div", { class: "field-side" }, mapTitle, map.element, facts, gate, toggle(settings, "effective", t("field.effective"), { signal }), measured)),
      player.element),
    h("section", { class: "card" }, h("h2", {}, t("field.growth")), h("p", { class: "quiet-text" }, t("field.growthText")), growth.element),
  );
  let answer = null;
  const newest = new Newest(signal);
  const update = () => newest.run((ending) => get("/field", { network: settings.get("network"), across: settings.get("across"), down: settings.get("down") }, ending), (found) => {
    const fresh = answer?.layers.length !== found.layers.length;
    answer = found;
    if (fresh) growth.draw(found);
    player.count = found.layers.length;
    step();
  }).catch((error) => notify(error.message));
  const step = () => {
    if (!answer) return;
    const layer = answer.layers[player.step];
    title.textContent = [layer.id, [localised(layer.label), ...layer.follows].filter(Boolean).join(" · ")].filter(Boolean).join(" — ");
    mapTitle.textContent = t("field.mapOf", { size: layer.map.join("×") });
    picture.draw({ image: answer.image, source: `/api/pictures/${settings.get("picture")}`, layer, before: answer.layers.slice(0, player.step) });
    map.draw(layer);
    growth.choose(player.step);
    facts.replaceChildren(...described(layer, answer.image));
    gate.hidden = !layer.local;
    if (layer.local) gate.textContent = t("field.gate", { size: shown(layer.local.size) });
    measure(layer);
  };
  const measuring = new Newest(signal);
  /** Lay over the picture how much each pixel moves the unit; a gradient takes a moment, so it is only done when asked for. */
  const measure = (layer) => {
    picture.heat(null);
    measured.textContent = settings.get("effective") ? t("field.measuring") : t("field.effectiveText");
    if (!settings.get("effective")) return null;
    const query = { network: settings.get("network"), layer: layer.id, across: settings.get("across"), down: settings.get("down") };
    return measuring.run((ending) => get("/field/effective", query, ending), (found) => {
      picture.heat(found);
      measured.textContent = t(found.trained ? "field.measured" : "field.measuredInitial", { images: found.images, inside: percent(found.inside), area: percent(found.area) });
    }).catch((error) => (measured.textContent = error.message));
  };
  settings.on(["network"], () => settings.set({ step: 0 }), signal);
  settings.on(["network", "across", "down"], update, signal);
  settings.on(["step", "picture", "effective"], step, signal);
  await update();
}

function chooser(settings, listed, signal) {
  const list = h("select", { id: "field-network", onchange: () => settings.set({ network: list.value }) }, listed.map((each) => h("option", { value: each.name }, each.name)));
  const follow = () => (list.value = settings.get("network"));
  settings.on(["network"], follow, signal);
  follow();
  return h("div", { class: "control" }, h("label", { for: "field-network" }, t("field.network")), h("div", { class: "select" }, list));
}

const shown = (pair) => (pair === null ? "–" : pair[0] === pair.at(-1) ? readable(pair[0]) : pair.map((each) => readable(each)).join("×"));
const interval = (ends) => (ends ? `${ends[0]} – ${ends[1]}` : "–");

function described(layer, image) {
  const rows = [
    ["unit", layer.map[0] * layer.map[1] > 1 ? `${layer.unit[0]}, ${layer.unit[1]}` : "–"],
    ["rows", interval(layer.rows)],
    ["columns", interval(layer.columns)],
    ["size", shown(layer.size)],
    ["stride", shown(layer.stride)],
    ["offset", shown(layer.offset)],
    ["share", share(layer, image)],
  ];
  if (!layer.regular && layer.word) rows.push(["irregular", layer.word === "global" ? t("field.global") : layer.word]);
  if (layer.bounds.length) rows.push(["bounds", layer.bounds.join(", ")]);
  return rows.flatMap(([name, text]) => [h("dt", {}, t(`field.fact.${name}`)), h("dd", {}, text)]);
}

function share(layer, [height, width]) {
  if (!layer.rows || !layer.columns) return "–";
  const area = (layer.rows[1] - layer.rows[0] + 1) * (layer.columns[1] - layer.columns[0] + 1);
  return percent(area / (height * width), 2);
}
