// Words come from one JSON file a language. t("convolution.lede") or t("player.position", {step: 3, of: 9}).

export const LANGUAGES = { en: "English", ru: "Русский" };

let words = {};

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
  document.documentElement.lang = language;
}

export function t(key, values = {}) {
  const text = key.split(".").reduce((branch, part) => branch?.[part], words);
  if (typeof text !== "string") throw new Error(`no words for ${key}`);
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
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
