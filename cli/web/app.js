// @ts-check
// Ties the parts together. What is looked at is in the address, so that a reload keeps it.

import { Fault, get, latest } from "./api.js";
import { Charts } from "./charts.js";
import { Detail } from "./detail.js";
import { by, clock, day, h, number, span } from "./dom.js";
import { COLUMNS, List } from "./list.js";
import { Timeline } from "./timeline.js";

const look = { filter: "", from: 0, to: 0, sort: "time", descending: false, view: "requests" };
let state = { version: -1, range: /** @type {[number, number]|null} */ (null), pairs: 0, others: 0, loaded: false, follow: false, directory: "", marks: {} };

const asked = () => ({
  filter: look.filter, from: look.from || undefined, to: look.to || undefined,
  sort: look.sort, descending: look.descending || undefined,
});

const list = new List((offset, limit) => get("rows", { ...asked(), offset, limit }), (row) => {
  timeline.mark(row.time);
  detail.show(row);
});
const timeline = new Timeline((from, to) => zoom(from, to), () => zoom(0, 0));
const detail = new Detail(() => { detail.hide(); timeline.mark(null); by("list").focus(); });
const charts = new Charts((word) => {
  by("filter").value = look.view === "charts" && look.filter && !/[=<>(]/.test(look.filter) ? `${look.filter} ${word}` : word;
  filter();
});
const alone = latest();

/** @param {boolean} [keep] the list only grew: stay where it is */
async function refresh(keep = false) {
  remember();
  await alone(async (signal) => {
    try {
      const [rows, lanes] = await Promise.all([
        get("rows", { ...asked(), limit: 200 }, signal),
        get("timeline", { ...asked(), columns: timeline.columns() }, signal),
      ]);
      fault("");
      list.reset(rows, keep, nothing(rows.total));
      timeline.show(lanes);
      figures(rows, lanes);
      if (look.view === "charts") {
        const [sums, rates] = await Promise.all([get("charts", asked(), signal), get("timeline", { ...asked(), columns: 64 }, signal)]);
        charts.show(sums, rates, nothing(rows.total));
      }
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      fault(error.message);
    }
  });
}

/** What is said in place of pairs, when there is none. @param {number} total @returns {HTMLElement|null} */
function nothing(total) {
  if (total || !state.loaded) return null;
  if (!state.pairs) {
    return h("div.empty", {}, h("strong", {}, "No pairs here yet"),
      h("p", {}, state.follow ? "They appear as soon as they are written to " : "There is no recording in ", h("code", {}, state.directory), "."),
      h("p", {}, "Record with ", h("code", {}, "weir collect"), ", or fetch from your store with ", h("code", {}, "weir gather"), "."));
  }
  const all = () => {
    by("filter").value = look.filter = "";
    zoom(0, 0);
  };
  return h("div.empty", {}, h("strong", {}, "No pair fits"), h("p", {}, `None of ${number(state.pairs)} pairs fits the filter${look.from || look.to ? " in this part of the time" : ""}.`), h("button", { onclick: all }, "Show all"));
}

/** @param {any} rows @param {any} lanes */
function figures(rows, lanes) {
  const all = rows.total === state.pairs ? "" : ` of ${number(state.pairs)}`;
  by("count").replaceChildren(h("b", {}, number(rows.total)), `${all} pairs${state.loaded ? "" : " (reading…)"}`);
  by("failed").replaceChildren(h(rows.failed ? "b.failed" : "b", {}, number(rows.failed)), " failed");
  by("range").textContent = lanes.to > lanes.from ? `${day(lanes.from)} ${clock(lanes.from, 0)} – ${clock(lanes.to, 0)} UTC (${span(lanes.to - lanes.from)})` : "";
  by("mode").textContent = { words: "by words", cel: "CEL", query: "query language" }[/** @type {string} */ (rows.mode)] ?? "";
  by("reset").hidden = !look.from && !look.to;
}

/** @param {string} text */
function fault(text) {
  by("fault").hidden = !text;
  by("fault").textContent = text;
  by("filter").setAttribute("aria-invalid", String(Boolean(text)));
}

/** @param {number} from @param {number} to zero for the whole time */
function zoom(from, to) {
  const [first, last] = state.range ?? [0, 0];
  look.from = from <= first ? 0 : Math.round(from);
  look.to = !to || to >= last ? 0 : Math.max(Math.round(to), look.from + 1);
  refresh();
}

function filter() {
  look.filter = by("filter").value.trim();
  refresh();
}

/** @param {string} view */
function turn(view) {
  look.view = view;
  for (const name of ["requests", "charts"]) {
    by(name).hidden = name !== view;
    by(`tab-${name}`).setAttribute("aria-selected", String(name === view));
  }
  refresh();
}

function heads() {
  by("head").replaceChildren(...COLUMNS.map(([name, text, sort]) => {
    const sorted = look.sort === sort && sort;
    const arrow = sorted ? (look.descending ? " ↓" : " ↑") : "";
    const order = () => {
      look.descending = sorted ? !look.descending : sort !== "time";
      look.sort = sort;
      heads();
      refresh();
    };
    return sort ? h(`button.${name}`, { onclick: order, title: "Sort" }, text + arrow) : h(`span.${name}`, {}, text);
  }));
}

async function nextFailing() {
  const answer = await get("rows", { ...asked(), failed_after: Math.max(-1, list.place) < 0 ? 0 : list.place, limit: 1 });
  if (answer.failed) list.select(answer.offset);
}

const KEYS = [
  ["/", "filter"], ["j k ↓ ↑", "next, previous"], ["PageDown PageUp", "a screen on, back"], ["g G", "first, last"], ["n", "next failing"],
  ["Esc", "close the detail, leave the filter"], ["0", "whole time"], ["r c", "requests, charts"], ["t", "light or dark"], ["?", "this help"],
];

const theme = () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  timeline.draw();
};

