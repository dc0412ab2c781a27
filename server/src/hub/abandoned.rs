//! Ends what everybody has left: a conversation in which nobody said anything for long, and in
//! which nobody is. Without it the queue and the board would only grow.
//!
//! Each pass looks at a bounded number of conversations, round after round; the store is asked only
//! about one that may be due, and then not again before it may be due once more.

use protocol::conversation::ConversationState;
use protocol::ids::ConversationId;
use protocol::message::EventKind;
use protocol::reject::Reject;
use protocol::time::UnixMillis;

use super::conversations::Conversations;
use super::desk::{Desk, DeskState};
use crate::metrics::Closed;

/// Headers of one desk that one pass looks at.
const LOOKED_PER_PASS: usize = 256;

/// Conversations that one pass asks the store about, of all desks together: each may be two writes,
/// for which offers and their deadlines wait.
const ASKED_PER_PASS: usize = 8;

impl Conversations {
    /// One pass, which begins at another desk each time.
    pub(super) async fn close_abandoned(&self, pass: u64) {
        let Some(after_ms) = self.abandoned_ms else { return };
        let mut desks = self.desks.all();
        desks.sort_unstable_by_key(|desk| desk.tenant);
        let desks_len = u64::try_from(desks.len()).unwrap_or(u64::MAX).max(1);
        desks.rotate_left(usize::try_from(pass % desks_len).unwrap_or(0));
        let mut left = ASKED_PER_PASS;
        for desk in desks {
            let now = self.times.now();
            let long = |quiet| now.ms_since(quiet) >= after_ms;
            let due = desk.state.lock().may_be_abandoned(long, left);
            left -= due.len();
            for conversation in due {
                if let Err(reject) = self.close_if_abandoned(&desk, conversation, after_ms).await {
                    tracing::warn!(conversation_id = %conversation, reject_code = reject.code.word(), "an abandoned conversation was not closed; it will be");
                }
            }
        }
    }

    async fn close_if_abandoned(
        &self,
        desk: &Desk,
        conversation: ConversationId,
        after_ms: u64,
    ) -> Result<(), Reject> {
        let _id_lock = self.id_lock(conversation.as_bytes()).await;
        let room = self.rooms.get(desk.tenant, conversation).await?;
        let (is_empty, heard) = room
            .with(|live| (live.members().is_empty(), live.sequencer().last_heard()))
            .unwrap_or((false, None));
        self.desks.drop_if_idle(conversation);
        let now = self.times.now();
        let abandoned = {
            let mut state = desk.state.lock();
            let is_empty = is_empty && !state.visitor_is_here(conversation);
            let Some(header) = state.headers.get_mut(&conversation) else { return Ok(()) };
            // Who is there now begins the time anew.
            let heard = if is_empty { heard } else { Some(now) };
            header.quiet_since = heard.map_or(header.quiet_since, |at| at.max(header.quiet_since));
            now.ms_since(header.quiet_since) >= after_ms
                && header.row.state != ConversationState::Closed
        };
        if !abandoned {
            return Ok(());
        }
        self.events.write(desk.tenant, conversation, EventKind::Abandoned, None).await;
        self.assignment.route_end(desk, conversation, Closed::Abandoned).await
    }
}

impl DeskState {
    /// The next conversations of a round that were quiet for long, as far as memory knows.
    fn may_be_abandoned(
        &mut self,
        long: impl Fn(UnixMillis) -> bool,
        len_max: usize,
    ) -> Vec<ConversationId> {
        if len_max == 0 {
            return Vec::new();
        }
        let looked = self.routing.live_after(self.looked_at, LOOKED_PER_PASS);
        // At the end the next round begins.
        self.looked_at = None;
        let mut due = Vec::new();
        for conversation in looked {
            if due.len() >= len_max {
                break;
            }
            self.looked_at = Some(conversation);
            let quiet = self.headers.get(&conversation).is_some_and(|header| {
                header.row.state != ConversationState::Offered && long(header.quiet_since)
            });
            if quiet {
                due.push(conversation);
            }
        }
        due
    }
}
