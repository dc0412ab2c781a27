//! A scenario: who is there, what they do, when, and what must hold. Read from TOML.
//!
//! Lives here: the file's form, its defaults, and finding the scenarios that are shipped.
//! `scenario/check.rs` says what is wrong with one. Not here: carrying it out.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::judge::figure::Figure;
use crate::number::whole;
use crate::people::malformed;

mod change;
mod check;

pub(crate) use self::change::Changes;

/// How messages are paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Loop {
    /// Each room has one message on its way; whoever hears it answers.
    #[default]
    Closed,
    /// By a schedule that waits for nobody.
    Open,
    /// Open, at higher and higher rates, for the highest that keeps the aim.
    Search,
}

/// What a phase does with its rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PhaseKind {
    /// From the rate before it to its own, evenly.
    Ramp,
    /// Its own rate.
    #[default]
    Hold,
    /// The rate before it, with its own in the middle third.
    Spike,
    /// As `hold`, for long: the server's memory is compared between its beginning and its end.
    Soak,
}

/// One stretch of the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Phase {
    pub(crate) kind: PhaseKind,
    pub(crate) name: Option<String>,
    pub(crate) seconds: f64,
    /// Messages a second in all rooms together.
    pub(crate) rate: f64,
    /// Visitors a second who come for a visit.
    pub(crate) arrivals: f64,
    /// Whether it counts; a first ramp mostly does not.
    pub(crate) measure: Option<bool>,
}

impl Phase {
    pub(crate) fn measured(&self) -> bool {
        self.measure.unwrap_or(self.kind != PhaseKind::Ramp)
    }

    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// Who is there, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Mix {
    /// Conversations of one visitor and one window of their agent.
    pub(crate) rooms: u32,
    /// Agents' accounts; 0: as many as the rooms need.
    pub(crate) agents: u32,
    /// Supervisors' windows that all watch the first room.
    pub(crate) watchers: u32,
    /// Visitors who are connected and say nothing.
    pub(crate) idle: u32,
    /// Rooms whose visitor's connection is cut again and again.
    pub(crate) reconnectors: u32,
    /// Supervisors' windows that watch the first room and hardly read.
    pub(crate) slow_readers: u32,
    /// Clients that send what is no frame.
    pub(crate) malformed: u32,
    /// Programs that write into rooms over REST.
    pub(crate) bots: u32,
}

/// How many characters a message has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Size {
    Fixed {
        chars: u32,
    },
    Uniform {
        min: u32,
        max: u32,
    },
    Normal {
        mean: f64,
        deviation: f64,
    },
    /// Most are short, some are long: half below the median.
    LogNormal {
        median: f64,
        sigma: f64,
    },
}

impl Default for Size {
    fn default() -> Self {
        Self::Fixed { chars: 100 }
    }
}

/// How what is due is spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Arrivals {
    /// As independent people come.
    #[default]
    Poisson,
    /// Evenly.
    Constant,
}

/// Who speaks where the schedule says "now".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Speakers {
    #[default]
    Both,
    Visitors,
    Agents,
}

/// A time between two bounds, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Span(pub(crate) [u64; 2]);

/// What a visitor does who comes for a visit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Visit {
    /// Messages that they write, at least and at most.
    pub(crate) messages: [u32; 2],
    /// Time from an answer to their next message.
    pub(crate) think_ms: Span,
    /// How long they wait for an agent.
    pub(crate) patience_ms: u64,
    /// Whether they are seen to type.
    pub(crate) typing: bool,
}

impl Default for Visit {
    fn default() -> Self {
        Self { messages: [2, 5], think_ms: Span([500, 2_000]), patience_ms: 60_000, typing: true }
    }
}

/// What an agent does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Agent {
    /// Conversations that they take at most.
    pub(crate) capacity: u16,
    /// Time from a message to their answer.
    pub(crate) think_ms: Span,
    /// Whether their console follows the board.
    pub(crate) board: bool,
}

impl Default for Agent {
    fn default() -> Self {
        Self { capacity: 100, think_ms: Span([500, 2_000]), board: false }
    }
}

/// How connections of reconnectors are cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reconnect {
    /// Time between two cuts of one connection.
    pub(crate) every_ms: u64,
    /// Time before its owner begins to come back.
    pub(crate) away_ms: Span,
    /// All at the same moment.
    pub(crate) together: bool,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { every_ms: 5_000, away_ms: Span([0, 500]), together: false }
    }
}

