//! The agents: who is there, who wants work, who has what.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use protocol::conversation::{
    Availability, AvailabilityCause, ConversationState, Presence, SiteAvailability,
};
use protocol::ids::{AgentId, ConversationId};
use protocol::time::UnixMillis;

use super::{AgentStanding, Standing};

#[derive(Debug)]
struct Member {
    availability: Availability,
    cause: Option<AvailabilityCause>,
    capacity: u16,
    connected: bool,
    /// Until when they keep their conversations though they are absent.
    grace: Option<UnixMillis>,
    /// What counts: active conversations and offers, the newest last.
    has: Vec<ConversationId>,
    /// Offers missed one after the other.
    misses: u8,
    /// When they last took or ended something, in steps of the team's counter: the lowest is idle
    /// longest.
    worked: u64,
    reported: Option<AgentStanding>,
}

impl Member {
    fn standing(&self, agent: AgentId) -> AgentStanding {
        let here = self.connected || self.grace.is_some();
        AgentStanding {
            agent,
            availability: self.availability,
            cause: self.cause,
            connected: if here { Presence::Connected } else { Presence::Gone },
            capacity: self.capacity,
            load: u16::try_from(self.has.len()).unwrap_or(u16::MAX),
        }
    }

    fn at_work(&self) -> bool {
        self.connected && self.availability != Availability::Offline
    }

    fn routable(&self) -> bool {
        self.connected && self.availability == Availability::Available && self.capacity > 0
    }

    fn has_room(&self) -> bool {
        self.has.len() < usize::from(self.capacity)
    }

    fn free(&self) -> bool {
        self.routable() && self.has_room()
    }
}

/// What becomes of the time for which an absent agent keeps what they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// It runs from now on, until then.
    Begins(UnixMillis),
    /// It would have run until then.
    Ends(UnixMillis),
    /// Nothing.
    AsBefore,
}

/// All agents of an Organization.
#[derive(Debug, Default)]
pub(super) struct Team {
    members: BTreeMap<AgentId, Member>,
    /// Who has what, put off or not; offers are not among it.
    owned: BTreeSet<(AgentId, ConversationId)>,
    touched: BTreeSet<AgentId>,
    /// Those who let offers run out until they were set to away, and have done nothing since.
    unheard: BTreeSet<AgentId>,
    steps: u64,
}

impl Team {
    /// Whoever is not known yet takes nothing.
    fn member(&mut self, agent: AgentId) -> &mut Member {
        self.touched.insert(agent);
        self.steps += 1;
        let worked = self.steps;
        self.members.entry(agent).or_insert_with(|| Member {
            availability: Availability::Offline,
            cause: None,
            capacity: 0,
            connected: false,
            grace: None,
            has: Vec::new(),
            misses: 0,
            worked,
            reported: None,
        })
    }

    pub(super) fn known(&mut self, agent: AgentId, availability: Availability, capacity: u16) {
        let member = self.member(agent);
        member.capacity = capacity;
        if std::mem::replace(&mut member.availability, availability) != availability {
            member.cause = None;
            self.unheard.remove(&agent);
        }
    }

    pub(super) fn chose(
        &mut self,
        agent: AgentId,
        availability: Availability,
        capacity: Option<u16>,
    ) -> Option<()> {
        let steps = self.steps + 1;
        self.steps = steps;
        let member = self.members.get_mut(&agent)?;
        self.touched.insert(agent);
        if availability == Availability::Available && member.availability != availability {
            member.worked = steps;
        }
        member.availability = availability;
        member.cause = None;
        member.misses = 0;
        member.capacity = capacity.unwrap_or(member.capacity);
        self.unheard.remove(&agent);
        Some(())
    }

    /// They have a connection.
    pub(super) fn connected(&mut self, agent: AgentId) {
        let steps = self.steps + 1;
        let member = self.member(agent);
        if !member.connected {
            member.worked = steps;
        }
        member.connected = true;
    }

    /// Their last connection closed; inside, the end of their grace if it begins now. One that runs
    /// already, since they are offline, is not prolonged.
    pub(super) fn gone(&mut self, agent: AgentId, grace: UnixMillis) -> Option<UnixMillis> {
        let member = self.members.get_mut(&agent).filter(|member| member.connected)?;
        self.touched.insert(agent);
        member.connected = false;
        if member.grace.is_some() {
            return None;
        }
        member.grace = Some(grace);
        member.grace
    }

