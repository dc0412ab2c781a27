//! The edges of each plan, and an oracle that walks day by day with a calendar of its own.

use proptest::prelude::*;
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};

use protocol::ids::AgreementId;

use super::calendar::{add_months, civil, day_number};
use super::{Period, Plan, PolicyVersion, SiteEvent, SiteTimeline, Terms, evaluate, kept_for};

const DAY_MS: u64 = 86_400_000;
const PLANS: [Plan; 4] = [Plan::Free, Plan::Team, Plan::Business, Plan::Enterprise];

type Date = (u32, u32, u32);

fn day(date: Date) -> Day {
    day_number(date.0, date.1, date.2)
}

fn noon(date: Date) -> UnixMillis {
    day(date).start().plus_ms(DAY_MS / 2)
}

/// The first dead day of what came on `date`.
fn end(timeline: &SiteTimeline, date: Date) -> Date {
    let decision = evaluate(timeline, RetentionClass::Transcript, day(date), day(date));
    civil(decision.expires.unwrap())
}

fn open(plan: Plan) -> SiteTimeline {
    SiteTimeline::new(UnixMillis(0), plan)
}

#[test]
fn each_plan_keeps_what_it_promises() {
    let check = |plan, came, dead| assert_eq!(end(&open(plan), came), dead, "{plan} {came:?}");
    check(Plan::Free, (2026, 1, 1), (2026, 3, 3));
    check(Plan::Free, (2024, 1, 1), (2024, 3, 2));
    check(Plan::Team, (2024, 2, 29), (2025, 3, 1));
    check(Plan::Team, (2025, 2, 28), (2026, 3, 1));
    check(Plan::Team, (2023, 2, 28), (2024, 2, 29));
    check(Plan::Business, (2026, 8, 31), (2028, 9, 1));
    check(Plan::Business, (2022, 2, 28), (2024, 2, 29));
    check(Plan::Enterprise, (2025, 2, 28), (2028, 2, 29));
    check(Plan::Enterprise, (2021, 12, 31), (2025, 1, 1));
    check(Plan::Enterprise, (2024, 2, 29), (2027, 3, 1));
}

#[test]
fn a_record_is_readable_at_the_last_millisecond_and_gone_at_the_next() {
    for plan in PLANS {
        // Every day of a leap year and of the one after it.
        for came in day((2024, 1, 1)).0..day((2026, 1, 1)).0 {
            let at = |now: UnixMillis| {
                evaluate(&open(plan), RetentionClass::Transcript, Day(came), now.day())
            };
            let first_dead = at(UnixMillis(0)).expires.unwrap().start();
            let last = at(UnixMillis(first_dead.0 - 1));
            assert!(last.visible && !last.destroy);
            let next = at(first_dead);
            assert!(!next.visible && next.destroy);
        }
    }
}

#[test]
fn months_are_counted_from_the_day_itself() {
    assert_eq!(civil(add_months(day((2026, 1, 31)), 1)), (2026, 2, 28));
    assert_eq!(civil(add_months(day((2026, 1, 31)), 2)), (2026, 3, 31));
    assert_eq!(civil(add_months(day((2027, 8, 31)), 6)), (2028, 2, 29));
    assert_eq!(civil(add_months(day((2099, 12, 31)), 2)), (2100, 2, 28), "2100 is no leap year");
}

#[test]
fn a_later_record_never_dies_before_an_earlier_one() {
    for plan in PLANS {
        let timeline = open(plan);
        let ends = (0..9_000).map(|d| {
            evaluate(&timeline, RetentionClass::Transcript, Day(d), Day(0)).expires.unwrap()
        });
        assert!(ends.is_sorted());
    }
}

