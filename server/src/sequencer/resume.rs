//! What a client that comes back gets: what follows the last message that it shows, or a new page.

use std::sync::Arc;

use protocol::conversation::ResumePoint;
use protocol::message::Seq;

use super::{Gap, Sequencer, UNDER_WAY_MAX};
use crate::privacy::envelope::Sequenced;

/// What a client gets that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// These follow what it has.
    After(Vec<Arc<Sequenced>>),
    /// What it has does not lead here: this is the newest page.
    Reset(Vec<Arc<Sequenced>>),
    /// Memory does not reach so far back: read the store and ask again.
    LookInStore {
        /// Numbers above this one, up to the client's last message, are needed one by one,
        after: Seq,
        /// and what the client may see above that message up to this number; memory has the rest.
        through: Seq,
    },
}

/// What the store has for a client that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// Everything up to the client's last message.
    pub before: Vec<Arc<Sequenced>>,
    /// What it may see of what follows,
    pub following: Vec<Arc<Sequenced>>,
    /// if that is all of it,
    pub whole: bool,
    /// up to this number.
    pub through: Seq,
}

impl Sequencer {
    /// What follows the client's last message; without one, the newest page. `older` is what the
    /// store has, as an earlier answer asked for it.
    ///
    /// That message has to be here as the client had it, its time included: a sequence number that
    /// a crash took back may be given again, to the same message even, and then what is before it
    /// is another. And nothing may be missing from the sequence numbers before it that were under
    /// way together with it: the client may still show what could not be stored there.
    pub fn resume(&self, point: Option<&ResumePoint>, older: Option<&Older>) -> Resumed {
        let Some(point) = point else { return Resumed::After(self.page()) };
        let Some(message) = point.message else {
            // Nothing to go on from: right for who has nothing, and for nobody else.
            let has_nothing = point.seq == Seq(0);
            return if has_nothing { Resumed::After } else { Resumed::Reset }(self.page());
        };
        if point.seq > self.seq_last || point.at.is_none() {
            return Resumed::Reset(self.page());
        }
        let after = below(point.seq);
        let older = older.filter(|_| after < self.tail_after);
        if after < self.tail_after {
            match older {
                Some(older) if older.through >= self.tail_after => {}
                // What was read must join what memory has: it may have moved on meanwhile.
                Some(_) | None => {
                    return Resumed::LookInStore { after, through: self.tail_after };
                }
            }
        }
        let read = |rows: fn(&Older) -> &[Arc<Sequenced>]| {
            let rows = older.map(rows).unwrap_or_default().iter();
            let rows = rows.filter(|sequenced| sequenced.seq() <= self.tail_after);
            rows.chain(self.tail.iter())
        };
        let mut expected = after.next();
        for sequenced in
            read(|older| &older.before).skip_while(|sequenced| sequenced.seq() <= after)
        {
            if sequenced.seq() != expected {
                break;
            }
            expected = expected.next();
            if sequenced.seq() == point.seq {
                let envelope = sequenced.envelope();
                let is_it = envelope.message() == message && Some(envelope.at()) == point.at;
                if is_it && older.is_none_or(|older| older.whole) {
                    let following = read(|older| &older.following);
                    let following = following.filter(|sequenced| sequenced.seq() > point.seq);
                    return Resumed::After(following.cloned().collect());
                }
                break;
            }
        }
        Resumed::Reset(self.page())
    }

    /// The same where other nodes give numbers as well. What a client saw of another node's words
    /// it saw on whichever node it was, and what was in doubt there is settled differently, or
    /// never, on this one: its screen is one node's word from here on.
    pub fn resume_anew(&self, point: Option<&ResumePoint>) -> Resumed {
        let has_nothing = point.is_none_or(|point| point.seq == Seq(0) && point.message.is_none());
        if has_nothing { Resumed::After(self.page()) } else { Resumed::Reset(self.page()) }
    }

    /// What is to be read of the store before a client is let in that saw more than is here:
    /// whatever it says next comes behind that.
    pub fn is_behind(&self, point: &ResumePoint) -> Option<Gap> {
        let after = self.seq_last;
        (point.seq > after).then_some(Gap { after, until: None })
    }

    fn page(&self) -> Vec<Arc<Sequenced>> {
        self.tail.iter().cloned().collect()
    }
}

/// The number before this one.
pub(super) fn before(seq: Seq) -> Seq {
    Seq(seq.0.saturating_sub(1))
}

/// So far below a number, and no further, may something have been under way together with it.
pub(super) fn below(seq: Seq) -> Seq {
    Seq(seq.0.saturating_sub(UNDER_WAY_MAX))
}
