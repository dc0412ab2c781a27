// What the server publishes about a site: the answer to `GET /v1/widget/{site_key}`, read with care.

import type { SiteAvailability } from '../wire/frames.ts';

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
export function read_site(value: unknown): SiteConfig {
  const site = fields(value);
  const texts = fields(site['texts']);
  const form = fields(site['form']);
  const notice = fields(site['notice']);
  const availability = site['availability'];
  const notice_text = text(notice['text']);
  return {
    site_key: text(site['site_key']) ?? '',
    name: text(site['name']) ?? '',
    locale_default: text(site['locale_default']),
    availability: availability === 'available' || availability === 'busy' ? availability : 'unavailable',
    texts: { title: text(texts['title']), greeting: text(texts['greeting']), offline: text(texts['offline']) },
    form: { name: asked(form['name']), email: asked(form['email']) },
    notice: notice_text === undefined
      ? undefined
      : { text: notice_text, url: text(notice['url']) ?? '', hash: text(notice['hash']) ?? '' },
  };
}

export type SiteAnswer =
  | { kind: 'site'; site: SiteConfig }
  /** There is no such site, it is closed, or it is not for this page: nothing is shown. */
  | { kind: 'refused' }
  /** No line, or a server that is not well: worth another try. */
  | { kind: 'unreachable' };

/** The page may have put others in their place by the time that they are needed. */
const { fetch } = globalThis;
export const { now } = Date;

/** To whoever keeps the page, since nobody else can see it: the server cannot be had from here. */
export function unreachable(kind: string, address: string): void {
  console.error(`LiveHelp: no ${kind} connection to ${address}. The page's connect-src or a blocker may refuse it.`);
}

let told = false;

/** And this, once: the site is not for this page. */
export function not_allowed(): void {
  if (told) return;
  told = true;
  // So a browser calls the origin of a file and of a frame in a sandbox.
  console.error(`LiveHelp: ${origin === 'null'
    ? 'this page has no origin, being a file or in a sandbox. No site can list it.'
    : `${origin} is no origin of this site. Add it in the console, under Websites.`}`);
}

/** Asks for the site. Never throws. */
export async function fetch_site(server: string, site_key: string): Promise<SiteAnswer> {
  try {
    const answer = await fetch(`${server}/v1/widget/${encodeURIComponent(site_key)}`, { credentials: 'omit' });
    // Its line would be closed: there is nothing to show. Whoever keeps the page hears of it.
    const elsewhere = answer.status === 403 || answer.headers.get('livehelp-page-origin');
    if (elsewhere) not_allowed();
    if (answer.ok && !elsewhere) return { kind: 'site', site: read_site(await answer.json()) };
    return { kind: answer.status >= 500 || answer.status === 429 ? 'unreachable' : 'refused' };
  } catch {
    return { kind: 'unreachable' };
  }
}