#[test]
fn a_closed_site_is_empty_six_months_later() {
    for (closed, dead) in [
        ((2026, 8, 31), (2027, 3, 1)),
        ((2024, 2, 29), (2024, 8, 30)),
        ((2026, 11, 30), (2027, 5, 31)),
    ] {
        let mut timeline = open(Plan::Enterprise);
        timeline.push(noon(closed), SiteEvent::Closed);
        let decision =
            evaluate(&timeline, RetentionClass::AgentNote, Day(day(closed).0 - 1), day(closed));
        assert_eq!(civil(decision.expires.unwrap()), dead);
        assert_eq!(decision.rules.iter().next(), Some("RET-05"));
    }
    let mut timeline = open(Plan::Enterprise);
    timeline.push(noon((2026, 8, 31)), SiteEvent::Closed);
    assert_eq!(
        end(&timeline, (2023, 9, 30)),
        (2026, 10, 1),
        "35 months old: its own date is first"
    );
    timeline.push(noon((2026, 10, 31)), SiteEvent::Closed);
    assert_eq!(end(&timeline, (2026, 8, 30)), (2027, 3, 1), "closing it again moves nothing");
}

#[test]
fn reopening_lifts_the_clearing_but_wakes_nothing() {
    let closed = |reopened| {
        let mut timeline = open(Plan::Enterprise);
        timeline.push(noon((2026, 8, 31)), SiteEvent::Closed);
        timeline.push(noon(reopened), SiteEvent::Reopened);
        timeline
    };
    assert_eq!(end(&closed((2027, 2, 28)), (2026, 8, 30)), (2029, 8, 31), "just in time");
    let late = closed((2027, 3, 1));
    assert_eq!(end(&late, (2026, 8, 30)), (2027, 3, 1), "half a day too late");
    assert_eq!(end(&late, (2027, 3, 1)), (2030, 3, 2), "what comes afterwards lives");
}

#[test]
fn an_upgrade_extends_what_lives_and_wakes_nothing() {
    let mut timeline = open(Plan::Free);
    timeline.push(noon((2026, 6, 30)), SiteEvent::Plan { plan: Plan::Team });
    assert_eq!(end(&timeline, (2026, 5, 1)), (2027, 5, 2), "60 days end today");
    assert_eq!(end(&timeline, (2026, 4, 30)), (2026, 6, 30), "they ended this morning");
    let at_midnight = {
        let mut timeline = open(Plan::Free);
        timeline.push(day((2026, 6, 30)).start(), SiteEvent::Plan { plan: Plan::Team });
        timeline
    };
    assert_eq!(end(&at_midnight, (2026, 4, 30)), (2027, 5, 1), "in force as the day began");
}

#[test]
fn a_downgrade_shortens_from_the_next_midnight() {
    let mut timeline = open(Plan::Enterprise);
    timeline.push(noon((2026, 6, 30)), SiteEvent::Plan { plan: Plan::Free });
    let today = |date: Date, on: Date| {
        evaluate(&timeline, RetentionClass::Transcript, day(date), day(on)).visible
    };
    assert!(today((2024, 1, 1), (2026, 6, 30)));
    assert!(!today((2024, 1, 1), (2026, 7, 1)));
    assert!(today((2026, 5, 2), (2026, 7, 1)));
    assert!(!today((2026, 5, 2), (2026, 7, 2)));
}

#[test]
fn every_class_but_accounts_follows_the_transcript() {
    let timeline = open(Plan::Team);
    let came = day((2026, 1, 15));
    let of = |class| evaluate(&timeline, class, came, came).expires;
    for class in [
        RetentionClass::OfflineMessage,
        RetentionClass::VisitorInfo,
        RetentionClass::Contact,
        RetentionClass::Survey,
        RetentionClass::AgentNote,
    ] {
        assert_eq!(of(class), of(RetentionClass::Transcript));
    }
    assert_eq!(of(RetentionClass::UserAccount), None);
    let account = evaluate(&timeline, RetentionClass::UserAccount, came, Day(u16::MAX));
    assert!(account.visible && !account.destroy);
}

#[test]
fn the_last_days_that_can_be_named_do_not_overflow() {
    for plan in PLANS {
        let late = Day(u16::MAX);
        assert!(!evaluate(&open(plan), RetentionClass::Transcript, late, late).visible);
    }
}

/// The first dead day of what came on `date`, and the rule that says so.
fn ends(timeline: &SiteTimeline, class: RetentionClass, date: Date) -> (Date, String) {
    let decision = evaluate(timeline, class, day(date), day(date));
    let rule = decision.rules.iter().next().unwrap().to_owned();
    (civil(decision.expires.unwrap()), rule)
}

