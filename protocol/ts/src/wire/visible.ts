// What a person can see of a text: whether there is anything, and a name without what is not there.
//
// The twin of `protocol/src/visible.rs`, held to it by `protocol/vectors/visible.json`. A browser
// has Unicode's tables.

/**
 * Signs whose picture is empty by what they are (Braille without a dot, a note without a head,
 * blanks of Egyptian writing).
 */
const SPACE = /[\p{White_Space}\u2800\u{1D159}\u{13441}\u{13442}]/u;
/** Format characters that are seen: signs written over the number that follows. */
const SEEN =
  /[\u0600-\u0605\u06DD\u070F\u0890\u0891\u08E2\u{110BD}\u{110CD}]|[^\p{White_Space}\p{DI}\p{Cc}\p{Cf}\p{Mn}\p{Me}\p{NChar}\u2800\uFFFC\u{16FE4}\u{1D159}\u{13441}\u{13442}]/u;

/**
 * Whether a person would see nothing: white space, controls, format characters, fillers, lone
 * marks.
 */
export function isBlank(text: string): boolean {
  return !SEEN.test(text);
}

/** A mark over, under or around the character before. */
const MARK = /(?!\p{DI}|\u{16FE4})[\p{Mn}\p{Me}]/u;
const JOINER = /[\u200C\u200D]/;
const FORMS =
  /(?!\p{sc=Latn}|\p{sc=Grek}|\p{sc=Cyrl}|\p{sc=Armn}|\p{sc=Geor}|\p{sc=Hebr}|\p{sc=Thai}|\p{sc=Laoo}|\p{sc=Hani}|\p{sc=Hira}|\p{sc=Kana}|\p{sc=Bopo}|\p{sc=Hang}|\p{sc=Zyyy}|\p{sc=Zinh})[\p{Lo}\p{Lm}\p{Mn}\p{Mc}\p{Lu}\p{Ll}]/u;
const EMOJI_BEFORE = /[\uFE0F\p{ExtPict}\p{EMod}]/u;
const EMOJI_AFTER = /\p{ExtPict}/u;
/** What says whose a black flag is: letters and digits of tags, and their end. */
const FLAG_TAGS = /^[\u{E0030}-\u{E0039}\u{E0061}-\u{E007A}]{1,6}\u{E007F}/u;

/**
 * A name as it is kept and shown: composed, one space between words and none around them, and
 * nothing in it that is not seen. A joiner, a style or a flag's tags stay where an emoji or a
 * script needs them.
 */
export function name(text: string): string {
  let kept = '';
  // Of the word that is being written; a new word begins with neither.
  let last = '';
  let joiner = '';
  const put = (sign: string): void => {
    if (joiner && joins(last, joiner, sign)) kept += joiner;
    joiner = '';
    kept += sign;
    last = sign;
  };
  const end = (): void => {
    if (joiner === '\u200D' && /\p{Mn}/u.test(last) && FORMS.test(last)) kept += joiner;
    joiner = '';
    last = '';
  };
  for (let at = 0; at < text.length; ) {
    const sign = String.fromCodePoint(text.codePointAt(at) ?? 0);
    at += sign.length;
    if (SPACE.test(sign)) end();
    else if (SEEN.test(sign)) {
      if (last === '' && kept !== '') kept += ' ';
      put(sign);
      const tags = sign === '\u{1F3F4}' ? (FLAG_TAGS.exec(text.slice(at))?.[0] ?? '') : '';
      kept += tags;
      at += tags.length;
    } else if (last === '') continue;
    else if (MARK.test(sign)) put(sign);
    else if (JOINER.test(sign)) joiner ||= sign;
    else if (!joiner && styles(last, sign, text.charAt(at))) put(sign);
  }
  end();
  return kept.normalize('NFC');
}

/**
 * Whether a joiner between these two is seen: it makes one emoji of two, or chooses the letters'
 * form.
 */
function joins(before: string, joiner: string, after: string): boolean {
  return (
    (joiner === '\u200D' && EMOJI_BEFORE.test(before) && EMOJI_AFTER.test(after)) ||
    FORMS.test(before)
  );
}

/** Whether this selector chooses another picture of the character before it. */
function styles(last: string, selector: string, next: string): boolean {
  // A digit is an emoji too, and looks like one as a key of a telephone only.
  if (/[\uFE0E\uFE0F]/.test(selector))
    return last < '\x80' ? next === '\u20E3' : /\p{Emoji}/u.test(last);
  if (/[\uFE00-\uFE0D\u{E0100}-\u{E01EF}]/u.test(selector)) return /\p{UIdeo}/u.test(last);
  return /[\u180B-\u180F]/.test(selector) && /\p{sc=Mong}/u.test(last);
}
