//! Instruction counts: a case's act under callgrind, and what callgrind wrote.
//!
//! Lives here: which functions callgrind is told of, how often an act is repeated, reading the sum.
//! Not here: starting valgrind (`bin/instructions`), what is allowed ([`crate::budget`]).

use std::hint::black_box;

use crate::meter::{Case, Meter, Thread};
use crate::{codec, fanout, gate, ingest, room, seal, tally, writer};

/// Things that are done while it counts, at least: what happens now and then, such as a tree that
/// grows, has its share in them. The writer's conversations all have their turn.
const THINGS_MIN: u32 = 64;
/// Acts that are done while it counts, at least.
const ACTS_MIN: u32 = 8;

/// The function inside which callgrind counts, by the name that it sees.
pub fn counted_function(thread: Thread) -> &'static str {
    match thread {
        Thread::Own => "livehelp_benches::counting::act_counted",
        Thread::Writer => "livehelp::store::sqlite::writer::commit::*::commit",
    }
}

/// The function at which callgrind forgets what it counted before.
pub const BEGINNING: &str = "livehelp_benches::counting::counting_begins";

/// A case with the group it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The bench's name.
    pub group: &'static str,
    /// The case itself.
    pub case: Case,
}

impl Named {
    /// As people write it.
    pub fn path(&self) -> String {
        format!("{}/{}", self.group, self.case.name)
    }

    /// Acts of this case that are counted together. As many come before, so that caches and what is
    /// made at its first use are there, as in a server that runs.
    pub fn acts(&self) -> u32 {
        (THINGS_MIN / self.case.each).max(ACTS_MIN)
    }
}

/// Goes through all cases; does the one that is wanted, if any.
#[derive(Debug)]
struct Counting {
    group: &'static str,
    wanted: Option<String>,
    met: Vec<Named>,
}

/// Goes through the cases of one group.
type Measure = fn(&mut Counting);

/// Every case there is.
pub fn cases() -> Vec<Named> {
    all(None).met
}

/// Does the case with this path, so often that its sum divided by [`Named::acts`] is steady. Counts
/// nothing by itself: valgrind does, if it runs this. Whether there is such a case.
pub fn act(path: &str) -> bool {
    all(Some(path)).met.iter().any(|named| named.path() == path)
}

fn all(wanted: Option<&str>) -> Counting {
    let mut counting = Counting { group: "", wanted: wanted.map(str::to_owned), met: Vec::new() };
    let groups: [(&'static str, Measure); 8] = [
        ("codec", codec::measure),
        ("ingest", ingest::measure),
        ("room", room::measure),
        ("fanout", fanout::measure),
        ("seal", seal::measure),
        ("gate", gate::measure),
        ("writer", writer::measure),
        ("tally", tally::measure),
    ];
    for (group, measure) in groups {
        counting.group = group;
        measure(&mut counting);
    }
    counting
}

impl Counting {
    fn meet(&mut self, case: Case) -> Option<Named> {
        let named = Named { group: self.group, case };
        self.met.push(named);
        (self.wanted.as_deref() == Some(named.path().as_str())).then_some(named)
    }
}

impl Meter for Counting {
    fn repeat<A: FnMut()>(&mut self, case: Case, make: impl FnOnce() -> A) {
        self.consume(case, || {
            let mut act = make();
            (|| (), move |()| act())
        });
    }

    fn consume<I, P, A>(&mut self, case: Case, make: impl FnOnce() -> (P, A))
    where
        P: FnMut() -> I,
        A: FnMut(I),
    {
        let Some(named) = self.meet(case) else { return };
        let (mut prepare, mut act) = make();
        for number in 0..2 * named.acts() {
            if number == named.acts() {
                counting_begins();
            }
            let mut input = Some(prepare());
            act_counted(&mut || {
                if let Some(input) = input.take() {
                    act(input);
                }
            });
        }
    }
}

/// A place for callgrind to forget what came before. Not inlined, and not empty: two empty
/// functions become one.
#[inline(never)]
fn counting_begins() {
    black_box(0_u8);
}

/// What happens inside is counted. Not inlined: callgrind finds it by its name.
#[inline(never)]
fn act_counted(act: &mut dyn FnMut()) {
    act();
}

/// The sum in what callgrind wrote.
pub fn sum(written: &str) -> Option<u64> {
    let totals = written.lines().find_map(|line| line.strip_prefix("totals:"))?;
    totals.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_done_and_has_a_name_of_its_own() {
        let mut paths: Vec<_> = cases().iter().map(Named::path).collect();
        for path in &paths {
            assert!(act(path), "{path}");
        }
        let count = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), count);
        assert!(!act("codec/nothing"));
    }

    #[test]
    fn the_sum_of_a_profile_is_read() {
        assert_eq!(sum("version: 1\nsummary: 7\n\ntotals: 1234\n"), Some(1_234));
        assert_eq!(sum("version: 1\n"), None);
    }
}