#[test]
fn an_upgrade_that_is_not_to_extend_is_for_what_comes_after_it() {
    let mut timeline = open(Plan::Team);
    timeline.push(noon((2026, 1, 1)), SiteEvent::Upgrades { extend: false });
    timeline.push(noon((2026, 6, 30)), SiteEvent::Plan { plan: Plan::Enterprise });
    let ends = |date| ends(&timeline, RetentionClass::Transcript, date);
    assert_eq!(ends((2026, 6, 30)), ((2027, 7, 1), "RET-16".into()));
    assert_eq!(ends((2026, 7, 1)), ((2029, 7, 2), "RET-04".into()));
    let mut back = timeline.clone();
    back.push(noon((2026, 8, 1)), SiteEvent::Plan { plan: Plan::Free });
    assert_eq!(end(&back, (2026, 6, 30)), (2026, 8, 30), "the earlier of both");
}

#[test]
fn a_downgrade_counts_after_its_grace_and_can_be_taken_back_until_then() {
    let mut timeline = open(Plan::Enterprise);
    let from = day((2026, 7, 31));
    timeline.push(noon((2026, 7, 1)), SiteEvent::Downgrade { plan: Plan::Free, from });
    // Thirty months of data: nothing is lost at 29 days, exactly what is over age at 30.
    let is_there = |timeline: &SiteTimeline, came, on| {
        evaluate(timeline, RetentionClass::Transcript, day(came), day(on)).visible
    };
    assert!(is_there(&timeline, (2024, 1, 31), (2026, 7, 30)));
    assert!(!is_there(&timeline, (2024, 1, 31), (2026, 7, 31)));
    assert!(!is_there(&timeline, (2026, 5, 31), (2026, 7, 31)));
    assert!(is_there(&timeline, (2026, 6, 1), (2026, 7, 31)));
    assert_eq!(timeline.downgrade(noon((2026, 7, 2))), Some((Plan::Free, from)));
    assert_eq!(timeline.plan(noon((2026, 7, 31))), Plan::Free);
    for taken_back in [SiteEvent::DowngradeCancelled, SiteEvent::Plan { plan: Plan::Enterprise }] {
        let mut timeline = timeline.clone();
        timeline.push(UnixMillis(from.start().0 - 1), taken_back);
        assert!(is_there(&timeline, (2024, 1, 31), (2026, 7, 31)));
        assert_eq!(timeline.downgrade(from.start()), None);
    }
    timeline.push(from.start(), SiteEvent::DowngradeCancelled);
    assert!(!is_there(&timeline, (2024, 1, 31), (2026, 7, 31)), "it has begun");
}

#[test]
fn a_trial_that_nobody_converts_is_closed_after_three_months_and_cleared_six_later() {
    let mut timeline = open(Plan::Business);
    timeline.push(noon((2026, 11, 1)), SiteEvent::Trial { until: day((2026, 11, 30)) });
    let closes = day((2027, 3, 1)).start();
    assert_eq!(timeline.closed_at(UnixMillis(closes.0 - 1)), None);
    assert_eq!(timeline.closed_at(closes), Some(closes));
    assert_eq!(timeline.trial(noon((2027, 2, 28))), Some(day((2026, 11, 30))));
    let cleared = ((2027, 9, 2), String::from("RET-12"));
    assert_eq!(ends(&timeline, RetentionClass::Transcript, (2026, 11, 2)), cleared);
    assert_eq!(kept_for(&timeline, RetentionClass::Transcript, noon((2026, 12, 1))), None);
    // Converted in the last millisecond of the last day.
    let mut converted = timeline.clone();
    converted.push(UnixMillis(closes.0 - 1), SiteEvent::Plan { plan: Plan::Team });
    assert_eq!(converted.closed_at(noon((2027, 3, 2))), None);
    assert_eq!(end(&converted, (2026, 11, 2)), (2027, 11, 3));
    // A millisecond later the site is closed; the plan counts, and so does the clearing.
    let mut late = timeline;
    late.push(closes, SiteEvent::Plan { plan: Plan::Team });
    assert_eq!(late.closed_at(noon((2027, 3, 2))), Some(closes));
    assert_eq!(end(&late, (2026, 11, 2)), (2027, 9, 2));
}

