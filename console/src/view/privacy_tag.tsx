// Why a message is kept, and for how long: the tag that it got on arrival.

import { loadPrivacyTag } from '../state/settings.ts';
import { t } from '../strings/en.ts';
import { Dialog, LoadedView, useLoaded } from './parts.tsx';

export function PrivacyTagDialog({
  conversation,
  message,
  onClose,
}: {
  conversation: string;
  message: string;
  onClose: () => void;
}) {
  const { state, again } = useLoaded(message, () => loadPrivacyTag(conversation, message));
  return (
    <Dialog title={t.privacyTag.title} onClose={onClose}>
      <LoadedView loaded={state} again={again}>
        {(tag) => (
          <dl class="facts">
            {[
              [t.privacyTag.class, tag.class],
              [t.privacyTag.purposes, tag.purposes.join(', ')],
              [t.privacyTag.bases, tag.bases.join(', ')],
              [t.privacyTag.policy, String(tag.policy_version)],
              [t.privacyTag.ingested, tag.ingest_day],
              [t.privacyTag.expires, tag.expires_on ?? t.privacyTag.none],
              [t.privacyTag.rules, tag.rules.join(', ')],
              [t.privacyTag.reason, tag.reason],
            ].map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        )}
      </LoadedView>
    </Dialog>
  );
}
