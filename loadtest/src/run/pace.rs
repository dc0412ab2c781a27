//! The schedule of an open loop: moments that are fixed before the first message, and a thread that
//! calls each at its time.
//!
//! Nothing waits for an answer here. A moment that cannot be kept is late, and counts as late.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock::Micros;
use crate::judge::figure::Count;
use crate::number::ratio;
use crate::people::world::{Due, World, part};
use crate::run::scenario::{Arrivals, Mix, Phase, PhaseKind, Scenario};
use crate::tasks;

/// While nothing is due, how often the pacer looks whether the phases were cut.
const LOOK_UP: Duration = Duration::from_millis(50);

/// A stretch over which a rate goes evenly from one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stretch {
    seconds: f64,
    from: f64,
    to: f64,
}

impl Stretch {
    /// How many are due in it.
    fn sum(&self) -> f64 {
        self.seconds * (self.from + self.to) / 2.0
    }

    /// When so many are due: the inverse of `from t + (to - from) t² / 2 seconds`.
    fn when(&self, count: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds;
        if slope.abs() < 1e-9 {
            return count / self.from;
        }
        let root = (self.from * self.from + 2.0 * slope * count).max(0.0).sqrt();
        (root - self.from) / slope
    }
}

fn stretches(kind: PhaseKind, seconds: f64, before: f64, rate: f64) -> Vec<Stretch> {
    let stretch = |seconds, from, to| Stretch { seconds, from, to };
    match kind {
        PhaseKind::Ramp => vec![stretch(seconds, before, rate)],
        PhaseKind::Hold | PhaseKind::Soak => vec![stretch(seconds, rate, rate)],
        PhaseKind::Spike => {
            let third = seconds / 3.0;
            vec![
                stretch(third, before, before),
                stretch(third, rate, rate),
                stretch(third, before, before),
            ]
        }
    }
}

/// The moments of one stream, as seconds from the beginning.
#[derive(Debug)]
pub(crate) struct Moments {
    stretches: Vec<Stretch>,
    at: usize,
    /// Where the stretch begins, and how many of it were due.
    begin: f64,
    count: f64,
    arrivals: Arrivals,
    chance: fastrand::Rng,
}

impl Moments {
    fn new(stretches: Vec<Stretch>, arrivals: Arrivals, chance: fastrand::Rng) -> Self {
        Self { stretches, at: 0, begin: 0.0, count: 0.0, arrivals, chance }
    }
}

impl Iterator for Moments {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        self.count += match self.arrivals {
            Arrivals::Constant => 1.0,
            Arrivals::Poisson => -(1.0 - self.chance.f64()).ln(),
        };
        loop {
            let stretch = self.stretches.get(self.at)?;
            if self.count <= stretch.sum() {
                return Some(self.begin + stretch.when(self.count));
            }
            self.count -= stretch.sum();
            self.begin += stretch.seconds;
            self.at += 1;
        }
    }
}

/// What is due in a list of phases: messages, and visitors.
#[derive(Debug)]
pub(crate) struct Schedule {
    messages: std::iter::Peekable<Moments>,
    visits: std::iter::Peekable<Moments>,
}

impl Schedule {
    /// A part of the whole: each worker has its own, with its own chance. Visitors come to all
    /// alike; what is said falls to those who have rooms to say it in.
    pub(crate) fn new(scenario: &Scenario, phases: &[Phase], index: u32, of: u32) -> Self {
        let of = of.max(1);
        let stream = |salt: u64, part: f64, rates: Vec<(PhaseKind, f64, f64, f64)>| {
            let all = rates.into_iter().flat_map(|(kind, seconds, before, rate)| {
                stretches(kind, seconds, before * part, rate * part)
            });
            let seed = scenario
                .seed
                .wrapping_mul(31)
                .wrapping_add(salt)
                .wrapping_add(u64::from(index) << 32);
            Moments::new(all.collect(), scenario.arrivals, fastrand::Rng::with_seed(seed))
                .peekable()
        };
        let before = |at: usize| {
            if phases.len() == scenario.phases.len() { scenario.before(at) } else { (0.0, 0.0) }
        };
        let rates = |of: fn(&Phase) -> f64, first: fn((f64, f64)) -> f64| {
            let each = phases.iter().enumerate();
            each.map(|(at, phase)| (phase.kind, phase.seconds, first(before(at)), of(phase)))
                .collect()
        };
        Self {
            messages: stream(
                1,
                part_of_rooms(&scenario.mix, index, of),
                rates(|phase| phase.rate, |before| before.0),
            ),
            visits: stream(
                2,
                1.0 / f64::from(of),
                rates(|phase| phase.arrivals, |before| before.1),
            ),
        }
    }

