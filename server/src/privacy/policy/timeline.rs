//! The life of a site: its plan, trial, closing, agreements and policies, in order of time.
//!
//! Lives here: the changes, and what they come to on each day. Not here: what a policy says
//! (`terms`), what becomes of a record (`policy`). A timeline holds all that the evaluator needs, so
//! that a change is one row, however many records it concerns.

use protocol::ids::AgreementId;
use protocol::retention::RetentionClass;
use protocol::time::{Day, UnixMillis};
use serde::{Deserialize, Serialize};

use super::calendar::{first_midnight_from, next_day};
use super::terms::{Period, Terms};
use super::{Plan, PolicyVersion};

/// One change in the life of a site. What says a day of its own counts from the beginning of that
/// day, everything else from the next midnight on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum SiteEvent {
    /// The plan from here on. It ends a trial, and a downgrade that was to come.
    Plan {
        /// Which.
        plan: Plan,
    },
    /// A plan that keeps less, after its grace (RET-17).
    Downgrade {
        /// Which.
        plan: Plan,
        /// The first day on which it counts.
        from: Day,
    },
    /// The downgrade that was to come does not.
    DowngradeCancelled,
    /// Whether a plan that keeps more counts for what is kept already (RET-16); it does as long as
    /// nothing else is said.
    Upgrades {
        /// It does.
        extend: bool,
    },
    /// A trial of the plan, until the end of this day, or until a plan is chosen.
    Trial {
        /// Its last day.
        until: Day,
    },
    /// Closed from here on.
    Closed,
    /// Open again from here on.
    Reopened,
    /// An agreement with the Organization, in the place of what its plan keeps (RET-14).
    Agreement {
        /// Which.
        agreement: AgreementId,
        /// What it is about; none: all that is said at the site.
        class: Option<RetentionClass>,
        /// How long that is kept.
        keeps: Period,
        /// Its first day.
        from: Day,
        /// Its last day; none: until it is ended.
        until: Option<Day>,
    },
    /// An agreement ends before its time.
    AgreementEnded {
        /// Which.
        agreement: AgreementId,
        /// Its last day.
        until: Day,
    },
    /// A version of the policy, as it was announced.
    Policy {
        /// The first day on which it counts.
        from: Day,
        /// What it says.
        terms: Box<Terms>,
    },
    /// A version that was announced does not come into force.
    PolicyWithdrawn {
        /// Which.
        version: PolicyVersion,
    },
}

/// A site's changes in order of time; the first is its plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<(UnixMillis, SiteEvent)>", into = "Vec<(UnixMillis, SiteEvent)>")]
pub struct SiteTimeline {
    events: Vec<(UnixMillis, SiteEvent)>,
    /// What they come to, by the first day of each stretch; never empty.
    stretches: Vec<Stretch>,
    /// Policies by their first day, the earliest first; never empty.
    policies: Vec<(Day, Terms)>,
}

/// Days on which the same holds.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    pub(super) from: Day,
    pub(super) plan: Plan,
    /// A trial that was not converted.
    pub(super) is_trial: bool,
    pub(super) closed_on: Option<Day>,
    /// What came before such a day is kept no longer than so: later upgrades were not to extend it.
    pub(super) caps: Vec<(Day, Period)>,
    pub(super) agreements: Vec<Agreed>,
}

/// What an agreement says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreed {
    pub(super) agreement: AgreementId,
    pub(super) class: Option<RetentionClass>,
    pub(super) keeps: Period,
    from: Day,
    until: Option<Day>,
}

impl Agreed {
    fn holds_on(&self, day: Day) -> bool {
        self.from <= day && self.until.is_none_or(|until| day <= until)
    }
}

impl PartialEq for SiteTimeline {
    fn eq(&self, other: &Self) -> bool {
        self.events == other.events
    }
}

impl Eq for SiteTimeline {}

impl From<Vec<(UnixMillis, SiteEvent)>> for SiteTimeline {
    fn from(events: Vec<(UnixMillis, SiteEvent)>) -> Self {
        let mut timeline = Self { events, stretches: Vec::new(), policies: Vec::new() };
        timeline.lay_out();
        timeline
    }
}

impl From<SiteTimeline> for Vec<(UnixMillis, SiteEvent)> {
    fn from(timeline: SiteTimeline) -> Self {
        timeline.events
    }
}

impl SiteTimeline {
    /// A site that begins with this plan.
    pub fn new(at: UnixMillis, plan: Plan) -> Self {
        Self::from(vec![(at, SiteEvent::Plan { plan })])
    }

