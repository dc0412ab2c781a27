// Websites: the list, adding one, and everything about one that an admin may change.

import { useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { sites as catalogSites } from '../state/catalog.ts';
import { tell } from '../state/notices.ts';
import { go } from '../state/route.ts';
import { isAdmin } from '../state/session.ts';
import { problemSentence, t } from '../strings/en.ts';
import type { FormRule, Site, SitePatch } from '../wire/rest.ts';
import { ask, askAll } from '../wire/rest.ts';
import { ActButton, CopyBox, dateOf, Dialog, Empty, Field, Icon, LoadedView, SettingsPage, useLoaded } from './parts.tsx';

const linesOf = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

export function Sites({ site }: { site: string | null }) {
  return site === null ? <SiteList /> : <SitePage key={site} id={site} />;
}

function SiteList() {
  const { state, again } = useLoaded('sites', async () => {
    const all = await askAll<Site>('/v1/sites');
    catalogSites.value = all;
    return all;
  });
  const [creating, setCreating] = useState(false);
  return (
    <SettingsPage
      title={t.sites.title}
      lead={t.sites.lead}
      action={
        isAdmin.value ? (
          <button type="button" class="button primary" onClick={() => setCreating(true)}>
            <Icon name="plus" size={16} /> {t.sites.create}
          </button>
        ) : undefined
      }
    >
      <LoadedView loaded={state} again={again}>
        {(all) =>
          all.length === 0 ? (
            <Empty title={t.sites.none} />
          ) : (
            <ul class="cards">
              {all.map((site) => (
                <li key={site.site_id}>
                  <a class="card-link" href={`#/sites/${site.site_id}`}>
                    <span class="card-icon">
                      <Icon name="globe" size={20} />
                    </span>
                    <span class="grow">
                      <strong>{site.name}</strong>
                      <small class="muted">{site.origins.join(', ')}</small>
                    </span>
                    {site.state === 'closed' ? <span class="state state-closed">{t.sites.closed}</span> : null}
                    <span class="pill">{site.plan}</span>
                  </a>
                </li>
              ))}
            </ul>
          )
        }
      </LoadedView>
      {creating ? <CreateSite onClose={() => setCreating(false)} /> : null}
    </SettingsPage>
  );
}

function CreateSite({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const [origins, setOrigins] = useState('');
  const [wrong, setWrong] = useState<string | null>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      const site = await ask<Site>('POST', '/v1/sites', { name: name.trim(), origins: linesOf(origins) });
      catalogSites.value = [...catalogSites.value, site];
      tell(t.sites.created);
      go(`/sites/${site.site_id}`);
    } catch (problem) {
      setWrong(problemSentence(problem));
    }
  };
  return (
    <Dialog title={t.sites.create} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <Field label={t.sites.name} hint={t.sites.nameHint}>
          {(ids) => <input {...ids} required maxLength={100} value={name} onInput={(event) => setName(event.currentTarget.value)} />}
        </Field>
        <Field label={t.sites.origins} hint={t.sites.originsHint}>
          {(ids) => <textarea {...ids} rows={3} required spellcheck={false} value={origins} onInput={(event) => setOrigins(event.currentTarget.value)} />}
        </Field>
        <p class="form-error" role="alert">
          {wrong}
        </p>
        <div class="row end">
          <button type="button" class="button" onClick={onClose}>
            {t.cancel}
          </button>
          <button type="submit" class="button primary">
            {t.sites.create}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function SitePage({ id }: { id: string }) {
  const { state, again, set } = useLoaded(id, () => ask<Site>('GET', `/v1/sites/${encodeURIComponent(id)}`));
  const took = (site: Site): void => {
    set(site);
    catalogSites.value = catalogSites.value.map((one) => (one.site_id === site.site_id ? site : one));
  };
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

function Panel({ title, hint, children }: { title: string; hint?: string; children: ComponentChildren }) {
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

/** A panel that is saved by itself: its fields, and one button that sends only them. */
function Editable({ title, hint, site, took, patch, children }: Part & { title: string; hint?: string; patch: () => SitePatch; children: ComponentChildren }) {
  const save = async (): Promise<void> => {
    took(await ask<Site>('PATCH', `/v1/sites/${encodeURIComponent(site.site_id)}`, patch()));
    tell(t.sites.saved);
  };
  return (
    <Panel title={title} {...(hint === undefined ? {} : { hint })}>
      <fieldset class="plain" disabled={!isAdmin.value}>
        {children}
        {isAdmin.value ? (
          <div class="row end">
            <ActButton class="button primary" act={save} aria-label={`${t.save}: ${title}`}>
              {t.save}
            </ActButton>
          </div>
        ) : null}
      </fieldset>
    </Panel>
  );
}

function General({ site, took }: Part) {
  const [name, setName] = useState(site.name);
  const [origins, setOrigins] = useState(site.origins.join('\n'));
  return (
    <Editable title={t.sites.general} site={site} took={took} patch={() => ({ name: name.trim(), origins: linesOf(origins) })}>
      <Field label={t.sites.name} hint={t.sites.nameHint}>
        {(ids) => <input {...ids} maxLength={100} value={name} onInput={(event) => setName(event.currentTarget.value)} />}
      </Field>
      <Field label={t.sites.origins} hint={t.sites.originsHint}>
        {(ids) => <textarea {...ids} rows={3} spellcheck={false} value={origins} onInput={(event) => setOrigins(event.currentTarget.value)} />}
      </Field>
    </Editable>
  );
}

function Texts({ site, took }: Part) {
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>(site.texts);
  const names = [...new Set(['title', 'greeting', 'offline', ...Object.keys(site.texts)])];
  return (
    <Editable title={t.sites.texts} hint={t.sites.textsHint} site={site} took={took} patch={() => ({ texts: Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, text.trim()]).filter(([, text]) => text !== '')) })}>
      {names.map((name) => (
        <Field key={name} label={t.sites.textNames[name] ?? name}>
          {(ids) => (
            <textarea {...ids} rows={name === 'title' ? 1 : 2} dir="auto" value={texts[name] ?? ''} onInput={(event) => setTexts({ ...texts, [name]: event.currentTarget.value })} />
          )}
        </Field>
      ))}
    </Editable>
  );
}

const RULES: readonly FormRule[] = ['hidden', 'optional', 'required'];

function FormRules({ site, took }: Part) {
  const [form, setForm] = useState<Readonly<Record<string, FormRule>>>(site.form);
  const names = [...new Set(['name', 'email', ...Object.keys(site.form)])];
  return (
    <Editable title={t.sites.form} hint={t.sites.formHint} site={site} took={took} patch={() => ({ form: { ...form } })}>
      {names.map((name) => (
        <Field key={name} label={t.sites.formNames[name] ?? name}>
          {(ids) => (
            <select
              {...ids}
              value={form[name] ?? 'hidden'}
              onChange={(event) => {
                const rule = RULES.find((one) => one === event.currentTarget.value);
                if (rule !== undefined) setForm({ ...form, [name]: rule });
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
      ))}
    </Editable>
  );
}

function Notice({ site, took }: Part) {
  const [text, setText] = useState(site.notice.text ?? '');
  const [url, setUrl] = useState(site.notice.url ?? '');
  return (
    <Editable title={t.sites.notice} site={site} took={took} patch={() => ({ notice: { text: text.trim(), url: url.trim() } })}>
      <Field label={t.sites.noticeText}>
        {(ids) => <textarea {...ids} rows={3} dir="auto" value={text} onInput={(event) => setText(event.currentTarget.value)} />}
      </Field>
      <Field label={t.sites.noticeUrl}>
        {(ids) => <input {...ids} type="url" inputMode="url" value={url} onInput={(event) => setUrl(event.currentTarget.value)} />}
      </Field>
    </Editable>
  );
}

function Redaction({ site, took }: Part) {
  const [patterns, setPatterns] = useState(site.redaction_patterns.join('\n'));
  return (
    <Editable title={t.sites.redaction} hint={t.sites.redactionHint} site={site} took={took} patch={() => ({ redaction_patterns: linesOf(patterns) })}>
      <Field label={t.sites.redaction}>
        {(ids) => <textarea {...ids} class="mono" rows={4} spellcheck={false} placeholder="CUST-\d{6}" value={patterns} onInput={(event) => setPatterns(event.currentTarget.value)} />}
      </Field>
    </Editable>
  );
}
