//! How long what is kept: plans, a site's timeline, and the one function that decides. The rules
//! and their ids are in docs/privacy.md.

use std::fmt;

use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};
use serde::{Deserialize, Serialize};

/// Days that the free plan keeps.
const FREE_DAYS: u16 = 60;

/// Months after which a closed site is empty.
const CLEARED_AFTER_MONTHS: u32 = 6;

/// Number of an immutable version of the policy; 1 is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyVersion(pub u16);

impl PolicyVersion {
    /// The version that new records are kept under.
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

/// One change in the life of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum SiteEvent {
    /// The plan from here on.
    Plan {
        /// Which.
        plan: Plan,
    },
    /// Closed from here on.
    Closed,
    /// Open again from here on.
    Reopened,
}

/// A site's changes in order of time; the first is its plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SiteTimeline(Vec<(UnixMillis, SiteEvent)>);

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

impl SiteTimeline {
    /// A site that begins with this plan.
    pub fn new(at: UnixMillis, plan: Plan) -> Self {
        Self(vec![(at, SiteEvent::Plan { plan })])
    }

    /// Adds a change; time never runs back in a timeline.
    pub fn push(&mut self, at: UnixMillis, event: SiteEvent) {
        let at = self.0.last().map_or(at, |(last, _)| at.max(*last));
        self.0.push((at, event));
    }

    /// The plans, in their order.
    fn plans(&self) -> impl DoubleEndedIterator<Item = Plan> {
        self.0.iter().filter_map(|(_, event)| match event {
            SiteEvent::Plan { plan } => Some(*plan),
            SiteEvent::Closed | SiteEvent::Reopened => None,
        })
    }

    /// The plan it began with.
    fn first_plan(&self) -> Plan {
        self.plans().next().unwrap_or(Plan::Free)
    }

    /// The plan now.
    pub fn plan(&self) -> Plan {
        self.plans().next_back().unwrap_or(Plan::Free)
    }

    /// Since when it is closed, if it is: closing it twice moves nothing.
    pub fn closed_at(&self) -> Option<UnixMillis> {
        self.0.iter().fold(None, |closed: Option<UnixMillis>, (at, event)| match event {
            SiteEvent::Closed => closed.or(Some(*at)),
            SiteEvent::Reopened => None,
            SiteEvent::Plan { .. } => closed,
        })
    }

    /// All changes in order.
    pub fn events(&self) -> &[(UnixMillis, SiteEvent)] {
        &self.0
    }
}

/// What is to become of a record, and which rules said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// May be read today.
    pub visible: bool,
    /// First day on which it is dead; `None`: no end is set.
    pub expires: Option<Day>,
    /// Its key may be destroyed.
    pub destroy: bool,
    /// For a person: why.
    pub reason: &'static str,
    /// Ids of the rules in docs/privacy.md.
    pub rules: &'static [&'static str],
}

/// What a site's plan and state say at the beginning of a day.
#[derive(Debug, Clone, Copy)]
struct Terms {
    plan: Plan,
    closed_on: Option<Day>,
}

/// A rule's answer: the first day on which the record is dead, and the words for it.
#[derive(Debug, Clone, Copy)]
struct End {
    day: Day,
    reason: &'static str,
    rules: &'static [&'static str],
}

impl Terms {
    fn after(self, at: UnixMillis, event: SiteEvent) -> Self {
        match event {
            SiteEvent::Plan { plan } => Self { plan, ..self },
            SiteEvent::Closed => {
                Self { closed_on: Some(self.closed_on.unwrap_or_else(|| at.day())), ..self }
            }
            SiteEvent::Reopened => Self { closed_on: None, ..self },
        }
    }

    /// The rolling end of the plan or the clearing after closing, whichever comes first.
    fn end(self, ingest_day: Day) -> End {
        let rolling = self.plan.end(ingest_day);
        let Some(closed_on) = self.closed_on else { return rolling };
        let cleared = next_day(add_months(closed_on, CLEARED_AFTER_MONTHS));
        if cleared < rolling.day {
            End {
                day: cleared,
                reason: "its site was closed six months before",
                rules: &["RET-05", "RET-06", "CLK-03", "CLK-04"],
            }
        } else {
            rolling
        }
    }
}

