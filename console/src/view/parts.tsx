// Small things that every page is made of.

import { signal } from '@preact/signals';
import type { ComponentChildren, InputHTMLAttributes } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { isBlank } from '../../../protocol/ts/src/wire/visible.ts';
import { now } from '../state/clock.ts';
import { restAfterwards } from '../state/keyboard.ts';
import { dismiss, notices, tell } from '../state/notices.ts';
import { leaveFirst } from '../state/unsaved.ts';
import { problemSentence, t } from '../strings/en.ts';
import type { Phrase } from '../strings/phrase.ts';
import { useUnsaved } from './drafts.ts';
import { DOUBLE_MS, land, trailOf } from './focus.ts';
import { isComposed } from './shortcuts.ts';

// Each icon is one path on a grid of 20, drawn with a line.
const ICONS = {
  tray: 'M3 11l2.2-6.2A1.2 1.2 0 0 1 6.300 4h7.4a1.200 1.200 0 0 1 1.100.8L17 11v4a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1v-4zm0 0h4l1 2h4l1-2h4',
  globe:
    'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM3 10h14M10 3c2 2 2.800 4.500 2.800 7S12 15 10 17c-2-2-2.800-4.500-2.800-7S8 5 10 3z',
  people:
    'M7.500 9.500a2.800 2.800 0 1 0 0-5.600 2.800 2.800 0 0 0 0 5.600zM2.500 16c0-2.500 2-4.300 5-4.300s5 1.800 5 4.300M13 4.200a2.600 2.600 0 0 1 0 5M14.500 12c1.900.5 3 2 3 4',
  key: 'M12.500 11.500a4 4 0 1 0-3.400-2L3.500 15v2H6v-1.500h1.500V14H9l1.200-1.200M13.500 6.500h.01',
  tag: 'M3 4.200V9.500l7.300 7.300a1 1 0 0 0 1.400 0l5-5a1 1 0 0 0 0-1.400L9.500 3H4.200A1.200 1.200 0 0 0 3 4.200zM6.500 6.500h.01',
  person: 'M10 10a3.200 3.200 0 1 0 0-6.400A3.200 3.200 0 0 0 10 10zM4 17c0-3 2.500-5 6-5s6 2 6 5',
  send: 'M4 10L3.200 4l14 6-14 6L4 10zm0 0h6',
  check: 'M4.500 10.500l3.500 3.500 7.500-8',
  checks: 'M2 10.500l3.500 3.500L13 6M9 13.500l.8.500L17.500 6',
  clock: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 6v4l2.500 2',
  close: 'M5 5l10 10M15 5L5 15',
  back: 'M12 4l-6 6 6 6',
  down: 'M5 8l5 5 5-5',
  panel: 'M4 4h12a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zM12.500 4v12',
  swap: 'M4 7h11l-3-3M16 13H5l3 3',
  archive: 'M3.500 7h13M4.500 7v8.500h11V7M3 4h14v3H3zM8 10.500h4',
  undo: 'M7 4L3.500 7.500 7 11M4 7.500h7.500a4.250 4.250 0 0 1 0 8.500H8',
  bell: 'M5 14V9a5 5 0 0 1 10 0v5l1.300 1.500H3.700L5 14zM8.500 17.500h3',
  bellOff:
    'M5 14V9c0-.8.2-1.500.5-2.200M8 4.400A5 5 0 0 1 15 9v4M3.700 15.500H15M8.500 17.500h3M3 3l14 14',
  plus: 'M10 4v12M4 10h12',
  search: 'M9 14.500a5.500 5.500 0 1 0 0-11 5.500 5.500 0 0 0 0 11zM13 13l4 4',
  info: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 9v4.500M10 6.500h.01',
  lock: 'M5 9h10v7.500H5zM7 9V6.500a3 3 0 0 1 6 0V9',
  exit: 'M8 4H4v12h4M12.500 6.500L16 10l-3.500 3.500M16 10H8',
  copy: 'M7 7h9.500v9.500H7zM13 7V3.500H3.500V13H7',
  hand: 'M4 11l2.500-1.500L9 12V4.500a1.250 1.250 0 0 1 2.500 0V9.500L15 10.500a1.500 1.500 0 0 1 1 1.800L15 17H8.500L4 11z',
  help: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM7.800 8a2.200 2.200 0 1 1 3.200 2c-.7.400-1 .8-1 1.600M10 13.800h.01',
} as const;

