// Sounds made by WebAudio: no files, nothing to fetch, allowed by the strict CSP.
//
// A browser keeps a page silent until somebody touched it; `soundLocked` says so, and the console
// then shows a control that unlocks it.

import { signal } from '@preact/signals';
import { soundOn } from './preferences.ts';

export const soundLocked = signal(true);

let audio: AudioContext | null = null;

function context(): AudioContext | null {
  if (audio === null && typeof AudioContext !== 'undefined') {
    audio = new AudioContext();
    audio.addEventListener('statechange', () => {
      soundLocked.value = audio?.state !== 'running';
    });
  }
  return audio;
}

/** To be called from a click or a key: lets the page sound from now on. */
export async function unlockSound(): Promise<void> {
  const ctx = context();
  if (ctx === null) return;
  await ctx.resume();
  soundLocked.value = ctx.state !== 'running';
}

/**
 * The first touch of the page unlocks it too, wherever it falls. At its end, when what was pressed
 * has done its own: the control that unlocks becomes the one that mutes, and a press must not be
 * the one and its release the other.
 */
export function startSound(): void {
  const touch = (): void => {
    if (soundOn.value === 'on') void unlockSound();
    window.removeEventListener('click', touch);
    window.removeEventListener('keyup', touch);
  };
  window.addEventListener('click', touch);
  window.addEventListener('keyup', touch);
}

interface Note {
  readonly hz: number;
  readonly atS: number;
  readonly lengthS: number;
}

const OFFER: readonly Note[] = [
  { hz: 659.3, atS: 0, lengthS: 0.16 },
  { hz: 830.6, atS: 0.14, lengthS: 0.16 },
  { hz: 987.8, atS: 0.28, lengthS: 0.34 },
];
const MESSAGE: readonly Note[] = [
  { hz: 880, atS: 0, lengthS: 0.1 },
  { hz: 1174.7, atS: 0.09, lengthS: 0.2 },
];

export type SoundEvent = 'offer' | 'message';

/** Plays a sound, if the agent wants it and the browser lets it. */
export function play(event: SoundEvent): void {
  if (soundOn.value === 'off' || soundLocked.value) return;
  const ctx = context();
  if (ctx === null || ctx.state !== 'running') return;
  for (const note of event === 'offer' ? OFFER : MESSAGE) {
    const tone = ctx.createOscillator();
    const volume = ctx.createGain();
    const from = ctx.currentTime + note.atS;
    tone.type = 'sine';
    tone.frequency.value = note.hz;
    // A soft attack and a long fall: without them a tone begins and ends with a click.
    volume.gain.setValueAtTime(0, from);
    volume.gain.linearRampToValueAtTime(0.16, from + 0.015);
    volume.gain.exponentialRampToValueAtTime(0.0001, from + note.lengthS);
    tone.connect(volume).connect(ctx.destination);
    tone.start(from);
    tone.stop(from + note.lengthS + 0.02);
  }
}
