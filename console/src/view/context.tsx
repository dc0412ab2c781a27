// The pane beside the thread: who the visitor is, what they told, what came before, how long it is
// kept.

import { useState } from 'preact/hooks';
import { dayStart } from '../../../protocol/ts/src/wire/days.ts';
import type {
  ConversationCard,
  ConversationId,
  TagId,
} from '../../../protocol/ts/src/wire/frames.ts';
import { siteName, sites, tagName, tags } from '../state/catalog.ts';
import { earlierConversations } from '../state/closed.ts';
import { setTag } from '../state/acts.ts';
import { board, showCard, threads } from '../state/store.ts';
import { toggleContext } from '../state/preferences.ts';
import { t } from '../strings/en.ts';
import type { ComponentChildren } from 'preact';
import { show } from '../state/route.ts';
import { agentOrYou } from './names.ts';
import { visitorName } from '../state/visitor.ts';
import {
  Avatar,
  Icon,
  LoadedView,
  Menu,
  momentOf,
  shortTime,
  useLoaded,
  utcDate,
} from './parts.tsx';
import { PrivacyTagDialog } from './privacy_tag.tsx';

export function Context({ id }: { id: ConversationId }) {
  const card = board.value.cards.get(id);
  return (
    <aside class="context" aria-label={t.context.label}>
      <header class="context-head">
        <h2>{t.thread.details}</h2>
        <button
          type="button"
          class="icon-button"
          aria-label={t.thread.hideDetails}
          onClick={toggleContext}
        >
          <Icon name="close" />
        </button>
      </header>
      {card === undefined ? null : (
        <div class="context-body">
          <Who card={card} />
          <Facts card={card} />
          <Form card={card} />
          <Tags card={card} />
          <Retention id={id} />
          {card.visitor === undefined ? null : <Earlier visitor={card.visitor.visitor} than={id} />}
        </div>
      )}
    </aside>
  );
}

function Section({
  title,
  action,
  children,
}: {
  title: string;
  action?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section class="context-section">
      <header>
        <h3>{title}</h3>
        {action}
      </header>
      {children}
    </section>
  );
}

/** An address of a page is a visitor's word: only what the web knows becomes a link. */
function webAddress(text: string): URL | null {
  try {
    const url = new URL(text);
    return url.protocol === 'https:' || url.protocol === 'http:' ? url : null;
  } catch {
    return null;
  }
}

const languages =
  typeof Intl.DisplayNames === 'function'
    ? new Intl.DisplayNames(undefined, { type: 'language' })
    : null;

function languageName(tag: string): string {
  try {
    return languages?.of(tag) ?? tag;
  } catch {
    return tag;
  }
}

function Who({ card }: { card: ConversationCard }) {
  const visitor = card.visitor;
  const here = visitor?.presence === 'connected';
  const url = visitor?.page_url === undefined ? null : webAddress(visitor.page_url);
  return (
    <section class="context-section">
      <div class="who">
        <Avatar
          id={visitor?.visitor ?? card.conversation}
          name={visitor?.name ?? ''}
          size={44}
          dot={here ? 'connected' : 'gone'}
        />
        <div>
          <strong>
            <bdi>{visitorName(card)}</bdi>
          </strong>
          <span class={here ? 'here' : 'muted'}>{here ? t.context.here : t.context.gone}</span>
        </div>
      </div>
      <dl class="facts">
        {visitor?.email === undefined ? null : (
          <Fact name={t.context.email}>
            <a href={`mailto:${encodeURIComponent(visitor.email)}`}>{visitor.email}</a>
          </Fact>
        )}
        {visitor?.page_url === undefined ? null : (
          <Fact name={t.context.page}>
            {url === null ? (
              visitor.page_url
            ) : (
              <a href={url.href} target="_blank" rel="noopener noreferrer" title={url.href}>
                {visitor.page_title ?? `${url.host}${url.pathname}`}
              </a>
            )}
          </Fact>
        )}
        {visitor?.locale === undefined ? null : (
          <Fact name={t.context.language}>{languageName(visitor.locale)}</Fact>
        )}
      </dl>
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd dir="auto">{children}</dd>
    </div>
  );
}

