// @ts-check
// Every pair as a column of its service's lane. Drag to zoom, wheel to zoom, double click for all.

import { by, clock, number, milliseconds, span } from "./dom.js";

const LANE = 22, AXIS = 24, COLUMN = 3, PAD = 10;

export class Timeline {
  /** @param {(from: number, to: number) => void} zoom @param {() => void} reset */
  constructor(zoom, reset) {
    this.canvas = /** @type {HTMLCanvasElement} */ (by("timeline"));
    this.tip = by("tip");
    this.data = { from: 0, to: 0, columns: 1, lanes: /** @type {any[]} */ ([]) };
    /** @type {number|null} */ this.cursor = null;
    /** @type {[number, number]|null} */ this.drag = null;
    const at = (/** @type {MouseEvent} */ event) => event.clientX - this.canvas.getBoundingClientRect().left;
    this.canvas.addEventListener("pointerdown", (event) => {
      this.drag = [at(event), at(event)];
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.drag) { this.drag[1] = at(event); this.draw(); }
      this.point(event);
    });
    this.canvas.addEventListener("pointerup", () => {
      const drag = this.drag;
      this.drag = null;
      if (drag && Math.abs(drag[1] - drag[0]) > 4) zoom(this.time(Math.min(...drag)), this.time(Math.max(...drag)));
      else this.draw();
    });
    this.canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    this.canvas.addEventListener("dblclick", reset);
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { from, to } = this.data, center = this.time(at(event)), factor = event.deltaY > 0 ? 1.4 : 1 / 1.4;
      zoom(center - (center - from) * factor, center + (to - center) * factor);
    }, { passive: false });
    new ResizeObserver(() => this.draw()).observe(this.element());
  }

  element() {
    return /** @type {HTMLElement} */ (this.canvas.parentElement);
  }

  /** Width of the names. */
  label() {
    return this.element().clientWidth < 600 ? 96 : 148;
  }

  columns() {
    return Math.max(40, Math.floor(this.width() / COLUMN));
  }

  width() {
    return this.element().clientWidth - this.label() - PAD;
  }

  /** @param {number} x */
  time(x) {
    const share = Math.min(1, Math.max(0, (x - this.label()) / this.width()));
    return Math.round(this.data.from + share * (this.data.to - this.data.from));
  }

  /** @param {number} time */
  x(time) {
    return this.label() + ((time - this.data.from) / Math.max(1, this.data.to - this.data.from)) * this.width();
  }

  /** @param {any} data */
  show(data) {
    this.data = data;
    this.draw();
  }

  /** @param {number|null} time of the pair that is looked at */
  mark(time) {
    this.cursor = time;
    this.draw();
  }

  draw() {
    const { lanes, columns, from, to } = this.data;
    const scale = window.devicePixelRatio || 1, width = this.width() + this.label() + PAD;
    const height = Math.max(1, lanes.length) * LANE + AXIS + 4;
    Object.assign(this.canvas, { width: width * scale, height: height * scale });
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const style = getComputedStyle(document.body);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    context.scale(scale, scale);
    context.font = `12px ${style.fontFamily}`;
    context.textBaseline = "middle";
    const step = this.width() / columns;
    lanes.forEach((lane, place) => {
      const top = place * LANE + 2, base = top + LANE - 4;
      context.fillStyle = colour("--lane");
      context.fillRect(this.label(), top, this.width(), LANE - 4);
      context.fillStyle = colour("--text");
      context.fillText(short(lane.service || "(no service)", this.label() < 100 ? 12 : 20), 12, top + LANE / 2 - 2);
      const most = Math.max(...lane.cells.map((/** @type {number[]} */ cell) => cell[1] + cell[2] + cell[3]), 1);
      for (const [column, good, warned, failed] of lane.cells) {
        const all = good + warned + failed, full = Math.max(4, Math.sqrt(all / most) * (LANE - 5));
        let y = base;
        // A single failure among thousands must be seen.
        const parts = [[failed, "--bad"], [warned, "--warn"], [good, "--good"]];
        for (const [count, name] of /** @type {[number, string][]} */ (parts)) {
          if (!count) continue;
          const part = Math.max(name === "--good" ? 1 : 3.5, (full * count) / all);
          context.fillStyle = colour(name);
          context.fillRect(this.label() + column * step, y - part, Math.max(1.5, step - 0.6), part);
          y -= part;
        }
      }
    });
    this.element().classList.toggle("bare", !lanes.length);
    this.axis(context, colour, lanes.length * LANE + 2, from, to);
    if (this.cursor && this.cursor >= from && this.cursor <= to) {
      context.fillStyle = colour("--accent");
      context.fillRect(this.x(this.cursor) - 0.75, 0, 1.5, lanes.length * LANE + 4);
    }
    if (this.drag) {
      const [a, b] = this.drag;
      context.fillStyle = colour("--veil");
      context.fillRect(Math.max(this.label(), Math.min(a, b)), 0, Math.abs(b - a), lanes.length * LANE);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context @param {(name: string) => string} colour
   * @param {number} top @param {number} from @param {number} to
   */
  axis(context, colour, top, from, to) {
    if (to <= from) return;
    const wanted = ((to - from) / this.width()) * 110;
    const unit = STEPS.find((step) => step >= wanted) ?? STEPS[STEPS.length - 1];
    context.fillStyle = colour("--faint");
    context.strokeStyle = colour("--line");
    const digits = unit < 1e3 ? 6 : unit < 1e6 ? 3 : 0;
    for (let time = Math.ceil(from / unit) * unit; time <= to; time += unit) {
      const x = this.x(time);
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, top + 3);
      context.stroke();
      const text = clock(time, digits), wide = context.measureText(text).width;
      if (x - wide / 2 > this.label() - 20 && x + wide / 2 < this.label() + this.width() + PAD) context.fillText(text, x - wide / 2, top + 13);
    }
  }

  /** @param {PointerEvent} event */
  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left, lane = this.data.lanes[Math.floor((event.clientY - box.top) / LANE)];
    const column = Math.floor(((x - this.label()) / this.width()) * this.data.columns);
    const cell = lane?.cells.find((/** @type {number[]} */ cell) => Math.abs(cell[0] - column) <= 1);
    this.tip.hidden = !lane || x < this.label();
    if (this.tip.hidden) return;
    const width = (this.data.to - this.data.from) / this.data.columns;
    const counts = cell ? `${number(cell[1] + cell[2] + cell[3])} pairs, ${number(cell[3])} failed, up to ${milliseconds(cell[4])}` : "nothing";
    this.tip.textContent = `${short(lane.service)} · ${clock(this.time(x))} (±${span(width / 2)}): ${counts}`;
    this.tip.style.left = `${Math.min(x + 12, box.width - 330)}px`;
    this.tip.style.top = `${event.clientY - box.top + 16}px`;
  }
}

const STEPS = [10, 100, 1e3, 5e3, 1e4, 5e4, 1e5, 5e5, 1e6, 5e6, 1e7, 3e7, 6e7, 3e8, 6e8, 18e8, 36e8, 144e8, 432e8, 864e8];

/** @param {string} text @param {number} [most] */
const short = (text, most = 20) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
