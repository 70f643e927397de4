// @ts-check
// Forms that bodies and statements have beside JSON: gRPC's messages and SQL.

/** Deepest message within a message, and most fields of one that are shown. */
const DEEPEST = 12, MOST = 2000;

/**
 * gRPC: messages behind a flag and a length, without their schema.
 * @param {Uint8Array} bytes
 * @returns {string|null} null when it is something else
 */
export function grpc(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = [];
  let at = 0;
  for (let count = 1; at < bytes.length; count += 1) {
    if (at + 5 > bytes.length || bytes[at] > 1) return null;
    const length = view.getUint32(at + 1), end = at + 5 + length;
    if (end > bytes.length) return null;
    out.push(`message ${count}, ${length} bytes${bytes[at] ? ", compressed" : ""}`);
    const fields = bytes[at] ? null : message(bytes.subarray(at + 5, end), 1);
    if (fields) out.push(...fields);
    else if (length) out.push("  (see Hex)");
    at = end;
  }
  return out.length ? out.join("\n") : null;
}

/**
 * The fields of a protobuf message, one a line; null when it is none.
 * @param {Uint8Array} bytes @param {number} depth @returns {string[]|null}
 */
function message(bytes, depth) {
  const lines = [], indent = "  ".repeat(depth);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= bytes.length) return null;
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return null;
  };
  while (at < bytes.length) {
    const key = varint();
    if (key === null || key >> 3n === 0n || key >> 3n > 536870911n) return null;
    if (lines.length >= MOST) return [...lines, `${indent}…`];
    const field = `${indent}${key >> 3n}: `;
    const kind = Number(key & 7n);
    if (kind === 0) {
      const value = varint();
      if (value === null) return null;
      lines.push(field + value);
    } else if (kind === 1 && at + 8 <= bytes.length) {
      lines.push(`${field}${view.getFloat64(at, true)} (0x${view.getBigUint64(at, true).toString(16)})`);
      at += 8;
    } else if (kind === 5 && at + 4 <= bytes.length) {
      lines.push(`${field}${view.getFloat32(at, true)} (0x${view.getUint32(at, true).toString(16)})`);
      at += 4;
    } else if (kind === 2) {
      const length = varint();
      if (length === null || length > BigInt(bytes.length - at)) return null;
      const part = bytes.subarray(at, at + Number(length));
      at += Number(length);
      const text = readable(part);
      const inner = text === null && depth < DEEPEST ? message(part, depth + 1) : null;
      if (inner) lines.push(field + "{", ...inner, `${indent}}`);
      else lines.push(field + (text === null ? [...part.subarray(0, 64)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ") + (part.length > 64 ? " …" : "") : JSON.stringify(text)));
    } else return null;
  }
  return lines;
}

/** Text, when it is some. @param {Uint8Array} bytes */
function readable(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return /[\u0000-\u0008\u000e-\u001f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

const CLAUSES = /^(?:from|where|group\s+by|having|order\s+by|limit|offset|values|set|returning|union(?:\s+all)?|(?:(?:left|right|full|inner|cross)\s+)?(?:outer\s+)?join|on\s+conflict|for\s+update)\b/i;

/**
 * SQL with a line for each clause; what is quoted, commented or in brackets stays together.
 * @param {string} text
 */
export function sql(text) {
  let out = "", depth = 0;
  // A string, a quoted name, a comment, a word, or one character.
  for (const [token] of text.trim().matchAll(/'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[^]*?\*\/|\s+|(?:[a-z_]+(?:\s+(?:by|all|join|outer|update|conflict)\b)*)|[^]/gi)) {
    if (token === "(") depth += 1;
    if (token === ")") depth = Math.max(0, depth - 1);
    if (depth === 0 && CLAUSES.test(token)) out = `${out.trimEnd()}\n${token}`;
    else if (depth === 0 && /^(?:and|or)$/i.test(token)) out = `${out.trimEnd()}\n  ${token}`;
    else out += /^\s+$/.test(token) ? (token.includes("\n") ? "\n" : " ") : token;
  }
  return out.trim();
}