export type IconName = keyof typeof ICONS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 20 20"
      aria-hidden="true"
      focusable="false"
    >
      <path d={ICONS[name]} />
    </svg>
  );
}

/** A hue that is always the same for the same id. */
function hueOf(id: string): number {
  // FNV-1a: ids that differ in one digit get hues far apart.
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at += 1) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
  return (hash >>> 4) % 360;
}

export function Avatar({
  id,
  name,
  size = 36,
  dot,
}: {
  id: string;
  name: string;
  size?: number;
  dot?: string | undefined;
}) {
  const initials = name
    .split(/\s+/)
    .filter((word) => word !== '')
    .slice(0, 2)
    .map((word) => [...word][0] ?? '')
    .join('')
    .toUpperCase();
  return (
    <span class="avatar" style={{ '--hue': hueOf(id), '--size': `${size}px` }} aria-hidden="true">
      {initials === '' ? <Icon name="person" size={Math.round(size * 0.55)} /> : initials}
      {dot === undefined ? null : <span class={`dot dot-${dot}`} />}
    </span>
  );
}

/** A length of time in the two largest units that matter. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return t.ago.seconds(seconds);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return t.ago.minutes(minutes);
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return t.ago.hours(hours, minutes % 60);
  return t.ago.days(Math.floor(hours / 24));
}

/** A waiting time that ticks: minutes and seconds, so that one sees it move. */
export function Waiting({ since }: { since: number }) {
  const seconds = Math.max(0, Math.floor((now.value - since) / 1000));
  const two = (part: number): string => String(part).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  if (hours >= 24) return <>{t.ago.days(Math.floor(hours / 24))}</>;
  const minutes = Math.floor(seconds / 60) % 60;
  return (
    <>
      {hours > 0
        ? `${hours}:${two(minutes)}:${two(seconds % 60)}`
        : `${minutes}:${two(seconds % 60)}`}
    </>
  );
}

export function isLong(since: number): 'fresh' | 'warm' | 'hot' {
  const waited = now.value - since;
  return waited > 180_000 ? 'hot' : waited > 60_000 ? 'warm' : 'fresh';
}

const timeFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayFormat = new Intl.DateTimeFormat(undefined, {
  weekday: 'long',
  day: 'numeric',
  month: 'long',
});
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
const utcDateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeZone: 'UTC' });
const momentFormat = new Intl.DateTimeFormat(undefined, {
  dateStyle: 'medium',
  timeStyle: 'short',
});

export const clockTime = (at: number): string => timeFormat.format(at);
export const dateOf = (at: number): string => dateFormat.format(at);
export const utcDate = (at: number): string => utcDateFormat.format(at);
export const momentOf = (at: number): string => momentFormat.format(at);

export function dayName(at: number): string {
  const midnight = (moment: number): number => new Date(moment).setHours(0, 0, 0, 0);
  const days = Math.round((midnight(now.peek()) - midnight(at)) / 86_400_000);
  return days === 0 ? t.today : days === 1 ? t.yesterday : dayFormat.format(at);
}

/** Time today, the date before that. */
export function shortTime(at: number): string {
  return dayName(at) === t.today ? clockTime(at) : dateFormat.format(at);
}

/** A sentence, each name in it apart from the words around it. */
export function Words({ of }: { of: Phrase }) {
  return (
    <>
      {typeof of === 'string'
        ? of
        : of.map((part, at) => (typeof part === 'string' ? part : <bdi key={at}>{part.name}</bdi>))}
    </>
  );
}

