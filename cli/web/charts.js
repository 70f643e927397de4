// @ts-check
// What the selected pairs are like, all of them together.

import { by, clock, h, milliseconds, number, span, visible } from "./dom.js";

const HUES = ["#0891b2", "#7c3aed", "#d97706", "#059669", "#db2777", "#4f46e5", "#65a30d", "#dc2626", "#0d9488", "#9333ea", "#ca8a04", "#2563eb", "#64748b"];

/** Columns that a small screen does without. */
const LESS = ["p99", "max"];

export class Charts {
  /** @param {(filter: string) => void} narrow */
  constructor(narrow) {
    this.element = by("charts");
    this.narrow = narrow;
  }

  /** @param {any} charts @param {any} rates lanes of few columns @param {HTMLElement|null} nothing said without a pair */
  show(charts, rates, nothing) {
    if (nothing) {
      this.element.replaceChildren(h("section.card.wide", {}, nothing));
      return;
    }
    this.element.replaceChildren(
      card("Request rate by service", rate(rates)),
      card("Status", this.statuses(charts.statuses)),
      card("Latency by service: p50, p95, p99", this.latencies(charts.services)),
      card(`Top endpoints${charts.endpoint_count > charts.endpoints.length ? ` (${charts.endpoints.length} of ${number(charts.endpoint_count)})` : ""}`, this.endpoints(charts.endpoints), "wide"),
    );
  }

  /** @param {[string, number][]} statuses */
  statuses(statuses) {
    const all = statuses.reduce((sum, [, count]) => sum + count, 0) || 1;
    return h("div.bars.statuses", {}, ...statuses.map(([status, count]) => {
      const kind = /^[123]/.test(status) || status === "OK" ? 0 : /^4/.test(status) ? 1 : 2;
      const fill = h(`div.fill.class-${kind}`);
      fill.style.width = `${Math.max(0.5, (count / all) * 100)}%`;
      return h("button.bar-row", { title: "Narrow the filter", onclick: () => this.narrow(`status:${status || "none"}`) },
        h("span.name", {}, visible(status || "none")), h("div.track", {}, fill), h("span.count", {}, `${number(count)} · ${((count / all) * 100).toFixed(1)}%`));
    }));
  }

  /** @param {any[]} services */
  latencies(services) {
    const most = Math.max(1, ...services.map((service) => service.max));
    // Logarithmic: one slow call must not flatten the rest.
    const at = (/** @type {number} */ ms) => `${(Math.log1p(ms) / Math.log1p(most)) * 100}%`;
    return h("div.bars", {}, ...services.map((service) => {
      const track = h("div.track.box");
      const range = h("div.range");
      range.style.left = at(service.p50);
      range.style.width = `calc(${at(service.p99)} - ${at(service.p50)})`;
      track.append(range);
      for (const [name, value] of [["p50", service.p50], ["p95", service.p95], ["p99", service.p99], ["max", service.max]]) {
        const tick = h(`i.tick.${name}`, { title: `${name} ${milliseconds(value)}` });
        tick.style.left = at(value);
        track.append(tick);
      }
      return h("button.bar-row", { title: "Narrow the filter", onclick: () => this.narrow(`service:${service.name}`) },
        h("span.name", {}, visible(service.name || "(none)")), track,
        h("span.count", {}, [service.p50, service.p95, service.p99].map(milliseconds).join(" · ")));
    }));
  }

  /** @param {any[]} endpoints */
  endpoints(endpoints) {
    const heads = ["Method", "Endpoint", "Pairs", "Failed", "p50", "p95", "p99", "max"];
    return h("table.endpoints", {}, h("thead", {}, h("tr", {}, ...heads.map((text) => h(LESS.includes(text) ? "th.less" : "th", {}, text)))),
      h("tbody", {}, ...endpoints.map((group) => h("tr", {}, h("td", {}, visible(group.method)),
        h("td.route", {}, h("button.link", { onclick: () => this.narrow(`path:${group.name.split(":id")[0]}`) }, visible(group.name))),
        h("td", {}, number(group.count)), h(group.failed ? "td.failed" : "td", {}, number(group.failed)),
        ...["p50", "p95", "p99", "max"].map((key) => h(LESS.includes(key) ? "td.less" : "td", {}, milliseconds(group[key])))))));
  }
}

/** @param {string} title @param {Node} content @param {string} [kind] */
function card(title, content, kind) {
  return h(`section.card${kind ? `.${kind}` : ""}`, {}, h("h2", {}, title), content);
}

/** A stacked area. @param {any} rates */
function rate({ lanes, columns, from, to }) {
  const width = 640, height = 190, seconds = Math.max(1e-6, (to - from) / columns / 1e6);
  const layers = lanes.map((/** @type {any} */ lane) => {
    const values = new Array(columns).fill(0);
    for (const [column, good, warned, failed] of lane.cells) values[column] = (good + warned + failed) / seconds;
    return values;
  });
  const sums = new Array(columns).fill(0);
  for (const values of layers) values.forEach((/** @type {number} */ value, /** @type {number} */ at) => { sums[at] += value; });
  const most = Math.max(...sums, 1e-9);
  const svg = svgElement("svg", { viewBox: `0 0 ${width} ${height + 18}`, role: "img", "aria-label": "Request rate by service" });
  const below = new Array(columns).fill(0);
  const x = (/** @type {number} */ at) => (columns < 2 ? 0 : (at / (columns - 1)) * width), y = (/** @type {number} */ value) => height - (value / most) * (height - 14);
  for (const share of [0.5, 1]) {
    svg.append(svgElement("line", { x1: 0, x2: width, y1: y(most * share), y2: y(most * share), class: "grid" }));
  }
  layers.forEach((/** @type {number[]} */ values, /** @type {number} */ place) => {
    const up = values.map((value, at) => `${x(at)},${y(below[at] + value)}`);
    const down = values.map((_, at) => `${x(at)},${y(below[at])}`).reverse();
    svg.append(svgElement("polygon", { points: [...up, ...down].join(" "), fill: HUES[place % HUES.length], "fill-opacity": 0.8 }));
    values.forEach((value, at) => { below[at] += value; });
  });
  const label = (/** @type {number} */ at, /** @type {number} */ top, /** @type {string} */ text, anchor = "start") => {
    const element = svgElement("text", { x: at, y: top, "text-anchor": anchor });
    element.textContent = text;
    svg.append(element);
  };
  label(4, 11, `${most < 10 ? most.toFixed(1) : number(Math.round(most))}/s`);
  label(0, height + 14, clock(from, 0));
  label(width, height + 14, `${clock(to, 0)} (${span(to - from)})`, "end");
  const legend = h("div.legend", {}, ...lanes.map((/** @type {any} */ lane, /** @type {number} */ place) => {
    const dot = h("i");
    dot.style.background = HUES[place % HUES.length];
    return h("span", {}, dot, visible(lane.service || "(none)"));
  }));
  return h("div", {}, svg, legend);
}

/** @param {string} name @param {Record<string, any>} attributes */
function svgElement(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
