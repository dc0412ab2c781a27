//! Which buckets are due for destruction, and by which clock.
//!
//! Reading hides by the latest clock, for that can be undone; destruction goes by a mark that only
//! trusted time moves (CLK-08). Here are the two judgements; the store keeps the mark, the caller
//! measures, destroys and cleans up.

use protocol::ids::{SiteId, TenantId};
use protocol::time::{Day, UnixMillis};

use protocol::retention::RetentionClass;

use super::policy::{SiteTimeline, evaluate};
use super::seal::Bucket;

/// How far the wall clock may be from where the monotonic clock expects it.
const DRIFT_MS_MAX: u64 = 10 * 60_000;

/// How long a server may have been off for a synchronised wall clock to be believed at start.
const OFF_MS_MAX: u64 = 30 * 86_400_000;

/// The same where nothing says that the clock is synchronised: the hour since the last sweep, and a
/// restart of the machine.
const OFF_UNSYNCED_MS_MAX: u64 = 3 * 60 * 60_000;

/// How long an answer is kept for a request that is sent again.
pub const ANSWER_MS: u64 = 86_400_000;

/// The buckets whose records are all dead on `today`, the day of the mark. A bucket of a site that
/// is not known is never due: what cannot be judged is not destroyed. Kept answers belong to no
/// site: the last of a day has had its time when the day after is over.
pub fn due<'t>(
    buckets: &[Bucket],
    timeline: impl Fn(TenantId, SiteId) -> Option<&'t SiteTimeline>,
    today: Day,
) -> Vec<Bucket> {
    let of_the_day = |bucket: &&Bucket| match bucket.site {
        Some(site) => timeline(bucket.tenant, site)
            .is_some_and(|timeline| is_due(timeline, bucket.class, bucket.day, today)),
        None => {
            bucket.class == RetentionClass::Operational
                && today.start().ms_since(bucket.day.start()) >= 2 * ANSWER_MS
        }
    };
    buckets.iter().filter(of_the_day).copied().collect()
}

/// Whether what came on `day` is due by the day of the mark, so that memory lets go of it too.
pub fn is_due(timeline: &SiteTimeline, class: RetentionClass, day: Day, mark: Day) -> bool {
    evaluate(timeline, class, day, mark).destroy
}

/// What the wall clock is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The mark may move here; destruction goes on.
    Trusted(UnixMillis),
    /// It ran ahead of anything that explains it: reading hides by it, but the mark stays and
    /// sweeps stop until the operator confirms it.
    Ahead,
    /// It stepped back: reading goes by the mark, which stays.
    Behind,
}

/// Judges the wall clock while the server runs: `expected` is where it stood when it was last
/// trusted, plus what the monotonic clock counted since.
pub fn judge(mark: UnixMillis, expected: UnixMillis, wall: UnixMillis) -> Trust {
    if wall.ms_since(expected) > DRIFT_MS_MAX {
        Trust::Ahead
    } else if expected.ms_since(wall) > DRIFT_MS_MAX {
        Trust::Behind
    } else {
        Trust::Trusted(wall.max(mark))
    }
}

/// Judges the wall clock at start, when no monotonic clock spans the gap: `synced` says whether the
/// system keeps it right by others. Without a mark there is nothing yet that could be lost.
pub fn judge_at_start(mark: Option<UnixMillis>, wall: UnixMillis, synced: bool) -> Trust {
    let off_ms_max = if synced { OFF_MS_MAX } else { OFF_UNSYNCED_MS_MAX };
    match mark {
        None => Trust::Trusted(wall),
        Some(mark) if wall.ms_since(mark) > off_ms_max => Trust::Ahead,
        Some(mark) if mark.ms_since(wall) > DRIFT_MS_MAX => Trust::Behind,
        Some(mark) => Trust::Trusted(wall.max(mark)),
    }
}

/// Whether the operator's word may count: under a mark that is later than their clock it would
/// destroy what the mark says, not what they confirmed.
pub fn may_confirm(mark: UnixMillis, wall: UnixMillis) -> bool {
    mark.ms_since(wall) <= DRIFT_MS_MAX
}

/// Where the operator may put a mark that was set by a clock in the future: at the time that it
/// really is, unless a key was destroyed after it. What is gone then does not come back, so neither
/// does time.
pub fn may_lower(mark: UnixMillis, wall: UnixMillis, destroyed_by: UnixMillis) -> bool {
    !may_confirm(mark, wall) && destroyed_by <= wall
}

/// The time that a record gets, `passed_ms` after the mark was read: a wall clock that stepped back
/// would make it older than it is, and its end would come too early.
pub fn record_time(mark: UnixMillis, passed_ms: u64, wall: UnixMillis) -> UnixMillis {
    wall.max(mark.plus_ms(passed_ms))
}

