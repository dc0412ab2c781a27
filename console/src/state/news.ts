// What came to nothing between two boards is told to whom it concerns: offers that ran out,
// transfers that nobody took, and that nothing is offered any more.

import type { ConversationCard, ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import { missedOffers, refusedTransfers } from './board.ts';
import type { Board } from './board.ts';
import { serverNow } from './clock.ts';
import { dismiss, leaveNotice, tell } from './notices.ts';
import { me } from './session.ts';
import { visitorName } from './visitor.ts';

export class News {
  /** Makes the agent available again. */
  readonly #comeBack: () => void;
  /** Offers that were declined here: they are over at this agent's wish, however late. */
  readonly #declined = new Set<ConversationId>();
  /** Offers that ran out here, what the conversation was then, and the notice that says so. */
  readonly #missed = new Map<
    ConversationId,
    { readonly notice: number; readonly was: ConversationCard }
  >();
  /** The notice that says why the agent is away. */
  #away: number | null = null;

  constructor(comeBack: () => void) {
    this.#comeBack = comeBack;
  }

  stop(): void {
    this.#declined.clear();
    this.#missed.clear();
    this.#away = null;
  }

  decline(id: ConversationId): void {
    this.#declined.add(id);
  }

  /** It is offered anew. */
  offered(id: ConversationId): void {
    this.#declined.delete(id);
  }

  tellChanges(before: Board, after: Board): void {
    for (const card of missedOffers(before, after, serverNow(), me.value)) {
      if (this.#declined.has(card.conversation)) continue;
      const notice = leaveNotice(named(t.offer.missed, visitorName(card)), card.conversation);
      this.#missed.set(card.conversation, { notice, was: card });
    }
    for (const [id, { notice, was }] of this.#missed) {
      if (!isSettled(was, after)) continue;
      this.#missed.delete(id);
      dismiss(notice);
    }
    this.#tellAway(after);
    for (const { card, by } of refusedTransfers(before, after, me.value)) {
      tell(
        named(t.transfer.untaken, after.agents.get(by)?.name ?? t.anAgent, visitorName(card)),
        'bad',
      );
    }
  }

  /**
   * Why nothing is offered any more, where the agent did not choose it, and the way back; until
   * they choose.
   */
  #tellAway(now: Board): void {
    const own = me.value === null ? undefined : now.agents.get(me.value);
    const sent = own?.availability === 'away' && own.availability_cause === 'missed-offers';
    if (sent && this.#away === null) {
      this.#away = leaveNotice(t.availability.sentAway, null, {
        words: t.availability.again,
        run: this.#comeBack,
      });
    } else if (!sent && this.#away !== null) {
      dismiss(this.#away);
      this.#away = null;
    }
  }
}

/**
 * Whether a conversation that was missed needs nobody any more: it was taken, closed, answered or
 * erased, or is offered here anew.
 */
function isSettled(was: ConversationCard, now: Board): boolean {
  const card = now.cards.get(was.conversation);
  if (card === undefined || card.state === 'closed' || now.offers.has(was.conversation))
    return true;
  const taken =
    card.assignee !== undefined &&
    (card.assignee !== was.assignee || (was.state !== 'active' && card.state === 'active'));
  const answered = card.seq_last > was.seq_last && card.last_author?.kind === 'agent';
  return taken || answered;
}
