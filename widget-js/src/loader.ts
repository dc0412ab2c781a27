// The one tag of a page: `<script async src="…/widget/loader.js" data-site-key="site_…"></script>`.
//
// It changes with every release and is asked for again soon; what it imports has its hash in its
// name and is kept for good. `import()` is what a page with Trusted Types lets through.

import type { Global } from './main.ts';

/**
 * What a page may have listeners of its own for: shortcuts, a clipboard that is forbidden, focus
 * that is held in a dialog, scrolling that is made smooth, files that are dropped anywhere. Where
 * it happens in the widget, it is kept from them; the page hears only what forbids nothing, as that
 * the pointer moves over the widget, or that something in it was scrolled.
 */
const KEPT =
  'keydown keyup keypress beforeinput input' +
  ' compositionstart compositionupdate compositionend paste copy cut focus blur focusin focusout' +
  ' click dblclick auxclick contextmenu mousedown mouseup pointerdown pointerup' +
  ' touchstart touchmove touchend touchcancel wheel selectstart' +
  ' dragstart dragenter dragover dragleave dragend drop';

declare const MAIN: string;
declare const CHATS: string;
declare global {
  interface Window {
    LiveHelp?: Global & { started?: boolean };
  }
}

const tag = document.currentScript;
const siteKey = tag instanceof HTMLScriptElement ? tag.dataset['siteKey'] : undefined;
const liveHelp: Global & { started?: boolean } = (window.LiveHelp ??= (...call) => {
  (liveHelp.q ??= []).push(call);
});

if (tag instanceof HTMLScriptElement && siteKey && !liveHelp.started) {
  liveHelp.started = true;
  // At once, and in the window on the way down: then only a listener there that the page set still
  // earlier, by a script above this tag or faster than it, is before these. It hears everything,
  // and nothing can be done about it.
  for (const kind of KEPT.split(' ')) {
    // A page scrolls without waiting for these.
    addEventListener(kind, (event) => liveHelp.heard?.(event), {
      capture: true,
      passive: /^[tw]/.test(kind),
    });
  }
  const { origin } = new URL(tag.src);
  const boot = (): void => {
    import(origin + MAIN).then(
      ({ start }: typeof import('./main.ts')) => start(origin, siteKey, liveHelp, CHATS),
      (error: unknown) => console.error('LiveHelp', error),
    );
  };
  if (document.body) boot();
  else addEventListener('DOMContentLoaded', boot);
}
