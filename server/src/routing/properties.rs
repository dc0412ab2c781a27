//! What holds whatever happens: random inputs, and a reader of the effects who believes nothing.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use protocol::conversation::{Availability, ConversationState, SiteAvailability};
use protocol::ids::{AgentId, ConversationId, SiteId, TenantId};
use protocol::time::UnixMillis;

use super::{Effect, Input, Routing, RoutingConfig, Standing, Timer};

const AGENTS: u8 = 4;
const CONVERSATIONS: u8 = 12;
const SITE: SiteId = SiteId::from_bytes([9; 16]);

#[derive(Debug, Clone, Copy)]
struct Step {
    what: u8,
    a: u8,
    b: u8,
    c: u8,
    ms: u32,
    back: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..20u8, 0..AGENTS, 0..AGENTS, 0..CONVERSATIONS, 0..50_000u32, 0..40u8)
        .prop_map(|(what, a, b, c, ms, back)| Step { what, a, b, c, ms, back: back == 0 });
    proptest::collection::vec(step, 1..160)
}

fn agt(n: u8) -> AgentId {
    AgentId::from_bytes([n + 1; 16])
}

fn cnv(n: u8) -> ConversationId {
    ConversationId::from_bytes([n + 1; 16])
}

/// What a hub knows: only effects.
#[derive(Default)]
struct Reader {
    standings: BTreeMap<ConversationId, Standing>,
    versions: BTreeMap<ConversationId, u64>,
    offers: BTreeSet<(ConversationId, AgentId)>,
    positions: BTreeMap<ConversationId, u32>,
    present: BTreeSet<AgentId>,
    /// Those who were set to away, and those of them who did nothing since.
    set_away: BTreeSet<AgentId>,
    silent: BTreeSet<AgentId>,
    promised: Option<SiteAvailability>,
}

impl Reader {
    fn load(&self, agent: AgentId) -> usize {
        let has = |s: &&Standing| {
            (s.state == ConversationState::Active && s.assignee == Some(agent))
                || s.offered_to == Some(agent)
        };
        self.standings.values().filter(has).count()
    }

    fn read(&mut self, effects: &[Effect]) {
        for effect in effects {
            match *effect {
                Effect::Changed { conversation, standing } => {
                    let version = self.versions.insert(conversation, standing.version);
                    assert!(
                        version.is_none_or(|before| before < standing.version),
                        "versions grow"
                    );
                    if standing.state == ConversationState::Closed {
                        self.standings.remove(&conversation);
                        self.positions.remove(&conversation);
                    } else {
                        if !standing.waits() {
                            self.positions.remove(&conversation);
                        }
                        self.standings.insert(conversation, standing);
                    }
                }
                Effect::Offer { conversation, agent, .. } => {
                    assert!(self.offers.insert((conversation, agent)), "asked twice at a time");
                    assert!(self.present.contains(&agent), "asked someone who is not there");
                }
                Effect::OfferOver { conversation, agent } => {
                    assert!(self.offers.remove(&(conversation, agent)), "over without an offer");
                }
                Effect::Position { conversation, position, .. } => {
                    assert_ne!(self.positions.insert(conversation, position), Some(position));
                }
                Effect::SiteAvailability { availability, .. } => {
                    assert_ne!(self.promised.replace(availability), Some(availability));
                }
                Effect::EventMessage { .. } | Effect::AgentChanged { .. } => {}
            }
        }
    }

    /// Not connected, or offline by their own choice, or set to away by offers that they let run
    /// out and silent since.
    fn is_absent(&self, routing: &Routing, agent: AgentId) -> bool {
        let standing = routing.agents().find(|standing| standing.agent == agent).unwrap();
        let offline = standing.availability == Availability::Offline;
        !self.present.contains(&agent) || offline || self.silent.contains(&agent)
    }

    /// Whoever is set to away is silent until they do something of their own accord, or choose.
    fn follow_silence(&mut self, acts: Option<AgentId>, routing: &Routing) {
        if let Some(agent) = acts {
            self.silent.remove(&agent);
        }
        for standing in routing.agents() {
            let agent = standing.agent;
            match standing.cause {
                Some(_) if self.set_away.insert(agent) => {
                    self.silent.insert(agent);
                }
                Some(_) => {}
                None => {
                    self.set_away.remove(&agent);
                    self.silent.remove(&agent);
                }
            }
        }
    }

