// What every page needs before a click, in every language: the words of the launcher. The rest comes with the chat.

export interface LauncherStrings {
  readonly open: string;
  readonly close: string;
  readonly unread: (count: number) => string;
  readonly failed: string;
}

const some = (open: string, close: string, one: string, many: string, failed: string): LauncherStrings => ({
  open,
  close,
  failed,
  unread: (count) => `${open}, ${count === 1 ? one : `${count} ${many}`}`,
});

export const LAUNCHER = {
  en: some('Open the chat', 'Close the chat', 'one unread message', 'unread messages', 'The chat could not be loaded. Please try again.'),
  de: some('Chat öffnen', 'Chat schließen', 'eine ungelesene Nachricht', 'ungelesene Nachrichten', 'Der Chat lädt nicht. Bitte noch einmal versuchen.'),
  fr: some('Ouvrir le chat', 'Fermer le chat', 'un message non lu', 'messages non lus', 'Le chat ne se charge pas. Réessayez.'),
  es: some('Abrir el chat', 'Cerrar el chat', 'un mensaje sin leer', 'mensajes sin leer', 'El chat no carga. Inténtelo de nuevo.'),
};

export type Language = keyof typeof LAUNCHER;

/** The first of these language tags that there are words for, `de` for `de-AT`; otherwise English. */
export function choose(...tags: (string | undefined)[]): { language: Language; tag: string } {
  for (const tag of tags) {
    const language = tag?.split('-')[0]?.toLowerCase();
    if (tag && language && Object.hasOwn(LAUNCHER, language)) return { language: language as Language, tag };
  }
  return { language: 'en', tag: 'en' };
}
