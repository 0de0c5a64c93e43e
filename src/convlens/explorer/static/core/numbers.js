// Numbers as people read them, in the language of the page: separators, units, percent, powers of ten. A space inside a
// number, or between it and its unit, never breaks.

import { language, t } from "./text.js";

const SPACE = "\u00a0"; // one that does not break
const POWERS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A real minus, at most `digits` significant digits, no trailing zeros. */
export function readable(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  return local(Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(digits))));
}

/** Exactly so many digits behind the point. */
export function fixed(value, digits) {
  return local(value.toFixed(digits));
}

/** 0.0123 -> "1.23 %" */
export function percent(part, digits = 3) {
  return `${readable(100 * part, digits)}${SPACE}%`;
}

/** 2.8e-8 -> "2.8·10⁻⁸" */
export function scientific(value, digits = 2) {
  return value === 0 ? "0" : local(value.toExponential(digits - 1));
}

/** 25557032 -> "25,557,032" (or with the language's own separator). */
export function grouped(value) {
  return new Intl.NumberFormat(language()).format(value);
}

/** 25557032 -> "25.6 M": for counts whose size matters more than their digits. */
export function short(value) {
  return withUnit(value, [[1e12, "tera"], [1e9, "giga"], [1e6, "mega"], [1e3, "kilo"]]) ?? rounded(value);
}

/** Bytes in binary units. */
export function bytes(value) {
  return withUnit(value, [[2 ** 30, "gib"], [2 ** 20, "mib"], [2 ** 10, "kib"]]) ?? `${rounded(value)}${SPACE}${t("units.byte")}`;
}

/** Seconds, in the unit that gives them digits. */
export function duration(seconds) {
  if (seconds >= 1) return `${rounded(seconds)}${SPACE}${t("units.second")}`;
  return seconds >= 1e-3 ? `${rounded(seconds * 1e3)}${SPACE}${t("units.millisecond")}` : `${rounded(seconds * 1e6)}${SPACE}${t("units.microsecond")}`;
}

/** "2026-11-27" as a date of the page's language; nothing for nothing. */
export const day = (text) => (text ? new Intl.DateTimeFormat(language() === "en" ? "en-GB" : language(), { dateStyle: "long" }).format(new Date(text)) : "");

/** What separates numbers in a list: a comma, unless numbers have commas inside. */
export const between = () => (language() === "en" ? ", " : "; ");

function withUnit(value, units) {
  const found = units.find(([size]) => Math.abs(value) >= size * 0.9995);
  return found && `${rounded(value / found[0])}${SPACE}${t(`units.${found[1]}`)}`;
}

function rounded(value) {
  const text = Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
  return new Intl.NumberFormat(language(), { maximumFractionDigits: 3 }).format(Number(text)).replace("-", "−");
}

/** From JavaScript's way of writing to the page's: "-1.5e-7" -> "−1.5·10⁻⁷", with a comma in Russian. */
function local(text) {
  const [digits, power] = text.split("e");
  const plain = digits.replace("-", "−").replace(".", language() === "en" ? "." : ",");
  return power === undefined ? plain : `${plain}·10${[...power.replace("+", "")].map((sign) => (sign === "-" ? "⁻" : POWERS[sign])).join("")}`;
}
