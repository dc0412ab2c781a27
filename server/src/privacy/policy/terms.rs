//! What a policy says: how long each plan keeps, and what ends a site. A policy is data, a TOML file
//! whose every line cites its rule; a version of it never changes.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use protocol::time::Day;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::calendar::{add_months, next_day};
use super::{Plan, PolicyVersion};

/// The policy that is in force as long as no other was announced.
pub const SOURCE: &str = include_str!("source.toml");

/// Longest period of either unit: a hundred years are beyond every promise.
const DAYS_MAX: u16 = 36_525;
const MONTHS_MAX: u16 = 1_200;

/// The id of a rule in docs/privacy.md, such as `RET-03`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleId([u8; Self::BYTES]);

impl RuleId {
    const BYTES: usize = 12;

    /// A rule that the program itself cites; what is longer than twelve bytes is cut.
    pub(super) const fn of(text: &str) -> Self {
        let (mut bytes, mut at) = ([0; Self::BYTES], 0);
        let mut rest = text.as_bytes();
        while at < Self::BYTES {
            let Some((first, more)) = rest.split_first() else { break };
            let (_, room) = bytes.split_at_mut(at);
            if let Some(place) = room.first_mut() {
                *place = *first;
            }
            (rest, at) = (more, at + 1);
        }
        Self(bytes)
    }

    /// Its text; empty where there is none.
    pub fn as_str(&self) -> &str {
        let text = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RuleId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let fits = (1..=Self::BYTES).contains(&text.len());
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        if fits && text.bytes().all(plain) {
            Ok(Self::of(text))
        } else {
            Err("the id of a rule: at most 12 capital letters, digits and hyphens, such as RET-03")
        }
    }
}

/// For how long something is kept, counted from its own day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// Never: it is not even taken in.
    Nothing,
    /// So many days (CLK-02).
    Days(u16),
    /// So many calendar months (CLK-03).
    Months(u16),
}

impl Period {
    /// The first day on which what came on `day` is dead: the day after the last that is promised
    /// (CLK-04).
    pub fn dead_from(self, day: Day) -> Day {
        next_day(match self {
            Self::Nothing => day,
            Self::Days(days) => Day(day.0.saturating_add(days)),
            Self::Months(months) => add_months(day, months.into()),
        })
    }

    /// The rules by which it counts.
    pub(super) fn counted_by(self) -> [RuleId; 2] {
        const CLK_02: RuleId = RuleId::of("CLK-02");
        const CLK_03: RuleId = RuleId::of("CLK-03");
        const CLK_04: RuleId = RuleId::of("CLK-04");
        match self {
            Self::Nothing | Self::Days(_) => [CLK_02, CLK_04],
            Self::Months(_) => [CLK_03, CLK_04],
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Days(1) => f.write_str("1 day"),
            Self::Days(days) => write!(f, "{days} days"),
            Self::Months(1) => f.write_str("1 month"),
            Self::Months(months) => write!(f, "{months} months"),
        }
    }
}

impl FromStr for Period {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "a period: `nothing`, `1 day` to `36525 days`, or `1 month` to \
                              `1200 months`";
        if text == "nothing" {
            return Ok(Self::Nothing);
        }
        let (number, unit) = text.split_once(' ').ok_or(WANTED)?;
        let number: u16 = number.parse().map_err(|_| WANTED)?;
        match unit {
            "day" | "days" if (1..=DAYS_MAX).contains(&number) => Ok(Self::Days(number)),
            "month" | "months" if (1..=MONTHS_MAX).contains(&number) => Ok(Self::Months(number)),
            _ => Err(WANTED),
        }
    }
}

macro_rules! as_text {
    ($($name:ty),+) => { $(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )+ };
}

as_text!(Period, RuleId);

/// One line of a policy: a period, and the rule that it states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub period: Period,
    pub rule: RuleId,
}

/// How long the plans keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanLines {
    pub free: Line,
    pub team: Line,
    pub business: Line,
    pub enterprise: Line,
}

/// From the newest sign-in to the notice, and from the notice to the closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dormancy {
    pub notice: Line,
    pub closing: Line,
}

/// A version of the policy, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    pub version: PolicyVersion,
    /// A stricter law made it: of what was collected before it, at a site that is closed, the
    /// earlier end of the two counts (RET-20).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mandatory: bool,
    pub plans: PlanLines,
    /// From closing a site to its being empty.
    pub closing: Line,
    /// From the last day of a trial to the closing of its site.
    pub trial: Line,
    /// What a trial keeps; none: all, until its site is cleared (RET-13).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_rolling: Option<Line>,
    pub dormancy: Dormancy,
    pub downgrade: Line,
    pub visits: Line,
}

impl Terms {
    /// Reads a policy.
    ///
    /// # Errors
    /// With words that name the line that is missing or wrong.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Version 1.
    #[expect(clippy::expect_used, reason = "it is part of the program, and a test reads it")]
    pub fn source() -> &'static Self {
        static PARSED: LazyLock<Terms> =
            LazyLock::new(|| Terms::parse(SOURCE).expect("source.toml is a policy"));
        &PARSED
    }

    /// What it says of a plan.
    pub fn plan(&self, plan: Plan) -> Line {
        match plan {
            Plan::Free => self.plans.free,
            Plan::Team => self.plans.team,
            Plan::Business => self.plans.business,
            Plan::Enterprise => self.plans.enterprise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_says_what_its_rules_say() {
        let terms = Terms::source();
        let said: Vec<_> = [Plan::Free, Plan::Team, Plan::Business, Plan::Enterprise]
            .map(|plan| terms.plan(plan))
            .iter()
            .chain([&terms.closing, &terms.trial, &terms.dormancy.notice, &terms.dormancy.closing])
            .map(|line| format!("{} {}", line.rule, line.period))
            .collect();
        assert_eq!(
            said,
            [
                "RET-01 60 days",
                "RET-02 12 months",
                "RET-03 24 months",
                "RET-04 36 months",
                "RET-05 6 months",
                "RET-11 3 months",
                "RET-08 6 months",
                "RET-09 14 days",
            ]
        );
        assert_eq!((terms.version, terms.mandatory), (PolicyVersion(1), false));
    }

    #[test]
    fn a_policy_that_is_wrong_names_the_line() {
        let refused = |from: &str, to: &str| {
            let text = SOURCE.replacen(from, to, 1);
            assert_ne!(text, SOURCE);
            Terms::parse(&text).unwrap_err().to_string()
        };
        assert!(refused("period = \"60 days\"", "period = \"60 weeks\"").contains("a period"));
        assert!(refused("period = \"60 days\"", "period = \"0 days\"").contains("a period"));
        assert!(refused("rule = \"RET-01\"", "rule = \"ret 1\"").contains("id of a rule"));
        assert!(refused("[closing]", "[closed]").contains("closed"));
        assert!(refused("[visits]\nperiod", "[visits]\nperiode").contains("periode"));
        assert!(refused("[plans.team]", "[plans.crew]").contains("crew"));
    }

    #[test]
    fn periods_are_read_as_they_are_written() {
        for text in ["nothing", "1 day", "60 days", "1 month", "36 months"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        for text in
            ["", "0 days", "36526 days", "1201 months", "6", "6 years", "-1 days", "6  days"]
        {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
