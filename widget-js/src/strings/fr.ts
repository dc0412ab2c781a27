// French. The same texts as `en.ts`, in the same order.

import type { Events, Reasons } from './en.ts';

export const close = 'Fermer le chat';
export const title = 'Discutez avec nous';
export const greeting = 'Bonjour ! Comment pouvons-nous vous aider ?';
export const offline =
  'Personne n’est là pour le moment. Laissez-nous un message, nous répondrons dès notre retour.';
export const availability = {
  available: 'Nous sommes là pour vous',
  busy: 'Tous nos agents sont occupés ; un peu de patience',
  unavailable: 'Laissez-nous un message',
};
export const withAgent = 'En ligne avec vous';
export const name = 'Votre nom';
export const email = 'Votre e-mail';
export const optional = 'facultatif';
export const privacy = 'Avis de confidentialité';
export const message = 'Votre message';
export const placeholder = 'Écrivez un message…';
export const send = 'Envoyer';
export const messages = 'Messages';
export const earlier = 'Messages précédents';
export const newer = 'Nouveau message';
export const unreadMessages = (count: number) =>
  count === 1 ? 'un message non lu' : `${count} messages non lus`;
export const progress = {
  sending: 'Envoi…',
  sent: 'Envoyé',
  delivered: 'Remis',
  seen: 'Lu',
};
export const waitingForConnection = 'En attente de la connexion';
export const failed = (why: string) => `Non envoyé : ${why}`;
export const retry = 'Réessayer';
export const discard = 'Supprimer';
export const you = 'Vous';
export const someone = 'Assistance';
export const bot = 'Assistant';
export const isTyping = (name: string) => `${name} est en train d’écrire…`;
export const reconnecting = 'La connexion est perdue. Nous essayons de la rétablir…';
export const stopped = 'Le chat n’est pas accessible depuis cette page.';
export const blocked =
  'Le chat n’a pas de connexion. Le réseau ou un bloqueur l’empêche peut-être.';
export const tooLong = (count: number, max: number) =>
  `Trop long : ${count} caractères sur ${max}. Veuillez raccourcir.`;
export const queue = (position: number) =>
  position === 1 ? 'C’est bientôt votre tour.' : `Vous êtes numéro ${position} dans la file.`;
export const queueWait = (minutes: number) =>
  minutes <= 1 ? 'Environ une minute d’attente.' : `Environ ${minutes} minutes d’attente.`;
export const offered = 'Nous vous mettons en relation avec un agent…';
export const left = 'Merci. Nous avons votre message et répondrons ici.';
export const refused = (why: string) => `La conversation n’a pas pu commencer : ${why}`;
export const full =
  'Trop de messages attendent d’être envoyés. Attendez d’être de nouveau en ligne.';
export const reasons: Reasons = {
  'too-long': 'il est trop long. Envoyez-le en plusieurs fois.',
  'limit-reached': 'il y en a déjà trop. Patientez un peu, puis réessayez.',
  'site-closed': 'ce chat est fermé.',
  closed: 'la conversation est terminée. Commencez-en une autre.',
  'not-found': 'la conversation n’existe plus. Réessayez pour en commencer une autre.',
  other: 'le serveur ne l’a pas accepté. Réessayez, ou dites-le autrement.',
};
export const end = 'Terminer la conversation';
export const endQuestion = 'Terminer cette conversation ?';
export const endYes = 'Terminer';
export const endNo = 'Continuer';
export const closed = 'Cette conversation est terminée. Écrivez pour la rouvrir.';
export const anew = 'En commencer une autre';
export const events: Events = {
  assigned: (name) => `${name} a rejoint la conversation`,
  requeued: (_, next) =>
    `Notre agent n’est plus là.${next ? ' Vous êtes de nouveau en tête de la file.' : ''}`,
  transferred: (name) => `${name} a repris la conversation`,
  closed: () => 'La conversation a été terminée',
  reopened: () => 'La conversation a été rouverte',
  abandoned: () => 'La conversation a été terminée, car personne n’a écrit depuis longtemps',
  unknown: () => 'Il s’est passé quelque chose que cette version du chat ne peut pas afficher',
};
