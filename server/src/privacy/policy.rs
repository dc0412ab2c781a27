//! How long what is kept: plans, and the one function that decides. The rules and their ids are in
//! docs/privacy.md.
//!
//! Lives here: the decision and its reasons. Below: what a policy says (`terms`, `source.toml`), the
//! life of a site (`timeline`), days and months (`calendar`). Called by the gate, the sweep and what
//! shows an end.

use std::fmt;

use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};
use serde::{Deserialize, Serialize};

use self::calendar::{first_midnight_from, next_day};
use self::terms::RuleId;
use self::timeline::Stretch;

pub use self::terms::{Line, Period, SOURCE, Terms};
pub use self::timeline::{SiteEvent, SiteTimeline};

mod calendar;
mod terms;
mod timeline;

/// Number of an immutable version of the policy; 1 is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyVersion(pub u16);

impl PolicyVersion {
    /// The one that the program brings: it is in force where no other was announced.
    pub const CURRENT: Self = Self(1);
}

/// Twelve bits of purposes and four of legal bases; a record has at least one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Purposes(pub u16);

impl Purposes {
    /// Answering the visitor.
    pub const RESPOND: u16 = 1;
    /// Providing the service to the Organization.
    pub const PROVIDE: u16 = 1 << 2;
    /// Basis: a contract.
    pub const CONTRACT: u16 = 1 << 12;
    /// Basis: a legal duty.
    pub const LEGAL_DUTY: u16 = 1 << 13;
    /// Basis: a legitimate interest.
    pub const LEGITIMATE_INTEREST: u16 = 1 << 14;
    /// Basis: consent.
    pub const CONSENT: u16 = 1 << 15;
}

/// What an Organization pays for at one site; it decides how long transcripts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// 60 days.
    Free,
    /// 12 months.
    Team,
    /// 24 months.
    Business,
    /// 36 months.
    Enterprise,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "free",
            Self::Team => "team",
            Self::Business => "business",
            Self::Enterprise => "enterprise",
        })
    }
}

/// What is to become of a record, and which rules said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// May be read today.
    pub visible: bool,
    /// First day on which it is dead; `None`: no end is set.
    pub expires: Option<Day>,
    /// Its key may be destroyed.
    pub destroy: bool,
    /// Why; its text is for people.
    pub reason: Reason,
    /// Ids of the rules in docs/privacy.md.
    pub rules: Rules,
}

/// Why a record is kept as long as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its site's plan keeps it so long.
    Plan(Plan, Period),
    /// The plan before an upgrade that was not to extend what is kept.
    PlanBefore(Period),
    /// A trial keeps it so long.
    Trial(Period),
    /// Its site is cleared so long after it was closed.
    Closed(Period),
    /// It was agreed with the Organization.
    Agreement(Period),
    /// A trial goes on, with no end of its own.
    TrialGoesOn,
    /// An account has no end of its own.
    Account,
    /// It belongs to no site.
    NoSite,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(Plan::Free, period) => write!(f, "the free plan keeps {period}"),
            Self::Plan(plan, period) => write!(f, "the {plan:?} plan keeps {period}"),
            Self::PlanBefore(period) => {
                write!(
                    f,
                    "the plan that it came under keeps {period}; a later one does not extend it"
                )
            }
            Self::Trial(period) => write!(f, "a trial keeps {period}"),
            Self::Closed(period) => write!(f, "its site is cleared {period} after it was closed"),
            Self::Agreement(period) => write!(f, "an agreement keeps {period}"),
            Self::TrialGoesOn => f.write_str("a trial keeps it until its site is cleared"),
            Self::Account => f.write_str("an account has no end of its own"),
            Self::NoSite => f.write_str("it belongs to no site: its own time decides"),
        }
    }
}

/// The rules that a decision cites: the one that decided first, then those that it counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules([RuleId; 5]);

impl Rules {
    /// One more, if there is room.
    fn and(mut self, rule: RuleId) -> Self {
        if let Some(place) = self.0.iter_mut().find(|place| place.as_str().is_empty()) {
            *place = rule;
        }
        self
    }

    fn of(cited: &[RuleId], counted_by: [RuleId; 2]) -> Self {
        let mut rules = Self::default();
        for (place, rule) in rules.0.iter_mut().zip(cited.iter().chain(&counted_by)) {
            *place = *rule;
        }
        rules
    }

    /// Their ids.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(RuleId::as_str).filter(|rule| !rule.is_empty())
    }
}

/// A line's answer: the first day on which the record is dead, and why.
#[derive(Debug, Clone, Copy)]
struct End {
    day: Day,
    reason: Reason,
    rules: Rules,
}

impl End {
    fn of(came: Day, period: Period, rule: RuleId, reason: Reason) -> Self {
        let rules = Rules::of(&[rule], period.counted_by());
        Self { day: period.dead_from(came), reason, rules }
    }
}

const RET_06: RuleId = RuleId::of("RET-06");
const RET_12: RuleId = RuleId::of("RET-12");
const RET_13: RuleId = RuleId::of("RET-13");
const RET_14: RuleId = RuleId::of("RET-14");
const RET_16: RuleId = RuleId::of("RET-16");
const RET_19: RuleId = RuleId::of("RET-19");
const RET_20: RuleId = RuleId::of("RET-20");

