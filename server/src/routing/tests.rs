//! One story each.

use protocol::conversation::{
    Availability, AvailabilityCause, ConversationState, Presence, SiteAvailability,
};
use protocol::ids::{AgentId, ConversationId, SiteId, TenantId};
use protocol::message::EventKind;
use protocol::reject::RejectCode;
use protocol::time::UnixMillis;

use super::{Effect, Input, OffersEnded, Routing, RoutingConfig};
use crate::channel::Channel;

const T: u64 = 1_700_000_000_000;
const SITE: SiteId = SiteId::from_bytes([9; 16]);

fn cnv(n: u8) -> ConversationId {
    ConversationId::from_bytes([n; 16])
}

fn agt(n: u8) -> AgentId {
    AgentId::from_bytes([n; 16])
}

struct Desk {
    routing: Routing,
    now: UnixMillis,
}

impl Desk {
    fn with(agents: &[(u8, u16)]) -> Self {
        let routing = Routing::new(TenantId::from_bytes([1; 16]), RoutingConfig::default());
        let mut desk = Self { routing, now: UnixMillis(T) };
        for (agent, capacity) in agents {
            desk.comes(*agent, *capacity);
        }
        desk
    }

    fn comes(&mut self, agent: u8, capacity: u16) -> Vec<Effect> {
        let agent = agt(agent);
        self.act(Input::AgentKnown { agent, availability: Availability::Available, capacity });
        self.act(Input::AgentConnected { agent })
    }

    fn act(&mut self, input: Input) -> Vec<Effect> {
        self.routing.handle(input, self.now).unwrap()
    }

    fn refused(&mut self, input: Input) -> RejectCode {
        self.routing.handle(input, self.now).unwrap_err().code
    }

    fn open(&mut self, n: u8) -> Vec<Effect> {
        self.act(Input::Opened { conversation: cnv(n), site: SITE })
    }

    fn accept(&mut self, agent: u8, n: u8) -> Vec<Effect> {
        self.act(Input::Accept { agent: agt(agent), conversation: cnv(n) })
    }

    fn take(&mut self, agent: u8, n: u8) {
        self.open(n);
        self.act(Input::Assign { agent: agt(agent), conversation: cnv(n), over_capacity: true });
    }

    fn after_ms(&mut self, ms: u64) -> Vec<Effect> {
        self.now = self.now.plus_ms(ms);
        self.act(Input::Tick)
    }

    fn asked(&self, n: u8) -> Option<AgentId> {
        self.routing.standing(cnv(n))?.offered_to
    }

    fn owner(&self, n: u8) -> Option<AgentId> {
        self.routing.standing(cnv(n))?.assignee
    }

    fn state(&self, n: u8) -> ConversationState {
        self.routing.standing(cnv(n)).unwrap().state
    }
}

fn event_messages(effects: &[Effect]) -> Vec<(EventKind, Option<AgentId>)> {
    let queue = |effect: &Effect| {
        if let Effect::EventMessage { event, agent, .. } = effect {
            Some((*event, *agent))
        } else {
            None
        }
    };
    effects.iter().filter_map(queue).collect()
}

fn restored(n: u8, state: ConversationState, assignee: Option<u8>, since: u64) -> Input {
    Input::Restore {
        conversation: cnv(n),
        site: SITE,
        version: 7,
        state,
        assignee: assignee.map(agt),
        waiting_since: Some(UnixMillis(since)),
        channel: Channel::Widget,
    }
}

#[test]
fn a_conversation_is_offered_and_accepted() {
    let mut desk = Desk::with(&[(1, 2)]);
    let effects = desk.open(1);
    let standing = *desk.routing.standing(cnv(1)).unwrap();
    assert_eq!(standing.state, ConversationState::Offered);
    assert_eq!(standing.position, Some(1));
    assert_eq!(standing.deadline, Some(UnixMillis(T + 30_000)));
    assert_eq!(effects[0], Effect::Changed { conversation: cnv(1), standing });
    assert!(effects.contains(&Effect::Offer {
        conversation: cnv(1),
        agent: agt(1),
        deadline: UnixMillis(T + 30_000),
        transfer_from: None
    }));
    let effects = desk.accept(1, 1);
    assert!(effects.contains(&Effect::OfferOver { conversation: cnv(1), agent: agt(1) }));
    assert_eq!(event_messages(&effects), [(EventKind::Assigned, Some(agt(1)))]);
    assert_eq!((desk.state(1), desk.owner(1)), (ConversationState::Active, Some(agt(1))));
    assert!(desk.routing.standing(cnv(1)).unwrap().version > standing.version);
    assert_eq!(desk.accept(1, 1), [], "the same answer again changes nothing");
}

