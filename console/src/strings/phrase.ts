// Sentences with names in them. A name is somebody else's text, and may run the other way: the view
// sets each apart.

/** Words, or words and the names among them. */
export type Phrase = string | readonly PhrasePart[];
export type PhrasePart = string | { readonly name: string };

/** Stands around a name's place while a sentence is made; no text has it. */
const MARK = '\u0000';

/** The sentence with these names, which stay told apart from its words. */
export function named(
  sentence: (...names: string[]) => string,
  ...names: readonly string[]
): Phrase {
  return sentence(...names.map((_, at) => `${MARK}${at}${MARK}`))
    .split(MARK)
    .map((part, at): PhrasePart => (at % 2 === 0 ? part : { name: names[Number(part)] ?? '' }))
    .filter((part) => part !== '');
}

/** Where nothing but text can stand: an attribute, a comparison. */
export function plain(phrase: Phrase): string {
  return typeof phrase === 'string'
    ? phrase
    : phrase.map((part) => (typeof part === 'string' ? part : part.name)).join('');
}
