//! How long what is kept: plans, a site's timeline, and the one function that decides.

use std::fmt;

use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};
use serde::{Deserialize, Serialize};

/// Number of an immutable version of the policy; 1 is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyVersion(pub u16);

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

    /// The plan now.
    pub fn plan(&self) -> Plan {
        self.0
            .iter()
            .rev()
            .find_map(|(_, event)| match event {
                SiteEvent::Plan { plan } => Some(*plan),
                SiteEvent::Closed | SiteEvent::Reopened => None,
            })
            .unwrap_or(Plan::Free)
    }

    /// Since when it is closed, if it is.
    pub fn closed_at(&self) -> Option<UnixMillis> {
        self.0.iter().rev().find_map(|(at, event)| match event {
            SiteEvent::Closed => Some(Some(*at)),
            SiteEvent::Reopened => Some(None),
            SiteEvent::Plan { .. } => None,
        })?
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

/// Decides about a record of `class` that came on `ingest_day`, as the timeline stands, on the day `today`.
pub fn evaluate(
    timeline: &SiteTimeline,
    class: RetentionClass,
    ingest_day: Day,
    today: Day,
) -> Decision {
    let _ = (timeline, class, ingest_day, today);
    Decision { visible: true, expires: None, destroy: false, reason: "", rules: &[] }
}