#[test]
fn a_trial_may_have_a_rolling_end() {
    let text = super::terms::SOURCE.replace("version = 1", "version = 2");
    let rolling = "\n[trial_rolling]\nperiod = \"30 days\"\nrule = \"RET-13\"\n";
    let terms = Box::new(Terms::parse(&(text + rolling)).unwrap());
    let mut timeline = open(Plan::Team);
    timeline.push(noon((2026, 1, 1)), SiteEvent::Policy { from: day((2026, 1, 2)), terms });
    timeline.push(noon((2026, 2, 1)), SiteEvent::Trial { until: day((2026, 12, 31)) });
    let end = ends(&timeline, RetentionClass::Transcript, (2026, 3, 1));
    assert_eq!(end, ((2026, 4, 1), "RET-13".into()));
}

const AGREED: AgreementId = AgreementId::from_bytes([7; 16]);

fn agreement(keeps: Period, class: Option<RetentionClass>, from: Date, until: Date) -> SiteEvent {
    let (from, until) = (day(from), Some(day(until)));
    SiteEvent::Agreement { agreement: AGREED, class, keeps, from, until }
}

#[test]
fn an_agreement_goes_before_the_plan_as_long_as_it_holds() {
    let agreed = |keeps| {
        let mut timeline = open(Plan::Team);
        let event = agreement(keeps, None, (2026, 3, 1), (2026, 12, 31));
        timeline.push(noon((2026, 1, 1)), event);
        timeline
    };
    let shorter = agreed(Period::Days(30));
    let ends_at = |timeline: &SiteTimeline, date| ends(timeline, RetentionClass::Transcript, date);
    assert_eq!(
        ends_at(&shorter, (2025, 6, 1)),
        ((2026, 3, 1), "RET-14".into()),
        "at its first day"
    );
    assert_eq!(ends_at(&shorter, (2026, 6, 1)), ((2026, 7, 2), "RET-14".into()));
    assert_eq!(ends_at(&shorter, (2026, 12, 20)), ((2027, 12, 21), "RET-02".into()), "it is over");
    let longer = agreed(Period::Months(60));
    assert_eq!(ends_at(&longer, (2025, 6, 1)), ((2027, 1, 1), "RET-02".into()), "when it is over");
    let mut ended = longer.clone();
    let until = day((2026, 6, 30));
    ended.push(noon((2026, 6, 10)), SiteEvent::AgreementEnded { agreement: AGREED, until });
    assert_eq!(ends_at(&ended, (2025, 6, 1)), ((2026, 7, 1), "RET-02".into()));
    // Closing the site does not override it.
    let mut closed = longer;
    closed.push(noon((2026, 4, 1)), SiteEvent::Closed);
    assert_eq!(ends_at(&closed, (2026, 3, 31)), ((2027, 1, 1), "RET-05".into()));
}

#[test]
fn an_agreement_may_be_about_one_class_and_keep_nothing() {
    let mut timeline = open(Plan::Team);
    let note = RetentionClass::AgentNote;
    timeline.push(
        noon((2026, 1, 1)),
        agreement(Period::Nothing, Some(note), (2026, 3, 1), (2026, 12, 31)),
    );
    timeline
        .push(noon((2026, 1, 2)), agreement(Period::Days(9), None, (2026, 3, 1), (2026, 12, 31)));
    let nothing = |class, date| timeline.keeps_nothing(class, day(date)).is_some();
    assert!(nothing(note, (2026, 3, 1)) && nothing(note, (2026, 12, 31)));
    assert!(!nothing(note, (2026, 2, 28)) && !nothing(note, (2027, 1, 1)));
    assert!(!nothing(RetentionClass::Transcript, (2026, 3, 1)));
    let now = noon((2026, 5, 1));
    assert_eq!(kept_for(&timeline, note, now), Some(Period::Nothing));
    assert_eq!(kept_for(&timeline, RetentionClass::Survey, now), Some(Period::Days(9)));
}

fn policy(version: u16, team: &str, mandatory: bool) -> Box<Terms> {
    let text = super::terms::SOURCE
        .replace("version = 1", &format!("version = {version}\nmandatory = {mandatory}"))
        .replace("12 months", team);
    Box::new(Terms::parse(&text).unwrap())
}

