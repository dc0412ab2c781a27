// Elements without markup: text is only ever text, so there is nothing to escape and nothing for
// Trusted Types to refuse.

type Attributes = { readonly [name: string]: string | boolean | undefined };

/** Makes an element; an attribute that is `false` or absent is left out. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  set(element, attributes);
  put(element, ...children);
  return element;
}

/**
 * Puts children at the end of an element. By the oldest of means: what is younger, pages have in
 * versions of their own.
 */
export function put(parent: Element, ...children: (Node | string)[]): void {
  for (const child of children)
    parent.appendChild(typeof child === 'string' ? document.createTextNode(child) : child);
}

/** Puts children in place of what an element had. */
export function fill(parent: Element, ...children: (Node | string)[]): void {
  parent.textContent = '';
  put(parent, ...children);
}

/** Sets attributes, and takes away those that are `false` or absent. */
export function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? '' : value);
  }
}

/** A button that says what it does, on its face or, with a drawing there, by its name. */
export function button(words: string, pressed: () => void, drawing?: Element): HTMLButtonElement {
  const attributes = drawing ? { 'aria-label': words, title: words } : { class: 'small' };
  const made = el('button', { type: 'button', ...attributes }, drawing ?? words);
  made.onclick = pressed;
  return made;
}

/** A name to stand in a sentence: whatever direction it has, the sentence keeps its own. */
export function isolated(name: string): string {
  return `\u2068${name.replace(/\p{Bidi_C}/gu, '')}\u2069`;
}

/**
 * Shows a text where it differs from what stands there, so that screen readers hear it once. Names
 * in it stand apart by an element in place of the signs for it.
 */
export function say(element: Element, text: string): void {
  const parts = text.split(/[\u2068\u2069]/);
  if (element.textContent === parts.join('')) return;
  fill(element, ...parts.map((part, index) => (index % 2 ? el('bdi', {}, part) : part)));
}

const SVG = 'http://www.w3.org/2000/svg';

/** A line drawing of 24 by 24 that takes the text's colour. */
export function icon(path: string): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  set(svg, {
    viewBox: '0 0 24 24',
    fill: 'none',
    stroke: 'currentColor',
    'stroke-width': '2',
    'stroke-linecap': 'round',
    'stroke-linejoin': 'round',
    'aria-hidden': 'true',
  });
  const line = document.createElementNS(SVG, 'path');
  line.setAttribute('d', path);
  svg.appendChild(line);
  return svg;
}

/** Gives a shadow root its style without a style element, which a strict page refuses. */
export function style(root: ShadowRoot, css: string): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
}
