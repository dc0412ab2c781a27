// What a visitor is called.

import type { ConversationCard } from '../../../protocol/ts/src/wire/frames.ts';
import { isBlank } from '../../../protocol/ts/src/wire/visible.ts';
import { t } from '../strings/en.ts';

/** What the visitor gave, or a handle that stays the same for the same visitor. */
export function visitorName(card: ConversationCard | undefined): string {
  const visitor = card?.visitor;
  if (visitor?.name !== undefined && !isBlank(visitor.name)) return visitor.name;
  if (visitor?.email !== undefined && !isBlank(visitor.email)) return visitor.email;
  const id = visitor?.visitor ?? card?.conversation ?? '';
  return `${t.aVisitor} ${id.slice(-4).toUpperCase()}`;
}