#[test]
fn a_policy_counts_from_its_day_and_a_closed_site_stays_under_the_one_of_collection() {
    let mut timeline = open(Plan::Team);
    let from = day((2026, 7, 1));
    timeline
        .push(noon((2026, 5, 1)), SiteEvent::Policy { from, terms: policy(2, "90 days", false) });
    let ends_at = |timeline: &SiteTimeline, date| ends(timeline, RetentionClass::Transcript, date);
    assert_eq!(ends_at(&timeline, (2026, 1, 1)), ((2026, 7, 1), "RET-02".into()));
    assert_eq!(timeline.terms(day((2026, 6, 30))).version, PolicyVersion(1));
    assert_eq!(timeline.terms(from).version, PolicyVersion(2));
    let mut closed = open(Plan::Team);
    closed.push(noon((2026, 4, 1)), SiteEvent::Closed);
    let strict = |mandatory| {
        let mut timeline = closed.clone();
        let terms = policy(2, "90 days", mandatory);
        timeline.push(noon((2026, 5, 1)), SiteEvent::Policy { from, terms });
        timeline
    };
    let decision = |timeline: &SiteTimeline| {
        evaluate(timeline, RetentionClass::Transcript, day((2026, 1, 1)), from)
    };
    let old = decision(&strict(false));
    assert_eq!(civil(old.expires.unwrap()), (2026, 10, 2), "the old rule and its clearing");
    assert!(old.rules.iter().any(|rule| rule == "RET-20"));
    assert_eq!(civil(decision(&strict(true)).expires.unwrap()), (2026, 7, 1), "by law");
    let mut withdrawn = timeline;
    let version = PolicyVersion(2);
    withdrawn.push(noon((2026, 6, 1)), SiteEvent::PolicyWithdrawn { version });
    assert_eq!(end(&withdrawn, (2026, 1, 1)), (2027, 1, 2));
}

#[test]
fn a_timeline_is_read_as_it_was_written() {
    let former = r#"[[1700000000000,{"kind":"plan","plan":"free"}],
        [1700000000001,{"kind":"closed"}],[1700000000002,{"kind":"reopened"}]]"#;
    let mut timeline: SiteTimeline = serde_json::from_str(former).unwrap();
    let written = serde_json::to_string(&timeline).unwrap();
    assert_eq!(written, former.split_whitespace().collect::<String>());
    timeline.push(noon((2026, 1, 1)), SiteEvent::Trial { until: day((2026, 2, 1)) });
    timeline.push(noon((2026, 1, 2)), agreement(Period::Nothing, None, (2026, 1, 3), (2026, 1, 4)));
    let from = day((2026, 7, 1));
    timeline.push(noon((2026, 1, 3)), SiteEvent::Policy { from, terms: policy(2, "1 day", true) });
    timeline.push(noon((2026, 1, 4)), SiteEvent::Downgrade { plan: Plan::Team, from });
    let written = serde_json::to_string(&timeline).unwrap();
    let read: SiteTimeline = serde_json::from_str(&written).unwrap();
    assert_eq!(read, timeline);
    assert_eq!(end(&read, (2026, 1, 1)), end(&timeline, (2026, 1, 1)));
}

#[test]
fn reasons_are_words_for_people() {
    let said = |timeline: &SiteTimeline| {
        evaluate(timeline, RetentionClass::Transcript, day((2026, 1, 1)), Day(0)).reason.to_string()
    };
    assert_eq!(said(&open(Plan::Business)), "the Business plan keeps 24 months");
    assert_eq!(said(&open(Plan::Free)), "the free plan keeps 60 days");
    let mut closed = open(Plan::Business);
    closed.push(noon((2026, 1, 2)), SiteEvent::Closed);
    assert_eq!(said(&closed), "its site is cleared 6 months after it was closed");
}

/// Walks from day to day, with its own calendar and its own way through the changes: at each midnight
/// what is due by itself, then the changes of that moment, then the record, then those of the day.
mod oracle {
    use super::*;

    fn step((year, month, day): Date) -> Date {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let february = if leap { 29 } else { 28 };
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let index = usize::try_from(month - 1).unwrap();
        match (day == lengths[index], month) {
            (false, _) => (year, month, day + 1),
            (true, 12) => (year + 1, 1, 1),
            (true, _) => (year, month + 1, 1),
        }
    }