#[test]
fn the_least_busy_is_asked_and_among_equals_the_one_idle_longest() {
    let mut desk = Desk::with(&[(1, 3), (2, 3), (3, 3)]);
    for (n, agent) in [(1, 1), (2, 2), (3, 3)] {
        desk.open(n);
        assert_eq!(desk.asked(n), Some(agt(agent)));
        desk.accept(agent, n);
    }
    desk.act(Input::Closed { conversation: cnv(2) });
    desk.open(4);
    assert_eq!(desk.asked(4), Some(agt(2)), "they have fewest");
    desk.accept(2, 4);
    desk.open(5);
    assert_eq!(desk.asked(5), Some(agt(1)), "all have one; they took theirs first");
}

#[test]
fn the_oldest_is_served_first() {
    let mut desk = Desk::with(&[(1, 1)]);
    for n in [5, 3, 4] {
        desk.open(n);
        desk.after_ms(10);
    }
    let position = |desk: &Desk, n| desk.routing.standing(cnv(n)).unwrap().position;
    assert_eq!(
        (position(&desk, 5), position(&desk, 3), position(&desk, 4)),
        (Some(1), Some(2), Some(3))
    );
    desk.accept(1, 5);
    let effects = desk.act(Input::Closed { conversation: cnv(5) });
    assert_eq!(desk.asked(3), Some(agt(1)));
    assert!(!effects.iter().any(|e| matches!(e, Effect::Position { .. })), "no place changed");
    let effects = desk.accept(1, 3);
    assert!(effects.contains(&Effect::Position {
        conversation: cnv(4),
        position: 1,
        wait_ms: None
    }));
}

#[test]
fn a_clock_that_steps_back_changes_no_order_and_prolongs_no_offer() {
    let mut desk = Desk::with(&[(1, 1)]);
    desk.open(1);
    desk.open(2);
    desk.now = UnixMillis(T - 3_600_000);
    desk.open(3);
    assert_eq!(desk.routing.standing(cnv(3)).unwrap().position, Some(3));
    assert!(desk.routing.next_deadline().unwrap() <= desk.now.plus_ms(30_000));
    desk.after_ms(30_000);
    assert_eq!(desk.asked(1), None, "the offer ended half a minute after the step");
}

#[test]
fn a_declined_offer_passes_to_the_next() {
    let mut desk = Desk::with(&[(1, 1), (2, 1)]);
    desk.open(1);
    let first = desk.asked(1).unwrap();
    let effects = desk.act(Input::Decline { agent: first, conversation: cnv(1) });
    let second = desk.asked(1).unwrap();
    assert_ne!(first, second);
    assert!(effects.contains(&Effect::OfferOver { conversation: cnv(1), agent: first }));
    desk.act(Input::Decline { agent: second, conversation: cnv(1) });
    assert_eq!(
        desk.state(1),
        ConversationState::Queued,
        "both said no: they are left alone a while"
    );
    assert_eq!(desk.routing.next_deadline(), Some(UnixMillis(T + 30_000)));
    desk.after_ms(30_000);
    assert_eq!(desk.asked(1), Some(first));
}

#[test]
fn an_agent_who_declined_one_is_still_asked_about_another() {
    let mut desk = Desk::with(&[(1, 1)]);
    desk.open(1);
    desk.open(2);
    desk.act(Input::Decline { agent: agt(1), conversation: cnv(1) });
    assert_eq!((desk.asked(1), desk.asked(2)), (None, Some(agt(1))));
}