    /// The next moment, and whether it is a message's.
    fn next(&mut self) -> Option<(f64, bool)> {
        let message = self.messages.peek().copied();
        let visit = self.visits.peek().copied();
        match (message, visit) {
            (Some(at), other) if other.is_none_or(|other| at <= other) => {
                self.messages.next();
                Some((at, true))
            }
            (_, Some(at)) => {
                self.visits.next();
                Some((at, false))
            }
            (_, None) => None,
        }
    }
}

/// Rooms do not divide evenly, and a worker may have none.
fn part_of_rooms(mix: &Mix, index: u32, of: u32) -> f64 {
    let own = part(mix.rooms, index, of) + part(mix.reconnectors, index, of);
    ratio(f64::from(own), f64::from(mix.rooms + mix.reconnectors))
}

/// Starts the pacer's thread: it ends with the schedule, or when nobody listens any more.
///
/// # Errors
/// If the system has no thread to give.
pub(crate) fn start(
    world: &Arc<World>,
    schedule: Schedule,
    begin: Micros,
    visits: mpsc::Sender<Due>,
) -> std::io::Result<JoinHandle<()>> {
    let world = Arc::clone(world);
    let speakers = world.speakers.lock().clone();
    tasks::thread("pacer", move || run(&world, schedule, begin, &speakers, &visits))
}

fn run(
    world: &World,
    mut schedule: Schedule,
    begin: Micros,
    speakers: &[mpsc::Sender<Due>],
    visits: &mpsc::Sender<Due>,
) {
    let even = world.scenario().arrivals == Arrivals::Constant;
    let mut chance =
        fastrand::Rng::with_seed(world.scenario().seed.wrapping_add(u64::from(world.plan.index)));
    let mut nth = 0_usize;
    while let Some((seconds, message)) = schedule.next() {
        let at = begin.plus(Duration::from_secs_f64(seconds));
        if !is_reached(world, at) {
            return;
        }
        let due = Due { at };
        if !message {
            if visits.try_send(due).is_err() {
                missed(world, due);
            }
            continue;
        }
        nth = if even { nth + 1 } else { chance.usize(..) };
        let speaker = speakers.get(nth % speakers.len().max(1));
        if speaker.is_none_or(|speaker| speaker.try_send(due).is_err()) {
            missed(world, due);
        }
    }
}

/// Waits until a moment comes. False: the phases end before it.
fn is_reached(world: &World, at: Micros) -> bool {
    loop {
        if world.is_cut() {
            return false;
        }
        let now = world.clock.now();
        if at <= now {
            return true;
        }
        world.clock.park_until(at.min(now.plus(LOOK_UP)));
    }
}

