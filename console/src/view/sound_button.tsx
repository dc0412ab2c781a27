// Sound: locked by the browser until touched, on, or off.

import { soundOn } from '../state/preferences.ts';
import { play, soundLocked, unlockSound } from '../state/sound.ts';
import { t } from '../strings/en.ts';
import { Icon } from './parts.tsx';

export function SoundButton() {
  const wanted = soundOn.value === 'on';
  if (wanted && soundLocked.value) {
    return (
      <button
        type="button"
        class="chip-button"
        aria-label={t.sound.unlockLabel}
        title={t.sound.unlockHint}
        onClick={() => {
          void unlockSound().then(() => play('message'));
        }}
      >
        <Icon name="bellOff" size={15} />
        {t.sound.unlock}
      </button>
    );
  }
  return (
    <button
      type="button"
      class="icon-button"
      aria-pressed={wanted}
      aria-label={wanted ? t.sound.on : t.sound.off}
      title={wanted ? t.sound.on : t.sound.off}
      onClick={() => {
        soundOn.value = wanted ? 'off' : 'on';
        if (!wanted) void unlockSound().then(() => play('message'));
      }}
    >
      <Icon name={wanted ? 'bell' : 'bellOff'} />
    </button>
  );
}
