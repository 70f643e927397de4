// @ts-check
// `weir web` in a real Chromium, as people use it. Run by `make test-web`.
//
// WEIR: the program. CHROMIUM: the browser. SCREENSHOTS: a directory for pictures, if wanted.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const MANY = 100_000;
const { WEIR = "target/debug/weir", CHROMIUM = "/usr/bin/chromium", SCREENSHOTS } = process.env;
const folder = mkdtempSync(join(tmpdir(), "weir-web-"));
const START = Date.parse("2026-09-01T10:00:00Z");

/** @type {import("playwright-core").Browser} */ let browser;
/** @type {{ stop: () => Promise<void> }[]} */ const servers = [];

/** @param {string} text */
const base64 = (text) => Buffer.from(text).toString("base64");

/**
 * A recorded pair. @param {number} number @param {any} [change]
 */
function pair(number, { path = `/api/orders/${number % 40}`, uri = path, status = 200, service = "shop", method = "GET", type = "application/json", body = JSON.stringify({ id: number, items: [] }), headers = {}, host = "shop:8080", step = 5 } = {}) {
  const uuid = Buffer.alloc(16);
  uuid.writeUInt32BE(number + 1, 12);
  return {
    msgType: "rrpair", resource: service, ts: new Date(START + number * step).toISOString().replace("Z", "000000Z"), l7protocol: "http",
    duration: (number * 7) % 90, tags: { captureMode: "eBPF" }, uuid: uuid.toString("base64"), direction: number % 5 ? "IN" : "OUT", cluster: "dev", namespace: "shop", service,
    command: method, location: path, status: String(status),
    http: {
      req: { method, url: path, uri, version: "1.1", host, headers: { Accept: ["*/*"], Host: [host], ...headers } },
      res: { statusCode: status, statusMessage: `${status} ${status < 400 ? "OK" : "Internal Server Error"}`, headers: { "Content-Type": [type], ...headers }, bodyBase64: base64(body) },
    },
    netinfo: { id: String(number % 9), downstream: { ipAddress: "10.0.0.1", port: 4000 + (number % 9) }, upstream: { ipAddress: "10.0.0.2", port: 8080 } },
  };
}

const SCRIPT = "<script>window.ran = true</script><img src=x onerror=\"window.ran = true\"><svg onload=\"window.ran = true\">";
const services = ["shop", "payments", "rocket-api", "inventory", "auth"];

function few() {
  const all = Array.from({ length: 600 }, (_, number) => pair(number, {
    service: services[number % 5], path: `/api/${["orders", "charges", "rockets", "stock", "login"][number % 5]}/${number % 30}`,
    status: number % 41 === 3 ? 503 : number % 23 === 5 ? 404 : 200, method: number % 7 ? "GET" : "POST", step: 40 + (number % 13) * 9,
  }));
  all[100] = pair(100, { service: "rocket-api", path: "/api/rocket", uri: "/api/rocket?id=falcon%7F", status: 500, body: "{\"error\":\"no such rocket\"}" });
  all[101] = pair(101, { service: `evil${SCRIPT}`, path: `/evil/${SCRIPT}`, host: `evil${SCRIPT}`, type: "text/html", body: `<html>${SCRIPT}</html>`, headers: { [`X-Evil-${SCRIPT}`]: [SCRIPT] } });
  all[102] = pair(102, { service: "evil-json", path: "/evil.json", body: JSON.stringify({ [SCRIPT]: SCRIPT, "a\u0000b\u202e": "\u007f" }) });
  all[103] = { ...pair(103, { service: "stock", path: "/stock.v1.Stock/Reserve", method: "POST" }), l7protocol: "grpc" };
  all[103].http.req.headers["Content-Type"] = ["application/grpc"];
  all[103].http.req.bodyBase64 = "AAAAAAgKBm11Zy0wMQ=="; // one message, field 1: mug-01
  const statement = "SELECT id FROM orders WHERE state = 'from here' AND id = 42";
  all[104] = { ...pair(104, { service: "orders-db" }), l7protocol: "postgres", command: "Query", location: statement, status: "OK", http: undefined, postgres: { request: { query: { query: statement } }, response: { query: { messages: [{ complete: { tag: "SELECT 1" } }] } } } };
  return all;
}

