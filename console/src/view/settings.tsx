// The shape of a page of settings: a heading with one action, lists of cards, panels, and the end
// of a form. Not here: what is set (state/settings.ts), the pages themselves.

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { t } from '../strings/en.ts';
import { Empty, Icon, type Loaded, LoadedView, once } from './parts.tsx';

interface PageProps {
  readonly title: string;
  readonly lead: string;
  /** What stands beside the heading. */
  readonly action?: ComponentChildren;
  /** Whoever may make something new here has a button for it, and the dialog that it opens. */
  readonly create?:
    | { readonly words: string; readonly dialog: (onClose: () => void) => ComponentChildren }
    | undefined;
  readonly children: ComponentChildren;
}

export function SettingsPage({ title, lead, action, create, children }: PageProps) {
  const [creating, setCreating] = useState(false);
  return (
    <main class="settings" id="content" tabIndex={-1}>
      <div class="settings-inner">
        <header class="settings-head">
          <div>
            <h1>
              <bdi>{title}</bdi>
            </h1>
            <p class="muted">{lead}</p>
          </div>
          {action}
          {create === undefined ? null : (
            <button type="button" class="button primary" onClick={once(() => setCreating(true))}>
              <Icon name="plus" size={16} /> {create.words}
            </button>
          )}
        </header>
        {children}
        {creating ? create?.dialog(() => setCreating(false)) : null}
      </div>
    </main>
  );
}

interface CardsProps<T> {
  readonly loaded: Loaded<readonly T[]>;
  readonly again: () => void;
  /** What is said where there are none. */
  readonly none: string;
  readonly id: (item: T) => string;
  /** The whole card leads somewhere. */
  readonly linked?: boolean;
  readonly children: (item: T) => ComponentChildren;
}

/** All there is of one kind. */
export function Cards<T>({ loaded, again, none, id, linked, children }: CardsProps<T>) {
  return (
    <LoadedView loaded={loaded} again={again}>
      {(all) =>
        all.length === 0 ? (
          <Empty title={none} />
        ) : (
          <ul class="cards">
            {all.map((item) => (
              <li key={id(item)} class={linked === true ? undefined : 'card-row'}>
                {children(item)}
              </li>
            ))}
          </ul>
        )
      }
    </LoadedView>
  );
}

/** A part of a page. */
export function Panel({
  title,
  hint,
  children,
}: {
  title: string;
  hint?: string;
  children: ComponentChildren;
}) {
  return (
    <section class="panel">
      <header>
        <h2>{title}</h2>
        {hint === undefined ? null : <p class="hint">{hint}</p>}
      </header>
      <div class="panel-body">{children}</div>
    </section>
  );
}

interface FormEndProps {
  /** What the button says. */
  readonly words: string;
  readonly busy: boolean;
  readonly wrong: string | null;
  /** Of a form in a dialog. */
  readonly onClose?: () => void;
  readonly children?: ComponentChildren;
}

/** What is wrong with a form, and its buttons. */
export function FormEnd({ words, busy, wrong, onClose, children }: FormEndProps) {
  return (
    <>
      <p class="form-error" role="alert">
        {wrong}
      </p>
      <div class="row end">
        {children}
        {onClose === undefined ? null : (
          <button type="button" class="button" onClick={onClose}>
            {t.cancel}
          </button>
        )}
        {/* Never out of use: that would take the focus from whoever has just pressed it. */}
        <button type="submit" class="button primary" aria-disabled={busy}>
          {words}
        </button>
      </div>
    </>
  );
}
