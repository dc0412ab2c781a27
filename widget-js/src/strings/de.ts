// German. The same texts as `en.ts`, in the same order.

import type { Events, Reasons } from './en.ts';

export const close = 'Chat schließen';
export const title = 'Chatten Sie mit uns';
export const greeting = 'Guten Tag! Wie können wir Ihnen helfen?';
export const offline =
  'Gerade ist niemand da. Hinterlassen Sie uns eine Nachricht, wir antworten, sobald wir zurück sind.';
export const availability = {
  available: 'Wir sind für Sie da',
  busy: 'Alle sind im Gespräch; es kann etwas dauern',
  unavailable: 'Hinterlassen Sie uns eine Nachricht',
};
export const withAgent = 'Im Gespräch mit Ihnen';
export const name = 'Ihr Name';
export const email = 'Ihre E-Mail-Adresse';
export const optional = 'freiwillig';
export const privacy = 'Datenschutzhinweis';
export const message = 'Ihre Nachricht';
export const placeholder = 'Nachricht schreiben …';
export const send = 'Senden';
export const messages = 'Nachrichten';
export const earlier = 'Frühere Nachrichten';
export const newer = 'Neue Nachricht';
export const unreadMessages = (count: number) =>
  count === 1 ? 'eine ungelesene Nachricht' : `${count} ungelesene Nachrichten`;
export const progress = {
  sending: 'Wird gesendet …',
  sent: 'Gesendet',
  delivered: 'Zugestellt',
  seen: 'Gelesen',
};
export const waitingForConnection = 'Wartet auf die Verbindung';
export const failed = (why: string) => `Nicht gesendet: ${why}`;
export const retry = 'Erneut versuchen';
export const discard = 'Löschen';
export const you = 'Sie';
export const someone = 'Support';
export const bot = 'Assistent';
export const isTyping = (name: string) => `${name} schreibt …`;
export const reconnecting =
  'Die Verbindung ist unterbrochen. Wir versuchen, sie wiederherzustellen …';
export const stopped = 'Der Chat ist von dieser Seite aus nicht erreichbar.';
export const blocked =
  'Der Chat hat keine Verbindung. Vielleicht verhindern sie das Netz oder ein Blocker.';
export const tooLong = (count: number, max: number) =>
  `Zu lang: ${count} von ${max} Zeichen. Bitte kürzen Sie.`;
export const queue = (position: number) =>
  position === 1
    ? 'Sie sind als Nächstes an der Reihe.'
    : `Sie sind Nummer ${position} in der Warteschlange.`;
export const queueWait = (minutes: number) =>
  minutes <= 1 ? 'Noch etwa eine Minute.' : `Noch etwa ${minutes} Minuten.`;
export const offered = 'Sie werden gerade verbunden …';
export const left = 'Danke. Wir haben Ihre Nachricht und antworten hier.';
export const refused = (why: string) => `Das Gespräch konnte nicht begonnen werden: ${why}`;
export const full =
  'Zu viel wartet darauf, gesendet zu werden. Bitte warten Sie, bis Sie wieder online sind.';
export const reasons: Reasons = {
  'too-long': 'sie ist zu lang. Teilen Sie sie auf.',
  'limit-reached':
    'es sind schon zu viele. Warten Sie etwas und versuchen Sie es dann noch einmal.',
  'site-closed': 'dieser Chat ist geschlossen.',
  closed: 'das Gespräch ist beendet. Beginnen Sie ein neues.',
  'not-found': 'das Gespräch gibt es nicht mehr. Ein neuer Versuch beginnt ein anderes.',
  other:
    'der Server hat sie nicht angenommen. Versuchen Sie es noch einmal oder mit anderen Worten.',
};
export const end = 'Gespräch beenden';
export const endQuestion = 'Dieses Gespräch beenden?';
export const endYes = 'Beenden';
export const endNo = 'Fortsetzen';
export const closed = 'Dieses Gespräch ist beendet. Schreiben Sie, um es wieder zu öffnen.';
export const anew = 'Neues beginnen';
export const events: Events = {
  assigned: (name) => `${name} ist jetzt für Sie da`,
  requeued: (_, next) =>
    `Unser Mitarbeiter ist nicht mehr da.${next ? ' Sie sind wieder als Erstes an der Reihe.' : ''}`,
  transferred: (name) => `${name} hat das Gespräch übernommen`,
  closed: () => 'Das Gespräch wurde beendet',
  reopened: () => 'Das Gespräch wurde wieder geöffnet',
  abandoned: () => 'Das Gespräch wurde beendet, weil lange niemand geschrieben hat',
  unknown: () => 'Etwas ist geschehen, das diese Version des Chats nicht anzeigen kann',
};
