// How the launcher looks, and what the panel takes over from it.
//
// A page's own rules may reach the host element, so it starts from nothing and cannot be hidden by accident.

export const LAUNCHER_CSS = `
:host { all: initial !important; display: block !important; position: fixed !important; z-index: 2147483647 !important; color-scheme: light dark !important;
  --accent: #4338ca; --accent-2: #7c3aed; --on-accent: #fff; --ground: #fff; --raised: #f4f4f8; --line: #e3e3ec; --edge: #8a8a9c;
  --ink: #1b1b27; --ink-2: #5b5b6e; --alert: #b42318; --shadow: 0 8px 40px #16163a47;
  --paint: linear-gradient(135deg, var(--accent), var(--accent-2)); --corner: auto 20px;
  font: 15px/1.45 system-ui, sans-serif !important; }
/* Which side is the page's, and how it is written; what is read has the direction of its own language. */
:host(:dir(rtl)) { --corner: 20px auto; }
@media (prefers-color-scheme: dark) { :host { --accent: #5148d8; --accent-2: #7c4ef0; --ground: #17171f; --raised: #24242f;
  --line: #34343f; --edge: #717184; --ink: #f2f2f7; --ink-2: #a9a9bb; --alert: #ff8a80; --shadow: 0 8px 40px #000c; } }
:host::backdrop { display: none !important; }
@media print { :host { display: none !important; } }
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
button { font: inherit; color: inherit; cursor: pointer; }
button:hover { filter: brightness(1.1); }
:focus-visible { outline: 3px solid var(--accent-2); outline-offset: 2px; }
svg { inline-size: 24px; block-size: 24px; display: block; }
.launcher { position: fixed; inset-block-end: 20px; inset-inline: var(--corner); inline-size: 60px; block-size: 60px;
  padding: 0; border: 0; border-radius: 50%; display: grid; place-items: center; color: var(--on-accent);
  background: var(--paint); box-shadow: var(--shadow); }
.launcher svg { inline-size: 28px; block-size: 28px; }
.badge { position: absolute; inset-block-start: -4px; inset-inline-end: -4px; min-inline-size: 24px; block-size: 24px; padding-inline: 6px;
  border-radius: 12px; border: 2px solid var(--ground); background: #d92d20; color: #fff; font-size: 12px; font-weight: 700; line-height: 20px; }
.note { position: fixed; inset-block-end: 92px; inset-inline: var(--corner); margin: 0; max-inline-size: min(300px, calc(100% - 40px)); }
.note:not(:empty) { padding: 10px 14px; border-radius: 12px; border: 1px solid var(--line); background: var(--ground); color: var(--ink);
  box-shadow: var(--shadow); }
@media (max-width: 480px), (max-height: 480px) { .open .launcher { display: none; } }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; } }
@media (forced-colors: active) { .launcher, .badge { border: 2px solid ButtonText; } }
`;
