// Asking the library. An answer that is not wanted any more is dropped; what went wrong is an ApiError with one line.

import { t, translated } from "./text.js";

export class ApiError extends Error {}

/** Nothing answers: the shell says so, and shows the page anew when something does. */
export class LostError extends ApiError {}

/** What a page asks for, as the part of an address behind the question mark. */
export const asQuery = (query) => new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString();

export function get(path, query = {}, signal) {
  const text = asQuery(query);
  return ask(path + (text ? `?${text}` : ""), { signal });
}

export function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

/** Send a file as it is. */
export function send(path, file, query = {}, signal) {
  const headers = { "Content-Type": "application/octet-stream" };
  return ask(`${path}?${asQuery(query)}`, { method: "POST", headers, body: file, signal });
}

export function remove(path, signal) {
  return ask(path, { method: "DELETE", signal });
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(`/api${path}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    dispatchEvent(new Event("convlens-lost"));
    throw new LostError(t("shell.lost"));
  }
  const isJson = answer.headers.get("Content-Type")?.startsWith("application/json");
  if (answer.ok) return isJson ? answer.json() : answer.blob();
  const reason = isJson ? (await answer.json()).error : undefined;
  throw new ApiError(translated(reason ?? `Convlens failed with status ${answer.status}; see the terminal.`));
}

/** Of several runs of `work`, only the newest matters: an older one is aborted when the next starts. */
export class Newest {
  #controller = null;

  constructor(pageSignal) {
    pageSignal?.addEventListener("abort", () => this.#controller?.abort());
  }

  async run(work, done) {
    this.#controller?.abort();
    const controller = new AbortController();
    this.#controller = controller;
    try {
      const result = await work(controller.signal);
      if (!controller.signal.aborted) done(result);
    } catch (error) {
      if (!controller.signal.aborted && error.name !== "AbortError") throw error;
    }
  }
}
