// How the console keeps up: 5,000 conversations, 100 updates a second, on each tab. Prints, and
// judges nothing: times are the machine's.

import { chromium } from 'playwright-core';
import type { ConversationCard } from '../../protocol/ts/src/wire/frames.ts';
import { card, COLLEAGUE, FakeServer, ME, said } from './fake_server.ts';

const CONVERSATIONS = 5_000;
const UPDATES_PER_SECOND = 100;
const SECONDS = 8;

const stateOf = (at: number): Partial<ConversationCard> =>
  at < 40
    ? { assignee: ME.agent }
    : at < 2_000
      ? { state: 'queued', waiting_since: Date.now() - at * 100 }
      : { assignee: COLLEAGUE.agent };
const server = new FakeServer();
const cards = Array.from({ length: CONVERSATIONS }, (_, at) => {
  const { assignee: _assignee, ...rest } = card(at + 1);
  return { ...rest, ...stateOf(at) };
});
server.cards = cards;
server.history.set(
  card(1).conversation,
  Array.from({ length: 60 }, (_, at) => said(at + 1, `line ${at}`)),
);

const path = process.env['LIVEHELP_BROWSER'] ?? '/usr/bin/chromium-headless-shell';
const browser = await chromium.launch({ executablePath: path, args: ['--no-sandbox'] });
const base = await server.start();
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
await server.attach(page);
await page.addInitScript(() => {
  const seen = { frames: [] as number[], tasks: [] as number[] };
  (window as unknown as { seen: typeof seen }).seen = seen;
  let last = performance.now();
  const frame = (now: number): void => {
    seen.frames.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  new PerformanceObserver((list) =>
    seen.tasks.push(...list.getEntries().map((entry) => entry.duration)),
  ).observe({ entryTypes: ['longtask'] });
});
await page.goto(`${base}/#/conversations/${card(1).conversation}`);
await page.getByText('line 59').first().waitFor();

for (const tab of ['Mine', 'Waiting', 'All']) {
  await page.getByRole('tab', { name: tab }).click();
  await page.evaluate(() => {
    const { seen } = window as unknown as { seen: { frames: number[]; tasks: number[] } };
    seen.frames.length = seen.tasks.length = 0;
  });
  const begun = Date.now();
  let sent = 0;
  while (Date.now() - begun < SECONDS * 1_000) {
    for (
      const due = Math.floor(((Date.now() - begun) / 1_000) * UPDATES_PER_SECOND);
      sent < due;
      sent += 1
    ) {
      const at = (sent * 7_919) % CONVERSATIONS;
      const known = cards[at];
      if (known === undefined) continue;
      const next = {
        ...known,
        version: known.version + 1,
        last_message_at: Date.now(),
        preview: `update ${sent}`,
      };
      cards[at] = next;
      server.push({ kind: 'conversation', card: next });
    }
    await new Promise((done) => setTimeout(done, 5));
  }
  const seen = await page.evaluate(
    () => (window as unknown as { seen: { frames: number[]; tasks: number[] } }).seen,
  );
  const sorted = [...seen.frames].sort((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1);
  const key = Date.now();
  await page.locator('#composer').press('x');
  await page.waitForFunction(() =>
    (document.querySelector('#composer') as HTMLTextAreaElement).value.endsWith('x'),
  );
  console.log(
    `${tab}: ${sent} updates, ${sorted.length} frames, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(0.99999)} ms, ` +
      `over 50 ms: ${sorted.filter((ms) => ms > 50).length}, long tasks: ${seen.tasks.length} (longest ${Math.max(0, ...seen.tasks)} ms), a key in ${Date.now() - key} ms`,
  );
}
await browser.close();
server.stop();
