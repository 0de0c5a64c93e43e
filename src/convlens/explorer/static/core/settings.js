// A page's settings live in the address, so that a link shows what its sender saw. A page declares each with a kind:
//
//   settings: { stride: integer(1, { least: 1, most: 4 }), mode: choice("zeros", ["zeros", "reflect"]), x: grid([[1]]) }
//
// Only what differs from the default is written. What cannot be read is refused, said, and the default is used.

export const integer = (standard, { least, most }) => ({
  standard,
  write: String,
  read(text) {
    const value = Number(text);
    return /^-?\d+$/.test(text) && value >= least && value <= most ? value : undefined;
  },
  least,
  most,
});

/** A number for rows and one for columns: "2" is both, "2,1" is one each. */
export const pair = (standard, { least, most }) => {
  const one = integer(standard[0], { least, most });
  return {
    standard,
    write: ([rows, columns]) => (rows === columns ? String(rows) : `${rows},${columns}`),
    read(text) {
      const values = text.split(",").map(one.read);
      if (values.length > 2 || values.includes(undefined)) return undefined;
      return [values[0], values.at(-1)];
    },
    least,
    most,
  };
};

export const real = (standard, { least = -1e9, most = 1e9 } = {}) => ({
  standard,
  write: (value) => String(Number(value.toPrecision(6))),
  read(text) {
    const value = Number(text);
    return text.trim() !== "" && value >= least && value <= most ? value : undefined;
  },
  least,
  most,
});

export const choice = (standard, options) => ({
  standard,
  options,
  write: String,
  read: (text) => (options.includes(text) ? text : undefined),
});

export const flag = (standard) => ({
  standard,
  write: (value) => (value ? "yes" : "no"),
  read: (text) => ({ yes: true, no: false })[text],
});

/** Any text, such as a network's name: the API says what is wrong with it. */
export const word = (standard) => ({ standard, write: String, read: (text) => text });

/** Numbers in a row: 1,2,-3.5 */
export const row = (standard, { most = 64 } = {}) => ({
  standard,
  write: (values) => values.map(plain).join(","),
  read(text) {
    const values = text === "" ? [] : text.split(",").map(Number);
    return values.length && values.length <= most && values.every(Number.isFinite) ? values : undefined;
  },
});

/** Planes of numbers: columns by ",", rows by ";", planes by "_". */
export const planes = (standard, { most = 12, mostPlanes = 16 } = {}) => ({
  standard,
  write: (values) => values.map((plane) => plane.map((line) => line.map(plain).join(",")).join(";")).join("_"),
  read(text) {
    const values = text.split("_").map((plane) => plane.split(";").map((line) => line.split(",").map(number)));
    const [height, width] = [values[0].length, values[0][0].length];
    const even = values.every((plane) => plane.length === height && plane.every((line) => line.length === width));
    const fits = height <= most && width <= most && values.length <= mostPlanes;
    return even && fits && values.flat(2).every(Number.isFinite) ? values : undefined;
  },
});

const plain = (value) => String(Number(value.toPrecision(6)));
const number = (text) => (text.trim() === "" ? NaN : Number(text));

/** What is not a page's own, and stays in the address from page to page. */
export const SHARED = ["lang", "theme", "lecture"];

export class Settings {
  #kinds;
  #values = {};
  #listeners = new Set();
  #timer = null;

  constructor(kinds, search) {
    this.#kinds = kinds;
    /** Parts of the address that could not be used, as "stride=99". */
    this.refused = [];
    const given = new URLSearchParams(search);
    for (const [name, kind] of Object.entries(kinds)) {
      const text = given.get(name);
      const value = text === null ? kind.standard : kind.read(text);
      if (value === undefined) this.refused.push(`${name}=${text.length > 40 ? `${text.slice(0, 40)}…` : text}`);
      this.#values[name] = value ?? kind.standard;
    }
    for (const name of given.keys()) if (!(name in kinds) && !SHARED.includes(name)) this.refused.push(name);
  }

  get(name) {
    if (!(name in this.#kinds)) throw new Error(`the page has no setting ${name}`);
    return this.#values[name];
  }

  kind(name) {
    return this.#kinds[name];
  }

  /** Change some settings; those who listen are told once, and the address follows. */
  set(changes) {
    const changed = Object.keys(changes).filter((name) => !same(changes[name], this.get(name)));
    if (!changed.length) return;
    for (const name of changed) this.#values[name] = changes[name];
    for (const { names, hear } of [...this.#listeners]) if (names.some((name) => changed.includes(name))) hear();
    // browsers allow about 200 changes of the address in 30 seconds: scrubbing must not use them up
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#write(), 150);
  }

  /** Take over what was chosen on another page, where this one has such a setting and its address says nothing. */
  adopt(chosen, given = new URLSearchParams(location.search)) {
    const taken = Object.entries(chosen).filter(([name, value]) => name in this.#kinds && !given.has(name) && value !== undefined && !same(value, this.#values[name]));
    for (const [name, value] of taken) this.#values[name] = value;
    if (taken.length) this.#timer = setTimeout(() => this.#write(), 150);
  }

  /** The value of a setting, if the page has it. */
  known(name) {
    return this.#values[name];
  }

  /** Call `hear` when one of `names` changes; `signal` ends it. */
  on(names, hear, signal) {
    const listener = { names, hear };
    this.#listeners.add(listener);
    signal?.addEventListener("abort", () => this.#listeners.delete(listener));
  }

  reset() {
    this.set(Object.fromEntries(Object.entries(this.#kinds).map(([name, kind]) => [name, kind.standard])));
  }

  /** The address's query, without "?". */
  query() {
    const written = new URLSearchParams();
    const now = new URLSearchParams(location.search);
    for (const name of SHARED) if (now.has(name)) written.set(name, now.get(name));
    for (const [name, kind] of Object.entries(this.#kinds)) {
      if (!same(this.#values[name], kind.standard)) written.set(name, kind.write(this.#values[name]));
    }
    // these are safe in a query and are far easier to read unescaped
    return written.toString().replace(/%2C/g, ",").replace(/%3B/g, ";").replace(/%2F/g, "/").replace(/%3A/g, ":");
  }

  /** End: the last changes are written to the address, unless it is another page's by now. */
  stop({ write }) {
    if (write && this.#timer !== null) this.#write();
    clearTimeout(this.#timer);
    this.#listeners.clear();
  }

  #write() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const query = this.query();
    history.replaceState(null, "", location.pathname + (query ? `?${query}` : ""));
  }
}

const same = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);
