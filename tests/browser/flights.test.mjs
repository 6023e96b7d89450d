// The live board of the flights example: it shows delayed flights and follows the database without a reload.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";

import { ARTIFACTS, post, start } from "./app.mjs";
import { launch, open } from "./chromium.mjs";

/** What the page promises: one element with the flight's id for each flight on the board. */
const ROW = "[data-flight-id]";

let app;
let browser;

before(async () => {
  await mkdir(ARTIFACTS, { recursive: true });
  [app, browser] = await Promise.all([start("flights"), launch()]);
});

after(async () => {
  await browser?.close();
  await app?.stop();
});

test("the board shows delayed flights", async () => {
  const { page, problems } = await open(browser, app.url);
  await page.waitForSelector(ROW);
  const rows = await page.locator(ROW).allInnerTexts();
  await page.screenshot({ path: path.join(ARTIFACTS, "board.png") });
  assert.ok(rows.length > 1, `the board has ${rows.length} rows`);
  for (const row of rows) assert.match(row, /\d/, "a row without a delay");
  assert.deepEqual(problems, []);
  await page.close();
});

test("a mutation changes the board without a reload", async () => {
  const { page, problems } = await open(browser, app.url);
  await page.waitForSelector(ROW);
  await page.evaluate(() => (globalThis.sameDocument = true));
  const id = await page.locator(ROW).last().getAttribute("data-flight-id");
  const delay = 7654;
  await post(app, "mutation", "record_delay", { id, delay });
  const changed = page.locator(`[data-flight-id="${id}"]`).filter({ hasText: /7[,.  ]?654/ });
  await changed.waitFor({ timeout: 5_000 });
  await page.screenshot({ path: path.join(ARTIFACTS, "board-changed.png") });
  assert.equal(await page.evaluate(() => globalThis.sameDocument), true, "the page was loaded again");
  const first = await page.locator(ROW).first().getAttribute("data-flight-id");
  assert.equal(first, id, "the worst delay comes first");
  assert.deepEqual(problems, []);
  await page.close();
});

test("the board survives a failing mutation", async () => {
  const { page } = await open(browser, app.url);
  await page.waitForSelector(ROW);
  await assert.rejects(post(app, "mutation", "record_delay", { id: "no such id", delay: 1 }), /4\d\d/);
  assert.ok((await page.locator(ROW).count()) > 1);
  await page.close();
});