/// What the others do, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Habits {
    /// Time from one frame to the next of a slow reader.
    pub(crate) slow_read_ms: u64,
    /// Time from one hostile connection to the next of a malformed client.
    pub(crate) malformed_ms: u64,
    /// Time from one message to the next of a bot.
    pub(crate) bot_ms: u64,
    /// Time from one answer to the next message in a closed loop.
    pub(crate) closed_think_ms: u64,
}

impl Default for Habits {
    fn default() -> Self {
        Self { slow_read_ms: 1_000, malformed_ms: 500, bot_ms: 1_000, closed_think_ms: 0 }
    }
}

/// How the highest load is looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Search {
    /// The first rate, in messages a second.
    pub(crate) from: f64,
    /// The highest rate that is tried.
    pub(crate) to: f64,
    /// Length of one try.
    pub(crate) seconds: f64,
    /// How near to the truth: the part by which the bounds may still differ.
    pub(crate) precision: f64,
    /// What the highest load must keep: figures and their upper bounds.
    pub(crate) aim: BTreeMap<String, f64>,
}

impl Search {
    /// The aim as figures, which a scenario that was checked has no others than.
    pub(crate) fn aims(&self) -> impl Iterator<Item = (Figure, f64)> {
        self.aim.iter().filter_map(|(name, most)| Some((name.parse().ok()?, *most)))
    }
}

impl Default for Search {
    fn default() -> Self {
        let aim = BTreeMap::from([(String::from("delivery_p99_ms"), 50.0)]);
        Self { from: 500.0, to: 100_000.0, seconds: 5.0, precision: 0.05, aim }
    }
}

/// A bound of a figure: a bare number is the most, a table says which.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Bound {
    Most(f64),
    Between(Limits),
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    /// Whether the run ends as soon as it is broken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) abort: bool,
}

impl Bound {
    pub(crate) fn limits(self) -> Limits {
        match self {
            Self::Most(max) => Limits { max: Some(max), ..Limits::default() },
            Self::Between(limits) => limits,
        }
    }
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) seed: u64,
    #[serde(rename = "loop")]
    pub(crate) pacing: Loop,
    pub(crate) arrivals: Arrivals,
    pub(crate) speakers: Speakers,
    pub(crate) mix: Mix,
    pub(crate) size: Size,
    pub(crate) visit: Visit,
    pub(crate) agent: Agent,
    pub(crate) reconnect: Reconnect,
    pub(crate) habits: Habits,
    pub(crate) search: Search,
    #[serde(rename = "phase")]
    pub(crate) phases: Vec<Phase>,
    pub(crate) thresholds: BTreeMap<String, Bound>,
    /// How long what is on its way may take at the end.
    pub(crate) drain_ms: Option<u64>,
    /// Flags of the server that `--start` starts.
    pub(crate) server_flags: Vec<String>,
}

/// The shipped scenarios: name and file.
pub(crate) const SHIPPED: [(&str, &str); 9] = [
    ("smoke", include_str!("../../scenarios/smoke.toml")),
    ("closed", include_str!("../../scenarios/closed.toml")),
    ("open", include_str!("../../scenarios/open.toml")),
    ("fanout", include_str!("../../scenarios/fanout.toml")),
    ("idle", include_str!("../../scenarios/idle.toml")),
    ("reconnect-storm", include_str!("../../scenarios/reconnect-storm.toml")),
    ("busy-day", include_str!("../../scenarios/busy-day.toml")),
    ("slow-readers", include_str!("../../scenarios/slow-readers.toml")),
    ("soak", include_str!("../../scenarios/soak.toml")),
];

/// Sockets of one process: it may hold 20,000 descriptors at most on many systems.
const SOCKETS_MAX: u64 = 19_000;
/// Processes of one run: each has a loopback address of its own.
pub(crate) const WORKERS_MAX: u32 = 250;

/// Conversations that one agent can take at most.
pub(crate) const CAPACITY_MAX: u16 = 100;

