// Which controls a page has shown, and which of them were used: what was shown and never used is a
// button nobody tried.
//
// Lives here: watching, inside the page. Not here: using them (the tests).

/**
 * Watches every page of this context on this origin; where it has a shadow root, only what is
 * inside.
 */
export async function watchControls(context, origin) {
  const shown = new Set();
  const used = new Set();
  await context.exposeBinding(
    'livehelpControl',
    (_, kind, name) => void (kind === 'used' ? used : shown).add(name),
  );
  await context.addInitScript(watch, new URL(origin).origin);
  return {
    /** Controls that were shown and never used; a name's variable part is cut by `plain`. */
    untried(plain) {
      const tried = new Set([...used].map(plain));
      return [...new Set([...shown].map(plain))].filter((name) => !tried.has(name)).sort();
    },
  };
}

function watch(origin) {
  if (location.origin !== origin) return;
  const CONTROLS = 'button, a[href], input, select, textarea, [role=tab]';
  const told = new Set();
  const tell = (kind, name) => {
    if (told.has(kind + name)) return;
    told.add(kind + name);
    window.livehelpControl(kind, name);
  };
  const words = (element) => (element?.textContent ?? '').replace(/\s+/g, ' ').trim();
  const name = (control) => {
    const root = control.getRootNode();
    const labelled = control.getAttribute('aria-labelledby');
    const label =
      control.labels?.[0] ?? (labelled === null ? null : root.getElementById?.(labelled));
    const kind = control.localName === 'input' ? control.type : control.localName;
    const group = kind === 'radio' ? `${control.name}, ` : '';
    const called =
      control.getAttribute('aria-label') ||
      words(label) ||
      words(control) ||
      control.title ||
      control.placeholder;
    return `${kind}: ${group}${called}`;
  };
  const look = (root) => {
    const hosts = [...root.querySelectorAll('div')].filter((host) => host.shadowRoot);
    for (const host of hosts) follow(host.shadowRoot);
    // A page with a widget is the shop, whose own links are not ours to try.
    if (root === document && document.querySelector('script[data-site-key]')) return;
    for (const control of root.querySelectorAll(CONTROLS)) {
      const visible = control.checkVisibility({ opacityProperty: false, visibilityProperty: true });
      if (
        visible &&
        !control.disabled &&
        !control.hasAttribute('aria-hidden') &&
        control.tabIndex > -2
      )
        tell('shown', name(control));
    }
  };
  const followed = new WeakSet();
  const follow = (root) => {
    if (followed.has(root)) return;
    followed.add(root);
    let due = false;
    const soon = () => {
      if (due) return;
      due = true;
      setTimeout(() => ((due = false), look(root)), 30);
    };
    new MutationObserver(soon).observe(root, { subtree: true, childList: true, attributes: true });
    soon();
  };
  const use = (event) => {
    const control = event.composedPath().find((one) => one.matches?.(CONTROLS));
    if (control) tell('used', name(control));
  };
  for (const kind of ['click', 'input', 'change'])
    window.addEventListener(kind, use, { capture: true });
  document.addEventListener('DOMContentLoaded', () => follow(document));
}
