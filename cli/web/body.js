// @ts-check
// Bodies: decoded, laid out for reading, and as hexadecimal.

import { h, number, visible } from "./dom.js";
import { grpc } from "./forms.js";

/** Longest body that is laid out, and longest hexadecimal view, in bytes. */
const PRETTY = 512 * 1024, HEX = 64 * 1024;
/** Levels that are indented: a body of opening brackets alone must not grow with its square. */
const DEEPEST = 40;

/** Before a line at this level. @param {number} depth */
const blanks = (depth) => "  ".repeat(Math.min(depth, DEEPEST));

/** @param {string} base64 @returns {Uint8Array} */
export function bytesOf(base64) {
  const text = atob(base64);
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/**
 * Undoes gzip and deflate; anything else stays.
 * @param {Uint8Array} bytes @param {string} coding value of Content-Encoding
 * @returns {Promise<[Uint8Array, string]>} the bytes and what was done
 */
async function decoded(bytes, coding) {
  const format = { gzip: "gzip", "x-gzip": "gzip", deflate: "deflate" }[coding.trim().toLowerCase()];
  if (!format || !bytes.length) return [bytes, coding ? `${coding}, as sent` : ""];
  try {
    const stream = new Blob([/** @type {BlobPart} */ (bytes)]).stream().pipeThrough(new DecompressionStream(/** @type {CompressionFormat} */ (format)));
    const reader = stream.getReader(), parts = [];
    let length = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      if ((length += value.length) > 32 << 20) throw new Error("too large");
    }
    const out = new Uint8Array(length);
    let at = 0;
    for (const part of parts) { out.set(part, at); at += part.length; }
    return [out, `${coding}, ${number(bytes.length)} bytes on the wire`];
  } catch {
    return [bytes, `${coding}, cannot be undone`];
  }
}

/** @param {Uint8Array} bytes */
function utf8(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/**
 * A body with a choice of views.
 * @param {string} base64 @param {string} type media type @param {string} coding
 */
export async function bodyView(base64, type, coding) {
  if (!base64) return h("p.none", {}, "no body");
  const sent = bytesOf(base64);
  const [bytes, note] = await decoded(sent, coding);
  const text = utf8(bytes);
  const views = new Map();
  const pretty = text !== null && bytes.length <= PRETTY ? layout(text, type) : null;
  const messages = /^application\/grpc/i.test(type) && bytes.length <= PRETTY ? grpc(bytes) : null;
  if (messages !== null) views.set("gRPC", () => h("pre.body", {}, visible(messages, true)));
  else if (pretty) views.set(pretty.name, () => h("pre.body", {}, pretty.node));
  if (text !== null) views.set("Text", () => h("pre.body", {}, visible(text.slice(0, PRETTY), true), text.length > PRETTY ? "…" : ""));
  views.set("Hex", () => hex(bytes));
  const box = h("div.body-box"), tabs = h("div.body-tabs");
  const show = (/** @type {string} */ name) => {
    for (const tab of tabs.querySelectorAll("button")) tab.setAttribute("aria-pressed", String(tab.textContent === name));
    box.replaceChildren(views.get(name)());
  };
  for (const name of views.keys()) tabs.append(h("button", { onclick: () => show(name) }, name));
  tabs.append(h("span.note", {}, `${number(bytes.length)} bytes${note ? ` (${note})` : ""}${text === null ? ", not UTF-8" : ""}`));
  show([...views.keys()][0]);
  return h("div", {}, tabs, box);
}

/** @param {string} text @param {string} type */
function layout(text, type) {
  const trimmed = text.trim();
  if (/json/i.test(type) || /^[[{]/.test(trimmed)) {
    try {
      const value = JSON.parse(trimmed);
      if (typeof value?.query === "string" && /\{/.test(value.query)) {
        const rest = { ...value, query: undefined };
        return { name: "GraphQL", node: fragment(visible(value.query, true), "\n\n", json(JSON.stringify(rest, null, 2))) };
      }
      // Not from the parsed value: it would have lost digits of long numbers.
      return { name: "JSON", node: json(indent(trimmed)) };
    } catch { /* not JSON after all */ }
  }
  if (/x-www-form-urlencoded/i.test(type)) {
    const rows = [...new URLSearchParams(trimmed)].map(([key, value]) => h("div.pair", {}, h("b", {}, visible(key)), " = ", visible(value)));
    return { name: "Form", node: fragment(...rows) };
  }
  if (/xml|html/i.test(type)) return { name: "XML", node: visible(xml(trimmed), true) };
  return null;
}

/** A value of the document itself, laid out. @param {any} value */
export const jsonView = (value) => h("pre.body", {}, json(JSON.stringify(value, null, 2) ?? ""));

/** @param {...(Node|string)} nodes */
function fragment(...nodes) {
  const out = document.createDocumentFragment();
  out.append(...nodes);
  return out;
}

/** Lays out JSON text without changing a value. @param {string} text */
function indent(text) {
  let out = "", depth = 0;
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  tokens.forEach((token, at) => {
    const next = tokens[at + 1];
    if (token === "{" || token === "[") {
      const closes = next === "}" || next === "]";
      depth += 1;
      out += closes ? token : `${token}\n${blanks(depth)}`;
    } else if (token === "}" || token === "]") {
      depth -= 1;
      const opened = tokens[at - 1] === "{" || tokens[at - 1] === "[";
      out += opened ? token : `\n${blanks(depth)}${token}`;
    } else if (token === ",") out += `,\n${blanks(depth)}`;
    else out += token === ":" ? ": " : token;
  });
  return out;
}

/** Colours of JSON. @param {string} text */
function json(text) {
  const out = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g)) {
    if (match.index > end) out.append(text.slice(end, match.index));
    const kind = match[1] ? (match[2] ? "key" : "string") : "literal";
    out.append(h(`span.j-${kind}`, {}, visible(match[1] ?? match[0], true)), match[2] ?? "");
    end = match.index + match[0].length;
  }
  out.append(text.slice(end));
  return out;
}

/** One element a line. @param {string} text */
function xml(text) {
  let depth = 0;
  return text.replace(/>\s*</g, ">\n<").split("\n").map((line) => {
    if (/^<\//.test(line)) depth = Math.max(0, depth - 1);
    const out = blanks(depth) + line;
    if (/^<[^!?/][^>]*[^/]>$/.test(line) || /^<[a-z]>$/i.test(line)) depth += 1;
    return out;
  }).join("\n");
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  const out = h("pre.body.hex");
  const shown = bytes.subarray(0, HEX);
  for (let at = 0; at < shown.length; at += 16) {
    const line = [...shown.subarray(at, at + 16)];
    out.append(h("span.offset", {}, at.toString(16).padStart(6, "0")), "  ");
    line.forEach((byte, place) => {
      const odd = byte < 0x20 && ![9, 10, 13].includes(byte) || byte === 0x7f;
      const pair = byte.toString(16).padStart(2, "0");
      out.append(odd ? h("mark.control", {}, pair) : pair, place === 7 ? "  " : " ");
    });
    out.append(" ".repeat((16 - line.length) * 3 + (line.length <= 7 ? 1 : 0)), " ");
    out.append(h("span.ascii", {}, line.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("")), "\n");
  }
  if (bytes.length > HEX) out.append(`… ${number(bytes.length - HEX)} bytes more`);
  return out;
}
