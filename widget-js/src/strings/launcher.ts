// What every page needs before a click, in every language: the words of the launcher. The rest
// comes with the chat.

export interface LauncherStrings {
  readonly open: string;
  readonly failed: string;
}

export const LAUNCHER = {
  en: { open: 'Open the chat', failed: 'The chat could not be loaded. Please try again.' },
  de: { open: 'Chat öffnen', failed: 'Der Chat lädt nicht. Bitte noch einmal versuchen.' },
  fr: { open: 'Ouvrir le chat', failed: 'Le chat ne se charge pas. Réessayez.' },
  es: { open: 'Abrir el chat', failed: 'El chat no carga. Inténtelo de nuevo.' },
};

export type Language = keyof typeof LAUNCHER;

/**
 * The first of these language tags that there are words for, `de` for `de-AT`; otherwise English.
 */
export function choose(...tags: (string | undefined)[]): [language: Language, tag: string] {
  for (const tag of tags) {
    const language = tag?.split('-')[0]?.toLowerCase();
    if (tag && language && Object.hasOwn(LAUNCHER, language)) return [language as Language, tag];
  }
  return ['en', 'en'];
}
