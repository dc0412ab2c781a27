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
    /// Nearly everything happens about one conversation, on a slow disk, with crashes and failed
    /// writes.
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

/// From this seed on there are several nodes on the disk.
pub(crate) const SEVERAL: u64 = 1_000_000;

/// How many nodes there are on the disk.
pub(crate) fn nodes_of(seed: u64) -> usize {
    match (seed < SEVERAL, seed / 4 % 2) {
        (true, _) => 1,
        (false, 0) => 2,
        (false, _) => 3,
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
    ReuseNumber,
    /// Readers are served without a look at the day.
    SkipExpiry,
    /// A second agent is asked, and believed.
    DoubleOffer,
    /// Whoever names a conversation is let in.
    AnyTenant,
    /// A client that comes back is sent nothing it missed.
    NoResume,
    /// A client's last message is known by its sequence number and id alone.
    ResumeWithoutTime,
    /// What could not be stored stays on the screen of those who were away.
    KeepGhosts,
    /// A duplicate is looked for above the sequence number that its author had seen before a crash.
    LookAboveSeen,
    /// A sweep that goes by the wall clock, wherever it jumped.
    SweepByWallClock,
    /// Records get the wall clock's time, though it stepped back behind the mark.
    IngestByWallClock,
    // In the sequencer: what it is told, or what it wants, is changed on the way.
    /// A message whose number is another's is acked.
    AckTaken,
    /// What was missed is not read.
    GapUnfilled,
    /// What stands behind a refused message is not refused with it.
    NotRefusedWithIt,
    /// What another node could not store stays.
    VoidIgnored,
    /// A duplicate of what another node sequenced is acked before the store has it.
    AckForAnother,
    /// The number of a question that failed is taken for that of the next one.
    StaleNumber,
    /// What was stored late is not told once more.
    LateUntold,
    /// A duplicate is acked though the first could not be stored.
    ConfirmUnstored,
}

/// How often each thing went wrong, so that no run is quiet by accident.
macro_rules! counts {
    ($($name:ident)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counts {
            $(pub(crate) $name: u32,)*
        }

        impl Counts {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Each with its name.
            fn all(&self) -> Vec<(&'static str, u32)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

/// So many of them happen on one node.
const ON_ONE_NODE: usize = 15;

impl Counts {
    /// What goes wrong on one node, each with its name.
    pub(crate) fn on_one_node(&self) -> Vec<(&'static str, u32)> {
        self.all().into_iter().take(ON_ONE_NODE).collect()
    }

    /// What goes wrong between several.
    pub(crate) fn between_nodes(&self) -> Vec<(&'static str, u32)> {
        self.all().into_iter().skip(ON_ONE_NODE).collect()
    }
}

counts! {
    drops
    crashes
    lost_writes
    lost_acks
    failed_batches
    resends
    resets
    waits
    clock_steps
    expired
    acked
    offers
    requeued
    refused_strangers
    slow_looks
    node_crashes
    bus_away
    lost_answers
    lost_notices
    unheard
    stale
    unawaited
    forgotten
    deaf
    missed
    gaps
    filled
    numbers_taken
    stored_before
    stored_late
    set_right
    voids_found
    renumbered
    voids_heard
    waited_in_lanes
    refused_with
    owed
}
