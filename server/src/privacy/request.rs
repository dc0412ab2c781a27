//! What people may ask of whoever keeps something about them: kinds, states, and by when an answer
//! is due (DSAR-01 to DSAR-12, OPT-01 to OPT-08, CLK-06).
//!
//! Lives here: which state follows which, and the clocks. Not here: the rows (`store`), what carries
//! a request out (`erasure`). Called by REST.

use protocol::time::{Day, UnixMillis};
use serde::{Deserialize, Serialize};

/// Days that the answer to a right has (DSAR-02).
const DAYS: u16 = 30;

/// Business days that the answer to a preference has (OPT-02, OPT-06).
const BUSINESS_DAYS: u16 = 10;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $( $(#[$line:meta])* $value:ident = $code:literal $word:literal )+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $( $(#[$line])* $value ),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];

            /// Its code in rows.
            pub const fn code(self) -> u8 {
                match self { $( Self::$value => $code ),+ }
            }

            /// The one with this code.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $( $code => Some(Self::$value), )+ _ => None }
            }

            /// Its word in REST, metrics and the audit.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$value => $word ),+ }
            }
        }
    };
}

codes! {
    /// What is asked.
    RequestKind {
        /// Whether anything is kept about somebody.
        Exists = 1 "exists"
        /// What is kept.
        Access = 2 "access"
        /// The same as a file for another product.
        Portability = 3 "portability"
        /// That what is wrong is put right.
        Correct = 4 "correct"
        /// That all of it goes.
        Erase = 5 "erase"
        /// That it is kept and not used.
        Restrict = 6 "restrict"
        /// That it is not used for a purpose.
        Object = 7 "object"
        /// To be off a list.
        OptOut = 8 "opt-out"
        /// That a name or a logo is not shown.
        Logo = 9 "logo"
        /// That a testimonial is changed or goes.
        Testimonial = 10 "testimonial"
        /// That a public post goes.
        PublicPost = 11 "public-post"
    }
}

codes! {
    /// Where a request stands.
    RequestState {
        /// It came; whose it is has to be proved.
        Received = 1 "received"
        /// It is theirs.
        Verified = 2 "verified"
        /// It is being carried out, and goes on after a crash.
        Working = 3 "working"
        /// It was done.
        Done = 4 "done"
        /// It was refused, and the person was told why.
        Refused = 5 "refused"
    }
}

codes! {
    /// Why a request is refused (DSAR-09).
    Refusal {
        /// It was not proved that it is theirs.
        NotIdentified = 1 "not-identified"
        /// What it takes is out of all proportion to what it gives.
        Disproportionate = 2 "disproportionate"
        /// Somebody else's rights would suffer.
        RightsOfOthers = 3 "rights-of-others"
        /// A law or a contract says that it is kept.
        LegalDuty = 4 "legal-duty"
        /// It is somebody else who has to answer; the person was told who.
        NotOurs = 5 "not-ours"
    }
}

impl RequestKind {
    /// The last day on which an answer is in time.
    pub fn due(self, received: UnixMillis, is_holiday: impl Fn(Day) -> bool) -> Day {
        let day = received.day();
        match self {
            Self::Exists
            | Self::Access
            | Self::Portability
            | Self::Correct
            | Self::Erase
            | Self::Restrict
            | Self::Object => Day(day.0.saturating_add(DAYS)),
            Self::OptOut | Self::Logo | Self::Testimonial | Self::PublicPost => {
                business_days_after(day, BUSINESS_DAYS, is_holiday)
            }
        }
    }
}

impl RequestState {
    /// Whether the clock still runs.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Done | Self::Refused)
    }

    /// Whether this state may follow.
    pub fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Received, Self::Verified | Self::Refused)
            | (Self::Verified, Self::Working | Self::Done | Self::Refused)
            | (Self::Working, Self::Done) => true,
            (Self::Received | Self::Verified | Self::Working | Self::Done | Self::Refused, _) => {
                false
            }
        }
    }
}

/// So many business days later: Monday to Friday without the holidays; the day itself does not count
/// (CLK-06).
fn business_days_after(day: Day, count: u16, is_holiday: impl Fn(Day) -> bool) -> Day {
    let later = (day.0..u16::MAX).map(|day| Day(day + 1));
    let mut business = later.filter(|day| !is_weekend(*day) && !is_holiday(*day));
    business.nth(usize::from(count).saturating_sub(1)).unwrap_or(Day(u16::MAX))
}

/// Day 0, 2020-01-01, was a Wednesday.
fn is_weekend(day: Day) -> bool {
    (u32::from(day.0) + 2) % 7 >= 5
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-12-18, a Friday.
    const FRIDAY: Day = Day(2_543);

    fn due(kind: RequestKind, at: UnixMillis, holidays: &[Day]) -> Day {
        kind.due(at, |day| holidays.contains(&day))
    }

    #[test]
    fn rights_have_thirty_days_to_the_end_of_the_last() {
        for ms in [0, 86_399_999] {
            let at = FRIDAY.start().plus_ms(ms);
            assert_eq!(due(RequestKind::Access, at, &[]), Day(FRIDAY.0 + 30));
            assert_eq!(due(RequestKind::Erase, at, &[FRIDAY]), Day(FRIDAY.0 + 30));
        }
    }

    #[test]
    fn preferences_have_ten_business_days() {
        let evening = FRIDAY.start().plus_ms(80_000_000);
        assert_eq!(due(RequestKind::OptOut, evening, &[]), Day(FRIDAY.0 + 14));
        // Christmas on a Friday, New Year on a Friday: two days more, over a weekend.
        let holidays = [Day(FRIDAY.0 + 7), Day(FRIDAY.0 + 14)];
        assert_eq!(due(RequestKind::Logo, evening, &holidays), Day(FRIDAY.0 + 18));
        let saturday = Day(FRIDAY.0 + 1).start();
        assert_eq!(due(RequestKind::PublicPost, saturday, &[]), Day(FRIDAY.0 + 14));
        // A holiday at a weekend gives nothing.
        assert_eq!(due(RequestKind::Logo, evening, &[Day(FRIDAY.0 + 1)]), Day(FRIDAY.0 + 14));
    }

    #[test]
    fn a_request_goes_one_way() {
        use RequestState::{Done, Received, Refused, Verified, Working};
        assert!(Received.may_become(Verified) && Verified.may_become(Working));
        assert!(Working.may_become(Done) && Received.may_become(Refused));
        assert!(!Received.may_become(Working), "whose it is was not proved");
        assert!(!Working.may_become(Refused), "what has begun runs to its end");
        for ended in [Done, Refused] {
            assert!(!ended.is_open());
            assert!(RequestState::ALL.iter().all(|next| !ended.may_become(*next)));
        }
    }

    #[test]
    fn codes_and_words_lead_back() {
        for kind in RequestKind::ALL {
            assert_eq!(RequestKind::from_code(kind.code()), Some(*kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        for state in RequestState::ALL {
            assert_eq!(RequestState::from_code(state.code()), Some(*state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
        assert_eq!(RequestKind::from_code(0), None);
    }
}
