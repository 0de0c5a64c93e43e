// Play, step and scrub through a number of steps. The position is the setting `step`, so it is in the address too.

import { h } from "../core/dom.js";
import { readable } from "../core/numbers.js";
import { recall, remember, t } from "../core/text.js";

const LONGEST_PLAY = 12_000; // ms: many steps are played faster
const SLOWEST = 750;
const SPEEDS = [0.5, 1, 2, 4];

export class Player {
  #count = 1;
  #timer = null;

  constructor(settings, { signal, name = "step", keys = true }) {
    this.settings = settings;
    this.name = name;
    this.play = h("button", { type: "button", class: "play", onclick: () => this.toggle() });
    this.scrub = h("input", { type: "range", min: 0, "aria-label": t("player.scrub"), name });
    this.where = h("span", { class: "player-where" });
    this.pace = h("button", { type: "button", class: "plain pace", onclick: () => this.#faster() });
    this.#speed(Number(recall("convlens-speed") ?? 1));
    this.element = h("div", { class: "player", role: "group", "aria-label": t("player.label") },
      h("button", { type: "button", class: "round", "aria-label": t("player.back"), title: `${t("player.back")} ←`, onclick: () => this.go(this.step - 1) }, "‹"),
      this.play,
      h("button", { type: "button", class: "round", "aria-label": t("player.forward"), title: `${t("player.forward")} →`, onclick: () => this.go(this.step + 1) }, "›"),
      this.scrub, this.where, this.pace);
    this.scrub.addEventListener("input", () => this.go(Number(this.scrub.value)));
    settings.on([name], () => this.#follow(), signal);
    if (keys) addEventListener("keydown", (event) => this.#key(event), { signal });
    signal.addEventListener("abort", () => this.pause());
    this.pause();
  }

  /** The step that is shown: the setting, within the steps that there are. */
  get step() {
    return Math.min(this.settings.get(this.name), this.#count - 1);
  }

  set count(count) {
    this.#count = Math.max(1, count);
    this.scrub.max = this.#count - 1;
    this.#follow();
  }

  go(step) {
    this.pause();
    this.#set(step);
  }

  toggle() {
    if (this.#timer !== null) {
      this.pause();
      return;
    }
    if (this.step === this.#count - 1) this.#set(0);
    this.#label("player.pause", "❚❚");
    this.#timer = setInterval(() => {
      if (this.step === this.#count - 1) this.pause();
      else this.#set(this.step + 1);
    }, Math.max(20, Math.min(SLOWEST, Math.max(50, LONGEST_PLAY / this.#count)) / this.speed));
  }

  /** How fast it plays, remembered for all players of this browser. */
  #speed(speed) {
    this.speed = SPEEDS.includes(speed) ? speed : 1;
    this.pace.textContent = `${readable(this.speed)}×`;
    this.pace.setAttribute("aria-label", t("player.speed", { speed: readable(this.speed) }));
    this.pace.title = this.pace.getAttribute("aria-label");
  }

  #faster() {
    this.#speed(SPEEDS[(SPEEDS.indexOf(this.speed) + 1) % SPEEDS.length]);
    remember("convlens-speed", String(this.speed));
    if (this.#timer === null) return;
    this.pause();
    this.toggle();
  }

  pause() {
    clearInterval(this.#timer);
    this.#timer = null;
    this.#label("player.play", "▶");
  }

  #label(key, sign) {
    this.play.replaceChildren(h("span", { "aria-hidden": "true" }, sign), h("span", {}, t(key)));
  }

  #set(step) {
    this.settings.set({ [this.name]: Math.min(Math.max(step, 0), this.#count - 1) });
  }

  /** The step is another one for a reason that the settings do not know. */
  follow() {
    this.#follow();
  }

  #follow() {
    this.scrub.value = this.step;
    this.scrub.style.setProperty("--part", `${(100 * this.step) / Math.max(1, this.#count - 1)}%`);
    this.where.textContent = t("player.position", { step: this.step + 1, count: this.#count });
  }

  #key(event) {
    if (event.target.closest("input, select, textarea, button, a, summary, [role=tab]") || event.metaKey || event.ctrlKey || event.altKey) return;
    if (event.key === " ") this.toggle();
    else if (event.key === "ArrowLeft") this.go(this.step - 1);
    else if (event.key === "ArrowRight") this.go(this.step + 1);
    else if (event.key === "Home") this.go(0);
    else if (event.key === "End") this.go(this.#count - 1);
    else return;
    event.preventDefault();
  }
}
