//! Which buckets are due for destruction, and by which clock.
//!
//! Reading hides by the latest clock, for that can be undone; destruction goes by a mark that only
//! trusted time moves (CLK-08). Here are the two judgements; the store keeps the mark, the caller
//! measures, destroys and cleans up.

use protocol::ids::{SiteId, TenantId};
use protocol::time::{Day, UnixMillis};

use super::policy::{SiteTimeline, evaluate};
use super::seal::Bucket;

/// How far the wall clock may be from where the monotonic clock expects it.
const DRIFT_MS_MAX: u64 = 10 * 60_000;

/// How long a server may have been off for its wall clock to be believed at start.
const OFF_MS_MAX: u64 = 30 * 86_400_000;

/// The buckets whose records are all dead on `today`, the day of the mark. A bucket of a site that is
/// not known is never due: what cannot be judged is not destroyed.
pub fn due<'t>(
    buckets: &[Bucket],
    timeline: impl Fn(TenantId, SiteId) -> Option<&'t SiteTimeline>,
    today: Day,
) -> Vec<Bucket> {
    let is_due = |bucket: &&Bucket| {
        bucket
            .site
            .and_then(|site| timeline(bucket.tenant, site))
            .is_some_and(|timeline| evaluate(timeline, bucket.class, bucket.day, today).destroy)
    };
    buckets.iter().filter(is_due).copied().collect()
}

/// What the wall clock is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The mark may move here; destruction goes on.
    Trusted(UnixMillis),
    /// It ran ahead of anything that explains it: reading hides by it, but the mark stays and sweeps
    /// stop until the operator confirms it.
    Ahead,
    /// It stepped back: reading goes by the mark, which stays.
    Behind,
}

/// Judges the wall clock while the server runs: `expected` is where it stood when it was last trusted,
/// plus what the monotonic clock counted since.
pub fn judge(mark: UnixMillis, expected: UnixMillis, wall: UnixMillis) -> Trust {
    if wall.ms_since(expected) > DRIFT_MS_MAX {
        Trust::Ahead
    } else if expected.ms_since(wall) > DRIFT_MS_MAX {
        Trust::Behind
    } else {
        Trust::Trusted(wall.max(mark))
    }
}

/// Judges the wall clock at start, when no monotonic clock spans the gap. Without a mark there is
/// nothing yet that could be lost.
pub fn judge_at_start(mark: Option<UnixMillis>, wall: UnixMillis) -> Trust {
    match mark {
        None => Trust::Trusted(wall),
        Some(mark) if wall.ms_since(mark) > OFF_MS_MAX => Trust::Ahead,
        Some(mark) if mark.ms_since(wall) > DRIFT_MS_MAX => Trust::Behind,
        Some(mark) => Trust::Trusted(wall.max(mark)),
    }
}

/// The day by which reading hides: the later of the wall clock and the mark.
pub fn reading_day(mark: UnixMillis, wall: UnixMillis) -> Day {
    mark.max(wall).day()
}

#[cfg(test)]
mod tests {
    use protocol::retention::RetentionClass;

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
        assert_eq!(
            judge_at_start(Some(MARK), MARK.plus_ms(days(3))),
            Trust::Trusted(MARK.plus_ms(days(3)))
        );
        assert_eq!(judge_at_start(Some(MARK), MARK.plus_ms(days(365))), Trust::Ahead);
        assert_eq!(judge_at_start(Some(MARK), UnixMillis(MARK.0 - days(1))), Trust::Behind);
        assert_eq!(judge_at_start(None, MARK), Trust::Trusted(MARK));
    }
}