    /// Those about whom something may have changed at this input.
    pub(super) fn touched(&self) -> Vec<AgentId> {
        self.touched.iter().copied().collect()
    }

    /// Begins the grace of who is absent and has something, and ends that of who is at work.
    pub(super) fn mind_absence(&mut self, agent: AgentId, until: UnixMillis) -> Absence {
        let Some(member) = self.members.get_mut(&agent) else { return Absence::AsBefore };
        let at_work = member.at_work() && !self.unheard.contains(&agent);
        match member.grace {
            // A connection that came back before anything was given to them leaves no rest of a
            // deadline behind.
            Some(ran) if at_work || (member.connected && member.has.is_empty()) => {
                member.grace = None;
                Absence::Ends(ran)
            }
            None if !at_work && !member.has.is_empty() => {
                member.grace = Some(until);
                Absence::Begins(until)
            }
            Some(_) | None => Absence::AsBefore,
        }
    }

    /// The end of their grace, if it is not after this.
    pub(super) fn grace_due(&self, agent: AgentId, now: UnixMillis) -> Option<UnixMillis> {
        self.members.get(&agent)?.grace.filter(|at| *at <= now)
    }

    /// Whether the grace that ended then was theirs.
    pub(super) fn grace_over(&mut self, agent: AgentId, at: UnixMillis) -> bool {
        let Some(member) = self.members.get_mut(&agent) else { return false };
        if member.grace != Some(at) {
            return false;
        }
        self.touched.insert(agent);
        member.grace = None;
        true
    }

    pub(super) fn shorten_grace(&mut self, latest: UnixMillis) -> Vec<(AgentId, UnixMillis)> {
        let shorten = |(agent, member): (&AgentId, &mut Member)| {
            member.grace = member.grace.map(|at| at.min(latest));
            Some((*agent, member.grace?))
        };
        self.members.iter_mut().filter_map(shorten).collect()
    }

    /// They take nothing from here on; inside, the end of a grace that no longer counts.
    pub(super) fn close_to_work(&mut self, agent: AgentId) -> Option<UnixMillis> {
        let member = self.members.get_mut(&agent)?;
        member.connected = false;
        member.grace.take()
    }

    pub(super) fn remove(&mut self, agent: AgentId) {
        self.members.remove(&agent);
        self.touched.remove(&agent);
        self.unheard.remove(&agent);
    }

    /// They do not answer.
    pub(super) fn set_away(&mut self, agent: AgentId) {
        if let Some(member) = self.members.get_mut(&agent) {
            member.availability = Availability::Away;
            member.cause = Some(AvailabilityCause::MissedOffers);
            member.misses = 0;
            self.unheard.insert(agent);
            self.touched.insert(agent);
        }
    }

    /// They answered: what they missed before no longer counts.
    pub(super) fn answered(&mut self, agent: AgentId) {
        if let Some(member) = self.members.get_mut(&agent) {
            member.misses = 0;
        }
    }

    /// They did something of their own accord: they are at their desk.
    pub(super) fn heard_of(&mut self, agent: AgentId) {
        if self.unheard.remove(&agent) {
            self.touched.insert(agent);
        }
    }

    /// Whether they do not answer.
    pub(super) fn is_unheard(&self, agent: AgentId) -> bool {
        self.unheard.contains(&agent)
    }

    /// They missed an offer; how many it is by now.
    pub(super) fn missed(&mut self, agent: AgentId) -> u8 {
        let Some(member) = self.members.get_mut(&agent) else { return 0 };
        member.misses = member.misses.saturating_add(1);
        member.misses
    }

    /// They took or ended something just now.
    pub(super) fn worked(&mut self, agent: AgentId) {
        self.steps += 1;
        if let Some(member) = self.members.get_mut(&agent) {
            member.worked = self.steps;
        }
    }

    /// Keeps the books: who has this conversation before and after a change.
    pub(super) fn index(
        &mut self,
        conversation: ConversationId,
        before: Option<&Standing>,
        after: Option<&Standing>,
    ) {
        let owner = |standing: Option<&Standing>| standing?.assignee;
        if owner(before) != owner(after) {
            self.owned.extend(owner(after).map(|agent| (agent, conversation)));
            if let Some(agent) = owner(before) {
                self.owned.remove(&(agent, conversation));
            }
        }
        let before = before.map_or([None; 2], holders);
        let after = after.map_or([None; 2], holders);
        for agent in before.into_iter().flatten().filter(|agent| !after.contains(&Some(*agent))) {
            self.member(agent).has.retain(|id| *id != conversation);
        }
        for agent in after.into_iter().flatten().filter(|agent| !before.contains(&Some(*agent))) {
            self.member(agent).has.push(conversation);
        }
    }