    /// Adds a change; time never runs back in a timeline.
    pub fn push(&mut self, at: UnixMillis, event: SiteEvent) {
        let at = self.events.last().map_or(at, |(last, _)| at.max(*last));
        self.events.push((at, event));
        self.lay_out();
    }

    /// All changes in order.
    pub fn events(&self) -> &[(UnixMillis, SiteEvent)] {
        &self.events
    }

    /// The plan at this moment.
    pub fn plan(&self, now: UnixMillis) -> Plan {
        self.at(now).plan
    }

    /// Since when it is closed, if it is at this moment: closing it twice moves nothing.
    pub fn closed_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.at(now).closed
    }

    /// The last day of a trial that was neither converted nor closed.
    pub fn trial(&self, now: UnixMillis) -> Option<Day> {
        let state = self.at(now);
        state.trial.filter(|_| state.closed.is_none())
    }

    /// The plan that keeps less and is to come, and its first day.
    pub fn downgrade(&self, now: UnixMillis) -> Option<(Plan, Day)> {
        self.at(now).downgrade
    }

    /// What the policy in force on this day says.
    pub fn terms(&self, day: Day) -> &Terms {
        terms_on(&self.policies, day)
    }

    /// By what nothing of this class is kept on this day, if that is agreed: it is not taken in.
    pub fn keeps_nothing(&self, class: RetentionClass, day: Day) -> Option<AgreementId> {
        let stretch = self.stretches.iter().rev().find(|stretch| stretch.from <= day)?;
        let agreed = stretch.agreed(class)?;
        (agreed.keeps == Period::Nothing).then_some(agreed.agreement)
    }

    pub(super) fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The policies whose lines count for what came on `came` at a site that is closed: the one in
    /// force then, and those after it that a law made (RET-20).
    pub(super) fn terms_since(&self, came: Day, today: Day) -> impl Iterator<Item = &Terms> {
        let later = self
            .policies
            .iter()
            .filter(move |(from, terms)| terms.mandatory && *from > came && *from <= today);
        std::iter::once(self.terms(came)).chain(later.map(|(_, terms)| terms))
    }

    /// What holds at a moment. What the last change began holds for whoever looks by a clock that
    /// stepped back.
    fn at(&self, now: UnixMillis) -> State<'_> {
        let last = self.events.last().map_or(now, |(last, _)| *last);
        State::at(&self.events, &self.policies, now.max(last))
    }

    fn lay_out(&mut self) {
        self.policies = policies(&self.events);
        self.stretches = self
            .borders()
            .into_iter()
            .map(|from| State::at(&self.events, &self.policies, from.start()).stretch(from))
            .collect();
    }

    /// The days from which something else may hold.
    fn borders(&self) -> Vec<Day> {
        let mut days = vec![Day(0)];
        for (at, event) in &self.events {
            days.push(first_midnight_from(*at));
            match event {
                SiteEvent::Downgrade { from, .. } => days.push(*from),
                SiteEvent::Trial { until } => {
                    days.push(trial_closes_on(&self.policies, *until));
                }
                SiteEvent::Agreement { from, until, .. } => {
                    days.push(*from);
                    days.extend(until.map(next_day));
                }
                SiteEvent::AgreementEnded { until, .. } => days.push(next_day(*until)),
                SiteEvent::Policy { .. }
                | SiteEvent::Plan { .. }
                | SiteEvent::DowngradeCancelled
                | SiteEvent::Upgrades { .. }
                | SiteEvent::Closed
                | SiteEvent::Reopened
                | SiteEvent::PolicyWithdrawn { .. } => {}
            }
        }
        days.extend(self.policies.iter().map(|(from, _)| *from));
        days.sort_unstable();
        days.dedup();
        days
    }
}

impl Stretch {
    /// The agreement that is about this class: the one that names it, else the one about all; of
    /// several the newest.
    pub(super) fn agreed(&self, class: RetentionClass) -> Option<&Agreed> {
        let of = |wanted: Option<RetentionClass>| {
            self.agreements.iter().rev().find(|agreed| agreed.class == wanted)
        };
        of(Some(class)).or_else(|| of(None))
    }
}

/// The policies that were announced and not withdrawn, by their first day; before them the source.
fn policies(events: &[(UnixMillis, SiteEvent)]) -> Vec<(Day, Terms)> {
    let mut all = vec![(Day(0), *Terms::source())];
    for (_, event) in events {
        if let SiteEvent::Policy { from, terms } = event {
            all.push((*from, **terms));
        }
        if let SiteEvent::PolicyWithdrawn { version } = event {
            all.retain(|(_, terms)| terms.version != *version);
        }
    }
    all.sort_by_key(|(from, _)| *from);
    all
}

