// How the panel looks.
//
// Its size is by percentages of the window: units of the viewport grow with a page's zoom. Where the room is short, first the
// messages give way, then the fields and the notice scroll, and at last the whole panel: the composer is always reached.

export const PANEL_CSS = `
.panel { position: fixed; inset-block-end: 92px; inset-inline: var(--corner); inline-size: min(384px, calc(100% - 40px));
  block-size: min(640px, calc(100% - 116px)); display: flex; flex-direction: column; overflow: hidden auto; border-radius: 20px;
  background: var(--ground); color: var(--ink); box-shadow: var(--shadow); border: 1px solid var(--line); }
.head { display: flex; align-items: center; gap: 12px; padding: 16px; color: var(--on-accent);
  background: var(--paint); }
.face { flex: none; inline-size: 42px; block-size: 42px; border-radius: 50%; display: grid; place-items: center; font-weight: 700;
  background: #ffffff2e; font-size: 16px; }
.names { flex: 1; min-inline-size: 0; }
.title { margin: 0; font-size: 16px; font-weight: 700; line-height: 1.25; overflow-wrap: anywhere; }
.under { margin: 0; font-size: 13px; line-height: 1.3; }
.dot { display: inline-block; inline-size: 8px; block-size: 8px; border-radius: 50%; margin-inline-end: 6px; background: #d5d5e6; }
.dot.available { background: #6ee7a8; } .dot.busy { background: #fcd34d; }
.head button { flex: none; inline-size: 36px; block-size: 36px; padding: 6px; border: 0; border-radius: 10px; background: transparent; }
.head :focus-visible { outline-color: #fff; }
.banner { padding: 10px 16px; font-size: 13.5px; background: var(--raised); border-block-end: 1px solid var(--line); display: flex; gap: 10px;
  align-items: center; flex-wrap: wrap; }
.banner.quiet { padding: 0; border: 0; }
.banner p { margin: 0; flex: 1; min-inline-size: 60%; }
.small { border: 1px solid var(--edge); background: var(--ground); color: var(--ink); border-radius: 8px; padding: 5px 12px; font-size: 13px; font-weight: 600;
  min-block-size: 30px; }
.log { flex: 1 0 0; min-block-size: 48px; overflow-y: auto; overscroll-behavior: contain; padding: 16px; display: flex; flex-direction: column; gap: 4px; }
.newer { position: relative; block-size: 0; }
.newer button { position: absolute; inset-block-end: 8px; inset-inline: 0; margin-inline: auto; inline-size: fit-content; box-shadow: var(--shadow); }
.greeting, .bubble { padding: 9px 13px; border-radius: 16px; border-end-start-radius: 4px; background: var(--raised); white-space: pre-wrap; overflow-wrap: anywhere; }
.greeting { align-self: flex-start; max-inline-size: 86%; }
.row { display: flex; flex-direction: column; align-items: flex-start; max-inline-size: 86%; }
.row.mine { align-self: flex-end; align-items: flex-end; }
.row.first { margin-block-start: 10px; }
.who { font-size: 12px; font-weight: 600; color: var(--ink-2); margin-block-end: 2px; padding-inline: 4px; }
.mine .bubble { background: var(--paint); color: var(--on-accent); border-end-start-radius: 16px; border-end-end-radius: 4px; }
a { color: inherit; }
.meta { display: flex; align-items: center; gap: 4px; font-size: 11.5px; color: var(--ink-2); padding-inline: 4px; margin-block-start: 2px; }
.meta:empty { display: none; }
.meta time { white-space: nowrap; }
.meta svg { inline-size: 15px; block-size: 15px; }
.meta .is-seen { color: var(--accent-2); }
.failed .bubble { background: var(--raised); color: var(--ink); border: 1.5px dashed var(--alert); }
.failed .meta { color: var(--alert); flex-wrap: wrap; justify-content: flex-end; }
.event { align-self: center; text-align: center; font-size: 12.5px; color: var(--ink-2); padding: 8px 12px; max-inline-size: 92%; }
.typing { min-block-size: 22px; padding-inline: 20px; font-size: 12.5px; color: var(--ink-2); display: flex; align-items: center; gap: 8px; }
.dots { display: inline-flex; gap: 3px; }
.dots i { inline-size: 6px; block-size: 6px; border-radius: 50%; background: currentColor; animation: blink 1.2s infinite; }
.dots i:nth-child(2) { animation-delay: .2s; } .dots i:nth-child(3) { animation-delay: .4s; }
@keyframes blink { 50% { opacity: .25; } }
.foot { padding: 8px 12px 12px; display: flex; flex-direction: column; gap: 10px; min-block-size: 0; }
.fields, .notice { overflow-y: auto; min-block-size: 34px; }
.fields { display: grid; gap: 10px; grid-template-columns: repeat(auto-fit, minmax(min(200px, 100%), 1fr)); min-block-size: 68px; }
.fields label { display: grid; gap: 4px; font-size: 13px; font-weight: 600; }
.fields small { font-weight: 400; color: var(--ink-2); }
input, textarea { font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--edge); border-radius: 12px; padding: 9px 12px; inline-size: 100%; }
input:focus, .write:focus-within { outline: 2px solid var(--accent-2); outline-offset: -2px; }
.write { display: flex; align-items: flex-end; gap: 6px; border: 1px solid var(--edge); border-radius: 16px; padding: 5px; background: var(--ground); }
.write textarea { border: 0; outline: 0; background: none; resize: none; display: block; max-block-size: 132px; padding: 9px 8px; line-height: 22px; }
::placeholder { color: var(--ink-2); opacity: 1; }
.go { flex: none; inline-size: 40px; block-size: 40px; padding: 8px; border: 0; border-radius: 12px; color: var(--on-accent);
  background: var(--paint); }
.go:disabled { opacity: .5; }
.notice { margin: 0; font-size: 12px; color: var(--ink-2); overflow-wrap: anywhere; }
.hidden { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
/* Below 16 px a phone zooms into the field. */
@media (pointer: coarse), (max-width: 480px) { input, textarea { font-size: 16px; } }
@media (max-width: 480px), (max-height: 480px) { .panel { inset: 0; inline-size: auto; block-size: auto; border-radius: 0; border: 0; } }
@media (max-height: 480px) { .head { padding: 4px 12px; } .face { display: none; } .typing { min-block-size: 0; } }
@media (forced-colors: active) { .bubble, .go, .face, .dot { border: 1px solid CanvasText; } }
`;
