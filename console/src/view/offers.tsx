// Conversations that are offered to this agent, each with its deadline running; over every page.

import { now } from '../state/clock.ts';
import { board, decline, offers } from '../state/desk.ts';
import { siteName } from '../state/catalog.ts';
import { t } from '../strings/en.ts';
import { takeOffered } from './conversations.tsx';
import { ActButton, Avatar, Waiting } from './parts.tsx';
import { agentName, visitorName } from './names.ts';
import type { Offer } from '../state/board.ts';

/** What the server gives an agent to decide; the ring is full at that much. */
const OFFER_MS = 30_000;
const RING = 2 * Math.PI * 15;

export function Offers() {
  return (
    <section class="offers" aria-label={t.offer.title} aria-live="assertive">
      {offers.value.map((offer) => (
        <OfferCard key={offer.conversation} offer={offer} />
      ))}
    </section>
  );
}

function OfferCard({ offer }: { offer: Offer }) {
  const card = board.value.cards.get(offer.conversation);
  if (card === undefined) return null;
  const name = visitorName(card);
  const site = siteName(card.site);
  return (
    <article class="offer">
      <header>
        <Countdown deadline={offer.deadline} />
        <div class="offer-title">
          <strong>{offer.transfer_from === null ? t.offer.title : t.offer.transfer(agentName(offer.transfer_from))}</strong>
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

function Countdown({ deadline }: { deadline: number }) {
  const left_ms = Math.max(0, deadline - now.value);
  // To the nearest: two clocks are never quite the same, and nobody is given 31 seconds.
  const seconds = Math.round(left_ms / 1000);
  const share = Math.min(1, left_ms / OFFER_MS);
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