impl Plan {
    fn end(self, ingest_day: Day) -> End {
        let (last_day, reason, rules): (_, _, &'static [&'static str]) = match self {
            Self::Free => (
                Day(ingest_day.0.saturating_add(FREE_DAYS)),
                "the free plan keeps 60 days",
                &["RET-01", "CLK-02", "CLK-04"],
            ),
            Self::Team => (
                add_months(ingest_day, 12),
                "the Team plan keeps 12 months",
                &["RET-02", "CLK-03", "CLK-04"],
            ),
            Self::Business => (
                add_months(ingest_day, 24),
                "the Business plan keeps 24 months",
                &["RET-03", "CLK-03", "CLK-04"],
            ),
            Self::Enterprise => (
                add_months(ingest_day, 36),
                "the Enterprise plan keeps 36 months",
                &["RET-04", "CLK-03", "CLK-04"],
            ),
        };
        End { day: next_day(last_day), reason, rules }
    }
}

/// Decides about a record of `class` that came on `ingest_day`, as the timeline stands, on the day
/// `today`.
///
/// Each day begins with the plan and the state that the site then has; a change during a day counts
/// from the next midnight UTC. A record dies on the first day, after the one on which it came,
/// whose terms no longer keep it, and what died stays dead whatever comes later. For reading,
/// `today` is the later of the wall clock and the persisted mark (CLK-08); for destruction it is
/// the mark alone, see [`super::sweep`].
pub fn evaluate(
    timeline: &SiteTimeline,
    class: RetentionClass,
    ingest_day: Day,
    today: Day,
) -> Decision {
    match class {
        RetentionClass::Transcript
        | RetentionClass::OfflineMessage
        | RetentionClass::VisitorInfo
        | RetentionClass::Contact
        | RetentionClass::Survey
        | RetentionClass::AgentNote => {}
        RetentionClass::UserAccount => {
            return Decision {
                visible: true,
                expires: None,
                destroy: false,
                reason: "an account has no end of its own",
                rules: &["RET-19"],
            };
        }
        RetentionClass::Operational => {
            return Decision {
                visible: true,
                expires: None,
                destroy: false,
                reason: "it belongs to no site: its own time decides, see `sweep`",
                rules: &[],
            };
        }
    }
    let end = end_of(timeline, ingest_day);
    let dead = today >= end.day;
    Decision {
        visible: !dead,
        expires: Some(end.day),
        destroy: dead,
        reason: end.reason,
        rules: end.rules,
    }
}

/// The first day on which the terms of that day no longer keep what came on `ingest_day`.
fn end_of(timeline: &SiteTimeline, ingest_day: Day) -> End {
    let mut terms = Terms { plan: timeline.first_plan(), closed_on: None };
    let mut since = Day(0);
    for (at, event) in timeline.events() {
        let from = first_midnight_from(*at);
        let end = terms.end(ingest_day);
        let day = end.day.max(since).max(next_day(ingest_day));
        if day < from {
            return End { day, ..end };
        }
        terms = terms.after(*at, *event);
        since = from;
    }
    let end = terms.end(ingest_day);
    End { day: end.day.max(since).max(next_day(ingest_day)), ..end }
}

/// The day whose beginning is the first not before this moment.
fn first_midnight_from(at: UnixMillis) -> Day {
    let day = at.day();
    if at > day.start() { next_day(day) } else { day }
}

fn next_day(day: Day) -> Day {
    Day(day.0.saturating_add(1))
}

/// So many calendar months later: the same day of the month, or the month's last where it has none.
fn add_months(day: Day, months: u32) -> Day {
    let (year, month, day_of_month) = civil(day);
    let months = year * 12 + (month - 1) + months;
    let (year, month) = (months / 12, months % 12 + 1);
    day_number(year, month, day_of_month.min(days_in_month(year, month)))
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 0000-03-01 to 2020-01-01. Years that begin in March have the leap day last.
const DAY_ZERO_FROM_MARCH_0: u32 = 737_730;

/// Year, month and day of the month, in the proleptic Gregorian calendar.
fn civil(day: Day) -> (u32, u32, u32) {
    let days = u32::from(day.0) + DAY_ZERO_FROM_MARCH_0;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day_of_month)
}

/// The reverse; a day beyond the last one that a [`Day`] can name is that last one.
fn day_number(year: u32, month: u32, day_of_month: u32) -> Day {
    let year = year - u32::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day_of_month - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Day(u16::try_from(days - DAY_ZERO_FROM_MARCH_0).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests;
