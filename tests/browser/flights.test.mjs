// The live board of the flights example: it shows delayed flights and follows the database without a reload.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";

import { ARTIFACTS, post, start } from "./app.mjs";
import { launch, open } from "./chromium.mjs";

/** One row for each flight on the board. */
const ROW = "[data-flight-id]";

let app;
let browser;

before(async () => {
  await mkdir(ARTIFACTS, { recursive: true });
  app = await start("flights");
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await app?.stop();
});

/** Runs `body` on the loaded board, and fails when the page had a problem that the test did not expect. */
async function onBoard(body) {
  const { page, problems } = await open(browser, app.url);
  try {
    await page.waitForSelector(ROW);
    await page.waitForSelector('#connection[data-state="live"]');
    await page.evaluate(() => (globalThis.sameDocument = true));
    await body(page, problems);
    assert.equal(await page.evaluate(() => globalThis.sameDocument), true, "the page was loaded again");
    assert.deepEqual(problems, []);
  } finally {
    await page.close();
  }
}

function screenshot(page, name) {
  return page.screenshot({ path: path.join(ARTIFACTS, `${name}.png`) });
}

function ids(page) {
  return page.locator(ROW).evaluateAll((rows) => rows.map((row) => row.dataset.flightId));
}

async function delays(page) {
  const texts = await page.locator(`${ROW} .late`).allInnerTexts();
  return texts.map((text) => Number.parseInt(text.replaceAll(",", ""), 10));
}

function shows(page, id, delay) {
  const text = `${new Intl.NumberFormat("en-US").format(delay)} min`;
  return page.locator(`[data-flight-id="${id}"]`).filter({ hasText: text }).waitFor({ timeout: 20_000 });
}

test("the board shows delayed flights, worst first", () =>
  onBoard(async (page) => {
    const found = await delays(page);
    await screenshot(page, "board");
    assert.ok(found.length > 1, `the board has ${found.length} rows`);
    assert.ok(found.every((delay) => delay > 60), "a flight that is on time");
    assert.deepEqual(found, found.toSorted((a, b) => b - a));
    await page.locator("#busiest li").nth(11).waitFor();
  }));

test("a mutation from elsewhere changes the board without a reload", () =>
  onBoard(async (page) => {
    const id = (await ids(page)).at(-1);
    await post(app, "mutation", "record_delay", { id, delay: 7_654 });
    await shows(page, id, 7_654);
    await screenshot(page, "board-changed");
    assert.equal((await ids(page))[0], id, "the worst delay comes first");
  }));

test("a delay recorded on one page shows on another", () =>
  onBoard(async (page) => {
    const other = await open(browser, app.url);
    await other.page.waitForSelector(ROW);
    const id = (await ids(page))[1];
    await page.locator(`[data-flight-id="${id}"] button`).click();
    await page.locator("#editor-delay").fill("8765");
    await screenshot(page, "editor");
    await page.locator("#editor-save").click();
    await Promise.all([shows(page, id, 8_765), shows(other.page, id, 8_765)]);
    assert.equal(await page.locator("#editor").isVisible(), false, "the editor stays open");
    assert.deepEqual(other.problems, []);
    await other.page.close();
  }));

test("a flight that is on time again leaves the board", () =>
  onBoard(async (page) => {
    const id = (await ids(page))[0];
    await post(app, "mutation", "record_delay", { id, delay: 0 });
    await page.locator(`[data-flight-id="${id}"]`).waitFor({ state: "detached", timeout: 20_000 });
  }));

test("the board follows the chosen state and minutes", () =>
  onBoard(async (page) => {
    await page.locator("#state").selectOption("CA");
    await page.locator("#minutes").fill("150");
    await page.locator("#summary", { hasText: "out of CA, more than 150 minutes" }).waitFor();
    await page.waitForFunction(() => {
      const late = [...document.querySelectorAll("[data-flight-id] .late")].map((cell) => Number.parseInt(cell.innerText, 10));
      return late.length > 0 && late.every((delay) => delay > 150);
    });
  }));

test("a refused mutation says why and leaves the board alone", () =>
  onBoard(async (page) => {
    const before = await ids(page);
    await assert.rejects(post(app, "mutation", "record_delay", { id: before[0], delay: 99_999 }), /422 .*delay/);
    assert.deepEqual(await ids(page), before);
  }));