export function Spinner() {
  return <span class="spinner" role="status" aria-label={t.loading} />;
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children === undefined ? null : <p class="muted">{children}</p>}
    </div>
  );
}

interface FieldProps {
  readonly label: string;
  readonly hint?: string | undefined;
  /** What is wrong with what stands in it. */
  readonly wrong?: string;
  /** The label is for the ear only. */
  readonly bare?: boolean;
  readonly children: (ids: {
    id: string;
    'aria-describedby': string | undefined;
    'aria-invalid': boolean;
  }) => ComponentChildren;
}

export function Field({ label, hint, wrong = '', bare = false, children }: FieldProps) {
  const id = useId();
  const about = [hint === undefined ? '' : `${id}-hint`, wrong === '' ? '' : `${id}-wrong`]
    .join(' ')
    .trim();
  return (
    <div class="field">
      <label for={id} class={bare ? 'visually-hidden' : undefined}>
        {label}
      </label>
      {children({
        id,
        'aria-describedby': about === '' ? undefined : about,
        'aria-invalid': wrong !== '',
      })}
      {wrong === '' ? null : (
        <p class="small bad-words" id={`${id}-wrong`} role="alert">
          {wrong}
        </p>
      )}
      {hint === undefined ? null : (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

/**
 * Where an address is typed: in whichever spelling the server knows it, and not only in the
 * browser's.
 */
export const EMAIL_FIELD = {
  type: 'text',
  inputMode: 'email',
  autocapitalize: 'none',
  spellcheck: false,
  required: true,
} as const;

interface TextFieldProps extends Omit<FieldProps, 'wrong' | 'children'> {
  readonly value: string;
  readonly set: (value: string) => void;
  /** As many characters as the server takes. */
  readonly max: number;
  /** It has several lines. */
  readonly rows?: number;
  /** What else the element shall have. */
  readonly also?: InputHTMLAttributes<HTMLInputElement>;
}

/**
 * A text with a bound. Nothing that is pasted is cut: what is too long is said, and its form is not
 * sent until it is shortened.
 */
export function TextField({ value, set, max, rows, also = {}, ...field }: TextFieldProps) {
  const element = useRef<HTMLInputElement & HTMLTextAreaElement>(null);
  // As the server counts: not what a keyboard makes of a sign.
  const chars = [...value.trim()].length;
  const wrong = chars > max ? t.tooLong(chars, max) : '';
  const blank = also.required === true && value !== '' && isBlank(value);
  useLayoutEffect(() => element.current?.setCustomValidity(blank ? t.blank : wrong));
  // The words stand below the field: the browser's own bubble would lie over them.
  const show = (event: { preventDefault: () => void; currentTarget: HTMLElement }): void => {
    if (wrong === '') return;
    event.preventDefault();
    event.currentTarget.focus();
  };
  const Tag = rows === undefined ? 'input' : 'textarea';
  return (
    <Field {...field} wrong={wrong}>
      {(ids) => (
        <Tag
          {...(also as object)}
          {...ids}
          {...(rows === undefined ? {} : { rows })}
          ref={element}
          value={value}
          onInvalid={show}
          onInput={(event: { currentTarget: { value: string } }) => set(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

/** Whether all fields in it may be saved; the first that may not is shown. */
export function allFit(box: HTMLElement | null): boolean {
  const wrong = [...(box?.querySelectorAll<HTMLInputElement>('input, textarea') ?? [])].find(
    (field) => !field.checkValidity(),
  );
  wrong?.reportValidity();
  return wrong === undefined;
}

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  /**
   * What would be lost by leaving: then a click beside it and Escape, which are easily pressed in
   * error, ask first.
   */
  readonly unsaved?: string | null;
}

/** The dialogs that are open, the uppermost last. */
export const dialogs = signal<readonly string[]>([]);

/** A modal dialog: focus goes in, Escape and the veil close it, focus comes back. */
export function Dialog({ title, onClose, children, unsaved = null }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const pressedVeil = useRef(false);
  const id = useId();
  useUnsaved(id, unsaved);
  // Before the next key can come: it is not one of the page behind.
  useLayoutEffect(() => {
    const dialog = ref.current;
    const opener = trailOf(document.activeElement);
    dialog?.showModal();
    dialogs.value = [...dialogs.value, id];
    return () => {
      dialogs.value = dialogs.value.filter((one) => one !== id);
      dialog?.close();
      restAfterwards();
      // What opened it may be gone by now.
      if (document.activeElement === document.body) land(opener);
    };
  }, []);
  const leave = (): void => {
    if (unsaved === null) onClose();
    else leaveFirst(onClose);
  };
  return (
    <dialog
      ref={ref}
      class="dialog"
      tabIndex={-1}
      aria-labelledby={id}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || isComposed(event)) return;
        // By itself a browser closes what was asked twice to, whatever it is told.
        event.preventDefault();
        event.stopPropagation();
        leave();
      }}
      onCancel={(event) => {
        if (event.target !== ref.current) return;
        event.preventDefault();
        leave();
      }}
      onPointerDown={(event) => {
        pressedVeil.current = event.target === ref.current;
      }}
      onClick={(event) => {
        // Whoever marks a text and lets go outside of it does not mean to leave, nor who opened it
        // by a double click.
        if (event.target === ref.current && pressedVeil.current && event.detail < 2) leave();
      }}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <button type="button" class="icon-button" aria-label={t.close} onClick={onClose}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
      {dialogs.value.at(-1) === id ? <Notices /> : null}
    </dialog>
  );
}

interface AskProps {
  readonly asks: Phrase;
  /** What the button says that goes on. */
  readonly yes: string;
  readonly no?: string;
  /** How it looks to go on; `stay`: the way back is the one that is offered. */
  readonly tone: 'danger' | 'primary' | 'stay';
  readonly act: () => Promise<unknown>;
  readonly onClose: () => void;
}

/** A question in a dialog, and the two ways out of it. */
export function Ask({ asks, yes, no = t.cancel, tone, act, onClose }: AskProps) {
  const stays = tone === 'stay';
  const on = (
    <ActButton class={stays ? 'button' : `button ${tone}`} act={act}>
      {yes}
    </ActButton>
  );
  return (
    <>
      <p>
        <Words of={asks} />
      </p>
      <div class="row end">
        {stays ? on : null}
        <button
          type="button"
          class={stays ? 'button primary' : 'button'}
          autofocus={stays}
          onClick={onClose}
        >
          {no}
        </button>
        {stays ? null : on}
      </div>
    </>
  );
}

/**
 * Asks before something is done that cannot be undone; `title` is what is done, and what its button
 * says.
 */
export function Confirm({
  title,
  act,
  onClose,
  ...asked
}: Pick<AskProps, 'asks' | 'act' | 'onClose'> & { title: string }) {
  return (
    <Dialog title={title} onClose={onClose}>
      <Ask {...asked} yes={title} tone="danger" act={() => act().then(onClose)} onClose={onClose} />
    </Dialog>
  );
}

/**
 * Said at the foot of the list; while a dialog is open, in the dialog, since nothing else can be
 * reached then.
 */
export function Notices() {
  const box = useMeasured('--notices');
  return (
    <div class="notices" role="status" aria-live="polite" ref={box}>
      {[...notices.value].reverse().map((notice) => (
        <div key={notice.id} class={notice.tone === 'bad' ? 'notice bad' : 'notice'}>
          <span>
            <Words of={notice.words} />
          </span>
          {notice.act === null ? null : (
            <button type="button" class="notice-act" onClick={notice.act.run}>
              {notice.act.words}
            </button>
          )}
          <button
            type="button"
            class="icon-button"
            aria-label={t.dismiss}
            onClick={() => dismiss(notice.id)}
          >
            <Icon name="close" size={14} />
          </button>
        </div>
      ))}
    </div>
  );
}

/**
 * Tells the style sheet how high something that floats is, so that what it would cover makes room.
 */
export function useMeasured(property: string): { current: HTMLDivElement | null } {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const sized = new ResizeObserver(() =>
      document.documentElement.style.setProperty(property, `${element.offsetHeight}px`),
    );
    sized.observe(element);
    return () => {
      sized.disconnect();
      document.documentElement.style.removeProperty(property);
    };
  }, []);
  return box;
}

/** Arrow keys move the focus from one choice to the next, and choose nothing. */
function stepChoice(event: KeyboardEvent, panel: HTMLElement): void {
  const choices = [...panel.querySelectorAll<HTMLElement>('[role=radio], input[type=checkbox]')];
  const at = choices.findIndex((choice) => choice === document.activeElement);
  const checked = choices.findIndex((choice) => choice.getAttribute('aria-checked') === 'true');
  const by = MENU_STEPS.get(event.key);
  const next =
    event.key === 'Home'
      ? 0
      : event.key === 'End'
        ? choices.length - 1
        : by === undefined
          ? null
          : at === -1
            ? Math.max(0, checked)
            : at + by;
  if (next === null || choices.length === 0) return;
  event.preventDefault();
  choices[(next + choices.length) % choices.length]?.focus();
}

const MENU_STEPS: ReadonlyMap<string, number> = new Map([
  ['ArrowDown', 1],
  ['ArrowRight', 1],
  ['ArrowUp', -1],
  ['ArrowLeft', -1],
]);

/** A button with a panel under it; Escape, a click elsewhere and the focus leaving close it. */
export function Menu({
  label,
  button,
  class: className = '',
  children,
}: {
  label: string;
  button: ComponentChildren;
  class?: string;
  children: (close: () => void) => ComponentChildren;
}) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const trigger = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: Event): void => {
      if (event.target instanceof Node && root.current?.contains(event.target) === false)
        setOpen(false);
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('focusin', outside);
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('focusin', outside);
    };
  }, [open]);
  const shut = (): void => {
    setOpen(false);
    trigger.current?.focus();
  };
  return (
    <div
      class={`menu ${className}`}
      ref={root}
      onKeyDown={(event) => {
        if (event.key === 'Escape' && open) {
          event.stopPropagation();
          shut();
        } else if (event.key === 'ArrowDown' && !open) {
          event.preventDefault();
          setOpen(true);
        } else if (panel.current !== null) stepChoice(event, panel.current);
      }}
    >
      <button
        type="button"
        class="menu-button"
        aria-expanded={open}
        ref={trigger}
        onClick={() => setOpen(!open)}
      >
        <span class="visually-hidden">{label}</span>
        {button}
      </button>
      {open ? (
        <div class="menu-panel" ref={panel}>
          {children(shut)}
        </div>
      ) : null}
    </div>
  );
}