#[test]
fn each_offer_ends_once_and_it_is_told_how() {
    let mut desk = Desk::with(&[(1, 1), (2, 1)]);
    let ended = |desk: &mut Desk| {
        let OffersEnded { accepted, declined, missed, withdrawn } =
            desk.routing.take_offers_ended();
        (accepted, declined, missed, withdrawn)
    };
    desk.open(1);
    assert_eq!(ended(&mut desk), (0, 0, 0, 0), "it is not answered yet");
    let first = desk.asked(1).unwrap();
    desk.act(Input::Decline { agent: first, conversation: cnv(1) });
    assert_eq!(ended(&mut desk), (0, 1, 0, 0));
    desk.after_ms(30_000);
    assert_eq!(ended(&mut desk), (0, 0, 1, 0), "the other one let it run out");
    let asked = desk.asked(1).unwrap();
    desk.act(Input::Accept { agent: asked, conversation: cnv(1) });
    assert_eq!(ended(&mut desk), (1, 0, 0, 0));
    desk.open(2);
    let asked = desk.asked(2).unwrap();
    desk.act(Input::Assign { agent: asked, conversation: cnv(2), over_capacity: false });
    assert_eq!(ended(&mut desk), (1, 0, 0, 0), "they took what they were asked about");
    desk.act(Input::Closed { conversation: cnv(2) });
    assert_eq!(ended(&mut desk), (0, 0, 0, 0), "nobody was asked any more");
    desk.open(3);
    desk.act(Input::Closed { conversation: cnv(3) });
    assert_eq!(ended(&mut desk), (0, 0, 0, 1), "its visitor closed it");
    desk.open(4);
    let asked = desk.asked(4).unwrap();
    desk.act(Input::AgentGone { agent: asked });
    assert_eq!(ended(&mut desk), (0, 0, 0, 1), "who was asked left");
}

#[test]
fn two_missed_offers_set_an_agent_to_away() {
    let mut desk = Desk::with(&[(1, 1)]);
    desk.open(1);
    desk.after_ms(30_000);
    assert_eq!(desk.asked(1), None);
    desk.after_ms(30_000);
    assert_eq!(desk.asked(1), Some(agt(1)));
    let effects = desk.after_ms(30_000);
    assert!(effects.contains(&Effect::AgentChanged { agent: agt(1) }));
    assert!(effects.contains(&Effect::SiteAvailability {
        site: SITE,
        availability: SiteAvailability::Unavailable
    }));
    assert_eq!(desk.routing.agents().next().unwrap().availability, Availability::Away);
    desk.after_ms(60_000);
    assert_eq!(desk.state(1), ConversationState::Queued);
}

#[test]
fn an_answer_after_the_deadline_is_too_late() {
    let mut desk = Desk::with(&[(1, 1)]);
    desk.open(1);
    desk.now = desk.now.plus_ms(30_000);
    let late = Input::Accept { agent: agt(1), conversation: cnv(1) };
    assert_eq!(desk.refused(late), RejectCode::Gone);
    assert_eq!(desk.asked(1), Some(agt(1)), "a refusal changes nothing");
    desk.act(Input::Tick);
    assert_eq!(desk.asked(1), None);
}

#[test]
fn nobody_there_makes_it_an_offline_message_that_is_offered_once_someone_is() {
    let mut desk = Desk::with(&[]);
    desk.open(1);
    let standing = *desk.routing.standing(cnv(1)).unwrap();
    assert!(standing.channel.is_offline_message());
    assert_eq!(standing.state, ConversationState::Queued);
    desk.routing.know_site(SiteId::from_bytes([8; 16]));
    let effects = desk.comes(1, 2);
    assert_eq!(desk.asked(1), Some(agt(1)));
    for site in [SITE, SiteId::from_bytes([8; 16])] {
        let availability = SiteAvailability::Available;
        assert!(effects.contains(&Effect::SiteAvailability { site, availability }));
    }
    desk.open(2);
    assert!(!desk.routing.standing(cnv(2)).unwrap().channel.is_offline_message());
    assert_eq!(desk.routing.site_availability(SITE), SiteAvailability::Busy);
    desk.open(3);
    let third = desk.routing.standing(cnv(3)).unwrap();
    assert!(!third.channel.is_offline_message(), "someone is there, only busy");
}

