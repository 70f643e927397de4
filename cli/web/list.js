// @ts-check
// A list of any length: only the rows in view exist, and they are asked for in pages.

import { by, clock, h, milliseconds, number, size, visible } from "./dom.js";

const ROW = 28, PAGE = 200;

export const COLUMNS = [
  ["time", "Time (UTC)", "time"], ["way", "", ""], ["service", "Service", ""], ["method", "Method", ""],
  ["target", "Target", ""], ["status", "Status", "status"], ["duration", "Time", "duration"], ["size", "Size", "size"],
];

export class List {
  /** @param {(offset: number, limit: number) => Promise<any>} fetch @param {(row: any, place: number) => void} choose */
  constructor(fetch, choose) {
    this.fetch = fetch;
    this.choose = choose;
    this.scroll = by("scroll");
    this.space = by("space");
    this.total = 0;
    /** What each mark's word says. @type {Record<string, string>} */ this.marks = {};
    this.place = -1;
    /** @type {Map<number, any[]>} */ this.pages = new Map();
    /** @type {Set<number>} */ this.asked = new Set();
    this.round = 0;
    /** @type {HTMLElement|null} */ this.nothing = null;
    this.scroll.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.scroll);
  }

  /**
   * @param {any} first the answer of the first page
   * @param {boolean} keep a list that only grew
   * @param {HTMLElement|null} nothing what is said without a row
   */
  reset(first, keep, nothing) {
    this.nothing = nothing;
    this.round += 1;
    this.total = first.total;
    this.pages = new Map([[0, first.rows]]);
    this.asked.clear();
    this.space.style.height = `${this.total * ROW}px`;
    if (!keep) {
      this.place = -1;
      this.scroll.scrollTop = 0;
    }
    this.draw();
  }

  /** @param {number} place */
  row(place) {
    return this.pages.get(Math.floor(place / PAGE))?.[place % PAGE];
  }

  /** @param {number} page */
  async load(page) {
    if (this.pages.has(page) || this.asked.has(page)) return;
    this.asked.add(page);
    const round = this.round;
    const answer = await this.fetch(page * PAGE, PAGE);
    if (round !== this.round) return;
    this.pages.set(page, answer.rows);
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / ROW) - 10);
    const last = Math.min(this.total, Math.ceil((this.scroll.scrollTop + this.scroll.clientHeight) / ROW) + 10);
    for (let page = Math.floor(first / PAGE); page * PAGE < last; page += 1) this.load(page);
    // The head's columns stand over those of the rows, whatever a scroll bar takes.
    by("head").style.paddingRight = `${12 + this.scroll.offsetWidth - this.scroll.clientWidth}px`;
    const rows = this.nothing ? [this.nothing] : [];
    for (let place = first; place < last; place += 1) rows.push(this.element(place));
    this.space.replaceChildren(...rows);
  }

  /** @param {number} place */
  element(place) {
    const row = this.row(place);
    const properties = { role: "row", "aria-selected": String(place === this.place), "data-place": place, onclick: () => this.select(place) };
    const element = h(`div.row.class-${row?.class ?? 0}`, properties);
    element.style.top = `${place * ROW}px`;
    if (!row) return element;
    element.append(
      h("span.time", {}, clock(row.time)),
      h(`span.way.${row.way === "IN" ? "in" : "out"}`, { title: row.way === "IN" ? "served" : "called" }, row.way),
      h("span.service", { title: row.service }, visible(row.service)),
      h("span.method", {}, visible(row.method)),
      h("span.target", { title: row.host + row.target }, h("span.host", {}, visible(row.host)), visible(row.target)),
      h("span.status", {}, h("b", {}, row.status || "none"), ...row.marks.map((/** @type {string} */ word) => h("i.mark", { title: this.marks[word] }, "!"))),
      h("span.duration", {}, milliseconds(row.duration)),
      h("span.size", { title: `${number(row.sent)} bytes sent, ${number(row.received)} received` }, size(row.sent + row.received)),
    );
    return element;
  }

  /** @param {number} place */
  async select(place) {
    if (!this.total) return;
    this.place = Math.max(0, Math.min(this.total - 1, place));
    const top = this.place * ROW;
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    else if (top + ROW > this.scroll.scrollTop + this.scroll.clientHeight) this.scroll.scrollTop = top + ROW - this.scroll.clientHeight;
    await this.load(Math.floor(this.place / PAGE));
    this.draw();
    const row = this.row(this.place);
    if (row) this.choose(row, this.place);
  }

  /** How many rows are in view. */
  height() {
    return Math.max(1, Math.floor(this.scroll.clientHeight / ROW) - 1);
  }
}