    pub(super) fn dates(days: u16) -> Vec<Date> {
        std::iter::successors(Some((2020, 1, 1)), |date| Some(step(*date)))
            .take(usize::from(days))
            .collect()
    }

    struct Agreed(AgreementId, Option<RetentionClass>, Period, u16, Option<u16>);

    struct Walk<'a> {
        dates: &'a [Date],
        policies: Vec<(u16, &'a Terms)>,
        plan: Plan,
        extend: bool,
        trial: Option<u16>,
        downgrade: Option<(Plan, u16)>,
        closed: Option<u16>,
        caps: Vec<(u16, Period)>,
        agreed: Vec<Agreed>,
    }

    fn midnight(day: u16) -> u64 {
        (u64::from(day) + 18_262) * DAY_MS
    }

    impl<'a> Walk<'a> {
        /// Whether what began on `from` is past its promise on `today`: a date is past a promise of
        /// months when its year and month are, or when they are equal and its day of the month is
        /// greater.
        fn past(&self, today: u16, from: u16, promise: Period) -> bool {
            match promise {
                Period::Nothing => today > from,
                Period::Days(days) => today > from && today - from > days,
                Period::Months(months) => {
                    let (date, begun) =
                        (self.dates[usize::from(today)], self.dates[usize::from(from)]);
                    let months_of = |(year, month, _): Date| year * 12 + month;
                    let (reached, promised) =
                        (months_of(date), months_of(begun) + u32::from(months));
                    reached > promised || (reached == promised && date.2 > begun.2)
                }
            }
        }

        fn policy(&self, day: u16) -> &'a Terms {
            let begun = self.policies.iter().filter(|(from, _)| *from <= day);
            begun.max_by_key(|(from, _)| *from).unwrap().1
        }

        fn by_itself(&mut self, today: u16) {
            if let Some((plan, from)) = self.downgrade
                && from <= today
            {
                self.plan = plan;
                self.downgrade = None;
            }
            if let Some(until) = self.trial
                && self.closed.is_none()
                && self.past(today, until, self.policy(until).trial.period)
            {
                self.closed = Some(today);
            }
        }

        fn change(&mut self, at: UnixMillis, event: &'a SiteEvent) {
            match event {
                SiteEvent::Plan { plan } => {
                    let next = u16::try_from(at.0.div_ceil(DAY_MS) - 18_262).unwrap();
                    let terms = self.policy(next);
                    let (before, after) = (terms.plan(self.plan).period, terms.plan(*plan).period);
                    // Longer: somewhere on the way the one is past and the other is not.
                    let grows = (next..next + 2_000)
                        .any(|day| self.past(day, next, before) && !self.past(day, next, after));
                    if grows && !self.extend && self.trial.is_none() {
                        self.caps.push((next, before));
                    }
                    self.plan = *plan;
                    self.trial = None;
                    self.downgrade = None;
                }
                SiteEvent::Downgrade { plan, from } => self.downgrade = Some((*plan, from.0)),
                SiteEvent::DowngradeCancelled => self.downgrade = None,
                SiteEvent::Upgrades { extend } => self.extend = *extend,
                SiteEvent::Trial { until } => self.trial = Some(until.0),
                SiteEvent::Closed => {
                    let day = u16::try_from(at.0 / DAY_MS - 18_262).unwrap();
                    self.closed = self.closed.or(Some(day));
                }
                SiteEvent::Reopened => {
                    if self.closed.is_some() {
                        self.trial = None;
                    }
                    self.closed = None;
                }
                SiteEvent::Agreement { agreement, class, keeps, from, until } => {
                    let until = until.map(|until| until.0);
                    self.agreed.push(Agreed(*agreement, *class, *keeps, from.0, until));
                }
                SiteEvent::AgreementEnded { agreement, until } => {
                    for agreed in self.agreed.iter_mut().filter(|agreed| agreed.0 == *agreement) {
                        agreed.4 = Some(agreed.4.unwrap_or(u16::MAX).min(until.0));
                    }
                }
                SiteEvent::Policy { .. } | SiteEvent::PolicyWithdrawn { .. } => {}
            }
        }