interface ActButtonProps {
  readonly act: () => Promise<unknown>;
  readonly children: ComponentChildren;
  readonly class?: string;
  readonly disabled?: boolean;
  readonly title?: string;
  readonly 'aria-label'?: string;
}

/**
 * A button that cannot be pressed twice while it works, nor by the second half of a double click,
 * and tells when it failed.
 */
export function ActButton({
  act,
  children,
  class: className = 'button',
  disabled = false,
  ...rest
}: ActButtonProps) {
  const [busy, setBusy] = useState(false);
  const works = useRef(false);
  const pressedAt = useRef(-DOUBLE_MS);
  const press = async (event: MouseEvent): Promise<void> => {
    // A key knows nothing of double presses.
    const twice =
      event.detail > 1 || (event.detail === 0 && event.timeStamp - pressedAt.current < DOUBLE_MS);
    pressedAt.current = event.timeStamp;
    if (works.current || twice) return;
    works.current = true;
    setBusy(true);
    try {
      await act();
    } catch (problem) {
      tell(problemSentence(problem), 'bad');
    } finally {
      works.current = false;
      setBusy(false);
    }
  };
  return (
    // Not disabled while it works: that would take the focus from the agent.
    <button
      type="button"
      class={className}
      {...rest}
      disabled={disabled}
      aria-disabled={busy}
      aria-busy={busy}
      onClick={(event) => void press(event)}
    >
      {children}
    </button>
  );
}

