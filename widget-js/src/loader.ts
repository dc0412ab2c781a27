// The one tag of a page: `<script async src="…/widget/loader.js" data-site-key="site_…"></script>`.
//
// It changes with every release and is asked for again soon; what it imports has its hash in its name
// and is kept for good. `import()` is what a page with Trusted Types lets through.

import type { Global } from './main.ts';

declare const MAIN: string;
declare const CHATS: string;
declare global {
  interface Window {
    LiveHelp?: Global & { started?: boolean };
  }
}

const tag = document.currentScript;
const site_key = tag instanceof HTMLScriptElement ? tag.dataset['siteKey'] : undefined;
const live_help: Global & { started?: boolean } = (window.LiveHelp ??= (...call) => {
  (live_help.q ??= []).push(call);
});

if (tag instanceof HTMLScriptElement && site_key && !live_help.started) {
  live_help.started = true;
  const { origin } = new URL(tag.src);
  const boot = (): void => {
    import(origin + MAIN).then(
      ({ start }: typeof import('./main.ts')) => start(origin, site_key, live_help, CHATS),
      (error: unknown) => console.error('LiveHelp', error),
    );
  };
  if (document.body) boot();
  else addEventListener('DOMContentLoaded', boot);
}