        fn is_dead(&self, today: u16, came: u16, class: RetentionClass) -> bool {
            let holds =
                |agreed: &&Agreed| agreed.3 <= today && agreed.4.is_none_or(|until| today <= until);
            let of = |wanted| {
                let mut all = self.agreed.iter().filter(holds);
                all.rfind(|agreed| agreed.1 == wanted)
            };
            if let Some(agreed) = of(Some(class)).or(of(None)) {
                return self.past(today, came, agreed.2);
            }
            let Some(closed) = self.closed else {
                return self.rolled(today, came, self.policy(today));
            };
            let by_law = self
                .policies
                .iter()
                .filter(|(from, terms)| terms.mandatory && *from > came && *from <= today);
            let mut terms = by_law.map(|(_, terms)| *terms).chain([self.policy(came)]);
            terms.any(|terms| {
                self.rolled(today, came, terms) || self.past(today, closed, terms.closing.period)
            })
        }

        fn rolled(&self, today: u16, came: u16, terms: &Terms) -> bool {
            if self.trial.is_some() {
                return terms.trial_rolling.is_some_and(|line| self.past(today, came, line.period));
            }
            let mut caps = self.caps.iter().filter(|(before, _)| came < *before);
            self.past(today, came, terms.plan(self.plan).period)
                || caps.any(|(_, period)| self.past(today, came, *period))
        }
    }

    /// The first dead day among `dates`.
    pub(super) fn end(
        dates: &[Date],
        events: &[(UnixMillis, SiteEvent)],
        class: RetentionClass,
        came: u16,
    ) -> Option<Day> {
        // One is in force if nobody withdrew it after it was announced.
        let withdrawn_after = |at: usize, version| {
            let withdrawn = SiteEvent::PolicyWithdrawn { version };
            events[at..].iter().any(|(_, event)| *event == withdrawn)
        };
        let mut policies = vec![(0, Terms::source())];
        for (at, (_, event)) in events.iter().enumerate() {
            if let SiteEvent::Policy { from, terms } = event
                && !withdrawn_after(at, terms.version)
            {
                policies.push((from.0, &**terms));
            }
        }
        let SiteEvent::Plan { plan } = events[0].1 else { panic!("a timeline begins with a plan") };
        let mut walk = Walk {
            dates,
            policies,
            plan,
            extend: true,
            trial: None,
            downgrade: None,
            closed: None,
            caps: Vec::new(),
            agreed: Vec::new(),
        };
        let mut left = events;
        for today in 0..u16::try_from(dates.len()).unwrap() {
            walk.by_itself(today);
            while let Some(((at, event), rest)) =
                left.split_first().filter(|((at, _), _)| at.0 <= midnight(today))
            {
                walk.change(*at, event);
                left = rest;
            }
            // What came with the moment may make something due at once.
            walk.by_itself(today);
            if today > came && walk.is_dead(today, came, class) {
                return Some(Day(today));
            }
            while let Some(((at, event), rest)) =
                left.split_first().filter(|((at, _), _)| at.0 < midnight(today + 1))
            {
                walk.change(*at, event);
                walk.by_itself(today);
                left = rest;
            }
        }
        None
    }
}

#[test]
fn both_calendars_agree_on_every_day() {
    for (number, date) in (0..u16::MAX).zip(oracle::dates(u16::MAX)) {
        assert_eq!(civil(Day(number)), date);
        assert_eq!(day_number(date.0, date.1, date.2), Day(number));
    }
}

fn period() -> impl Strategy<Value = Period> {
    prop_oneof![
        Just(Period::Nothing),
        (1..400u16).prop_map(Period::Days),
        (1..40u16).prop_map(Period::Months),
    ]
}

