//! The edges of each plan, and an oracle that walks day by day with a calendar of its own.

use proptest::prelude::*;
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};

use super::{Plan, SiteEvent, SiteTimeline, add_months, civil, day_number, evaluate};

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
        assert_eq!(decision.rules[0], "RET-05");
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

/// Walks from day to day, with its own calendar: a date is past a promise of months when its year
/// and month are, or when they are equal and its day of the month is greater.
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

    fn past(date: Date, from: Date, months: u32) -> bool {
        let months_of = |(year, month, _): Date| year * 12 + month;
        let (reached, promised) = (months_of(date), months_of(from) + months);
        reached > promised || (reached == promised && date.2 > from.2)
    }

    /// The first dead day among `dates`.
    pub(super) fn end(
        dates: &[Date],
        events: &[(UnixMillis, SiteEvent)],
        came: u16,
    ) -> Option<Day> {
        let date_of = |ms: u64| dates[usize::try_from(ms / DAY_MS - 18_262).unwrap()];
        ((came + 1)..u16::try_from(dates.len()).unwrap()).map(Day).find(|today| {
            let midnight = (u64::from(today.0) + 18_262) * DAY_MS;
            let (mut plan, mut closed) = (Plan::Free, None);
            for (at, event) in events.iter().filter(|(at, _)| at.0 <= midnight) {
                match event {
                    SiteEvent::Plan { plan: new } => plan = *new,
                    SiteEvent::Closed => closed = closed.or(Some(date_of(at.0))),
                    SiteEvent::Reopened => closed = None,
                }
            }
            let (date, from) = (dates[usize::from(today.0)], dates[usize::from(came)]);
            let rolled = match plan {
                Plan::Free => today.0 - came > 60,
                Plan::Team => past(date, from, 12),
                Plan::Business => past(date, from, 24),
                Plan::Enterprise => past(date, from, 36),
            };
            rolled || closed.is_some_and(|closed| past(date, closed, 6))
        })
    }
}

#[test]
fn both_calendars_agree_on_every_day() {
    for (number, date) in (0..u16::MAX).zip(oracle::dates(u16::MAX)) {
        assert_eq!(civil(Day(number)), date);
        assert_eq!(day_number(date.0, date.1, date.2), Day(number));
    }
}

fn event() -> impl Strategy<Value = SiteEvent> {
    prop_oneof![
        (0..4usize).prop_map(|n| SiteEvent::Plan { plan: PLANS[n] }),
        Just(SiteEvent::Closed),
        Just(SiteEvent::Reopened),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_evaluator_equals_a_walk_from_day_to_day(
        first in 0..4usize,
        changes in proptest::collection::vec((0..700u64, 0..4u64, event()), 0..8),
        came in 1..2_500u16,
        today in 0..5_000u16,
    ) {
        let begin = 18_262 * DAY_MS;
        let mut timeline = SiteTimeline::new(UnixMillis(begin), PLANS[first]);
        let mut at = begin;
        for (days, quarter, event) in changes {
            // Midnight, a millisecond later, noon, the last millisecond.
            at = (at / DAY_MS + days) * DAY_MS + [0, 1, DAY_MS / 2, DAY_MS - 1][usize::try_from(quarter).unwrap()];
            timeline.push(UnixMillis(at), event);
        }
        let dates = oracle::dates(9_000);
        let expected = oracle::end(&dates, timeline.events(), came);
        let decision = evaluate(&timeline, RetentionClass::Transcript, Day(came), Day(today));
        prop_assert_eq!(decision.expires, expected);
        prop_assert_eq!(decision.visible, Some(Day(today)) < expected);
        prop_assert_eq!(decision.destroy, !decision.visible);
        prop_assert!(!decision.rules.is_empty() && !decision.reason.is_empty());
    }
}
