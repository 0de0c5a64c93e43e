// The shell: language, theme, navigation, and showing the page that the address names.

import { ApiError, get, LostError } from "./api.js";
import { h } from "./dom.js";
import { PAGES } from "./pages.js";
import { firstStep, listen, showLecture, stepNow } from "./lecture.js";
import { Settings, SHARED } from "./settings.js";
import { chosenLanguage, LANGUAGES, loadLanguage, remember, t } from "./text.js";

const ASK_AGAIN = 1500; // ms

let opened = {}; // what the command was given: {network, picture, run}
let chosen = {}; // the network and the picture of the page that was left
let leave = null; // ends the page that is shown

start();

async function start() {
  import(`../pages/${(asked() ?? PAGES[0]).name}.js`); // on its way while the words are
  [opened] = await Promise.all([get("/opened"), loadLanguage(chosenLanguage())]);
  addEventListener("popstate", () => show());
  addEventListener("unhandledrejection", (event) => {
    if (!(event.reason instanceof ApiError)) return;
    event.preventDefault();
    if (!(event.reason instanceof LostError)) notify(event.reason.message);
  });
  addEventListener("convlens-lost", lost);
  document.addEventListener("click", follow);
  listen(go);
  if (stepNow() && location.pathname === "/") history.replaceState(null, "", await firstStep());
  build();
  await show();
}

function build() {
  const menu = h("button", { class: "menu-button", type: "button", "aria-expanded": "false", "aria-controls": "navigation" }, t("shell.menu"));
  menu.addEventListener("click", () => openMenu(menu.getAttribute("aria-expanded") !== "true"));
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#content" }, t("shell.skip")),
    h("header", { class: "side" },
      h("div", { class: "side-top" }, h("a", { class: "wordmark", href: "/" }, h("img", { src: "/static/icon.svg", alt: "", width: 28, height: 28 }), "Convlens"), menu),
      h("div", { class: "side-fold", id: "navigation" },
        h("nav", { "aria-label": t("shell.pages") }, parts()),
        h("div", { class: "side-choices" }, h("button", { type: "button", class: "plain lecture-start", onclick: async () => go(await firstStep()) }, t("lecture.start")), languages(), themes()))),
    h("main", { id: "content", tabindex: "-1" }),
  );
}

function parts() {
  return [...new Set(PAGES.map((page) => page.part))].map((part) => [
    h("h2", {}, t(`shell.part.${part}`)),
    h("ol", {}, PAGES.filter((page) => page.part === part).map((page) =>
      h("li", {}, h("a", { href: `/${page.name}`, "data-page": page.name }, h("span", { class: "page-number" }, page.number), t(`${page.name}.name`))))),
  ]);
}

function languages() {
  return h("div", { class: "segments", role: "group", "aria-label": t("shell.language") },
    Object.entries(LANGUAGES).map(([code, name]) =>
      h("button", { type: "button", lang: code, "aria-pressed": String(code === document.documentElement.lang), "aria-label": name, onclick: () => chooseLanguage(code) }, code.toUpperCase())));
}

async function chooseLanguage(code) {
  remember("convlens-language", code);
  dropFromAddress("lang");
  await loadLanguage(code);
  build();
  await show();
}

function themes() {
  const chosen = document.documentElement.dataset.theme ?? "system";
  return h("div", { class: "segments", role: "group", "aria-label": t("shell.theme.label") },
    ["system", "light", "dark"].map((theme) =>
      h("button", { type: "button", "aria-pressed": String(theme === chosen), onclick: () => chooseTheme(theme) }, t(`shell.theme.${theme}`))));
}

async function chooseTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  remember("convlens-theme", theme);
  dropFromAddress("theme");
  build();
  await show(); // what is drawn on a canvas has the old colours
}

function dropFromAddress(name) {
  leave?.();
  const query = new URLSearchParams(location.search);
  query.delete(name);
  history.replaceState(null, "", location.pathname + (query.size ? `?${query}` : ""));
}

function openMenu(open) {
  document.querySelector(".menu-button").setAttribute("aria-expanded", String(open));
  document.querySelector(".side").classList.toggle("open", open);
}

/** To another address without loading the document anew; the language and theme stay in it. */
function go(target) {
  leave?.(); // writes the address of the page that is left
  const now = new URLSearchParams(location.search);
  for (const name of ["lang", "theme"]) if (now.has(name) && !target.searchParams.has(name)) target.searchParams.set(name, now.get(name));
  history.pushState(null, "", target);
  openMenu(false);
  return show();
}