/// The day by which reading hides: the later of the wall clock and the mark.
pub fn reading_day(mark: UnixMillis, wall: UnixMillis) -> Day {
    mark.max(wall).day()
}

#[cfg(test)]
mod tests {
    use super::super::policy::Plan;
    use super::*;

    const MARK: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn a_bucket_is_due_on_its_first_dead_day_and_not_before() {
        let tenant = TenantId::from_bytes([1; 16]);
        let site = SiteId::from_bytes([2; 16]);
        let timeline = SiteTimeline::new(UnixMillis(0), Plan::Free);
        let bucket =
            |site, day| Bucket { tenant, site, class: RetentionClass::Transcript, day: Day(day) };
        let stranger = SiteId::from_bytes([3; 16]);
        let buckets = [
            bucket(Some(site), 100),
            bucket(Some(site), 101),
            bucket(Some(stranger), 1),
            bucket(None, 1),
        ];
        let due_on = |day| due(&buckets, |_, of| (of == site).then_some(&timeline), Day(day));
        assert_eq!(due_on(160), []);
        assert_eq!(due_on(161), [bucket(Some(site), 100)]);
        assert_eq!(due_on(u16::MAX), [bucket(Some(site), 100), bucket(Some(site), 101)]);
    }

    #[test]
    fn a_bucket_of_kept_answers_is_due_when_the_last_of_them_has_had_its_day() {
        let class = RetentionClass::Operational;
        let bucket =
            Bucket { tenant: TenantId::from_bytes([1; 16]), site: None, class, day: Day(100) };
        let due_on = |day| due(&[bucket], |_, _| None, Day(day));
        assert_eq!((due_on(100), due_on(101), due_on(102)), (vec![], vec![], vec![bucket]));
    }

    #[test]
    fn a_record_is_never_older_than_what_reading_goes_by() {
        let back = UnixMillis(MARK.0 - 400 * 86_400_000);
        assert_eq!(record_time(MARK, 5_000, back), MARK.plus_ms(5_000));
        assert!(record_time(MARK, 0, back).day() >= reading_day(MARK, back));
        assert_eq!(record_time(MARK, 5_000, MARK.plus_ms(6_000)), MARK.plus_ms(6_000));
    }

    #[test]
    fn no_word_counts_under_a_mark_from_the_future_which_goes_back_only_where_nothing_died_by_it() {
        let future = MARK.plus_ms(400 * 86_400_000);
        assert!(may_confirm(MARK, MARK) && may_confirm(MARK, future));
        assert!(!may_confirm(future, MARK));
        assert!(may_lower(future, MARK, UnixMillis(0)));
        assert!(!may_lower(future, MARK, future));
        assert!(!may_lower(MARK, MARK, UnixMillis(0)), "there is nothing to correct");
    }

    #[test]
    fn a_clock_that_jumps_destroys_nothing() {
        let ten_years = 3_650 * 86_400_000;
        let expected = MARK.plus_ms(60_000);
        assert_eq!(
            judge(MARK, expected, expected.plus_ms(500)),
            Trust::Trusted(expected.plus_ms(500))
        );
        assert_eq!(judge(MARK, expected, expected.plus_ms(ten_years)), Trust::Ahead);
        assert_eq!(judge(MARK, expected, UnixMillis(MARK.0 - ten_years)), Trust::Behind);
        assert_eq!(
            judge(expected, expected, UnixMillis(expected.0 - 500)),
            Trust::Trusted(expected)
        );
        assert_eq!(reading_day(MARK, MARK.plus_ms(ten_years)), MARK.plus_ms(ten_years).day());
        assert_eq!(reading_day(MARK, UnixMillis(MARK.0 - ten_years)), MARK.day());
    }

    #[test]
    fn after_three_days_off_sweeps_resume_alone_and_after_a_year_they_ask() {
        let days = |n: u64| n * 86_400_000;
        let judge = |mark, wall| judge_at_start(mark, wall, true);
        assert_eq!(judge(Some(MARK), MARK.plus_ms(days(3))), Trust::Trusted(MARK.plus_ms(days(3))));
        assert_eq!(judge(Some(MARK), MARK.plus_ms(days(365))), Trust::Ahead);
        assert_eq!(judge(Some(MARK), UnixMillis(MARK.0 - days(1))), Trust::Behind);
        assert_eq!(judge(None, MARK), Trust::Trusted(MARK));
    }

    #[test]
    fn a_clock_that_nobody_keeps_right_is_believed_across_a_restart_and_no_further() {
        let minute = 60_000;
        let judge = |later| judge_at_start(Some(MARK), MARK.plus_ms(later), false);
        assert_eq!(judge(90 * minute), Trust::Trusted(MARK.plus_ms(90 * minute)));
        assert_eq!(judge(3 * 86_400_000), Trust::Ahead);
    }
}
