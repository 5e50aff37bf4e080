// The page of `report` in a browser: at the width of a phone and of a desk, light, dark and on paper. Its figures are
// compared with counts that this script makes from the CSV itself.
//
//   node tests/browser/report.mjs [--program target/debug/slack-revoke] [--keep FOLDER]
//
// It needs Node 18 or newer and a Chromium (the variable CHROMIUM names another one), and no package. `cargo test` does
// not run it: for that a Rust toolchain is enough.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { Browser, findChromium } from "./chromium.mjs";
import { run, runRehearsal, runWithFaults } from "./runs.mjs";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const OURS = "line,status,error,detail,http_status,attempts,rate_limited,first_sent_at,finished_at,request_id".split(",");
const TROUBLE = ["failed", "unknown", "invalid"];
const MOST_SHOWN = 200;

function parseCsv(text) {
  const [rows, field] = [[[]], []];
  let isQuoted = false;
  const endField = () => rows.at(-1).push(field.splice(0).join(""));
  for (let at = 0; at < text.length; at++) {
    const c = text[at];
    if (isQuoted && c === '"' && text[at + 1] === '"') field.push(text[++at]);
    else if (c === '"') isQuoted = !isQuoted;
    else if (!isQuoted && c === ",") endField();
    else if (!isQuoted && c === "\n") endField(), rows.push([]);
    else field.push(c);
  }
  const [header, ...records] = rows.filter((row) => row.length > 1);
  assert.deepEqual(header.slice(-OURS.length), OURS);
  return records.map((record) => Object.fromEntries(header.map((name, at) => [name, record[at]])));
}

function countBy(records, key) {
  const counts = {};
  for (const record of records) counts[key(record)] = (counts[key(record)] ?? 0) + 1;
  return counts;
}

// What the page should say, from the CSV alone.
function expected(folder, results) {
  const bytes = readFileSync(join(folder, results));
  const records = parseCsv(bytes.toString());
  const isTeam = (record) => /^[TE][A-Z0-9]+$/.test((record.team_id ?? "").trim());
  const trouble = records.filter((record) => TROUBLE.includes(record.status));
  return {
    ended: records.length,
    statuses: countBy(records, (record) => record.status),
    workspaces: countBy(records, (record) => (isTeam(record) ? record.team_id.trim() : "")),
    errors: countBy(records.filter((record) => record.error), (record) => record.error),
    limited: records.reduce((sum, record) => sum + Number(record.rate_limited), 0),
    kept: records.flatMap((record) => (record.status === "protected" ? [Number(record.line)] : [])),
    trouble: trouble.length,
    lines: trouble.slice(0, MOST_SHOWN).map((record) => [Number(record.line), record.status]),
    sha256: createHash("sha256").update(bytes).digest("hex"),
  };
}

// What the page says. Runs in the browser.
function readPage() {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const number = (element, name) => Number(element.dataset[name]);
  const counts = (selector, name) => Object.fromEntries(all(selector).map((row) => [row.dataset[name], number(row, "count")]));
  const shown = (element) => Number(element.querySelector("b, td.number").textContent.replaceAll(",", ""));
  const differing = all("[data-figure], [data-status], [data-workspace], [data-error]").filter((row) => shown(row) !== number(row, "count"));
  return {
    figures: counts("[data-figure]", "figure"),
    ended: number(document.querySelector("[data-ended]"), "ended"),
    statuses: counts("[data-status]", "status"),
    workspaces: counts("[data-workspace]", "workspace"),
    errors: counts("[data-error]", "error"),
    others: all("[data-others]").length,
    trouble: number(document.querySelector("[data-trouble]"), "trouble"),
    lines: all("[data-line]").map((row) => [number(row, "line"), row.dataset.rowStatus]),
    kept: all("[data-kept-line]").map((row) => number(row, "keptLine")),
    remedies: all("#by-error td.remedy").map((cell) => cell.textContent.trim()),
    waits: all("[data-wait]").length,
    more: all("[data-more]").map((more) => number(more, "more")),
    bars: all("[data-rows]").reduce((sum, bar) => sum + number(bar, "rows"), 0),
    panels: all("[data-panel]").length,
    estimates: all("path.estimate").length,
    pauses: all("rect.strip.pause").length,
    hash: document.querySelector("[data-hash] .hash").textContent,
    check: document.querySelector("[data-hash]").dataset.check,
    active: all("script, iframe, object, embed, img, form, link[rel=stylesheet], [onclick], [onerror]").length,
    differing: differing.map((row) => row.textContent),
  };
}

function compare(page, want) {
  const zero = ([, rows]) => rows > 0;
  assert.deepEqual(Object.fromEntries(Object.entries(page.statuses).filter(zero)), want.statuses);
  assert.equal(page.ended, want.ended);
  assert.equal(page.bars, want.ended, "the bars hold every row");
  assert.deepEqual([page.workspaces, page.errors, page.others], [want.workspaces, want.errors, 0]);
  assert.deepEqual([page.trouble, page.figures.trouble, page.lines], [want.trouble, want.trouble, want.lines]);
  assert.deepEqual(page.more, want.trouble > MOST_SHOWN ? [want.trouble - MOST_SHOWN] : []);
  assert.deepEqual(page.kept, want.kept);
  assert.equal(page.remedies.length, Object.keys(want.errors).length);
  assert.ok(page.remedies.every(Boolean), "every error has a remedy");
  assert.equal(page.figures.revoked, want.statuses.revoked ?? 0);
  assert.equal(page.figures.rate_limited, want.limited);
  assert.equal(page.hash, want.sha256);
  assert.deepEqual([page.active, page.differing], [0, []]);
}

