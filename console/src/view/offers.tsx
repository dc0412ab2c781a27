// Conversations that are offered to this agent, each with its deadline running; over every page.

import { useState } from 'preact/hooks';
import { now } from '../state/clock.ts';
import { board, decline, offers } from '../state/desk.ts';
import { siteName } from '../state/catalog.ts';
import { singleKeys } from '../state/preferences.ts';
import { visitorName } from '../state/visitor.ts';
import { t } from '../strings/en.ts';
import { takeOffered } from './conversations.tsx';
import { ActButton, Avatar, Waiting } from './parts.tsx';
import { agentName } from './names.ts';
import { useKeys } from './shortcuts.ts';
import type { Offer } from '../state/board.ts';

const RING = 2 * Math.PI * 15;

export function Offers() {
  // Here, and not with the other keys: an offer lies over every page.
  useKeys((key) => {
    const offer = offers.value[0];
    if (key !== 'a' || offer === undefined) return false;
    void takeOffered(offer.conversation);
    return true;
  });
  return (
    <section class="offers" aria-label={t.offer.title}>
      {offers.value.map((offer) => (
        <OfferCard key={offer.conversation} offer={offer} />
      ))}
      <Announcements />
    </section>
  );
}

/** Each offer is said once: the cards tick, and a clock that is read out every second drowns all else. */
function Announcements() {
  return (
    <div class="visually-hidden" role="alert" aria-atomic="false" aria-relevant="additions">
      {offers.value.map((offer) => (
        <Announcement key={offer.conversation} offer={offer} />
      ))}
    </div>
  );
}

function Announcement({ offer }: { offer: Offer }) {
  const [words] = useState(() => t.offer.announced(titleOf(offer), visitorName(board.value.cards.get(offer.conversation)), singleKeys.value === 'on'));
  return <p>{words}</p>;
}

function titleOf(offer: Offer): string {
  return offer.transfer_from === null ? t.offer.title : t.offer.transfer(agentName(offer.transfer_from));
}

function OfferCard({ offer }: { offer: Offer }) {
  const card = board.value.cards.get(offer.conversation);
  if (card === undefined) return null;
  const name = visitorName(card);
  const site = siteName(card.site);
  return (
    <article class="offer">
      <header>
        <Countdown offer={offer} />
        <div class="offer-title">
          <strong>{titleOf(offer)}</strong>
          <span class="muted">
            {[name, site].filter((part) => part !== undefined).join(' · ')}
          </span>
        </div>
        <Avatar id={card.visitor?.visitor ?? card.conversation} name={card.visitor?.name ?? ''} size={34} />
      </header>
      {card.preview === undefined ? null : (
        <p class="offer-preview" dir="auto">
          {card.preview}
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
    </article>
  );
}

function Countdown({ offer }: { offer: Offer }) {
  const left_ms = Math.max(0, offer.deadline - now.value);
  // To the nearest: two clocks are never quite the same, and nobody is given 31 seconds.
  const seconds = Math.round(left_ms / 1000);
  const share = Math.min(1, left_ms / Math.max(1, offer.deadline - offer.came));
  return (
    <span class={seconds <= 8 ? 'countdown soon' : 'countdown'} role="timer" aria-label={seconds === 0 ? t.offer.late : t.offer.left(seconds)}>
      <svg width="36" height="36" viewBox="0 0 36 36" aria-hidden="true">
        <circle cx="18" cy="18" r="15" class="countdown-track" />
        <circle cx="18" cy="18" r="15" class="countdown-left" stroke-dasharray={`${RING * share} ${RING}`} transform="rotate(-90 18 18)" />
      </svg>
      <span aria-hidden="true">{seconds}</span>
    </span>
  );
}