/** @param {string} directory */
async function serve(directory) {
  const child = spawn(WEIR, ["web", "--in", directory, "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  const url = /http:\/\/\S+/.exec(String(line))?.[0];
  assert.ok(url, String(line));
  servers.push({ stop: async () => { child.kill("SIGTERM"); await once(child, "exit"); } });
  return url;
}

/**
 * A page that keeps what goes wrong in it.
 * @param {string} url @param {"light"|"dark"} [colorScheme] @param {{ width: number, height: number }} [viewport]
 */
async function open(url, colorScheme = "light", viewport = { width: 1440, height: 900 }) {
  const context = await browser.newContext({ viewport, colorScheme, deviceScaleFactor: SCREENSHOTS ? 2 : 1 });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(url).origin });
  const page = await context.newPage();
  /** @type {string[]} */ const wrong = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) wrong.push(message.text()); });
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("requestfailed", (request) => { if (request.failure()?.errorText !== "net::ERR_ABORTED") wrong.push(`${request.url()} ${request.failure()?.errorText}`); });
  page.on("request", (request) => { if (new URL(request.url()).origin !== new URL(url).origin) wrong.push(`foreign: ${request.url()}`); });
  await page.goto(url);
  await page.waitForFunction(() => /^[\d,.\s]+ pairs$/.test(document.getElementById("count")?.textContent ?? ""), null, { timeout: 120_000 });
  return { page, wrong, close: () => context.close() };
}

/** @param {import("playwright-core").Page} page @param {string} text */
const counts = (page, text) => page.waitForFunction((text) => document.getElementById("count")?.textContent?.replace(/[,.\s]/g, "").startsWith(text), text);

/** @param {import("playwright-core").Page} page @param {string} text */
async function filter(page, text) {
  await page.locator("#filter").fill(text);
}

/** @param {import("playwright-core").Page} page @param {string} name */
async function picture(page, name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

/** Colours of the time line that are not its background. @param {import("playwright-core").Page} page */
const painted = (page) => page.evaluate(() => {
  const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById("timeline"));
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Map();
  for (let at = 0; at < data.length; at += 4) {
    const key = `${data[at]},${data[at + 1]},${data[at + 2]}`;
    colours.set(key, (colours.get(key) ?? 0) + 1);
  }
  return [...colours].filter(([, count]) => count > 20).map(([key]) => key);
});

before(async () => {
  mkdirSync(join(folder, "few/shop"), { recursive: true });
  few().forEach((document, number) => writeFileSync(join(folder, `few/shop/${number}.json`), JSON.stringify(document)));
  mkdirSync(join(folder, "many"));
  const lines = createWriteStream(join(folder, "many/all.jsonl"));
  for (let number = 0; number < MANY; number += 1) {
    const line = JSON.stringify(pair(number, { service: services[number % 5], status: number % 1000 === 999 ? 500 : 200 }));
    if (!lines.write(`${line}\n`)) await once(lines, "drain");
  }
  lines.end();
  await once(lines, "finish");
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
});

after(async () => {
  await browser?.close();
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(folder, { recursive: true });
});

test("the list, the filter, the detail and the time line of a small recording", async () => {
  const { page, wrong, close } = await open(await serve(join(folder, "few")));
  await counts(page, "600");
  assert.ok(await page.locator("#space .row").count() > 10);
  const colours = await painted(page);
  for (const colour of ["34,167,160", "226,160,22", "224,51,76"]) assert.ok(colours.includes(colour), `${colour} is not in the time line`);
  await picture(page, "1-requests");

  await filter(page, "mark:control");
  await counts(page, "1of600");
  await page.locator("#space .row").first().click();
  await page.locator("#detail .warning").waitFor();
  const warning = await page.locator("#detail .warning").first().textContent();
  assert.match(warning ?? "", /0x7f \(DEL\) as %7F/);
  assert.equal(await page.locator("#detail .badge").textContent(), "500");
  await page.getByRole("button", { name: "Hex" }).click();
  const hex = await page.locator("#detail pre.hex").textContent();
  assert.match(hex ?? "", /^000000 {2}7b 22 65 72 72 6f 72 22  3a 22/);
  await page.getByRole("button", { name: "Copy as curl" }).click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(copied.includes("'http://shop:8080/api/rocket?id=falcon%7F'"), copied);
  await picture(page, "2-detail");

  await filter(page, "http.res.statusCode >= 500 && service == 'rocket-api'");
  await page.locator("#mode", { hasText: "CEL" }).waitFor();
  await filter(page, "http.res.statusCode >=");
  await page.locator("#fault:visible").waitFor();
  await filter(page, "");
  await counts(page, "600pairs");

  // A part of the time, by dragging over it.
  const box = await page.locator("#timeline").boundingBox();
  assert.ok(box);
  await page.mouse.move(box.x + 400, box.y + 30);
  await page.mouse.down();
  await page.mouse.move(box.x + 600, box.y + 30, { steps: 4 });
  await page.mouse.up();
  await page.locator("#reset:visible").waitFor();
  await page.waitForFunction(() => / of /.test(document.getElementById("count")?.textContent ?? ""));
  assert.match(await page.evaluate(() => location.hash), /from=\d+/);
  await page.locator("#reset").click();
  await counts(page, "600pairs");
  assert.deepEqual(wrong.filter((text) => !text.includes("400 (Bad Request)")), []);
  await close();
});