/**
 * For a press that moves what is on the screen: the second half of a double click would fall on
 * something else.
 */
export function once(act: () => void): (event: MouseEvent) => void {
  return (event) => {
    if (event.detail < 2) act();
  };
}

/**
 * Around buttons that give place to others: nor does it take the focus from where the first half
 * brought it.
 */
export function keepFocus(event: MouseEvent): void {
  if (event.detail > 1) event.preventDefault();
}

/** A form that is sent once, however often Enter is pressed, and says what was wrong with it. */
export function useSubmit(
  act: () => Promise<void>,
  says: (problem: unknown) => string = problemSentence,
): { busy: boolean; wrong: string | null; submit: (event: Event) => void } {
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<string | null>(null);
  const works = useRef(false);
  const run = async (): Promise<void> => {
    if (works.current) return;
    works.current = true;
    setBusy(true);
    setWrong(null);
    try {
      await act();
    } catch (problem) {
      setWrong(says(problem));
    } finally {
      works.current = false;
      setBusy(false);
    }
  };
  return {
    busy,
    wrong,
    submit: (event) => {
      event.preventDefault();
      void run();
    },
  };
}

/** Whether the browser let us. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    tell(t.copied);
    return true;
  } catch {
    tell(t.copyFailed, 'bad');
    return false;
  }
}

/** What a page asked for by REST: on its way, there, or refused. */
export type Loaded<T> =
  | { readonly kind: 'loading' }
  | { readonly kind: 'there'; readonly value: T }
  | { readonly kind: 'failed'; readonly words: string; readonly problem: unknown };