#[test]
fn an_agent_who_vanishes_keeps_their_conversations_for_the_grace() {
    let mut desk = Desk::with(&[(1, 2)]);
    desk.take(1, 1);
    desk.act(Input::AgentGone { agent: agt(1) });
    desk.open(2);
    assert_eq!(desk.asked(2), None, "not routable at once");
    desk.after_ms(44_999);
    assert_eq!(desk.owner(1), Some(agt(1)));
    desk.act(Input::AgentConnected { agent: agt(1) });
    desk.after_ms(10_000);
    assert_eq!(desk.owner(1), Some(agt(1)));
}

#[test]
fn what_a_vanished_agent_had_goes_to_the_head_of_the_queue_in_its_order() {
    let mut desk = Desk::with(&[(1, 2)]);
    desk.take(1, 1);
    desk.take(1, 2);
    desk.open(3);
    desk.after_ms(5);
    desk.act(Input::AgentGone { agent: agt(1) });
    let effects = desk.after_ms(45_000);
    assert_eq!(
        event_messages(&effects),
        [(EventKind::Requeued, Some(agt(1))), (EventKind::Requeued, Some(agt(1)))]
    );
    let position = |n| desk.routing.standing(cnv(n)).unwrap().position;
    assert_eq!((position(1), position(2), position(3)), (Some(1), Some(2), Some(3)));
    assert_eq!(desk.routing.agents().next().unwrap().connected, Presence::Gone);
    assert_eq!(desk.routing.standing(cnv(1)).unwrap().waiting_since, Some(UnixMillis(T)));
}

fn chooses(agent: u8, availability: Availability) -> Input {
    Input::Availability { agent: agt(agent), availability, capacity: None }
}

#[test]
fn who_goes_offline_with_the_console_open_keeps_what_they_have_for_the_grace() {
    let mut desk = Desk::with(&[(1, 2), (2, 1)]);
    desk.take(2, 9);
    desk.take(1, 1);
    desk.open(3);
    desk.act(chooses(1, Availability::Offline));
    desk.after_ms(44_999);
    assert_eq!(desk.owner(1), Some(agt(1)));
    let effects = desk.after_ms(1);
    assert_eq!(
        event_messages(&effects),
        [(EventKind::Requeued, Some(agt(1)))],
        "the visitor is told"
    );
    let position = |n| desk.routing.standing(cnv(n)).unwrap().position;
    assert_eq!((position(1), position(3)), (Some(1), Some(2)), "first in line");
    assert_eq!(desk.routing.agents().next().unwrap().connected, Presence::Connected);
    // Back in time keeps it, at work or for new ones.
    for back in [Availability::Away, Availability::Available] {
        desk.take(1, 4);
        desk.act(chooses(1, Availability::Offline));
        desk.after_ms(44_000);
        desk.act(chooses(1, back));
        desk.after_ms(90_000);
        assert_eq!(desk.owner(4), Some(agt(1)), "{back:?}");
    }
}

#[test]
fn no_connection_that_comes_and_goes_prolongs_the_grace_of_who_is_offline() {
    let mut desk = Desk::with(&[(1, 2)]);
    desk.take(1, 1);
    desk.act(chooses(1, Availability::Offline));
    desk.after_ms(40_000);
    desk.act(Input::AgentGone { agent: agt(1) });
    desk.after_ms(4_000);
    desk.act(Input::AgentConnected { agent: agt(1) });
    desk.after_ms(1_000);
    assert_eq!(desk.owner(1), None, "they are as offline as before");
}