impl Scenario {
    /// A shipped one by its name, or any by its file; with what the command line changes in it.
    ///
    /// # Errors
    /// If there is none, or it is wrong: with the line or the key, or with the change.
    pub(crate) fn find(name: &str, changes: &Changes) -> Result<Self> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::changed(text, changes)
                .with_context(|| format!("the shipped scenario `{name}`"));
        }
        let path = Path::new(name);
        if !path.exists() {
            let names = SHIPPED.map(|(name, _)| name);
            let nearest = names.iter().min_by_key(|known| strsim::levenshtein(known, name));
            let hint = nearest.map_or("", |nearest| *nearest);
            bail!(
                "there is no scenario `{name}`, and no such file; did you mean `{hint}`? `livehelp-load list` shows all"
            );
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        Self::changed(&text, changes).with_context(|| format!("the scenario {name}"))
    }

    fn changed(text: &str, changes: &Changes) -> Result<Self> {
        if changes.are_none() {
            return Self::parse(text);
        }
        // What is wrong in the file itself is told with its line.
        let _right: Self = toml::from_str(text)?;
        // The lines are those of the file, where a changed key need not stand.
        changes.over(text)?.completed("")
    }

    /// Reads and checks.
    ///
    /// # Errors
    /// If it is wrong: with the line or the key.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        toml::from_str::<Self>(text)?.completed(text)
    }

    /// With what follows from the rest, and found right.
    fn completed(mut self, text: &str) -> Result<Self> {
        if self.mix.agents == 0 {
            let rooms = self.mix.rooms + self.mix.reconnectors;
            self.mix.agents = rooms.div_ceil(u32::from(self.agent.capacity.max(1)));
        }
        check::check(&self, text)?;
        Ok(self)
    }

    /// The thresholds as figures, which a scenario that was checked has no others than.
    pub(crate) fn bounds(&self) -> impl Iterator<Item = (Figure, Limits)> {
        let bounds = self.thresholds.iter();
        bounds.filter_map(|(name, bound)| Some((name.parse().ok()?, bound.limits())))
    }

    /// Sockets that it holds at a time, those of visits not among them.
    pub(crate) fn sockets(&self) -> u64 {
        let mix = &self.mix;
        let rooms = u64::from(mix.rooms) + u64::from(mix.reconnectors);
        let others = [mix.agents, mix.watchers, mix.idle, mix.slow_readers, mix.bots];
        let hostile = u64::from(mix.malformed) * u64::from(malformed::LINES);
        rooms * 2 + hostile + others.into_iter().map(u64::from).sum::<u64>()
    }

    /// Visitors who are there for a visit at the same time, at most: as many as come while one who
    /// waits for all their patience and then says all that they have is still there; and never more
    /// than come at all.
    pub(crate) fn visitors_max(&self) -> u64 {
        let (Span([_, visitor]), Span([_, agent])) = (self.visit.think_ms, self.agent.think_ms);
        let [_, messages] = self.visit.messages;
        let stay_ms = self.visit.patience_ms + u64::from(messages) * (visitor + agent);
        let stay = Duration::from_millis(stay_ms).as_secs_f64();
        let most = self.phases.iter().map(|phase| phase.arrivals).fold(0.0, f64::max);
        let all: f64 = self.phases.iter().map(|phase| most * phase.seconds).sum();
        whole((most * stay).min(all).ceil())
    }

    /// Processes that hold all its sockets. All agents are in the first, and only idle visitors
    /// make up for them.
    pub(crate) fn processes(&self) -> u32 {
        let sockets = self.sockets() + self.visitors_max();
        let agents = u64::from(self.mix.agents);
        let shared = sockets - agents - u64::from(self.mix.idle);
        let fits = |count: &u32| {
            let count = u64::from(*count);
            sockets.div_ceil(count).max(agents + shared.div_ceil(count)) <= SOCKETS_MAX
        };
        (1..=WORKERS_MAX).find(fits).unwrap_or(WORKERS_MAX)
    }

    /// Length of all phases; of a search that of one try, as nobody knows how many there will be.
    pub(crate) fn seconds(&self) -> f64 {
        if self.pacing == Loop::Search {
            return self.search.seconds;
        }
        self.phases.iter().map(|phase| phase.seconds).sum()
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms.unwrap_or(10_000))
    }

    /// The rates before a phase: those of the phase before it.
    pub(crate) fn before(&self, phase: usize) -> (f64, f64) {
        let former = phase.checked_sub(1).and_then(|index| self.phases.get(index));
        former.map_or((0.0, 0.0), |phase| match phase.kind {
            // A spike comes back to where it was.
            PhaseKind::Spike => self.before(index_of(&self.phases, phase)),
            PhaseKind::Ramp | PhaseKind::Hold | PhaseKind::Soak => (phase.rate, phase.arrivals),
        })
    }
}

fn index_of(phases: &[Phase], phase: &Phase) -> usize {
    phases.iter().position(|other| std::ptr::eq(other, phase)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
