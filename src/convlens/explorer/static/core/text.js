// Words come from one JSON file a language. t("convolution.lede") or t("player.position", {step: 3, of: 9}).

export const LANGUAGES = { en: "English", ru: "Русский" };

let words = {};
let said = []; // [pattern, words] for what the server says, in languages other than its own

/** The language that the address, an earlier choice, or the browser asks for. */
export function chosenLanguage() {
  const asked = new URLSearchParams(location.search).get("lang");
  if (asked in LANGUAGES) return asked;
  const kept = recall("convlens-language");
  if (kept in LANGUAGES) return kept;
  return navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in LANGUAGES) ?? "en";
}

export async function loadLanguage(language) {
  const answer = await fetch(`/static/text/${language}.json`);
  if (!answer.ok) throw new Error(`the words of ${language} could not be read`);
  words = await answer.json();
  said = language === "en" ? [] : (await (await fetch(`/static/text/said.${language}.json`)).json()).map(([pattern, text]) => [new RegExp(`^${pattern}$`, "s"), text]);
  document.documentElement.lang = language;
}

export function t(key, values = {}) {
  const text = key.split(".").reduce((branch, part) => branch?.[part], words);
  if (typeof text !== "string") throw new Error(`no words for ${key}`);
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The language that is shown. */
export const language = () => document.documentElement.lang;

/** A line of the server's in the language of the page; what has no translation says whose words it is in. */
export function translated(line) {
  if (language() === "en") return line;
  for (const [pattern, text] of said) if (pattern.test(line)) return line.replace(pattern, text);
  return t("shell.said", { line });
}

export function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // a browser that forbids storage forgets the choice; nothing else changes
  }
}