test("gRPC and SQL are laid out, and no pair is no empty page", async () => {
  const { page, wrong, close } = await open(await serve(join(folder, "few")));
  const first = async (/** @type {string} */ service) => {
    await filter(page, `service:${service}`);
    await counts(page, "1of600");
    await page.locator("#space .row", { hasText: service }).first().click();
  };
  await first("stock");
  await page.locator("#detail pre.body", { hasText: "message 1, 8 bytes" }).waitFor();
  assert.match(await page.locator("#detail pre.body").first().textContent() ?? "", /^message 1, 8 bytes\n {2}1: "mug-01"$/);
  await first("orders-db");
  await page.locator("#detail h3", { hasText: "Statement" }).waitFor();
  assert.equal(await page.locator("#detail pre.body").first().textContent(), "SELECT id\nFROM orders\nWHERE state = 'from here'\n  AND id = 42");
  // Escape leaves the box, and what it says.
  await page.locator("#filter").focus();
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#filter").inputValue(), "service:orders-db");
  await filter(page, "no-such-thing");
  await page.locator(".empty", { hasText: "No pair fits" }).waitFor();
  await picture(page, "7-nothing");
  await page.getByRole("button", { name: "Show all" }).click();
  await counts(page, "600pairs");
  assert.equal(await page.locator("#filter").inputValue(), "");
  assert.deepEqual(wrong, []);
  await close();
  mkdirSync(join(folder, "none"), { recursive: true });
  const none = await open(await serve(join(folder, "none")));
  await none.page.locator(".empty", { hasText: "No pairs here yet" }).waitFor();
  assert.deepEqual(none.wrong, []);
  await none.close();
});

test("on a small screen everything is in reach", async () => {
  const { page, wrong, close } = await open(await serve(join(folder, "few")), "light", { width: 390, height: 844 });
  await page.locator("#space .row").first().waitFor();
  const inside = async (/** @type {string} */ selector) => {
    const box = await page.locator(selector).first().boundingBox();
    assert.ok(box && box.x >= 0 && box.x + box.width <= 390, `${selector} sticks out: ${JSON.stringify(box)}`);
  };
  for (const selector of ["#filter", "#help", "#theme", "#space .row .status", "#space .row .target"]) await inside(selector);
  await page.locator("#space .row").first().click();
  await page.locator("#detail .badge").waitFor();
  for (const selector of ["#detail .badge", "#detail button[aria-label=Close]", "#detail .body-box"]) await inside(selector);
  await picture(page, "8-phone");
  await page.getByRole("button", { name: "Close" }).click();
  await page.getByRole("tab", { name: "Charts" }).click();
  await page.locator("#charts .card").nth(3).waitFor();
  await inside("#charts .card");
  assert.deepEqual(wrong, []);
  await close();
});

test("the keys alone are enough", async () => {
  const { page, wrong, close } = await open(await serve(join(folder, "few")));
  const selected = () => page.locator("#space .row[aria-selected=true]").getAttribute("data-place");
  await page.keyboard.press("j");
  await page.locator("#space .row[aria-selected=true][data-place='0']").waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("k");
  await page.locator("#space .row[aria-selected=true][data-place='1']").waitFor();
  await page.keyboard.press("G");
  await page.locator("#space .row[aria-selected=true][data-place='599']").waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("n");
  await page.waitForFunction(() => !["0", null, undefined].includes(document.querySelector("#space .row[aria-selected=true]")?.getAttribute("data-place")));
  assert.match(await page.locator("#space .row[aria-selected=true]").getAttribute("class") ?? "", /class-2/);
  assert.notEqual(await selected(), null);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#detail").isVisible(), false);
  await page.keyboard.press("/");
  await page.keyboard.type("status:404");
  await page.waitForFunction(() => / of /.test(document.getElementById("count")?.textContent ?? ""));
  await page.keyboard.press("Escape");
  await page.keyboard.press("c");
  await page.locator("#charts .card").first().waitFor();
  await page.keyboard.press("t");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await page.keyboard.press("?");
  assert.equal(await page.locator("#keys").evaluate((dialog) => /** @type {HTMLDialogElement} */ (dialog).open), true);
  await picture(page, "3-keys");
  assert.deepEqual(wrong, []);
  await close();
});

