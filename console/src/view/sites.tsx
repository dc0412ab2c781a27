// Websites: the list, adding one, and everything about one that an admin may change.

import { useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { tell } from '../state/notices.ts';
import { go } from '../state/route.ts';
import { isAdmin } from '../state/session.ts';
import { changeSite, createSite, loadSite, loadSites } from '../state/settings.ts';
import { t } from '../strings/en.ts';
import type { FormRule, Site, SitePatch } from '../wire/rest.ts';
import { CHARS_MAX } from '../wire/rest.ts';
import { same, useDraft } from './drafts.ts';
import {
  ActButton,
  allFit,
  CopyBox,
  dateOf,
  Dialog,
  Field,
  Icon,
  LoadedView,
  momentOf,
  TextField,
  useLoaded,
  useSubmit,
} from './parts.tsx';
import { Cards, FormEnd, Panel, SettingsPage } from './settings.tsx';

/** An empty text has no line. */
const linesOf = (text: string): string[] => (text === '' ? [] : text.split('\n'));
const trimmed = (lines: readonly string[]): string[] =>
  lines.map((line) => line.trim()).filter((line) => line !== '');

export function Sites({ site }: { site: string | null }) {
  return site === null ? <SiteList /> : <SitePage key={site} id={site} />;
}

function SiteList() {
  const { state, again } = useLoaded('sites', loadSites);
  return (
    <SettingsPage
      title={t.sites.title}
      lead={t.sites.lead}
      create={
        isAdmin.value
          ? { words: t.sites.create, dialog: (close) => <CreateSite onClose={close} /> }
          : undefined
      }
    >
      <Cards loaded={state} again={again} none={t.sites.none} id={(site) => site.site_id} linked>
        {(site) => (
          <a class="card-link" href={`#/sites/${site.site_id}`}>
            <span class="card-icon">
              <Icon name="globe" size={20} />
            </span>
            <span class="grow">
              <strong>
                <bdi>{site.name}</bdi>
              </strong>
              <small class="muted">{site.origins.join(', ')}</small>
            </span>
            {site.state === 'closed' ? (
              <span class="state state-closed">{t.sites.closed}</span>
            ) : null}
            <span class="pill">{site.plan}</span>
          </a>
        )}
      </Cards>
    </SettingsPage>
  );
}

function SiteName({ value, set }: { value: string; set: (value: string) => void }) {
  return (
    <TextField
      label={t.sites.name}
      hint={t.sites.nameHint}
      max={CHARS_MAX.name}
      value={value}
      set={set}
      also={{ required: true }}
    />
  );
}

function CreateSite({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const [origins, setOrigins] = useState('');
  const { busy, wrong, submit } = useSubmit(async () => {
    const site = await createSite(name, trimmed(linesOf(origins)));
    onClose();
    tell(t.sites.created);
    go(`/sites/${site.site_id}`);
  });
  return (
    <Dialog
      title={t.sites.create}
      onClose={onClose}
      unsaved={name === '' && origins === '' ? null : t.sites.create}
    >
      <form onSubmit={submit}>
        <SiteName value={name} set={setName} />
        <Field label={t.sites.origins} hint={t.sites.originsHint}>
          {(ids) => (
            <textarea
              {...ids}
              rows={3}
              required
              spellcheck={false}
              value={origins}
              onInput={(event) => setOrigins(event.currentTarget.value)}
            />
          )}
        </Field>
        <FormEnd words={t.sites.create} busy={busy} wrong={wrong} onClose={onClose} />
      </form>
    </Dialog>
  );
}

function SitePage({ id }: { id: string }) {
  const { state, again, set: took } = useLoaded(id, () => loadSite(id));
  return (
    <SettingsPage
      title={state.kind === 'there' ? state.value.name : t.sites.title}
      lead={state.kind === 'there' ? state.value.site_key : ''}
      action={
        <a class="button" href="#/sites">
          <Icon name="back" size={16} /> {t.sites.title}
        </a>
      }
    >
      <LoadedView loaded={state} again={again}>
        {(site) => (
          <>
            <Panel title={t.sites.embed} hint={t.sites.embedHint}>
              <CopyBox label={t.sites.embed} text={site.embed_tag} />
            </Panel>
            <Plan site={site} />
            {isAdmin.value ? null : <p class="muted">{t.sites.readOnly}</p>}
            <Refused site={site} took={took} />
            <General site={site} took={took} />
            <Texts site={site} took={took} />
            <FormRules site={site} took={took} />
            <Notice site={site} took={took} />
            <Redaction site={site} took={took} />
          </>
        )}
      </LoadedView>
    </SettingsPage>
  );
}

function Plan({ site }: { site: Site }) {
  return (
    <Panel title={t.sites.plan} hint={t.sites.planHint}>
      <dl class="facts">
        <div>
          <dt>{t.sites.plan}</dt>
          <dd>
            <span class="pill">{site.plan}</span>
          </dd>
        </div>
        {Object.entries(site.retention).map(([kind, length]) => (
          <div key={kind}>
            <dt>{`${t.sites.retention}: ${kind.replaceAll(/[_-]/g, ' ')}`}</dt>
            <dd>{length}</dd>
          </div>
        ))}
        {site.state === 'closed' ? (
          <div>
            <dt>{t.sites.closed}</dt>
            <dd>{typeof site.closed_at === 'number' ? dateOf(site.closed_at) : ''}</dd>
          </div>
        ) : null}
      </dl>
    </Panel>
  );
}

interface Part {
  readonly site: Site;
  readonly took: (site: Site) => void;
}

interface EditableProps<T> extends Part {
  readonly title: string;
  readonly hint?: string;
  /** What the fields begin with. */
  readonly from: (site: Site) => T;
  readonly patch: (value: T) => SitePatch;
  readonly children: (value: T, set: (value: T) => void) => ComponentChildren;
}

/** A panel that is saved by itself: its fields, and one button that sends only them. */
function Editable<T>({ title, hint, site, took, from, patch, children }: EditableProps<T>) {
  const draft = useDraft(`sites/${site.site_id}/${title}`, title, from(site));
  const box = useRef<HTMLFieldSetElement>(null);
  const save = async (): Promise<void> => {
    if (!allFit(box.current)) return;
    const stood = draft.value;
    took(
      await changeSite(site, (now) => {
        const before = patch(from(now));
        const all = Object.entries(patch(draft.on(from(now))));
        return Object.fromEntries(
          all.filter(([field, value]) => !same(value, Reflect.get(before, field))),
        );
      }),
    );
    draft.saved(stood);
    tell(t.sites.saved);
  };
  return (
    <Panel title={title} {...(hint === undefined ? {} : { hint })}>
      <fieldset class="plain" ref={box} disabled={!isAdmin.value}>
        {children(draft.value, draft.set)}
        {isAdmin.value ? (
          <div class="row end">
            {draft.unsaved ? <span class="muted small">{t.unsaved.mark}</span> : null}
            <ActButton class="button primary" act={save} aria-label={`${t.save}: ${title}`}>
              {t.save}
            </ActButton>
          </div>
        ) : null}
      </fieldset>
    </Panel>
  );
}

/** Pages that wanted the widget and are not listed: mostly an origin that was forgotten. */
function Refused({ site, took }: Part) {
  const refused = site.refused_origins ?? [];
  if (refused.length === 0) return null;
  const add = async (origin: string): Promise<void> => {
    took(
      await changeSite(site, ({ origins }) => ({ origins: [...new Set([...origins, origin])] })),
    );
    tell(t.sites.originAdded);
  };
  return (
    <Panel title={t.sites.refused} hint={t.sites.refusedHint}>
      <ul class="plain-list">
        {refused.map(({ origin, addable, at }) => (
          <li key={origin} class="card-row">
            <span class="grow">
              <strong>
                <bdi>{origin === 'null' ? t.sites.refusedNameless : origin}</bdi>
              </strong>
              <small class="muted">
                {t.sites.refusedAt(momentOf(at))}
                {addable
                  ? null
                  : ` · ${origin === 'null' ? t.sites.refusedNull : t.sites.refusedPlain}`}
              </small>
            </span>
            {addable && isAdmin.value ? (
              <ActButton
                class="button"
                aria-label={`${t.sites.addOrigin}: ${origin}`}
                act={() => add(origin)}
              >
                <Icon name="plus" size={16} /> {t.sites.addOrigin}
              </ActButton>
            ) : null}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function General({ site, took }: Part) {
  return (
    <Editable
      title={t.sites.general}
      site={site}
      took={took}
      from={({ name, origins }) => ({ name, origins })}
      patch={({ name, origins }) => ({ name: name.trim(), origins: trimmed(origins) })}
    >
      {(value, set) => (
        <>
          <SiteName value={value.name} set={(name) => set({ ...value, name })} />
          <Field label={t.sites.origins} hint={t.sites.originsHint}>
            {(ids) => (
              <textarea
                {...ids}
                rows={3}
                spellcheck={false}
                value={value.origins.join('\n')}
                onInput={(event) => set({ ...value, origins: linesOf(event.currentTarget.value) })}
              />
            )}
          </Field>
        </>
      )}
    </Editable>
  );
}

const saidTexts = (texts: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(texts)
      .map(([name, text]) => [name, text.trim()])
      .filter(([, text]) => text !== ''),
  );

function Texts({ site, took }: Part) {
  const names = [...new Set(['title', 'greeting', 'offline', ...Object.keys(site.texts)])];
  // Each has its place, empty or not: what was typed and taken back is no change.
  const from = ({ texts }: Site): Readonly<Record<string, string>> =>
    Object.fromEntries([...names, ...Object.keys(texts)].map((name) => [name, texts[name] ?? '']));
  return (
    <Editable
      title={t.sites.texts}
      hint={t.sites.textsHint}
      site={site}
      took={took}
      from={from}
      patch={(texts) => ({ texts: saidTexts(texts) })}
    >
      {(texts, set) =>
        names.map((name) => (
          <TextField
            key={name}
            label={t.sites.textNames[name] ?? name}
            max={CHARS_MAX.text}
            rows={name === 'title' ? 1 : 2}
            value={texts[name] ?? ''}
            set={(text) => set({ ...texts, [name]: text })}
            also={{ dir: 'auto' }}
          />
        ))
      }
    </Editable>
  );
}

const RULES: readonly FormRule[] = ['hidden', 'optional', 'required'];

function FormRules({ site, took }: Part) {
  const names = [...new Set(['name', 'email', ...Object.keys(site.form)])];
  return (
    <Editable
      title={t.sites.form}
      hint={t.sites.formHint}
      site={site}
      took={took}
      from={({ form }) => form}
      patch={(form) => ({ form })}
    >
      {(form, set) =>
        names.map((name) => (
          <Field key={name} label={t.sites.formNames[name] ?? name}>
            {(ids) => (
              <select
                {...ids}
                value={form[name] ?? 'hidden'}
                onChange={(event) => {
                  const rule = RULES.find((one) => one === event.currentTarget.value);
                  if (rule !== undefined) set({ ...form, [name]: rule });
                }}
              >
                {RULES.map((rule) => (
                  <option key={rule} value={rule}>
                    {t.sites.formRules[rule]}
                  </option>
                ))}
              </select>
            )}
          </Field>
        ))
      }
    </Editable>
  );
}

function Notice({ site, took }: Part) {
  return (
    <Editable
      title={t.sites.notice}
      site={site}
      took={took}
      from={({ notice }) => ({ text: notice.text ?? '', url: notice.url ?? '' })}
      patch={({ text, url }) => ({ notice: { text: text.trim(), url: url.trim() } })}
    >
      {(value, set) => (
        <>
          <TextField
            label={t.sites.noticeText}
            max={CHARS_MAX.notice}
            rows={3}
            value={value.text}
            set={(text) => set({ ...value, text })}
            also={{ dir: 'auto' }}
          />
          <TextField
            label={t.sites.noticeUrl}
            max={CHARS_MAX.url}
            value={value.url}
            set={(url) => set({ ...value, url })}
            also={{ type: 'url', inputMode: 'url' }}
          />
        </>
      )}
    </Editable>
  );
}

function Redaction({ site, took }: Part) {
  return (
    <Editable
      title={t.sites.redaction}
      hint={t.sites.redactionHint}
      site={site}
      took={took}
      from={(now) => now.redaction_patterns}
      patch={(patterns) => ({ redaction_patterns: trimmed(patterns) })}
    >
      {(patterns, set) => (
        <Field label={t.sites.redaction}>
          {(ids) => (
            <textarea
              {...ids}
              class="mono"
              rows={4}
              spellcheck={false}
              placeholder="CUST-\d{6}"
              value={patterns.join('\n')}
              onInput={(event) => set(linesOf(event.currentTarget.value))}
            />
          )}
        </Field>
      )}
    </Editable>
  );
}