/// Decides about a record of `class` that came on `ingest_day`, as the timeline stands, on the day
/// `today`.
///
/// Each day begins with what the timeline then says; a change during a day counts from the next
/// midnight UTC. An agreement goes before the plan and the clearing of a closed site; of those two
/// the earlier counts. A record dies on the first day, after the one on which it came, that no
/// longer keeps it, and what died stays dead whatever comes later. For reading, `today` is the later
/// of the wall clock and the persisted mark (CLK-08); for destruction it is the mark alone, see
/// [`super::sweep`].
pub fn evaluate(
    timeline: &SiteTimeline,
    class: RetentionClass,
    ingest_day: Day,
    today: Day,
) -> Decision {
    let without_end = |reason, rule| Decision {
        visible: true,
        expires: None,
        destroy: false,
        reason,
        rules: Rules::of(&[rule], [RuleId::default(); 2]),
    };
    match class {
        RetentionClass::Transcript
        | RetentionClass::OfflineMessage
        | RetentionClass::VisitorInfo
        | RetentionClass::Contact
        | RetentionClass::Survey
        | RetentionClass::AgentNote => {}
        RetentionClass::UserAccount => return without_end(Reason::Account, RET_19),
        RetentionClass::Operational => return without_end(Reason::NoSite, RuleId::default()),
    }
    match end_of(timeline, class, ingest_day) {
        None => without_end(Reason::TrialGoesOn, RET_13),
        Some(End { day, reason, rules }) => {
            let dead = today >= day;
            Decision { visible: !dead, expires: Some(day), destroy: dead, reason, rules }
        }
    }
}

/// What is promised of what comes now, in a site that stays open, by all that was decided until now:
/// by agreement, or by plan. None: a trial keeps it until the site is cleared.
pub fn kept_for(timeline: &SiteTimeline, class: RetentionClass, now: UnixMillis) -> Option<Period> {
    let day = first_midnight_from(now);
    let stretch = timeline.stretches().iter().rev().find(|stretch| stretch.from <= day)?;
    let terms = timeline.terms(day);
    match stretch.agreed(class) {
        Some(agreed) => Some(agreed.keeps),
        None if stretch.is_trial => terms.trial_rolling.map(|line| line.period),
        None => Some(terms.plan(stretch.plan).period),
    }
}

/// The first day that no longer keeps what came on `came`.
fn end_of(timeline: &SiteTimeline, class: RetentionClass, came: Day) -> Option<End> {
    let stretches = timeline.stretches();
    let ends = stretches.iter().skip(1).map(|next| Some(next.from)).chain([None]);
    stretches.iter().zip(ends).find_map(|(stretch, until)| {
        let end = end_by(timeline, stretch, class, came)?;
        let day = end.day.max(stretch.from).max(next_day(came));
        until.is_none_or(|until| day < until).then_some(End { day, ..end })
    })
}

/// When it would be dead if what holds now held for ever.
fn end_by(
    timeline: &SiteTimeline,
    stretch: &Stretch,
    class: RetentionClass,
    came: Day,
) -> Option<End> {
    if let Some(agreed) = stretch.agreed(class) {
        let reason = Reason::Agreement(agreed.keeps);
        return Some(End::of(came, agreed.keeps, RET_14, reason));
    }
    let in_force = timeline.terms(stretch.from);
    let Some(closed_on) = stretch.closed_on else { return rolling(stretch, in_force, came) };
    let ends = timeline.terms_since(came, stretch.from).map(|terms| {
        let end = earlier(rolling(stretch, terms, came), cleared(stretch, terms, closed_on));
        let other = terms.version != in_force.version;
        if other { End { rules: end.rules.and(RET_20), ..end } } else { end }
    });
    ends.reduce(|one, other| if other.day < one.day { other } else { one })
}

/// The end that does not hang on the site's closing.
fn rolling(stretch: &Stretch, terms: &Terms, came: Day) -> Option<End> {
    if stretch.is_trial {
        let line = terms.trial_rolling?;
        return Some(End::of(came, line.period, line.rule, Reason::Trial(line.period)));
    }
    let line = terms.plan(stretch.plan);
    let mut end = End::of(came, line.period, line.rule, Reason::Plan(stretch.plan, line.period));
    for (before, period) in &stretch.caps {
        let capped = End::of(came, *period, RET_16, Reason::PlanBefore(*period));
        if came < *before && capped.day < end.day {
            end = capped;
        }
    }
    Some(end)
}

/// The day on which a site that was closed on `closed_on` is empty.
fn cleared(stretch: &Stretch, terms: &Terms, closed_on: Day) -> End {
    let line = terms.closing;
    let rule = if stretch.is_trial { RET_12 } else { line.rule };
    let rules = Rules::of(&[rule, RET_06], line.period.counted_by());
    End { day: line.period.dead_from(closed_on), reason: Reason::Closed(line.period), rules }
}

fn earlier(rolling: Option<End>, cleared: End) -> End {
    rolling.filter(|rolling| rolling.day <= cleared.day).unwrap_or(cleared)
}

#[cfg(test)]
mod tests;