    fn check(&self, routing: &Routing, now: UnixMillis) {
        for (id, told) in &self.standings {
            let standing = routing.standing(*id).unwrap();
            assert!(told.same_but_for_position(standing), "the effects told everything");
            let deadline_ahead = |at: Option<UnixMillis>| at.is_some_and(|at| at > now);
            match standing.state {
                ConversationState::Queued => {
                    assert!(standing.position.is_some() && standing.waiting_since.is_some());
                    assert!(standing.assignee.is_none() && standing.offered_to.is_none());
                }
                ConversationState::Offered => {
                    assert!(standing.position.is_some() && standing.assignee.is_none());
                    assert!(standing.offered_to.is_some() && deadline_ahead(standing.deadline));
                }
                ConversationState::Active => {
                    let owner = standing.assignee.unwrap();
                    assert!(standing.position.is_none() && standing.waiting_since.is_none());
                    assert_eq!(standing.offered_to.is_some(), deadline_ahead(standing.deadline));
                    let deadline =
                        routing.timers.iter().find(|(_, timer)| *timer == Timer::Grace(owner));
                    match deadline {
                        // An absent owner has a deadline of their own, and only they.
                        Some((at, _)) => assert!(*at > now && self.is_absent(routing, owner)),
                        None => assert!(!self.is_absent(routing, owner), "for ever"),
                    }
                }
                ConversationState::Snoozed | ConversationState::Closed => {
                    panic!("not reached by these inputs")
                }
            }
            assert_eq!(standing.position, self.positions.get(id).copied());
        }
        let mut places: Vec<_> = self.positions.values().copied().collect();
        places.sort_unstable();
        assert!((1..).zip(&places).all(|(n, place)| n == *place), "places are 1, 2, 3 ..");
        let offered: BTreeSet<_> =
            self.standings.iter().filter_map(|(id, s)| Some((*id, s.offered_to?))).collect();
        assert_eq!(offered, self.offers);
        for standing in routing.agents() {
            assert_eq!(
                usize::from(standing.load),
                self.load(standing.agent),
                "derived, not counted"
            );
        }
        assert_eq!(
            self.promised.unwrap_or(SiteAvailability::Unavailable),
            routing.site_availability(SITE)
        );
    }

    /// No free agent while something waits that they did not just turn down.
    fn check_nobody_idle(&self, routing: &Routing) {
        let free = routing.agents().any(|agent| {
            self.present.contains(&agent.agent)
                && agent.availability == Availability::Available
                && agent.load < agent.capacity
        });
        let waits = self.standings.values().any(|s| s.state == ConversationState::Queued);
        assert!(!free || !waits || routing.next_deadline().is_some(), "someone waits for ever");
    }
}

