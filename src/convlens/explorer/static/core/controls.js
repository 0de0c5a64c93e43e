// Controls that show one setting and change it. Each follows the setting, wherever else it is changed.

import { get, remove, send } from "./api.js";
import { hasCamera, takePicture } from "./camera.js";
import { h } from "./dom.js";
import { readable } from "./numbers.js";
import { t } from "./text.js";

let count = 0;
const fresh = (name) => `${name}-${(count += 1)}`;

/** @type {{ read: (value: any) => number, write: (part: number, value: any) => any }} */
const whole = { read: (value) => value, write: (value) => value };

/**
 * A range with its value beside it; its limits are the setting's, unless given; `part` reads and writes a part of it.
 * @typedef {{ least?: number, most?: number, step?: number, shown?: (value: number) => string, part?: typeof whole, signal?: AbortSignal }} SliderOptions
 */
export function slider(settings, name, label, /** @type {SliderOptions} */ { least, most, step = 1, shown = readable, part = whole, signal } = {}) {
  const kind = settings.kind(name);
  const id = fresh(name);
  const value = h("span", { class: "control-value", "aria-hidden": "true" });
  const range = h("input", { type: "range", id, name, min: least ?? kind.least, max: most ?? kind.most, step });
  const follow = () => {
    range.value = part.read(settings.get(name));
    value.textContent = shown(part.read(settings.get(name)));
    range.style.setProperty("--part", `${(100 * (range.value - range.min)) / (range.max - range.min || 1)}%`);
  };
  range.addEventListener("input", () => settings.set({ [name]: part.write(Number(range.value), settings.get(name)) }));
  settings.on([name], follow, signal);
  follow();
  return h("div", { class: "control" }, h("label", { for: id }, label), value, range);
}

/** A few options side by side. `labels` maps an option to its words. */
export function segments(settings, name, label, labels, /** @type {{ signal?: AbortSignal }} */ { signal } = {}) {
  const id = fresh(name);
  const buttons = Object.entries(labels).map(([option, words]) =>
    h("button", { type: "button", value: option, onclick: () => settings.set({ [name]: option }) }, words));
  const follow = () => buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.value === String(settings.get(name)))));
  settings.on([name], follow, signal);
  follow();
  return h("div", { class: "control" }, h("span", { class: "control-label", id }, label), h("div", { class: "segments", role: "group", "aria-labelledby": id, "data-setting": name }, buttons));
}

/** A list to choose from. `labels` maps an option to its words; call `.offer(labels)` on the result to change them. */
export function select(settings, name, label, labels, /** @type {{ signal?: AbortSignal }} */ { signal } = {}) {
  const id = fresh(name);
  const list = h("select", { id, name, onchange: () => settings.set({ [name]: list.value }) });
  const follow = () => {
    list.value = settings.get(name);
  };
  const control = h("div", { class: "control" }, h("label", { for: id }, label), h("div", { class: "select" }, list));
  control.offer = (offered) => {
    list.replaceChildren(...Object.entries(offered).map(([value, words]) => h("option", { value }, words)));
    follow();
  };
  control.offer(labels);
  settings.on([name], follow, signal);
  return control;
}

/** On or off. */
export function toggle(settings, name, label, /** @type {{ signal?: AbortSignal }} */ { signal } = {}) {
  const id = fresh(name);
  const box = h("input", { type: "checkbox", id, name, role: "switch", onchange: () => settings.set({ [name]: box.checked }) });
  const follow = () => {
    box.checked = settings.get(name);
  };
  settings.on([name], follow, signal);
  follow();
  return h("div", { class: "control control-toggle" }, box, h("label", { for: id }, label));
}

/**
 * A count with − and +, for what is not itself a setting. `options()` lists the values where not all are allowed.
 * @typedef {{ id?: string, read: () => number, write: (value: number) => void, least?: number, most?: number, options?: () => number[] }} Stepped
 */
export function stepper(label, /** @type {Stepped} */ { id, read, write, least, most, options }, { settings, names, signal }) {
  const value = h("span", { class: "stepper-value" });
  const other = (direction) => {
    const allowed = options?.() ?? Array.from({ length: most - least + 1 }, (_, index) => least + index);
    return direction < 0 ? allowed.filter((each) => each < read()).at(-1) : allowed.find((each) => each > read());
  };
  const step = (direction, sign, words) =>
    h("button", { type: "button", class: "round", "aria-label": `${label}: ${words}`, onclick: () => write(other(direction)) }, sign);
  const [less, more] = [step(-1, "−", t("controls.less")), step(1, "+", t("controls.more"))];
  const follow = () => {
    value.textContent = read();
    less.disabled = other(-1) === undefined;
    more.disabled = other(1) === undefined;
  };
  settings.on(names, follow, signal);
  follow();
  return h("div", { class: "stepper", role: "group", "aria-label": label, "data-stepper": id }, h("span", { class: "stepper-label" }, label), less, value, more);
}