function Facts({ card }: { card: ConversationCard }) {
  const site = siteName(card.site);
  return (
    <Section title={t.context.conversation}>
      <dl class="facts">
        {site === undefined || sites.value.length === 0 ? null : (
          <Fact name={t.context.site}>{site}</Fact>
        )}
        <Fact name={t.context.began}>{momentOf(card.created_at)}</Fact>
        {card.closed_at === undefined ? null : (
          <Fact name={t.context.closedAt}>{momentOf(card.closed_at)}</Fact>
        )}
        {card.agents.length === 0 ? null : (
          <Fact name={t.context.agents}>
            {card.agents.map((agent, at) => (
              <span key={agent.agent}>
                {at === 0 ? null : ', '}
                <bdi>{agentOrYou(agent.agent, card)}</bdi>
              </span>
            ))}
          </Fact>
        )}
      </dl>
    </Section>
  );
}

function Form({ card }: { card: ConversationCard }) {
  // Name and e-mail stand above.
  const answers = (card.form ?? []).filter(({ field }) => field !== 'name' && field !== 'email');
  if (answers.length === 0) return null;
  return (
    <Section title={t.context.form}>
      <dl class="facts">
        {answers.map(({ field, answer }) => (
          <Fact key={field} name={t.sites.formNames[field] ?? field}>
            {answer}
          </Fact>
        ))}
      </dl>
    </Section>
  );
}

function Tags({ card }: { card: ConversationCard }) {
  const chosen = card.tags ?? [];
  const { conversation } = card;
  return (
    <Section
      title={t.context.tags}
      action={
        <Menu label={t.context.editTags} button={<Icon name="plus" size={15} />} class="tag-menu">
          {() =>
            tags.value.length === 0 ? (
              <p class="muted pad">{t.context.noTagsYet}</p>
            ) : (
              tags.value.map((tag) => (
                <label key={tag.tag_id} class="choice">
                  <input
                    type="checkbox"
                    checked={chosen.some((id) => id === tag.tag_id)}
                    onChange={(event) => {
                      const on = event.currentTarget.checked;
                      void setTag(conversation, tag.tag_id as TagId, on);
                    }}
                  />
                  <bdi>{tag.name}</bdi>
                </label>
              ))
            )
          }
        </Menu>
      }
    >
      {chosen.length === 0 ? (
        <p class="muted small">{t.context.noTags}</p>
      ) : (
        <p class="tag-row">
          {chosen.map((id) => (
            <span key={id} class="tag">
              <bdi>{tagName(id) ?? id.slice(-6)}</bdi>
            </span>
          ))}
        </p>
      )}
    </Section>
  );
}

function Retention({ id }: { id: ConversationId }) {
  const [open, setOpen] = useState(false);
  const first = threads.value
    .get(id)
    ?.entries.find((entry) => entry.seq > 0 && entry.body.kind === 'text');
  if (first === undefined) return null;
  return (
    <Section
      title={t.context.retention}
      action={
        <button type="button" class="link" onClick={() => setOpen(true)}>
          {t.context.retentionMore}
        </button>
      }
    >
      <p class="small">
        <span class="muted">{t.context.retentionLead} </span>
        {first.expires === null ? t.context.retentionNone : utcDate(dayStart(first.expires - 1))}
      </p>
      {open ? (
        <PrivacyTagDialog
          conversation={id}
          message={first.message}
          onClose={() => setOpen(false)}
        />
      ) : null}
    </Section>
  );
}

function Earlier({ visitor, than }: { visitor: string; than: ConversationId }) {
  const { state, again } = useLoaded(`${visitor} ${than}`, () =>
    earlierConversations(visitor, than),
  );
  return (
    <Section title={t.context.earlier}>
      <LoadedView loaded={state} again={again}>
        {(cards) =>
          cards.length === 0 ? (
            <p class="muted small">{t.context.noEarlier}</p>
          ) : (
            <ul class="earlier">
              {cards.map((card) => (
                <li key={card.conversation}>
                  <button
                    type="button"
                    onClick={() => {
                      showCard(card);
                      show(card.conversation);
                    }}
                  >
                    <span class="earlier-top">
                      <span class={`state state-${card.state}`}>{t.states[card.state]}</span>
                      <span class="muted small">
                        {shortTime(card.last_message_at ?? card.created_at)}
                      </span>
                    </span>
                    <span class="earlier-text" dir="auto">
                      {card.preview ?? t.list.noPreview}
                    </span>
                  </button>
                </li>
              ))}
            </ul>
          )
        }
      </LoadedView>
    </Section>
  );
}