/**
 * Loads when shown and whenever `key` changes; `again` asks once more, `set` takes what a save
 * returned.
 */
export function useLoaded<T>(
  key: string,
  load: () => Promise<T>,
): { state: Loaded<T>; again: () => void; set: (value: T) => void } {
  const [state, setState] = useState<Loaded<T>>({ kind: 'loading' });
  const [round, setRound] = useState(0);
  useEffect(() => {
    let wanted = true;
    load().then(
      (value) => {
        if (wanted) setState({ kind: 'there', value });
      },
      (problem: unknown) => {
        if (wanted) setState({ kind: 'failed', words: problemSentence(problem), problem });
      },
    );
    return () => {
      wanted = false;
    };
  }, [key, round]);
  return {
    state,
    again: () => setRound(round + 1),
    set: (value) => setState({ kind: 'there', value }),
  };
}

export function LoadedView<T>({
  loaded,
  again,
  children,
}: {
  loaded: Loaded<T>;
  again: () => void;
  children: (value: T) => ComponentChildren;
}) {
  switch (loaded.kind) {
    case 'loading':
      return (
        <div class="centered">
          <Spinner />
        </div>
      );
    case 'failed':
      return (
        <div class="empty" role="alert">
          <p class="empty-title">{loaded.words}</p>
          <button type="button" class="button" onClick={again}>
            {t.tryAgain}
          </button>
        </div>
      );
    case 'there':
      return <>{children(loaded.value)}</>;
  }
}

/** A text with its own copy button, for what must be taken elsewhere as it is. */
export function CopyBox({
  label,
  text,
  copied,
}: {
  label: string;
  text: string;
  copied?: () => void;
}) {
  return (
    <div class="copy-box">
      <code tabIndex={0} aria-label={label}>
        {text}
      </code>
      <button
        type="button"
        class="button"
        onClick={() => void copyText(text).then((done) => (done ? copied?.() : undefined))}
      >
        <Icon name="copy" size={16} /> {t.copy}
      </button>
    </div>
  );
}
