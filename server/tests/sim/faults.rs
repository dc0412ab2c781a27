//! What goes wrong in a simulated world: chance from one seed, and bugs planted on purpose.

/// Chance out of one seed (SplitMix64): the same seed, the same story.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn ms(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let at = self.below(of.len());
        of.get(at).copied()
    }
}

/// What kind of day it is: what one kind of trouble hides, another shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Something of everything.
    Mixed,
    /// The disk takes its time: much is under way when something happens.
    SlowDisk,
    /// Nearly everything happens about one conversation, on a slow disk, with crashes and failed writes.
    Storm,
    /// Nearly everything happens about one conversation, on a slow disk, in bursts.
    Crowd,
}

impl Mood {
    pub(crate) fn of(seed: u64) -> Self {
        match seed % 4 {
            0 => Self::Mixed,
            1 => Self::SlowDisk,
            2 => Self::Storm,
            _ => Self::Crowd,
        }
    }

    /// Whether most of it happens about one conversation.
    pub(crate) fn is_about_one(self) -> bool {
        matches!(self, Self::Storm | Self::Crowd)
    }
}

/// A bug in the world's own shell, to show that the invariants would see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// The sender hears `ack` before the commit.
    AckBeforeCommit,
    /// A resend is taken for a new message.
    NoDedupe,
    /// Whether someone may write is asked before whether they wrote it already.
    RefuseBeforeDedupe,
    /// A message gets the place of the one before it.
    ReusePlace,
    /// Readers are served without a look at the day.
    SkipExpiry,
    /// A second agent is asked, and believed.
    DoubleOffer,
    /// Whoever names a conversation is let in.
    AnyTenant,
    /// A client that comes back is sent nothing it missed.
    NoResume,
    /// A client's last message is known by its place and id alone.
    ResumeWithoutTime,
    /// What could not be stored stays on the screen of those who were away.
    KeepGhosts,
    /// A duplicate is looked for above the place that its author had seen before a crash.
    LookAboveSeen,
    /// A sweep that goes by the wall clock, wherever it jumped.
    SweepByWallClock,
    /// Records get the wall clock's time, though it stepped back behind the mark.
    IngestByWallClock,
}

/// How often each thing went wrong, so that no run is quiet by accident.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) drops: u32,
    pub(crate) crashes: u32,
    pub(crate) lost_writes: u32,
    pub(crate) lost_acks: u32,
    pub(crate) failed_batches: u32,
    pub(crate) resends: u32,
    pub(crate) resets: u32,
    pub(crate) waits: u32,
    pub(crate) clock_steps: u32,
    pub(crate) expired: u32,
    pub(crate) acked: u32,
    pub(crate) offers: u32,
    pub(crate) requeued: u32,
    pub(crate) refused_strangers: u32,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.drops += other.drops;
        self.crashes += other.crashes;
        self.lost_writes += other.lost_writes;
        self.lost_acks += other.lost_acks;
        self.failed_batches += other.failed_batches;
        self.resends += other.resends;
        self.resets += other.resets;
        self.waits += other.waits;
        self.clock_steps += other.clock_steps;
        self.expired += other.expired;
        self.acked += other.acked;
        self.offers += other.offers;
        self.requeued += other.requeued;
        self.refused_strangers += other.refused_strangers;
    }

    /// Each with its name.
    pub(crate) fn all(&self) -> [(&'static str, u32); 14] {
        [
            ("drops", self.drops),
            ("crashes", self.crashes),
            ("lost writes", self.lost_writes),
            ("lost acks", self.lost_acks),
            ("failed batches", self.failed_batches),
            ("resends", self.resends),
            ("resets", self.resets),
            ("waits", self.waits),
            ("clock steps", self.clock_steps),
            ("expired", self.expired),
            ("acked", self.acked),
            ("offers", self.offers),
            ("requeued", self.requeued),
            ("refused strangers", self.refused_strangers),
        ]
    }
}