/** Links between pages change the address without loading the document anew; the language and theme stay in it. */
function follow(event) {
  const link = event.target.closest?.("a[href^='/']");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0 || link.target || link.download) return;
  const target = new URL(link.href);
  if (target.pathname.startsWith("/api/") || target.pathname.startsWith("/static/")) return;
  event.preventDefault();
  leave?.(); // writes the address of the page that is left
  const now = new URLSearchParams(location.search);
  for (const name of SHARED) if (now.has(name) && !target.searchParams.has(name)) target.searchParams.set(name, now.get(name));
  history.pushState(null, "", target);
  openMenu(false);
  show({ focus: true });
}

/** The page that the address names; none where it leads nowhere. */
function asked() {
  if (location.pathname === "/") return PAGES[0];
  return PAGES.find((page) => page.name === location.pathname.slice(1));
}

async function show({ focus = false } = {}) {
  leave?.({ write: false }); // the address is already that of the page to show
  const page = asked();
  if (!page) return nowhere();
  const ending = new AbortController();
  const module = await import(`../pages/${page.name}.js`);
  const settings = new Settings(module.settings(opened), location.search);
  if (!stepNow()) settings.adopt({ network: chosen.network, a: chosen.network, picture: chosen.picture });
  leave = ({ write = true } = {}) => {
    chosen = { network: settings.known("network") ?? settings.known("a") ?? chosen.network, picture: settings.known("picture") ?? chosen.picture };
    settings.stop({ write });
    ending.abort();
    leave = null;
  };
  document.body.classList.toggle("wide", Boolean(page.wide));
  const main = document.getElementById("content");
  delete main.dataset.shown;
  const title = h("h1", { tabindex: "-1" }, t(`${page.name}.title`));
  const body = h("div", { class: `page page-${page.name}` });
  main.replaceChildren(h("div", { class: "page-head" }, title, h("p", { class: "lede" }, t(`${page.name}.lede`))), h("div", { id: "notices", role: "status" }), body);
  document.title = `${t(`${page.name}.name`)} · Convlens`;
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("nav a"))) {
    if (link.dataset.page === page.name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (settings.refused.length) notify(t("shell.refused", { what: settings.refused.join(", ") }));
  await module.show(body, { settings, signal: ending.signal, notify }).catch((error) => {
    if (error.name !== "AbortError") throw error;
  });
  if (ending.signal.aborted) return; // another page is shown by now
  if (!main.querySelector(".next-pages")) main.append(nextPages(page));
  await showLecture(go);
  main.dataset.shown = page.name;
  if (focus) {
    title.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

/** Each page ends with where to go next. */
function nextPages(page) {
  const index = PAGES.indexOf(page);
  const link = (to, sign) => (to ? h("a", { href: `/${to.name}`, class: "next-page" }, h("span", { class: "quiet-text" }, t(sign)), h("b", {}, t(`${to.name}.name`))) : h("span", {}));
  return h("nav", { class: "next-pages", "aria-label": t("shell.nextPages") }, link(PAGES[index - 1], "shell.pageBefore"), link(PAGES[index + 1], "shell.pageAfter"));
}

/** The address leads to no page: say so, and where one can go. */
function nowhere() {
  const main = document.getElementById("content");
  const links = PAGES.map((page) => h("li", {}, h("a", { href: `/${page.name}` }, t(`${page.name}.name`))));
  main.replaceChildren(h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, t("shell.nowhere.title", { path: location.pathname })), h("p", { class: "lede" }, t("shell.nowhere.lede"))), h("ol", { class: "nowhere" }, links));
  document.title = `${t("shell.nowhere.name")} · Convlens`;
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("nav a"))) link.removeAttribute("aria-current");
  main.dataset.shown = "nowhere";
}

// what a page that was left was still waiting for is given up, which is no error, whoever asked for it
addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name === "AbortError") event.preventDefault();
});

/** The server does not answer: say so until it does, then show the page as its address has it. */
function lost() {
  if (document.querySelector(".lost")) return;
  const banner = h("div", { class: "lost", role: "alert" }, t("shell.lost"));
  document.body.append(banner);
  const again = async () => {
    const answer = await fetch("/api/opened").catch(() => null);
    if (!answer?.ok) return setTimeout(again, ASK_AGAIN);
    opened = await answer.json();
    banner.remove();
    leave?.();
    return show();
  };
  setTimeout(again, ASK_AGAIN);
}

/** Say something above the page, in one line, until it is closed or the next page is shown. */
function notify(message) {
  const notice = h("div", { class: "notice" }, h("span", {}, message), h("button", { type: "button", class: "quiet", "aria-label": t("shell.close"), onclick: () => notice.remove() }, "×"));
  document.getElementById("notices").replaceChildren(notice);
}
