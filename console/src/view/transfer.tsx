// Handing a conversation over: whom, and how busy they are.

import { useEffect, useState } from 'preact/hooks';
import type { AgentCard, ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { mayTransfer, transfer } from '../state/acts.ts';
import { board } from '../state/store.ts';
import { tell } from '../state/notices.ts';
import { me } from '../state/session.ts';
import { t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import { ActButton, Avatar, Dialog } from './parts.tsx';

function rank(card: AgentCard): number {
  if (card.presence !== 'connected') return 3;
  return card.availability === 'available' ? 0 : card.availability === 'away' ? 1 : 2;
}

export function TransferDialog({ id, onClose }: { id: ConversationId; onClose: () => void }) {
  const [wanted, setWanted] = useState('');
  const conversation = board.value.cards.get(id);
  const possible = conversation !== undefined && mayTransfer(conversation);
  // While one chooses, it may be closed, handed over by somebody else or taken away.
  useEffect(() => {
    if (!possible) onClose();
  }, [possible]);
  // Whoever has it already is nobody to hand it to.
  const all = [...board.value.agents.values()].filter(
    (card) => card.agent !== me.value && card.agent !== conversation?.assignee,
  );
  const shown = all
    .filter((card) => card.name.toLowerCase().includes(wanted.trim().toLowerCase()))
    .sort(
      (a, b) => rank(a) - rank(b) || (a.load ?? 0) - (b.load ?? 0) || a.name.localeCompare(b.name),
    );
  return (
    <Dialog title={t.transfer.title} onClose={onClose}>
      <p class="muted">{t.transfer.lead}</p>
      {all.length === 0 ? (
        <p>{t.transfer.none}</p>
      ) : (
        <>
          {all.length > 6 ? (
            <input
              type="search"
              aria-label={t.transfer.search}
              placeholder={t.transfer.search}
              value={wanted}
              onInput={(event) => setWanted(event.currentTarget.value)}
            />
          ) : null}
          <ul class="people">
            {shown.map((card) => (
              <li key={card.agent}>
                <ActButton
                  class="person"
                  act={async () => {
                    if (!(await transfer(id, card.agent))) return;
                    tell(named(t.transfer.asked, card.name));
                    onClose();
                  }}
                >
                  <Avatar
                    id={card.agent}
                    name={card.name}
                    size={32}
                    dot={card.presence === 'connected' ? (card.availability ?? 'offline') : 'gone'}
                  />
                  <span class="person-main">
                    <strong>
                      <bdi>{card.name}</bdi>
                    </strong>
                    <small>
                      {[
                        card.availability === undefined
                          ? undefined
                          : t.availability[card.availability],
                        card.presence === 'connected' ? undefined : t.transfer.gone,
                      ]
                        .filter((part) => part !== undefined)
                        .join(' · ')}
                    </small>
                  </span>
                  <span class="person-load">
                    {t.availability.load(card.load ?? 0, card.capacity ?? 0)}
                    {(card.load ?? 0) >= (card.capacity ?? 0) ? ` · ${t.transfer.full}` : ''}
                  </span>
                </ActButton>
              </li>
            ))}
          </ul>
        </>
      )}
    </Dialog>
  );
}
