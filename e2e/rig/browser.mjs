// One browser without a window for all tests of a file; a context for each person.
//
// Lives here: starting it, screenshots. Not here: what people do in it (people.mjs).

import { accessSync, constants, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const NAMES = ['chromium-headless-shell', 'chromium', 'google-chrome'];
const SCREENSHOTS = fileURLToPath(new URL('../screenshots/', import.meta.url));
/** How long a person waits for something to appear before the test says that it did not. */
export const PATIENCE_MS = 10_000;

function executable() {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of NAMES) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // Not in this folder.
      }
    }
  }
  throw new Error(
    `none of ${NAMES.join(', ')} is installed: apt-get install chromium-headless-shell`,
  );
}

/**
 * A connection that is down is no fault of the page; a handshake that the server answered with
 * something else is one of the server.
 */
const CONNECTION_IS_DOWN = [
  /^WebSocket connection to 'ws:[^']+\/v1\/socket' failed: (?!.*Unexpected response code)/,
  /^Failed to load resource: net::ERR_(CONNECTION_|INTERNET_|NETWORK_|EMPTY_RESPONSE)/,
];
/** A conversation that nobody ever had. */
export const NOWHERE = `cnv_${'0'.repeat(12)}7${'0'.repeat(3)}8${'0'.repeat(15)}`;
/**
 * Where no is an answer: whether there is a session, whether a password is right, whether an
 * invitation holds.
 */
const ASKED_IN_VAIN = [
  { status: 401, path: /^\/v1\/sessions(\/current)?$/ },
  { status: 404, path: /^\/v1\/invitations\/lookup$/ },
  { status: 404, path: new RegExp(`^/v1/conversations/${NOWHERE}$`) },
];
const ANSWERED = /^Failed to load resource: the server responded with a status of (\d{3}) /;

function pathOf(url) {
  try {
    return new URL(url).pathname;
  } catch {
    return '';
  }
}

/**
 * Whether what a page's console tells belongs to what people did; whatever else it tells is a
 * fault.
 */
export function isExpected(line) {
  if (CONNECTION_IS_DOWN.some((words) => words.test(line.text()))) return true;
  const status = Number(ANSWERED.exec(line.text())?.[1]);
  const { url } = line.location();
  return ASKED_IN_VAIN.some((one) => one.status === status && one.path.test(pathOf(url)));
}

export async function startBrowser() {
  // A container's root may not make a sandbox of its own; the pages are all ours.
  return chromium.launch({ executablePath: executable(), args: ['--no-sandbox'] });
}

/**
 * A person's own browser profile. Whatever its pages throw is collected, for a test to find it
 * empty.
 */
export async function newPerson(browser, viewport = { width: 1200, height: 800 }) {
  const context = await browser.newContext({ viewport, locale: 'en-GB', reducedMotion: 'reduce' });
  context.setDefaultTimeout(PATIENCE_MS);
  const faults = [];
  context.on('weberror', (error) => faults.push(String(error.error())));
  // What a page's policy refuses is told on its console.
  context.on('console', (line) => {
    if (line.type() === 'error' && !isExpected(line))
      faults.push(`${line.text()} ${line.location().url}`);
  });
  return { context, faults };
}

/** Keeps what a page looks like now, under a name that says what is to be seen. */
export async function picture(page, name) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}