    /// What they have, put off or not.
    pub(super) fn owned_by(&self, agent: AgentId) -> Vec<ConversationId> {
        let first = (agent, ConversationId::from_bytes([0; 16]));
        let of = self.owned.range(first..).take_while(|(owner, _)| *owner == agent);
        of.map(|(_, conversation)| *conversation).collect()
    }

    /// What everybody has, put off or not, one agent's after the other's, behind a position.
    pub(super) fn owned_after(
        &self,
        after: Option<(AgentId, ConversationId)>,
    ) -> impl Iterator<Item = (AgentId, ConversationId)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.owned.range((from, Bound::Unbounded)).copied()
    }

    /// What they have, offers included, the newest last.
    pub(super) fn conversations(&self, agent: AgentId) -> Vec<ConversationId> {
        self.members.get(&agent).map(|member| member.has.clone()).unwrap_or_default()
    }

    /// The offers that they cannot accept any more, the newest first.
    pub(super) fn offers_in_excess(
        &self,
        agent: AgentId,
        is_offer: impl Fn(ConversationId) -> bool,
    ) -> Vec<ConversationId> {
        let Some(member) = self.members.get(&agent) else { return Vec::new() };
        let offers = member.has.iter().rev().copied().filter(|id| is_offer(*id));
        if member.routable() {
            offers.take(member.has.len().saturating_sub(usize::from(member.capacity))).collect()
        } else {
            offers.collect()
        }
    }

    pub(super) fn contains(&self, agent: AgentId) -> bool {
        self.members.contains_key(&agent)
    }

    pub(super) fn is_connected(&self, agent: AgentId) -> bool {
        self.members.get(&agent).is_some_and(|member| member.connected)
    }

    pub(super) fn has_room(&self, agent: AgentId) -> bool {
        self.members.get(&agent).is_some_and(Member::has_room)
    }

    /// Connected, available and with room.
    pub(super) fn free(&self, agent: AgentId) -> bool {
        self.members.get(&agent).is_some_and(Member::free)
    }

    pub(super) fn anyone_free(&self) -> bool {
        self.members.values().any(Member::free)
    }

    /// The least busy of the free, among equals the one idle longest; not the one asked last while
    /// there is another, and nobody who rests.
    pub(super) fn choose(
        &self,
        asked_last: Option<AgentId>,
        rests: impl Fn(AgentId) -> bool,
    ) -> Option<AgentId> {
        self.members
            .iter()
            .filter(|(agent, member)| member.free() && !rests(**agent))
            .min_by_key(|(agent, member)| {
                (Some(**agent) == asked_last, member.has.len(), member.worked, **agent)
            })
            .map(|(agent, _)| *agent)
    }

    /// What visitors may be promised.
    pub(super) fn promise(&self) -> SiteAvailability {
        if self.anyone_free() {
            SiteAvailability::Available
        } else if self.members.values().any(Member::routable) {
            SiteAvailability::Busy
        } else {
            SiteAvailability::Unavailable
        }
    }

    pub(super) fn standing(&self, agent: AgentId) -> Option<AgentStanding> {
        self.members.get(&agent).map(|member| member.standing(agent))
    }

    pub(super) fn standings(&self) -> impl Iterator<Item = AgentStanding> {
        self.members.iter().map(|(agent, member)| member.standing(*agent))
    }

    /// Those whose standing differs from what was reported last.
    pub(super) fn take_changed(&mut self) -> impl Iterator<Item = AgentId> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().filter(|agent| {
            let Some(member) = self.members.get_mut(agent) else { return false };
            let standing = Some(member.standing(*agent));
            std::mem::replace(&mut member.reported, standing) != standing
        })
    }
}

/// Whose capacity a conversation takes: its assignee's while active, and that of who is asked.
fn holders(standing: &Standing) -> [Option<AgentId>; 2] {
    let active = standing.state == ConversationState::Active;
    [standing.assignee.filter(|_| active), standing.offered_to]
}