/// A change, of which days are told from the one on which it is made.
fn change() -> impl Strategy<Value = Change> {
    let class = prop_oneof![
        Just(None),
        Just(Some(RetentionClass::Transcript)),
        Just(Some(RetentionClass::AgentNote)),
    ];
    prop_oneof![
        4 => (0..4usize).prop_map(|n| Change::At(SiteEvent::Plan { plan: PLANS[n] })),
        2 => Just(Change::At(SiteEvent::Closed)),
        2 => Just(Change::At(SiteEvent::Reopened)),
        1 => Just(Change::At(SiteEvent::DowngradeCancelled)),
        1 => any::<bool>().prop_map(|extend| Change::At(SiteEvent::Upgrades { extend })),
        2 => (0..4usize, 1..60u16).prop_map(|(n, days)| Change::Downgrade(PLANS[n], days)),
        2 => (0..200u16).prop_map(Change::Trial),
        3 => (0..3u8, class, period(), 0..300u16, proptest::option::of(0..900u16))
            .prop_map(|(id, class, keeps, from, long)| Change::Agreement(id, class, keeps, from, long)),
        1 => (0..3u8, 0..200u16).prop_map(|(id, days)| Change::AgreementEnded(id, days)),
        2 => (2..5u16, 1..120u16, period(), period(), any::<bool>(), proptest::option::of(period()))
            .prop_map(|(version, days, plan, closing, mandatory, trial)| {
                Change::Policy(version, days, plan, closing, mandatory, trial)
            }),
        1 => (2..5u16).prop_map(|version| {
            Change::At(SiteEvent::PolicyWithdrawn { version: PolicyVersion(version) })
        }),
    ]
}

#[derive(Debug, Clone)]
enum Change {
    At(SiteEvent),
    Downgrade(Plan, u16),
    Trial(u16),
    Agreement(u8, Option<RetentionClass>, Period, u16, Option<u16>),
    AgreementEnded(u8, u16),
    Policy(u16, u16, Period, Period, bool, Option<Period>),
}

impl Change {
    fn on(self, at: UnixMillis) -> SiteEvent {
        let later = |days| Day(at.day().0 + days);
        match self {
            Self::At(event) => event,
            Self::Downgrade(plan, days) => SiteEvent::Downgrade { plan, from: later(days) },
            Self::Trial(days) => SiteEvent::Trial { until: later(days) },
            Self::Agreement(id, class, keeps, from, long) => SiteEvent::Agreement {
                agreement: AgreementId::from_bytes([id; 16]),
                class,
                keeps,
                from: later(from),
                until: long.map(|long| later(from + long)),
            },
            Self::AgreementEnded(id, days) => SiteEvent::AgreementEnded {
                agreement: AgreementId::from_bytes([id; 16]),
                until: later(days),
            },
            Self::Policy(version, days, plan, closing, mandatory, trial) => {
                let mut terms = *Terms::source();
                terms.version = PolicyVersion(version);
                terms.mandatory = mandatory;
                terms.plans.team.period = plan;
                terms.closing.period = closing;
                terms.trial_rolling = trial.map(|period| super::Line { period, ..terms.trial });
                SiteEvent::Policy { from: later(days), terms: Box::new(terms) }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_evaluator_equals_a_walk_from_day_to_day(
        first in 0..4usize,
        changes in proptest::collection::vec((0..300u64, 0..4u64, change()), 0..10),
        class in prop_oneof![Just(RetentionClass::Transcript), Just(RetentionClass::AgentNote)],
        came in 1..2_500u16,
        today in 0..5_000u16,
    ) {
        let begin = 18_262 * DAY_MS;
        let mut timeline = SiteTimeline::new(UnixMillis(begin), PLANS[first]);
        let mut at = begin;
        for (days, quarter, change) in changes {
            // Midnight, a millisecond later, noon, the last millisecond.
            at = (at / DAY_MS + days) * DAY_MS + [0, 1, DAY_MS / 2, DAY_MS - 1][usize::try_from(quarter).unwrap()];
            let at = timeline.events().last().unwrap().0.max(UnixMillis(at));
            timeline.push(at, change.on(at));
        }
        let days = 9_000;
        let dates = oracle::dates(days);
        let expected = oracle::end(&dates, timeline.events(), class, came);
        let decision = evaluate(&timeline, class, Day(came), Day(today));
        prop_assert_eq!(decision.expires.filter(|day| day.0 < days), expected);
        prop_assert_eq!(decision.visible, expected.is_none_or(|end| Day(today) < end));
        prop_assert_eq!(decision.destroy, !decision.visible);
        prop_assert!(decision.rules.iter().next().is_some());
    }
}