#[test]
fn whoever_is_given_something_while_they_are_offline_has_it_for_the_grace() {
    let mut desk = Desk::with(&[(1, 2)]);
    desk.act(chooses(1, Availability::Offline));
    desk.after_ms(600_000);
    desk.take(1, 1);
    desk.after_ms(44_999);
    assert_eq!(desk.owner(1), Some(agt(1)));
    desk.open(2);
    // Something more at the last moment prolongs nothing, and has a time of its own.
    desk.now = desk.now.plus_ms(1);
    desk.act(Input::Assign { agent: agt(1), conversation: cnv(2), over_capacity: false });
    assert_eq!((desk.owner(1), desk.owner(2)), (None, Some(agt(1))));
    desk.after_ms(44_999);
    assert_eq!(desk.owner(2), Some(agt(1)));
    desk.after_ms(1);
    assert_eq!(desk.owner(2), None);
}

#[test]
fn a_restart_lets_nobody_keep_what_they_have_who_is_offline() {
    let mut desk = Desk::with(&[]);
    let (agent, availability) = (agt(1), Availability::Offline);
    desk.act(Input::AgentKnown { agent, availability, capacity: 2 });
    desk.act(restored(1, ConversationState::Active, Some(1), T - 5_000));
    desk.act(Input::AgentConnected { agent });
    desk.after_ms(45_000);
    assert_eq!(desk.owner(1), None);
}

#[test]
fn who_let_offers_run_out_and_does_nothing_is_absent_and_is_told_why_they_are_away() {
    let story = |acts: Option<Input>| {
        let mut desk = Desk::with(&[(1, 2)]);
        desk.take(1, 1);
        desk.open(2);
        for _ in 0..3 {
            desk.after_ms(30_000);
        }
        let standing = desk.routing.agents().next().unwrap();
        assert_eq!(standing.availability, Availability::Away);
        assert_eq!(standing.cause, Some(AvailabilityCause::MissedOffers));
        desk.after_ms(44_999);
        if let Some(acts) = acts {
            desk.act(acts);
        }
        desk.after_ms(1);
        desk.owner(1)
    };
    assert_eq!(story(None), None);
    assert_eq!(
        story(Some(Input::Acted { agent: agt(1) })),
        Some(agt(1)),
        "they write to their visitor"
    );
    assert_eq!(story(Some(chooses(1, Availability::Away))), Some(agt(1)), "they chose it");
    let mut desk = Desk::with(&[(1, 2)]);
    desk.act(chooses(1, Availability::Away));
    assert_eq!(desk.routing.agents().next().unwrap().cause, None);
}

#[test]
fn a_supervisor_takes_over_from_whom_they_mean_and_from_nobody_else() {
    let mut desk = Desk::with(&[(1, 1), (2, 1), (3, 1)]);
    desk.take(1, 1);
    desk.act(Input::Transfer { from: agt(1), to: agt(2), conversation: cnv(1) });
    let take =
        |agent, from| Input::TakeOver { agent: agt(agent), from: agt(from), conversation: cnv(1) };
    assert_eq!(desk.refused(take(3, 2)), RejectCode::Gone, "they were only asked");
    assert_eq!(desk.refused(take(1, 1)), RejectCode::Invalid);
    let effects = desk.act(take(3, 1));
    assert!(effects.contains(&Effect::OfferOver { conversation: cnv(1), agent: agt(2) }));
    assert_eq!(event_messages(&effects), [(EventKind::Transferred, Some(agt(3)))]);
    assert_eq!((desk.owner(1), desk.asked(1)), (Some(agt(3)), None));
    assert_eq!(desk.act(take(3, 1)), [], "the same again changes nothing");
    desk.act(Input::AgentGone { agent: agt(1) });
    assert_eq!(desk.refused(take(1, 3)), RejectCode::AtCapacity, "they are not there");
    desk.open(2);
    let waiting = Input::TakeOver { agent: agt(3), from: agt(1), conversation: cnv(2) };
    assert_eq!(desk.refused(waiting), RejectCode::Gone, "nobody has it");
}

