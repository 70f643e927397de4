// @ts-check
// One pair, whole.

import { get } from "./api.js";
import { bodyView, bytesOf, jsonView } from "./body.js";
import { by, clock, day, h, milliseconds, visible } from "./dom.js";
import { sql } from "./forms.js";

export class Detail {
  /** @param {() => void} close */
  constructor(close) {
    this.element = by("detail");
    this.close = close;
    this.number = -1;
    /** @type {any} */ this.document = null;
  }

  hide() {
    this.element.hidden = true;
    this.number = -1;
  }

  /** @param {any} row */
  async show(row) {
    this.number = row.number;
    this.element.hidden = false;
    let answer;
    try {
      answer = await get(`pairs/${row.number}`);
    } catch (error) {
      this.element.replaceChildren(h("p.fault", {}, String(error)));
      return;
    }
    if (this.number !== row.number) return; // another one was chosen meanwhile
    this.document = answer.document;
    const { document } = answer, http = document.http;
    const parts = [this.top(row, document, answer)];
    if (http) {
      parts.push(await message("Request", http.req ?? {}), http.res ? await message("Response", http.res) : h("section.message", {}, h("h3", {}, "Response"), h("p.none", {}, "none was seen")));
    }
    if (!http) parts.push(...operation(document));
    parts.push(facts(document, answer.file), h("details", {}, h("summary", {}, "Whole document"), h("pre.body", {}, visible(JSON.stringify(document, null, 2), true))));
    if (this.number !== row.number) return;
    this.element.replaceChildren(...parts);
    this.element.scrollTop = 0;
  }

  /** @param {any} row @param {any} document @param {any} answer */
  top(row, document, answer) {
    const copy = h("button", { onclick: (/** @type {Event} */ event) => this.copy(/** @type {HTMLElement} */ (event.currentTarget)) }, "Copy as curl");
    if (!document.http) copy.setAttribute("hidden", "");
    return h("header.pair-head", {},
      h("div.line", {}, h(`span.badge.class-${row.class}`, {}, row.status || "no response"), h("strong.method", {}, visible(row.method)),
        h("span.spacer"), copy, h("button.quiet", { title: "Close (Esc)", "aria-label": "Close", onclick: this.close }, "×")),
      h("div.uri", {}, h("span.host", {}, visible(row.host)), visible(document.http?.req?.uri || row.target)),
      h("div.sub", {}, `${day(row.time)} ${clock(row.time, 6)} UTC · ${milliseconds(row.duration)} · `, visible(row.service), ` · ${row.way === "IN" ? "served" : "called"}`),
      ...answer.marks.map((/** @type {any} */ mark) => h("div.warning", {}, "! ", mark.text, mark.word === "control" ? controls(document.http?.req?.uri ?? "") : "")));
  }

  /** @param {HTMLElement} button */
  async copy(button) {
    const text = curl(this.document);
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = "Copy as curl"; }, 1500);
  }
}

/** @param {string} uri */
function controls(uri) {
  const found = new Set(uri.match(/%(?:[01][0-9a-f]|7f)|[\u0000-\u001f\u007f]/gi) ?? []);
  return [...found].map((escape) => {
    const code = escape.length > 1 ? parseInt(escape.slice(1), 16) : escape.charCodeAt(0);
    return `: byte 0x${code.toString(16).padStart(2, "0")}${code === 0x7f ? " (DEL)" : ""}${escape.length > 1 ? ` as ${escape}` : ", raw"}`;
  }).join("");
}

/** @param {Record<string, string[]>|undefined} headers @param {string} name */
function header(headers, name) {
  const key = Object.keys(headers ?? {}).find((key) => key.toLowerCase() === name);
  return key ? String([headers?.[key]].flat()[0] ?? "") : "";
}