fn terms_on(policies: &[(Day, Terms)], day: Day) -> &Terms {
    let found = policies.iter().rev().find(|(from, _)| *from <= day);
    match found {
        Some((_, terms)) => terms,
        None => Terms::source(),
    }
}

/// The day on which the site of a trial is closed that nobody converted (RET-11).
fn trial_closes_on(policies: &[(Day, Terms)], until: Day) -> Day {
    terms_on(policies, until).trial.period.dead_from(until)
}

/// What a timeline comes to at a moment.
struct State<'a> {
    policies: &'a [(Day, Terms)],
    plan: Plan,
    upgrades_extend: bool,
    trial: Option<Day>,
    downgrade: Option<(Plan, Day)>,
    closed: Option<UnixMillis>,
    caps: Vec<(Day, Period)>,
    agreements: Vec<Agreed>,
}

impl<'a> State<'a> {
    fn at(
        events: &[(UnixMillis, SiteEvent)],
        policies: &'a [(Day, Terms)],
        now: UnixMillis,
    ) -> Self {
        // What was there before its first plan was there under it.
        let first = events.iter().find_map(|(_, event)| {
            if let SiteEvent::Plan { plan } = event { Some(*plan) } else { None }
        });
        let mut state = Self {
            policies,
            plan: first.unwrap_or(Plan::Free),
            upgrades_extend: true,
            trial: None,
            downgrade: None,
            closed: None,
            caps: Vec::new(),
            agreements: Vec::new(),
        };
        for (at, event) in events.iter().take_while(|(at, _)| *at <= now) {
            state.pass(*at);
            state.change(*at, event);
        }
        state.pass(now);
        state
    }

    /// What comes by itself, until this moment.
    fn pass(&mut self, now: UnixMillis) {
        if let Some((plan, from)) = self.downgrade
            && from.start() <= now
        {
            (self.plan, self.downgrade) = (plan, None);
        }
        if let Some(until) = self.trial {
            let closes = trial_closes_on(self.policies, until).start();
            if closes <= now && self.closed.is_none() {
                self.closed = Some(closes);
            }
        }
    }

    fn change(&mut self, at: UnixMillis, event: &SiteEvent) {
        match event {
            SiteEvent::Plan { plan } => self.choose(at, *plan),
            SiteEvent::Downgrade { plan, from } => self.downgrade = Some((*plan, *from)),
            SiteEvent::DowngradeCancelled => self.downgrade = None,
            SiteEvent::Upgrades { extend } => self.upgrades_extend = *extend,
            SiteEvent::Trial { until } => self.trial = Some(*until),
            SiteEvent::Closed => self.closed = self.closed.or(Some(at)),
            SiteEvent::Reopened => {
                if self.closed.take().is_some() {
                    self.trial = None;
                }
            }
            SiteEvent::Agreement { agreement, class, keeps, from, until } => {
                let (agreement, class, keeps) = (*agreement, *class, *keeps);
                let (from, until) = (*from, *until);
                self.agreements.push(Agreed { agreement, class, keeps, from, until });
            }
            SiteEvent::AgreementEnded { agreement, until } => {
                let ended = |agreed: &&mut Agreed| agreed.agreement == *agreement;
                for agreed in self.agreements.iter_mut().filter(ended) {
                    agreed.until = Some(agreed.until.map_or(*until, |last| last.min(*until)));
                }
            }
            SiteEvent::Policy { .. } | SiteEvent::PolicyWithdrawn { .. } => {}
        }
    }

    fn choose(&mut self, at: UnixMillis, plan: Plan) {
        let from = first_midnight_from(at);
        let keeps = |plan| terms_on(self.policies, from).plan(plan).period;
        let (before, after) = (keeps(self.plan), keeps(plan));
        let grows = after.dead_from(from) > before.dead_from(from);
        if grows && !self.upgrades_extend && self.trial.is_none() {
            self.caps.push((from, before));
        }
        (self.plan, self.trial, self.downgrade) = (plan, None, None);
    }

    fn stretch(mut self, from: Day) -> Stretch {
        self.agreements.retain(|agreed| agreed.holds_on(from));
        Stretch {
            from,
            plan: self.plan,
            is_trial: self.trial.is_some(),
            closed_on: self.closed.map(UnixMillis::day),
            caps: self.caps,
            agreements: self.agreements,
        }
    }
}