#[test]
fn a_transfer_is_taken_back_until_it_is_answered() {
    let mut desk = Desk::with(&[(1, 1), (2, 1)]);
    desk.take(1, 1);
    let back = Input::Withdraw { conversation: cnv(1) };
    assert_eq!(desk.refused(back), RejectCode::Gone, "nothing is under way");
    let give = Input::Transfer { from: agt(1), to: agt(2), conversation: cnv(1) };
    desk.act(give);
    let effects = desk.act(back);
    assert!(effects.contains(&Effect::OfferOver { conversation: cnv(1), agent: agt(2) }));
    assert_eq!((desk.owner(1), desk.asked(1)), (Some(agt(1)), None));
    desk.act(give);
    desk.accept(2, 1);
    assert_eq!(desk.refused(back), RejectCode::Gone, "they have it now");
    let again = Input::Transfer { from: agt(2), to: agt(2), conversation: cnv(1) };
    assert_eq!(desk.refused(again), RejectCode::Invalid, "to whom has it already");
    desk.open(2);
    assert_eq!(desk.refused(Input::Withdraw { conversation: cnv(2) }), RejectCode::Gone);
}

#[test]
fn an_offer_to_an_agent_whose_connection_breaks_passes_on_at_once() {
    let mut desk = Desk::with(&[(1, 1), (2, 1)]);
    desk.open(1);
    let first = desk.asked(1).unwrap();
    let effects = desk.act(Input::AgentGone { agent: first });
    assert!(effects.contains(&Effect::OfferOver { conversation: cnv(1), agent: first }));
    assert_ne!(desk.asked(1).unwrap(), first);
}

#[test]
fn a_transfer_leaves_the_giver_in_charge_until_it_is_accepted() {
    let mut desk = Desk::with(&[(1, 1), (2, 1)]);
    desk.take(1, 1);
    let to_2 = Input::Transfer { from: agt(1), to: agt(2), conversation: cnv(1) };
    let effects = desk.act(to_2);
    assert!(effects.iter().any(|e| matches!(
        e,
        Effect::Offer { transfer_from: Some(from), .. } if *from == agt(1)
    )));
    assert_eq!((desk.owner(1), desk.asked(1)), (Some(agt(1)), Some(agt(2))));
    assert_eq!(desk.state(1), ConversationState::Active);
    desk.act(Input::Decline { agent: agt(2), conversation: cnv(1) });
    assert_eq!((desk.owner(1), desk.asked(1)), (Some(agt(1)), None));
    desk.act(to_2);
    desk.after_ms(30_000);
    assert_eq!((desk.owner(1), desk.asked(1)), (Some(agt(1)), None), "missed: back to the giver");
    desk.act(to_2);
    let effects = desk.accept(2, 1);
    assert_eq!(event_messages(&effects), [(EventKind::Transferred, Some(agt(2)))]);
    assert_eq!(desk.owner(1), Some(agt(2)));
    desk.take(2, 2);
    assert_eq!(
        desk.refused(Input::Transfer { from: agt(2), to: agt(1), conversation: cnv(9) }),
        RejectCode::NotFound
    );
    assert_eq!(desk.refused(to_2), RejectCode::Gone, "they no longer have it");
}

#[test]
fn a_full_or_absent_receiver_gets_no_transfer() {
    let mut desk = Desk::with(&[(1, 1), (2, 1)]);
    desk.take(1, 1);
    desk.take(2, 2);
    let give = Input::Transfer { from: agt(1), to: agt(2), conversation: cnv(1) };
    assert_eq!(desk.refused(give), RejectCode::AtCapacity);
    desk.act(Input::Closed { conversation: cnv(2) });
    desk.act(Input::AgentGone { agent: agt(2) });
    assert_eq!(desk.refused(give), RejectCode::AtCapacity);
}

#[test]
fn assigning_out_of_turn_respects_capacity_unless_told_otherwise() {
    let mut desk = Desk::with(&[(1, 1), (2, 1)]);
    desk.take(1, 1);
    desk.open(2);
    assert_eq!(desk.asked(2), Some(agt(2)));
    let assign =
        |over_capacity| Input::Assign { agent: agt(1), conversation: cnv(2), over_capacity };
    assert_eq!(desk.refused(assign(false)), RejectCode::AtCapacity);
    let effects = desk.act(assign(true));
    assert!(effects.contains(&Effect::OfferOver { conversation: cnv(2), agent: agt(2) }));
    assert_eq!(desk.owner(2), Some(agt(1)));
    let other = Input::Assign { agent: agt(2), conversation: cnv(2), over_capacity: false };
    assert_eq!(desk.refused(other), RejectCode::Gone, "never two owners");
}

