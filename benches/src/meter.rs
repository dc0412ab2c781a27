//! What a case is, and the port through which it is measured.
//!
//! Lives here: names, sizes, the trait. Not here: the cases (one module for each group) or how
//! anything is measured: wall time is criterion's (`benches/wall.rs`), instructions are
//! [`crate::counting`]'s.

/// Something that is measured, within its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// As it stands in the budgets.
    pub name: &'static str,
    /// Things in one act, by which its cost is divided: messages of a commit, members of a room.
    pub each: u32,
    /// Where its cost lies.
    pub thread: Thread,
}

/// Whose instructions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thread {
    /// Those of the thread that acts.
    Own,
    /// Those of the store's writer while it commits: whoever acts only waits for it.
    Writer,
}

impl Case {
    /// An act that is about one thing.
    pub const fn new(name: &'static str) -> Self {
        Self { name, each: 1, thread: Thread::Own }
    }

    /// An act that is about so many.
    #[must_use]
    pub const fn each(self, each: u32) -> Self {
        Self { each, ..self }
    }

    /// An act that the store's writer carries out.
    #[must_use]
    pub const fn in_writer(self) -> Self {
        Self { thread: Thread::Writer, ..self }
    }
}

/// Measures cases. A world is made only where its case is measured.
pub trait Meter {
    /// An act that can be done again and again as it is.
    fn repeat<A: FnMut()>(&mut self, case: Case, make: impl FnOnce() -> A);

    /// An act that uses up what the first function prepared for it, unmeasured.
    fn consume<I, P, A>(&mut self, case: Case, make: impl FnOnce() -> (P, A))
    where
        P: FnMut() -> I,
        A: FnMut(I);
}
