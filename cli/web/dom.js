// @ts-check
// Elements from text alone: nothing captured is ever parsed as markup.

/**
 * @param {string} tag element name, with classes after dots: `td.number`
 * @param {Record<string, any>} [properties] `on…` are listeners, the rest are attributes
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {HTMLElement}
 */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false).map(text));
  return element;
}

/** @param {any} child */
function text(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

/** @param {string} id @returns {any} */
export const by = (id) => document.getElementById(id);

const NAMES = ["NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR", "SO", "SI",
  "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS", "RS", "US"];

/** @param {number} code */
const controlName = (code) => (code === 0x7f ? "DEL" : NAMES[code] ?? `\\u${code.toString(16).padStart(4, "0")}`);

// Control characters, raw or percent-encoded, and those that change how others are shown.
const HIDDEN = /%(?:[01][0-9a-f]|7f)|[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gi;
const HIDDEN_BUT_LINES = new RegExp(HIDDEN.source.replace("\\u0000-\\u001f", "\\u0000-\\u0008\\u000b-\\u001f").replace("%(?:[01][0-9a-f]|7f)|", ""), "gi");

/**
 * Text with every character visible that a page would hide or obey.
 * @param {string} value
 * @param {boolean} [lines] tabs and line feeds are layout, and percent-escapes are just text
 * @returns {DocumentFragment}
 */
export function visible(value, lines = false) {
  const out = document.createDocumentFragment();
  let end = 0;
  for (const match of value.matchAll(lines ? HIDDEN_BUT_LINES : HIDDEN)) {
    if (match.index > end) out.append(value.slice(end, match.index));
    const escape = match[0];
    const code = escape.length > 1 ? parseInt(escape.slice(1), 16) : escape.charCodeAt(0);
    const shown = escape.length > 1 ? escape : code < 0x20 || code === 0x7f ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
    out.append(h("mark.control", { title: `${escape.length > 1 ? `${escape} is ` : ""}byte 0x${code.toString(16).padStart(2, "0")}, ${controlName(code)}` }, shown));
    end = match.index + escape.length;
  }
  if (end < value.length) out.append(value.slice(end));
  return out;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1048576) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1048576).toFixed(1)} MiB`;
}

/** @param {number} count */
export const number = (count) => count.toLocaleString("en-US");

/** @param {number} ms */
export const milliseconds = (ms) => (ms < 10000 ? `${number(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/**
 * UTC time of day.
 * @param {number} us microseconds since the epoch
 * @param {number} [digits] of the second's fraction
 */
export function clock(us, digits = 3) {
  if (!us) return "--:--:--";
  const text = new Date(Math.floor(us / 1000)).toISOString();
  const micros = String(Math.floor(us % 1e6)).padStart(6, "0");
  return text.slice(11, 19) + (digits ? `.${micros.slice(0, digits)}` : "");
}

/** @param {number} us */
export const day = (us) => (us ? new Date(us / 1000).toISOString().slice(0, 10) : "");

/** @param {number} us a length of time */
export function span(us) {
  const seconds = us / 1e6;
  if (seconds < 1) return `${(us / 1000).toFixed(us < 10000 ? 1 : 0)} ms`;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