const help = () => {
  by("keys").replaceChildren(h("h2", {}, "Keys"), h("table", {}, ...KEYS.map(([keys, text]) => h("tr", {}, h("td", {}, ...keys.split(" ").map((key) => h("kbd", {}, key))), h("td", {}, text)))),
    h("p", {}, "The filter takes words (all must match; ! negates): ", h("code", {}, "service:rocket status:5xx !health"), ", the fields service, status, method, host, path, direction, mark, slower; ",
      h("code", {}, "failed"), "; or an expression in CEL over the record: ", h("code", {}, "http.res.statusCode >= 500"), "."),
    h("button", { onclick: () => by("keys").close() }, "Close"));
  by("keys").showModal();
};

/** @type {Record<string, () => void>} */
const ACTIONS = {
  j: () => list.select(list.place + 1), ArrowDown: () => list.select(list.place + 1),
  k: () => list.select(list.place - 1), ArrowUp: () => list.select(list.place - 1),
  PageDown: () => list.select(list.place + list.height()), PageUp: () => list.select(list.place - list.height()),
  g: () => list.select(0), G: () => list.select(list.total - 1), Home: () => list.select(0), End: () => list.select(list.total - 1),
  Enter: () => list.select(Math.max(0, list.place)), n: nextFailing, 0: () => zoom(0, 0),
  "/": () => by("filter").focus(), r: () => turn("requests"), c: () => turn("charts"), t: theme, "?": help,
  Escape: () => detail.close(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.ctrlKey || event.metaKey || event.altKey || by("keys").open) return;
  if (typing) {
    if (event.key === "Escape" || event.key === "Enter") {
      event.preventDefault(); // Escape would empty the box, and what is shown would not follow
      by("list").focus();
    }
    return;
  }
  if (event.target instanceof HTMLButtonElement && event.key === "Enter") return;
  const action = ACTIONS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

/** @type {number|undefined} */
let typed;
by("filter").addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(filter, 250);
});
by("tab-requests").addEventListener("click", () => turn("requests"));
by("tab-charts").addEventListener("click", () => turn("charts"));
by("reset").addEventListener("click", () => zoom(0, 0));
by("theme").addEventListener("click", theme);
by("help").addEventListener("click", help);

function remember() {
  const words = new URLSearchParams();
  for (const [key, value] of Object.entries(look)) {
    if (value && value !== "time" && value !== "requests") words.set(key, String(value));
  }
  history.replaceState(null, "", `#${words}`);
}

function recall() {
  const words = new URLSearchParams(location.hash.slice(1));
  look.filter = words.get("filter") ?? "";
  look.from = Number(words.get("from")) || 0;
  look.to = Number(words.get("to")) || 0;
  look.sort = words.get("sort") ?? "time";
  look.descending = words.get("descending") === "true";
  by("filter").value = look.filter;
  heads();
  return words.get("view") === "charts" ? "charts" : "requests";
}

async function poll() {
  try {
    const before = state.version;
    state = await get("state");
    list.marks = state.marks;
    by("directory").replaceChildren(h("bdi", { dir: "ltr" }, state.directory));
    by("directory").title = `${state.directory}${state.others ? ` (${number(state.others)} files are no RRPairs)` : ""}`;
    document.title = `Weir · ${state.directory}`;
    if (state.version !== before) before < 0 ? turn(recall()) : await refresh(true);
    by("directory").classList.remove("lost");
  } catch {
    by("directory").classList.add("lost"); // the process has ended; what is shown stays
  }
  if (!state.loaded || state.follow) setTimeout(poll, state.loaded ? 1000 : 300);
}

poll();
