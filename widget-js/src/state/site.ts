// What the server publishes about a site: the answer to `GET /v1/widget/{site_key}`, read with
// care.

import type { SiteAvailability } from '../../../protocol/ts/src/wire/frames.ts';

export type Asked = 'hidden' | 'optional' | 'required';

export interface SiteConfig {
  site_key: string;
  name: string;
  /** The language of a page that names none. */
  locale_default: string | undefined;
  availability: SiteAvailability;
  texts: { readonly [name in 'title' | 'greeting' | 'offline']: string | undefined };
  form: { name: Asked; email: Asked };
  notice: { text: string; url: string; hash: string } | undefined;
}

type Fields = { readonly [name: string]: unknown };

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function asked(value: unknown): Asked {
  return value === 'optional' || value === 'required' ? value : 'hidden';
}

/** Takes what has the right type and leaves the rest at its default. */
export function readSite(value: unknown): SiteConfig {
  const site = fields(value);
  const texts = fields(site['texts']);
  const form = fields(site['form']);
  const notice = fields(site['notice']);
  const availability = site['availability'];
  const noticeText = text(notice['text']);
  return {
    site_key: text(site['site_key']) ?? '',
    name: text(site['name']) ?? '',
    locale_default: text(site['locale_default']),
    availability:
      availability === 'available' || availability === 'busy' ? availability : 'unavailable',
    texts: {
      title: text(texts['title']),
      greeting: text(texts['greeting']),
      offline: text(texts['offline']),
    },
    form: { name: asked(form['name']), email: asked(form['email']) },
    notice:
      noticeText === undefined
        ? undefined
        : { text: noticeText, url: text(notice['url']) ?? '', hash: text(notice['hash']) ?? '' },
  };
}

export type SiteAnswer =
  | { kind: 'site'; site: SiteConfig }
  /** There is no such site, it is closed, or it is not for this page: nothing is shown. */
  | { kind: 'refused' }
  /** No connection, or a server that is not well: worth another try. */
  | { kind: 'unreachable' };

/** The page may have put others in their place by the time that they are needed. */
const { fetch } = globalThis;
export const { now } = Date;

const told = new Set<string>();

/** Something for whoever keeps the page, since nobody else can see it: the same words once. */
export function tellKeeper(words: string): void {
  if (!told.has(words)) console.error(`LiveHelp: ${words}`);
  told.add(words);
}

/** The server cannot be had from here. */
export function unreachable(kind: string, address: string): void {
  const cause = "The page's connect-src or a blocker may refuse it.";
  tellKeeper(`no ${kind} connection to ${address}. ${cause}`);
}

/** The site is not for this page. */
export function notAllowed(): void {
  // So a browser calls the origin of a file and of a frame in a sandbox.
  tellKeeper(
    origin === 'null'
      ? 'this page has no origin, being a file or in a sandbox. No site can list it.'
      : `${origin} is no origin of this site. Add it in the console, under Websites.`,
  );
}

/** A network that drops what it does not let through gives no answer by itself. */
const ANSWER_MS_MAX = 10_000;

/** Asks for the site. Never throws. */
export async function fetchSite(server: string, siteKey: string): Promise<SiteAnswer> {
  let answer: Response | undefined;
  try {
    answer = await fetch(`${server}/v1/widget/${encodeURIComponent(siteKey)}`, {
      credentials: 'omit',
      // Browsers of before 2022 wait as long as the network does.
      signal: AbortSignal.timeout?.(ANSWER_MS_MAX),
    });
    // Its connection would be closed: there is nothing to show. Whoever keeps the page hears of it.
    const elsewhere = answer.headers.get('livehelp-page-origin');
    if (elsewhere) notAllowed();
    if (answer.ok && !elsewhere) return { kind: 'site', site: readSite(await answer.json()) };
    return { kind: /^5|408|429/.test(String(answer.status)) ? 'unreachable' : 'refused' };
  } catch {
    // What has answered, however badly, is not kept away; nor is it the page's doing that there is
    // no network.
    if (!answer && navigator.onLine) unreachable('HTTP', server);
    return { kind: 'unreachable' };
  }
}