// Whatever is wrong with the look at this width. Runs in the browser.
function faultsOfLayout() {
  const faults = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push(`the page is ${root.scrollWidth} wide, the window ${root.clientWidth}`);
  const isSeen = (element) => element.checkVisibility?.() !== false && element.getClientRects().length > 0;
  const inScroller = (element) => element.closest(".scroller, .hidden, thead");
  for (const element of document.querySelectorAll("main *, footer *")) {
    const box = element.getBoundingClientRect();
    if (isSeen(element) && !inScroller(element) && (box.right > root.clientWidth + 1 || box.left < -1)) {
      faults.push(`${element.tagName}.${element.className?.baseVal ?? element.className} reaches from ${box.left} to ${box.right}`);
    }
  }
  for (const axis of document.querySelectorAll(".axis")) {
    const boxes = [...axis.children].filter(isSeen).map((label) => label.getBoundingClientRect());
    const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    boxes.forEach((a, at) => boxes.slice(at + 1).forEach((b) => meet(a, b) && faults.push(`labels of ${axis.className} overlap`)));
  }
  return faults;
}

// Text whose contrast is below WCAG 2 AA. Runs in the browser.
function faultsOfContrast() {
  const parse = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const faults = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest("svg") || element.getClientRects().length === 0) continue;
    const style = getComputedStyle(element);
    const [front, back] = [light(parse(style.color).slice(0, 3)), light(ground(element))];
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    const isLarge = parseFloat(style.fontSize) >= 24;
    if (ratio < (isLarge ? 3 : 4.5)) faults.add(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
  }
  return [...faults];
}

async function look(browser, shots, name, page, want) {
  const url = pathToFileURL(page).href;
  const tab = await browser.open();
  for (const width of [360, 800, 1400]) {
    for (const dark of [false, true]) {
      const place = `${name} at ${width} px, ${dark ? "dark" : "light"}`;
      await tab.load(url, { width, dark });
      compare(await tab.evaluate(readPage), want);
      assert.deepEqual(await tab.evaluate(faultsOfLayout), [], place);
      assert.deepEqual(await tab.evaluate(faultsOfContrast), [], place);
      const shot = join(shots, `${name}-${width}-${dark ? "dark" : "light"}.png`);
      writeFileSync(shot, await tab.screenshot());
    }
  }
  const withScripts = await tab.html();
  await tab.load(url, { width: 1280, scripts: false });
  assert.equal(await tab.html(), withScripts, "the page is the same without scripts");
  const pdf = await tab.pdf();
  assert.equal(pdf.subarray(0, 5).toString(), "%PDF-");
  writeFileSync(join(shots, `${name}.pdf`), pdf);
  copyFileSync(page, join(shots, `${name}.html`));
  const outside = tab.requests.filter((asked) => asked !== url && !asked.startsWith("data:"));
  assert.deepEqual([outside, tab.complaints], [[], []], "the page requests nothing and logs no error");
  assert.ok(tab.requests.includes(url), "requests are seen at all");
  await tab.close();
}

async function main() {
  const options = { program: { type: "string" }, keep: { type: "string" } };
  const { values } = parseArgs({ options });
  const binary = resolve(values.program ?? join(ROOT, "target/debug/slack-revoke"));
  const chromium = findChromium();
  if (!chromium) throw new Error("Chromium not found: install it, or set CHROMIUM to its path");
  if (!existsSync(binary)) throw new Error(`${binary} does not exist: run cargo build first, or give --program`);
  const folder = mkdtempSync(join(tmpdir(), "slack-revoke-report-"));
  const shots = resolve(values.keep ?? join(folder, "shots"));
  mkdirSync(shots, { recursive: true });
  const browser = new Browser(chromium);
  try {
    const faults = await runWithFaults(binary, folder);
    await run(binary, folder, ["report", faults, "--events", "events.ndjson"], 0);
    const want = expected(folder, faults);
    const page = join(folder, "sessions.results.report.html");
    await look(browser, shots, "faults", page, want);
    const tab = await browser.open();
    await tab.load(pathToFileURL(page).href, { width: 1280 });
    const { panels, estimates, pauses, waits, check, figures } = await tab.evaluate(readPage);
    assert.deepEqual([panels, estimates, check, figures.not_reached], [2, 2, "matches", 0]);
    assert.ok(pauses > 0 && waits >= pauses, "waits are drawn and listed");
    await tab.close();

    const rehearsal = await runRehearsal(binary, folder, ROOT);
    await run(binary, folder, ["report", rehearsal], 0);
    await look(browser, shots, "rehearsal", join(folder, "drill.rehearsal.report.html"), expected(folder, rehearsal));

    writeFileSync(join(folder, "alone.csv"), readFileSync(join(folder, faults)));
    await run(binary, folder, ["report", "alone.csv"], 0);
    await look(browser, shots, "alone", join(folder, "alone.report.html"), expected(folder, "alone.csv"));
    console.log(`all pages pass${values.keep ? `; screenshots are in ${shots}` : ""}`);
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
