// Where the links in a text are, by the rules of GFM's autolinks and some that guard the reader.
//
// Lives here: the one way from a text to its links, for the visitor's chat and the console. Not
// here: e-mail addresses, and hosts without a dot. Tested on `protocol/ts/test/links.json`.

/**
 * A stretch of the text, and where it leads if it is a link. The stretches together are the text.
 */
export interface Piece {
  readonly text: string;
  readonly href?: string;
}

/**
 * What every link out of a message carries; the direction keeps an address from being shown out of
 * order.
 */
export const LINK_ATTRIBUTES = {
  target: '_blank',
  rel: 'noopener noreferrer nofollow ugc',
  dir: 'ltr',
} as const;

/**
 * A scheme or `www.`, a host with a dot, and the rest up to a blank, an angle bracket, a quotation
 * mark, anything that is not seen (controls, formats, unassigned), or, beyond ASCII, a bracket, a
 * sign that ends sentences where no blank follows, or a sign of two units: `trimmed` sees one at
 * a time.
 */
const LINK =
  /(?<![a-z\d])(https?:\/\/|(?<![@./-])(?=www\.))((?:[\p{L}\p{M}\p{N}_-]+\.)+[\p{L}\p{M}\p{N}_-]*[\p{L}\p{M}\p{N}])((?:(?![<>"`\s\p{Z}\p{C}\p{DI}\u2800]|(?![ -~])[\p{Ps}\p{Pe}\p{Pi}\p{Pf}、。！，．：；？｡､]|(?![\0-\uffff])\p{P}).)*)/giu;

/** Between the host and the rest stands at most a port. */
const REST = /^(?::\d+)?(?:[/?#]|$)/;
/** A host before an `@` is a name in front of another host. */
const USER = /^[^/?#]*@/;
/** What cannot be seen, or an underscore in one of the last two labels. */
const NO_HOST = /\p{DI}|_[^.]*(?:\.[^.]*)?$/u;
/** The sentence's own signs: inside of a link they may be its own. */
const TAIL = /[?!.,:*_~']|(?![ -~])\p{P}/u;

export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  LINK.lastIndex = 0;
  for (let match = LINK.exec(text); match; match = LINK.exec(text)) {
    const [whole, scheme = '', host = '', rest = ''] = match;
    if (USER.test(rest) || NO_HOST.test(host)) continue;
    const read = scheme + host;
    const all = trimmed(whole);
    const link = REST.test(all.slice(read.length)) ? all : read;
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push({ text: link, href: (scheme ? '' : 'http://') + link });
    from = LINK.lastIndex = match.index + link.length;
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found;
}

/** Without what belongs to the sentence around it: signs, an entity, brackets that were not opened in the link. */
function trimmed(link: string): string {
  const excess = new Map(
    ['()', '[]', '{}'].map(([open = '', close = '']) => [
      close,
      link.split(close).length - link.split(open).length,
    ]),
  );
  for (let end = link.length; ; end--) {
    const last = link.charAt(end - 1);
    const unopened = excess.get(last) ?? 0;
    if (unopened > 0) excess.set(last, unopened - 1);
    else if (last === ';') {
      const entity = link.lastIndexOf('&', end - 1);
      if (entity >= 0 && /^&[a-z\d]+;$/i.test(link.slice(entity, end))) end = entity + 1;
    } else if (!TAIL.test(last)) return link.slice(0, end);
  }
}
