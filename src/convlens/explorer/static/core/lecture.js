// Lecture mode: prepared steps through the pages. The step is in the address (`lecture=7`), so a link or a reload restores it.
// Arrow keys and the keys of a clicker go on; where there is a question, the next key first reveals its answer.

import { get } from "./api.js";
import { h } from "./dom.js";
import { language, t } from "./text.js";

let steps = null; // of the language that is shown
let known = "";
let revealed = false;

/** The number of the step that the address names, from 1; 0 when no lecture is told. */
export function stepNow() {
  const asked = new URLSearchParams(location.search).get("lecture");
  return /^\d+$/.test(asked ?? "") ? Number(asked) : 0;
}

/** Show the bar of the step that the address names, or take it away. `go(address)` leads to another. */
export async function showLecture(go) {
  const number = stepNow();
  document.body.classList.toggle("lecture", number > 0);
  document.querySelector(".lecture-bar")?.remove();
  if (!number) return;
  if (known !== language()) {
    steps = await get("/lecture", { language: language() });
    known = language();
  }
  revealed = false;
  document.body.append(bar(Math.min(number, steps.steps.length), go));
}

function bar(number, go) {
  const step = steps.steps[number - 1];
  const question = step.ask ? h("p", { class: "lecture-question" }, h("b", {}, t("lecture.question")), " ", step.ask, " ", h("span", { class: "lecture-answer", hidden: true }, step.answer)) : null;
  const round = (sign, words, act, disabled = false) => h("button", { type: "button", class: "round", "aria-label": words, title: words, disabled, onclick: act }, sign);
  return h("section", { class: "lecture-bar", "aria-label": t("lecture.label"), "data-step": number },
    h("div", { class: "lecture-said", role: "status" }, h("p", {}, step.say), question),
    h("div", { class: "lecture-moves" },
      round("‹", `${t("lecture.before")} ←`, () => move(-1, go), number === 1),
      h("span", { class: "lecture-where" }, t("player.position", { step: number, count: steps.steps.length })),
      round("›", `${t("lecture.after")} →`, () => move(1, go), number === steps.steps.length && !question),
      round("▣", t("lecture.full"), () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen())),
      round("×", t("lecture.leave"), () => leave(go))));
}

/** One step on or back; a question that was not answered yet is answered first. */
function move(direction, go) {
  const number = Math.min(stepNow(), steps.steps.length);
  const answer = /** @type {HTMLElement} */ (document.querySelector(".lecture-answer"));
  if (direction > 0 && answer && !revealed) {
    revealed = true;
    answer.hidden = false;
    return;
  }
  const to = number + direction;
  if (to >= 1 && to <= steps.steps.length) go(addressOf(to));
}

/** The address of a step; of the first one where there is none of that number. */
export function addressOf(number) {
  const step = steps?.steps[number - 1];
  const target = new URL(step ? step.at : location.pathname + location.search, location.origin);
  target.searchParams.set("lecture", number);
  return target;
}

function leave(go) {
  const target = new URL(location.href);
  target.searchParams.delete("lecture");
  go(target);
}

/** Listen to the keys of a lecture: before the page does, but not where something is being typed or set. */
export function listen(go) {
  addEventListener("keydown", (event) => {
    if (!stepNow() || !steps || event.metaKey || event.ctrlKey || event.altKey || event.shiftKey) return;
    const clicker = { PageDown: 1, PageUp: -1 }[event.key];
    const arrow = event.target instanceof Element && event.target.closest("input, select, textarea, [role=slider], [role=group] [tabindex], canvas[tabindex], .number-grid") ? 0 : { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape" && !document.fullscreenElement && !document.querySelector("dialog[open]")) leave(go);
    else if (clicker || arrow) move(clicker || arrow, go);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, { capture: true });
}

/** Load the steps of the shown language and say where the lecture begins. */
export async function firstStep() {
  steps = await get("/lecture", { language: language() });
  known = language();
  return addressOf(1);
}