/** A plain button. */
export function button(label, onclick, properties = {}) {
  return h("button", { type: "button", class: "plain", onclick, ...properties }, label);
}

/** Copy this page's address, with all its settings. */
export function copyLink(settings) {
  const copy = button(t("controls.copy"), async () => {
    const query = settings.query();
    await navigator.clipboard.writeText(location.origin + location.pathname + (query ? `?${query}` : ""));
    copy.textContent = t("controls.copied");
    setTimeout(() => (copy.textContent = t("controls.copy")), 1600);
  });
  return copy;
}

/** Thumbnails of the bundled pictures, and uploading one's own by button, drop or paste. */
export async function picturePicker(settings, name, label, /** @type {{ signal?: AbortSignal }} */ { signal } = {}) {
  const id = fresh(name);
  const row = h("div", { class: "pictures", role: "group", "aria-labelledby": id });
  const input = h("input", { type: "file", accept: "image/*", class: "visually-hidden", id: fresh("file"), "aria-label": t("controls.upload") });
  const upload = async (file) => {
    if (!file) return;
    const picture = await send("/pictures", file, { title: file.name ?? "" }, signal);
    await refresh();
    settings.set({ [name]: picture.name });
  };
  const forget = async (picture) => {
    await remove(`/pictures/${picture.name}`, signal);
    if (settings.get(name) === picture.name) settings.set({ [name]: settings.kind(name).standard });
    await refresh();
  };
  input.addEventListener("change", () => upload(input.files[0]));
  const camera = hasCamera() && h("button", { type: "button", class: "picture-add", title: t("controls.camera.open"), "aria-label": t("controls.camera.open"),
    onclick: async () => upload(await takePicture(signal)) }, h("span", { class: "camera-sign", "aria-hidden": "true" }));
  const refresh = async () => {
    const pictures = await get("/pictures", {}, signal);
    row.replaceChildren(...pictures.map(thumbnail), h("label", { class: "picture-add", for: input.id, title: t("controls.upload") }, "+"), input, camera || "");
    follow();
  };
  const thumbnail = (picture) => h("span", { class: "picture-frame" },
    h("button", { type: "button", class: "picture", value: picture.name, title: [named(picture), picture.credit].filter(Boolean).join(" · "), "aria-label": named(picture), onclick: () => settings.set({ [name]: picture.name }) },
      h("img", { src: `/api/pictures/${picture.name}?longest=112`, alt: "", width: 56, height: 56, loading: "lazy" })),
    picture.name.startsWith("upload-") && h("button", { type: "button", class: "picture-remove", "aria-label": t("controls.remove", { name: named(picture) }), title: t("controls.remove", { name: named(picture) }), onclick: () => forget(picture) }, "×"));
  const follow = () => row.querySelectorAll(".picture").forEach((item) => item.setAttribute("aria-pressed", String(item.value === settings.get(name))));
  settings.on([name], follow, signal);
  addEventListener("paste", (event) => upload([...event.clipboardData.files].find((file) => file.type.startsWith("image/"))), { signal });
  dropAnywhere(upload, signal);
  await refresh();
  return h("div", { class: "control" }, h("span", { class: "control-label", id }, label), row);
}

/** A file may be let go anywhere on the page; while one is held over it, the page says so. */
function dropAnywhere(upload, signal) {
  const held = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const show = (over) => document.body.classList.toggle("dropping", over);
  document.body.dataset.dropping = t("controls.dropped");
  addEventListener("dragover", (event) => {
    if (!held(event)) return;
    event.preventDefault();
    show(true);
  }, { signal });
  addEventListener("dragleave", (event) => event.relatedTarget === null && show(false), { signal });
  addEventListener("drop", (event) => {
    show(false);
    if (!held(event)) return;
    event.preventDefault();
    upload([...event.dataTransfer.files].find((file) => file.type.startsWith("image/")) ?? event.dataTransfer.files[0]);
  }, { signal });
}

const named = (picture) => (picture.title || t(picture.name.startsWith("upload-") ? "controls.picture.upload" : `controls.picture.${picture.name}`));