#[test]
fn reopening_goes_to_the_former_agent_only_if_they_are_there_with_room() {
    let mut desk = Desk::with(&[(1, 1), (2, 1)]);
    desk.take(1, 1);
    desk.act(Input::Closed { conversation: cnv(1) });
    assert_eq!(desk.routing.standing(cnv(1)), None);
    let again =
        Input::Reopened { conversation: cnv(1), site: SITE, version: 20, former: Some(agt(1)) };
    let effects = desk.act(again);
    assert_eq!(event_messages(&effects), [(EventKind::Assigned, Some(agt(1)))]);
    assert_eq!(desk.routing.standing(cnv(1)).unwrap().version, 21);
    desk.act(Input::Closed { conversation: cnv(1) });
    desk.act(Input::AgentGone { agent: agt(1) });
    desk.act(again);
    assert_eq!(desk.asked(1), Some(agt(2)), "to whoever is free");
}

#[test]
fn a_restart_keeps_owners_for_the_grace_and_the_order_of_waiting() {
    let mut desk = Desk::with(&[]);
    assert_eq!(desk.act(restored(1, ConversationState::Queued, None, T - 100)).len(), 1);
    desk.act(restored(2, ConversationState::Offered, None, T - 900));
    desk.act(restored(3, ConversationState::Active, Some(1), T - 5_000));
    desk.act(restored(4, ConversationState::Snoozed, Some(1), T - 5_000));
    let position = |n| desk.routing.standing(cnv(n)).unwrap().position;
    assert_eq!((position(2), position(1)), (Some(1), Some(2)));
    assert_eq!(desk.state(2), ConversationState::Queued, "offers do not survive");
    assert_eq!(desk.owner(3), Some(agt(1)));
    assert_eq!(desk.routing.next_deadline(), Some(UnixMillis(T + 45_000)));
    desk.after_ms(45_000);
    assert_eq!((desk.owner(3), desk.state(3)), (None, ConversationState::Queued));
    assert_eq!(desk.owner(4), Some(agt(1)), "snoozed: nobody waits for them");
    desk.comes(1, 1);
    assert_eq!(desk.asked(3), Some(agt(1)), "given back, so first");
}

#[test]
fn an_agent_whose_account_ends_leaves_nothing_behind() {
    let mut desk = Desk::with(&[(1, 3), (2, 1)]);
    desk.take(1, 1);
    desk.act(restored(2, ConversationState::Snoozed, Some(1), T));
    desk.act(Input::AgentRemoved { agent: agt(1) });
    assert_eq!(desk.asked(2).or(desk.asked(1)), Some(agt(2)));
    assert_eq!((desk.owner(1), desk.owner(2)), (None, None));
    assert_eq!(desk.routing.agents().count(), 1);
}

#[test]
fn who_goes_away_or_takes_fewer_loses_their_offers_not_their_conversations() {
    let mut desk = Desk::with(&[(1, 3)]);
    desk.take(1, 1);
    desk.open(2);
    desk.open(3);
    let fewer =
        |availability, capacity| Input::Availability { agent: agt(1), availability, capacity };
    desk.act(fewer(Availability::Available, Some(2)));
    assert_eq!((desk.asked(2), desk.asked(3)), (Some(agt(1)), None), "the newest offer goes");
    desk.act(fewer(Availability::Away, None));
    assert_eq!((desk.asked(2), desk.owner(1)), (None, Some(agt(1))));
}

#[test]
fn the_wait_is_estimated_from_those_served_last() {
    let mut desk = Desk::with(&[(1, 1)]);
    for n in 1..=3 {
        desk.open(n);
        desk.after_ms(20_000);
        desk.accept(1, n);
        desk.act(Input::Closed { conversation: cnv(n) });
    }
    desk.take(1, 4);
    desk.open(5);
    let effects = desk.open(6);
    let wait = |effect: &Effect| {
        if let Effect::Position { position: 2, wait_ms, .. } = effect { *wait_ms } else { None }
    };
    let wait_ms = effects.iter().find_map(wait);
    assert!(wait_ms.is_some_and(|ms| (20_000..=40_000).contains(&ms)), "{wait_ms:?}");
}