/** @param {string} title @param {any} part */
async function message(title, part) {
  const headers = Object.entries(part.headers ?? {}).flatMap(([name, values]) => [values].flat().map((value) => [name, String(value)]));
  const line = title === "Request" ? `${part.method ?? ""} ${part.uri || part.url || ""}${part.version ? ` HTTP/${part.version}` : ""}` : part.statusMessage ?? part.statusCode ?? "";
  const type = header(part.headers, "content-type") || part.contentType || "";
  const open = headers.length <= 12 || title === "Request";
  return h("section.message", {},
    h("h3", {}, title, h("code", {}, visible(String(line)))),
    h("details", { open }, h("summary", {}, `Headers (${headers.length})`),
      h("table.headers", {}, ...headers.map(([name, value]) => h("tr", {}, h("th", {}, visible(name)), h("td", {}, visible(value, true)))))),
    await bodyView(part.bodyBase64 ?? "", type, header(part.headers, "content-encoding")));
}

/** What is no HTTP: a statement of a database, a message of a broker. @param {any} document */
function operation(document) {
  const name = ["postgres", "mysql", "mongo", "kafka", "amqp091", "redis", document.l7protocol].find((name) => typeof document[name] === "object" && document[name]);
  const own = (name && document[name]) || {};
  const statement = own.request?.query?.query ?? document.location ?? "";
  const isSql = /^\s*(select|insert|update|delete|with|create|alter|drop|begin|commit)\b/i.test(statement) && statement.length < 20_000;
  const part = (/** @type {string} */ title, /** @type {any} */ value) => (value === undefined ? [] : [h("section.message", {}, h("h3", {}, title), jsonView(value))]);
  return [
    h("section.message", {}, h("h3", {}, isSql ? "Statement" : "Operation"), h("pre.body", {}, visible(isSql ? sql(statement) : statement, true))),
    ...part("Request", own.request), ...part("Response", own.response),
  ];
}

/** @param {any} document @param {string} file */
function facts(document, file) {
  const peer = (/** @type {any} */ end) => (end ? `${end.hostname ? `${end.hostname} ` : ""}${end.ipAddress ?? ""}${end.port ? `:${end.port}` : ""}` : "");
  const rows = [
    ["From", peer(document.netinfo?.downstream)], ["To", peer(document.netinfo?.upstream)], ["Connection", document.netinfo?.id],
    ["Protocol", [document.l7protocol, document.tech].filter(Boolean).join(", ")], ["Namespace", document.namespace], ["Cluster", document.cluster],
    ["Session", document.session], ["File", file], ...Object.entries(document.tags ?? {}).sort(),
  ].filter(([, value]) => value !== undefined && value !== "" && value !== null);
  return h("details", {}, h("summary", {}, "Connection and tags"),
    h("table.headers", {}, ...rows.map(([name, value]) => h("tr", {}, h("th", {}, visible(String(name))), h("td", {}, visible(String(value), true))))));
}

/** Quotes for a POSIX shell; with bytes that a terminal would obey, for bash. @param {string} text */
function quoted(text) {
  if (!/[\u0000-\u001f\u007f]/.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = text.replace(/[\\']/g, "\\$&").replace(/[\u0000-\u001f\u007f]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return `$'${escaped}'`;
}

/** @param {any} document */
export function curl(document) {
  const { req } = document.http;
  const scheme = document.isTls || document.l7protocol === "https" ? "https" : "http";
  const words = ["curl", "--path-as-is", "--globoff", "-i", "-X", quoted(req.method ?? "GET"), quoted(`${scheme}://${req.host}${req.uri || req.url}`)];
  for (const [name, values] of Object.entries(req.headers ?? {})) {
    if (/^(host|content-length|connection|transfer-encoding)$/i.test(name)) continue;
    for (const value of [values].flat()) words.push("-H", quoted(`${name}: ${value}`));
  }
  if (!req.bodyBase64) return words.join(" ");
  const bytes = bytesOf(req.bodyBase64);
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f) && bytes[0] !== 0x40) return [...words, "--data-binary", quoted(new TextDecoder().decode(bytes))].join(" ");
  return `printf %s ${req.bodyBase64} | base64 -d | ${[...words, "--data-binary", "@-"].join(" ")}`;
}