fn input(step: Step) -> Input {
    let (agent, conversation) = (agt(step.a), cnv(step.c));
    match step.what {
        0..=2 => Input::Opened { conversation, site: SITE },
        3 => Input::Closed { conversation },
        4 => Input::AgentGone { agent },
        5 | 6 => Input::AgentConnected { agent },
        7 => Input::Availability {
            agent,
            availability: [Availability::Available, Availability::Away, Availability::Offline]
                [usize::from(step.b % 3)],
            capacity: None,
        },
        8 => Input::Availability {
            agent,
            availability: Availability::Available,
            capacity: Some(u16::from(step.b)),
        },
        9..=11 => Input::Accept { agent, conversation },
        12 => Input::Decline { agent, conversation },
        13 => Input::Assign { agent, conversation, over_capacity: step.b == 0 },
        14 => Input::Transfer { from: agent, to: agt(step.b), conversation },
        16 => Input::TakeOver { agent, from: agt(step.b), conversation },
        17 => Input::Withdraw { conversation },
        18 => Input::Acted { agent },
        19 => Input::Tick,
        _ => Input::AgentRemoved { agent },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn owners_capacity_order_and_deadlines_hold_whatever_happens(steps in steps()) {
        let mut routing = Routing::new(TenantId::from_bytes([1; 16]), RoutingConfig::default());
        let mut reader = Reader::default();
        let mut now = UnixMillis(1_700_000_000_000);
        routing.know_site(SITE);
        for step in steps {
            now = if step.back {
                UnixMillis(now.0 - u64::from(step.ms) * 100)
            } else {
                now.plus_ms(u64::from(step.ms) / 4)
            };
            let input = match (step.what, reader.versions.get(&cnv(step.c))) {
                // What was closed before is opened again.
                (0..=2, Some(version)) => Input::Reopened {
                    conversation: cnv(step.c),
                    site: SITE,
                    version: *version,
                    former: Some(agt(step.a)),
                },
                (15, _) if step.b > 0 => Input::AgentKnown {
                    agent: agt(step.a),
                    availability: Availability::Available,
                    capacity: u16::from(step.b),
                },
                _ => input(step),
            };
            if let Input::AgentConnected { agent } = input {
                reader.present.insert(agent);
            }
            if let Input::AgentGone { agent } | Input::AgentRemoved { agent } = input {
                reader.present.remove(&agent);
            }
            let was: Vec<_> = routing.agents().map(|agent| agent.agent).collect();
            let before: BTreeMap<_, _> = was.iter().map(|agent| (*agent, reader.load(*agent))).collect();
            let mut acts = None;
            if let Ok(effects) = routing.handle(input, now) {
                reader.read(&effects);
                if let Input::Acted { agent }
                | Input::Accept { agent, .. }
                | Input::Decline { agent, .. } = input
                {
                    acts = Some(agent);
                }
            } else {
                let tick = routing.handle(Input::Tick, now).unwrap();
                reader.read(&tick);
            }
            let known: BTreeSet<_> = routing.agents().map(|standing| standing.agent).collect();
            reader.set_away.retain(|agent| known.contains(agent));
            reader.silent.retain(|agent| known.contains(agent));
            reader.follow_silence(acts, &routing);
            for standing in routing.agents() {
                let agent = standing.agent;
                let mut allowed = before.get(&agent).copied().unwrap_or(0);
                let given = matches!(input, Input::Assign { over_capacity: true, agent: to, .. } if to == agent)
                    || matches!(input, Input::TakeOver { agent: to, .. } if to == agent);
                allowed += usize::from(given);
                let load = reader.load(agent);
                let limit = usize::from(standing.capacity);
                prop_assert!(load <= limit || load <= allowed, "nothing is added above capacity");
            }
            reader.check(&routing, now);
            reader.check_nobody_idle(&routing);
            prop_assert!(routing.next_deadline().is_none_or(|at| at > now), "what is due was done");
        }
    }

    #[test]
    fn the_older_is_always_asked_about_before_the_younger(steps in steps()) {
        let mut routing = {
            // Nobody misses an offer in this story.
            let config = RoutingConfig { offer_ms: u64::MAX / 2, ..RoutingConfig::default() };
            Routing::new(TenantId::from_bytes([1; 16]), config)
        };
        let mut arrived: Vec<ConversationId> = Vec::new();
        let mut now = UnixMillis(1_700_000_000_000);
        let agent = agt(0);
        for input in [
            Input::AgentKnown { agent, availability: Availability::Available, capacity: 1 },
            Input::AgentConnected { agent },
        ] {
            routing.handle(input, now).unwrap();
        }
        let mut served = Vec::new();
        for step in steps {
            now = if step.back { UnixMillis(now.0 - 100_000) } else { now.plus_ms(u64::from(step.ms) / 9) };
            let conversation = cnv(step.c);
            if !arrived.contains(&conversation) {
                arrived.push(conversation);
                routing.handle(Input::Opened { conversation, site: SITE }, now).unwrap();
            }
            let asked = arrived.iter().find(|id| {
                routing.standing(**id).is_some_and(|s| s.offered_to == Some(agent))
            });
            if let (Some(id), 0..=7) = (asked.copied(), step.what) {
                routing.handle(Input::Accept { agent, conversation: id }, now).unwrap();
                served.push(id);
                routing.handle(Input::Closed { conversation: id }, now).unwrap();
            }
        }
        prop_assert_eq!(&served[..], &arrived[..served.len()]);
    }
}
