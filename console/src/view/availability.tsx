// The switch: whether this agent takes work, and how much.

import type { Availability } from '../../../protocol/ts/src/wire/frames.ts';
import { chooseAvailability, connection, ownCard } from '../state/store.ts';
import { granted } from '../state/session.ts';
import { t } from '../strings/en.ts';
import { CAPACITY_MAX } from '../wire/rest.ts';
import { Avatar, Icon, Menu } from './parts.tsx';

const CHOICES: readonly {
  readonly value: Availability;
  readonly words: string;
  readonly hint: string;
}[] = [
  { value: 'available', words: t.availability.available, hint: t.availability.availableHint },
  { value: 'away', words: t.availability.away, hint: t.availability.awayHint },
  { value: 'offline', words: t.availability.offline, hint: t.availability.offlineHint },
];

export function AvailabilityMenu() {
  const own = ownCard.value;
  const agent = granted.value?.agent;
  const chosen = own?.availability ?? 'offline';
  const capacity = own?.capacity ?? agent?.capacity ?? 0;
  const load = own?.load ?? 0;
  const sentAway = own?.availability_cause === 'missed-offers';
  const words = CHOICES.find((choice) => choice.value === chosen)?.words ?? '';
  const change = (value: number): void => {
    if (value >= 0 && value <= CAPACITY_MAX) void chooseAvailability(chosen, value);
  };
  return (
    <Menu
      class="availability"
      label={`${t.availability.label}:`}
      button={
        <>
          <Avatar
            id={agent?.agent_id ?? ''}
            name={own?.name ?? agent?.name ?? ''}
            size={28}
            dot={chosen}
          />
          <span class="availability-words">{words}</span>
          <span class="availability-load">
            {load}/{capacity}
          </span>
          <Icon name="down" size={14} />
        </>
      }
    >
      {(close) => (
        <>
          <div class="choices" role="radiogroup" aria-label={t.availability.label}>
            {CHOICES.map((choice) => (
              // Buttons: a radio of the browser's own is chosen by every arrow key that passes it,
              // and an agent would go offline on the way.
              <button
                key={choice.value}
                type="button"
                role="radio"
                class="choice"
                aria-checked={chosen === choice.value}
                tabIndex={chosen === choice.value ? 0 : -1}
                aria-disabled={connection.value.kind !== 'online'}
                onClick={() => {
                  void chooseAvailability(choice.value);
                  close();
                }}
              >
                <span class={`status-dot dot-${choice.value}`} aria-hidden="true" />
                <span>
                  <strong>{choice.words}</strong>
                  <small>
                    {sentAway && choice.value === 'away'
                      ? t.availability.sentAwayHint
                      : choice.hint}
                  </small>
                </span>
                {chosen === choice.value ? <Icon name="check" size={16} /> : null}
              </button>
            ))}
          </div>
          <div class="stepper">
            <span id="capacity-label">{t.availability.capacity}</span>
            {/* Not disabled: that would take the focus out of the menu, which then closes. */}
            <button
              type="button"
              class="icon-button"
              aria-label={t.availability.fewer}
              aria-disabled={capacity <= 0}
              onClick={() => change(capacity - 1)}
            >
              −
            </button>
            <output aria-labelledby="capacity-label">{capacity}</output>
            <button
              type="button"
              class="icon-button"
              aria-label={t.availability.moreOnes}
              aria-disabled={capacity >= CAPACITY_MAX}
              onClick={() => change(capacity + 1)}
            >
              +
            </button>
          </div>
        </>
      )}
    </Menu>
  );
}