/// So much is due at somebody already that no more fits, or there is nobody to say it.
fn missed(world: &World, due: Due) {
    world.count_at(Count::Unsent, due.at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number;

    #[test]
    fn a_pacer_that_is_cut_ends_though_nothing_is_due_for_long() {
        let phases = vec![Phase { seconds: 1e5, rate: 1e-4, ..Phase::default() }];
        let mix = Mix { rooms: 1, ..Mix::default() };
        let scenario = Scenario { mix, phases: phases.clone(), ..Scenario::default() };
        let world = crate::people::world::tests::world("");
        let (tell, _told) = mpsc::channel(1);
        let begin = world.clock.now();
        let pacer = start(&world, Schedule::new(&scenario, &phases, 0, 1), begin, tell).unwrap();
        world.cut(world.clock.now());
        pacer.join().unwrap();
    }

    fn moments(kind: PhaseKind, arrivals: Arrivals) -> Vec<f64> {
        let chance = fastrand::Rng::with_seed(7);
        Moments::new(stretches(kind, 9.0, 100.0, 300.0), arrivals, chance).collect()
    }

    fn between(moments: &[f64], from: f64, to: f64) -> usize {
        moments.iter().filter(|at| (from..to).contains(*at)).count()
    }

    #[test]
    fn a_constant_schedule_is_exact() {
        let hold = moments(PhaseKind::Hold, Arrivals::Constant);
        assert_eq!(hold.len(), 2_700);
        assert!(hold.windows(2).all(|pair| (pair[1] - pair[0] - 1.0 / 300.0).abs() < 1e-9));
        let ramp = moments(PhaseKind::Ramp, Arrivals::Constant);
        assert_eq!(ramp.len(), 1_800);
        // Over the last second it goes from 277.8 to 300 a second.
        assert!((288..=290).contains(&between(&ramp, 8.0, 9.1)));
        let spike = moments(PhaseKind::Spike, Arrivals::Constant);
        let thirds = [0.0, 3.0, 6.0].map(|from| between(&spike, from, from + 2.99));
        assert!((298..=300).contains(&thirds[0]), "{thirds:?}");
        assert!((896..=900).contains(&thirds[1]), "{thirds:?}");
    }

    #[test]
    fn a_poisson_schedule_has_the_rate_and_the_spread_of_one() {
        let hold = moments(PhaseKind::Hold, Arrivals::Poisson);
        assert!((2_500..2_900).contains(&hold.len()), "{}", hold.len());
        assert!(hold.windows(2).all(|pair| pair[0] <= pair[1]));
        let gaps: Vec<f64> = hold.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / number::float(number::long(gaps.len()));
        let above = gaps.iter().filter(|gap| **gap > mean).count();
        // Of an exponential distribution 36.8 % lie above the mean.
        let part = number::float(number::long(above)) / number::float(number::long(gaps.len()));
        assert!((0.33..0.41).contains(&part), "{part}");
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_workers_share_it() {
        let phases =
            vec![Phase { seconds: 4.0, rate: 1_000.0, arrivals: 10.0, ..Phase::default() }];
        let mix = Mix { rooms: 2, ..Mix::default() };
        let scenario = Scenario { seed: 3, mix, phases: phases.clone(), ..Scenario::default() };
        let all = |index, of| {
            let mut schedule = Schedule::new(&scenario, &phases, index, of);
            std::iter::from_fn(move || schedule.next()).collect::<Vec<_>>()
        };
        assert_eq!(all(0, 1), all(0, 1));
        let parts = all(0, 2).len() + all(1, 2).len();
        assert!((3_700..4_400).contains(&parts), "{parts}");
        assert!(all(0, 1).windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn a_worker_without_rooms_has_nothing_to_say_and_the_others_say_it_all() {
        let phases = vec![Phase { seconds: 10.0, rate: 50.0, arrivals: 3.0, ..Phase::default() }];
        let scenario = |rooms, reconnectors| Scenario {
            arrivals: Arrivals::Constant,
            mix: Mix { rooms, reconnectors, ..Mix::default() },
            phases: phases.clone(),
            ..Scenario::default()
        };
        let due = |scenario: &Scenario, index, wanted: bool| {
            let mut schedule = Schedule::new(scenario, &phases, index, 3);
            std::iter::from_fn(|| schedule.next()).filter(|(_, message)| *message == wanted).count()
        };
        let (one, five) = (scenario(1, 0), scenario(3, 2));
        assert_eq!([0, 1, 2].map(|index| due(&one, index, true)), [500, 0, 0]);
        assert_eq!([0, 1, 2].map(|index| due(&one, index, false)), [10, 10, 10]);
        assert_eq!([0, 1, 2].map(|index| due(&five, index, true)), [200, 200, 100]);
    }
}
