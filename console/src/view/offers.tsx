// What is offered to this agent: the oldest, with its deadline running, and how many more there
// are. On every page.

import { useState } from 'preact/hooks';
import { now } from '../state/clock.ts';
import { decline, takeOffered } from '../state/acts.ts';
import { board, offers, visitorWords } from '../state/store.ts';
import { tab } from '../state/listing.ts';
import { show } from '../state/route.ts';
import { siteName } from '../state/catalog.ts';
import { singleKeys } from '../state/preferences.ts';
import { visitorName } from '../state/visitor.ts';
import { t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import type { Phrase } from '../strings/phrase.ts';
import { ActButton, Avatar, keepFocus, useMeasured, Waiting, Words } from './parts.tsx';
import { agentName } from './names.ts';
import { useKeys } from './shortcuts.ts';
import type { Offer } from '../state/board.ts';

const RING = 2 * Math.PI * 15;

export function Offers() {
  // Here, and not with the other keys: an offer is there on every page.
  useKeys((key) => {
    const offer = offers.value[0];
    if (key !== 'a' || offer === undefined) return false;
    void takeOffered(offer.conversation);
    return true;
  });
  const box = useMeasured('--offers');
  const [first, ...others] = offers.value;
  return (
    <section
      class="offers"
      aria-label={t.offer.title}
      ref={box}
      tabIndex={-1}
      onMouseDown={keepFocus}
    >
      {first === undefined ? null : (
        <OfferCard key={first.conversation} offer={first} others={others} />
      )}
      <Announcements />
    </section>
  );
}

/**
 * Each offer is said once: the cards tick, and a clock that is read out every second drowns all
 * else.
 */
function Announcements() {
  return (
    <div class="visually-hidden" role="alert" aria-atomic="false" aria-relevant="additions">
      {offers.value.map((offer, at) => (
        <Announcement key={offer.conversation} offer={offer} first={at === 0} />
      ))}
    </div>
  );
}

function Announcement({ offer, first }: { offer: Offer; first: boolean }) {
  const [words] = useState<Phrase>(() => {
    const visitor = visitorName(board.value.cards.get(offer.conversation));
    // The key accepts the oldest.
    const byKey = first && singleKeys.value === 'on';
    const { transfer_from: giver } = offer;
    return giver === null
      ? named((who) => t.offer.announced(t.offer.title, who, byKey), visitor)
      : named(
          (from, who) => t.offer.announced(t.offer.transfer(from), who, byKey),
          agentName(giver),
          visitor,
        );
  });
  return (
    <p>
      <Words of={words} />
    </p>
  );
}

function titleOf(offer: Offer): Phrase {
  return offer.transfer_from === null
    ? t.offer.title
    : named(t.offer.transfer, agentName(offer.transfer_from));
}

function OfferCard({ offer, others }: { offer: Offer; others: readonly Offer[] }) {
  const card = board.value.cards.get(offer.conversation);
  if (card === undefined) return null;
  const site = siteName(card.site);
  const words = visitorWords(offer);
  return (
    <article class="offer">
      <header>
        <Countdown offer={offer} />
        <div class="offer-title">
          <strong>
            <Words of={titleOf(offer)} />
          </strong>
          <span class="muted">
            <bdi>{visitorName(card)}</bdi>
            {site === undefined ? null : (
              <>
                {' · '}
                <bdi>{site}</bdi>
              </>
            )}
          </span>
        </div>
        <Avatar
          id={card.visitor?.visitor ?? card.conversation}
          name={card.visitor?.name ?? ''}
          size={34}
        />
      </header>
      {words === null ? null : (
        <p class="offer-preview" dir="auto">
          {words}
        </p>
      )}
      {card.waiting_since === undefined ? null : (
        <p class="muted small">
          {t.offer.waited('')}
          <Waiting since={card.waiting_since} />
        </p>
      )}
      <footer class="row">
        <ActButton class="button primary grow" act={() => takeOffered(offer.conversation)}>
          {t.offer.accept}
        </ActButton>
        <ActButton class="button grow" act={() => decline(offer.conversation)}>
          {t.offer.decline}
        </ActButton>
      </footer>
      {others.length === 0 ? null : (
        <button
          type="button"
          class="link offer-others"
          onClick={() => {
            // One that a colleague hands over is still with them.
            tab.value = others.every((one) => one.transfer_from === null) ? 'waiting' : 'all';
            show(null);
          }}
        >
          {t.offer.more(others.length)}
        </button>
      )}
    </article>
  );
}

function Countdown({ offer }: { offer: Offer }) {
  const leftMs = Math.max(0, offer.deadline - now.value);
  // To the nearest: two clocks are never quite the same, and nobody is given 31 seconds.
  const seconds = Math.round(leftMs / 1000);
  const share = Math.min(1, leftMs / Math.max(1, offer.deadline - offer.came));
  return (
    <span
      class={seconds <= 8 ? 'countdown soon' : 'countdown'}
      role="timer"
      aria-label={seconds === 0 ? t.offer.late : t.offer.left(seconds)}
    >
      <svg width="36" height="36" viewBox="0 0 36 36" aria-hidden="true">
        <circle cx="18" cy="18" r="15" class="countdown-track" />
        <circle
          cx="18"
          cy="18"
          r="15"
          class="countdown-left"
          stroke-dasharray={`${RING * share} ${RING}`}
          transform="rotate(-90 18 18)"
        />
      </svg>
      <span aria-hidden="true">{seconds}</span>
    </span>
  );
}