/// So many wait, and nobody is there.
fn crowd(len: u32) -> (Routing, Vec<ConversationId>) {
    let mut routing = Routing::new(TenantId::from_bytes([1; 16]), RoutingConfig::default());
    let mut waiting = Vec::new();
    for n in 0..len {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let conversation = ConversationId::from_bytes(id);
        let opened = Input::Opened { conversation, site: SITE };
        let effects = routing.handle(opened, UnixMillis(T + u64::from(n))).unwrap();
        assert_eq!(effects.len(), 2, "the new one and its place");
        waiting.push(conversation);
    }
    (routing, waiting)
}

fn told_positions(effects: &[Effect]) -> Vec<(ConversationId, u32)> {
    let position = |effect: &Effect| {
        let Effect::Position { conversation, position, .. } = effect else { return None };
        Some((*conversation, *position))
    };
    effects.iter().filter_map(position).collect()
}

/// Ends the first of so many, lets an agent come who takes four, lets them leave again. How many
/// effects each has.
fn effects_of_acts_in_a_line_of(len: u32) -> Vec<usize> {
    let (mut routing, waiting) = crowd(len);
    let now = UnixMillis(T + 1_000_000);
    let agent = agt(1);
    let available = Availability::Available;
    let acts = [
        Input::Closed { conversation: waiting[0] },
        Input::Closed { conversation: waiting[waiting.len() / 2] },
        Input::AgentKnown { agent, availability: available, capacity: 4 },
        Input::AgentConnected { agent },
        Input::Accept { agent, conversation: waiting[1] },
        Input::Decline { agent, conversation: waiting[2] },
        Input::Assign { agent, conversation: waiting[waiting.len() - 2], over_capacity: true },
        Input::Reopened { conversation: waiting[0], site: SITE, version: 9, former: None },
        Input::AgentGone { agent },
        Input::Tick,
        Input::AgentRemoved { agent },
    ];
    acts.map(|act| routing.handle(act, now).unwrap().len()).to_vec()
}

#[test]
fn what_one_act_sets_off_does_not_depend_on_how_many_wait() {
    let (few, many) = (effects_of_acts_in_a_line_of(200), effects_of_acts_in_a_line_of(4_000));
    assert_eq!(few, many);
    assert!(many.iter().all(|len| *len < 80), "{many:?}");
}

#[test]
fn the_head_of_the_queue_is_told_at_once_and_those_behind_as_the_round_comes_to_them() {
    let (mut routing, waiting) = crowd(1_000);
    let closed = Input::Closed { conversation: waiting[0] };
    let effects = routing.handle(closed, UnixMillis(T + 2_000)).unwrap();
    let at_once = told_positions(&effects);
    assert_eq!(at_once.len(), super::queue::HEAD);
    assert_eq!(at_once[0], (waiting[1], 1));
    assert_eq!(routing.position(waiting[999]), Some(999), "whoever asks hears where they stand");
    let mut told = std::collections::BTreeMap::new();
    for tick in 0..4 {
        let effects = routing.tell_positions();
        assert!(effects.len() <= super::POSITIONS_PER_TICK, "turn {tick}");
        told.extend(told_positions(&effects));
        if tick == 1 {
            // Ahead of some that were told in this round already, and of some that were not.
            let closed = Input::Closed { conversation: waiting[100] };
            routing.handle(closed, UnixMillis(T + 3_000)).unwrap();
        }
    }
    for _ in 0..4 {
        told.extend(told_positions(&routing.tell_positions()));
    }
    for (at, conversation) in waiting.iter().enumerate().skip(super::queue::HEAD + 1) {
        let position = routing.position(*conversation);
        assert_eq!(position.is_some(), at != 100);
        assert!(position.is_none() || told.get(conversation).copied() == position, "{at}");
    }
    assert_eq!(routing.tell_positions(), [], "nobody moved since");
}