test("captured text is shown and never run", async () => {
  const { page, wrong, close } = await open(await serve(join(folder, "few")));
  for (const [word, count] of [["/evil/", 1], ["evil.json", 1]]) {
    await filter(page, String(word));
    await counts(page, `${count}of600`);
    await page.locator("#space .row").first().click();
    await page.locator("#detail pre.body").first().waitFor();
    const text = await page.locator("#detail").textContent();
    assert.ok(text?.includes("window.ran = true"), "the script is not shown");
    for (const button of await page.locator("#detail .body-tabs button").all()) await button.click();
    await page.getByText("Whole document").click();
    await page.keyboard.press("c");
    await page.locator("#charts .card").first().waitFor();
    await page.keyboard.press("r");
  }
  assert.equal(await page.evaluate(() => "ran" in window), false);
  assert.equal(await page.locator("#main script, #main img, #main iframe").count(), 0);
  assert.deepEqual(wrong, [], "a blocked script would be reported here");
  // The page itself could not do it either: text never becomes a script here.
  const refused = await page.evaluate(() => {
    try {
      document.createElement("img").setAttribute("onerror", "window.ran = true");
      return "taken";
    } catch (error) {
      return String(error);
    }
  });
  assert.match(refused, /TrustedScript/);
  assert.equal(await page.evaluate(() => "ran" in window), false);
  await close();
});

test("the charts say what the recording is like", async () => {
  const { page, wrong, close } = await open(await serve(join(folder, "few")), "dark");
  await page.getByRole("tab", { name: "Charts" }).click();
  await page.locator("#charts .card").nth(3).waitFor();
  assert.deepEqual((await page.locator("#charts .card h2").allTextContents()).map((text) => text.split(/[:(]/)[0].trim()), ["Request rate by service", "Status", "Latency by service", "Top endpoints"]);
  assert.ok(await page.locator("#charts svg polygon").count() >= 5);
  const statuses = await page.locator("#charts .card").nth(1).locator(".name").allTextContents();
  assert.deepEqual([...statuses].sort(), ["200", "404", "500", "503", "OK"]);
  await picture(page, "4-charts-dark");
  await page.locator("#charts .card").nth(1).getByText("404", { exact: true }).click();
  assert.equal(await page.locator("#filter").inputValue(), "status:404");
  await page.getByRole("tab", { name: "Requests" }).click();
  await page.locator("#space .row").first().click();
  await page.locator("#detail .badge").waitFor();
  await picture(page, "5-requests-dark");
  assert.deepEqual(wrong, []);
  await close();
});

test("100,000 pairs scroll, filter and open without effort", async () => {
  const { page, wrong, close } = await open(await serve(join(folder, "many")));
  await counts(page, String(MANY));
  await picture(page, "6-many");
  assert.ok(await page.locator("#space .row").count() < 100, "only the rows in view exist");
  // Far down, the row that belongs there.
  await page.locator("#scroll").evaluate((scroll) => { scroll.scrollTop = 50_000 * 28; });
  await page.waitForFunction(() => document.querySelector("#space .row[data-place='50001'] .target")?.textContent);
  const row = await page.locator("#space .row[data-place='50001'] .time").textContent();
  assert.equal(row, "10:04:10.005");
  await page.keyboard.press("End");
  await page.locator(`#space .row[aria-selected=true][data-place='${MANY - 1}']`).waitFor();
  await page.locator("#detail .badge").waitFor();
  await filter(page, "status:500");
  await counts(page, `${MANY / 1000}of${MANY}`);
  await filter(page, "service:rocket /orders/12");
  await counts(page, `${MANY / 40}of${MANY}`);
  await page.keyboard.press("Escape");
  await page.keyboard.press("c");
  await page.locator("#charts .card").nth(3).waitFor();
  assert.deepEqual(wrong, []);
  await close();
});
