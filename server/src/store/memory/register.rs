//! Visitors, and the orders in which conversations are listed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId, SiteId, TagId, TenantId, VisitorId};
use protocol::time::UnixMillis;

use super::transcript::{Header, Sealed};
use crate::privacy::seal::{Bucket, SecretHash};
use crate::store::{
    ConversationFilter, ConversationRow, Page, StoreError, VisitorRow, VisitorToken, sealed,
};

/// A visitor; their name and e-mail address stand sealed beside the row.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) row: VisitorRow,
    pub(super) name: Option<Sealed>,
    pub(super) email: Option<Sealed>,
}

impl Visitor {
    fn has_sealed(&self) -> bool {
        self.name.is_some() || self.email.is_some()
    }

    /// The bucket of their contact data.
    pub(super) fn bucket(&self) -> Option<Bucket> {
        let VisitorRow { tenant, site, visitor, contact_day, .. } = self.row;
        self.has_sealed().then(|| sealed::contact_lock(tenant, site, visitor, contact_day).bucket)
    }
}

/// A conversation's place in a list: when it began, then its id.
pub(super) type At = (UnixMillis, ConversationId);

const FIRST: At = (UnixMillis(0), ConversationId::from_bytes([0; 16]));
const LAST: At = (UnixMillis(u64::MAX), ConversationId::from_bytes([0xff; 16]));

#[derive(Debug, Default)]
pub(super) struct Register {
    visitors: HashMap<VisitorId, (u64, Visitor)>,
    /// Counts visitors; each keeps their number.
    made: u64,
    of_tenant: BTreeMap<(TenantId, u64), VisitorId>,
    by_secret: HashMap<SecretHash, VisitorId>,
    conversations: BTreeSet<(Of, u8, At)>,
    labelled: BTreeSet<(TagId, At)>,
    changes: BTreeSet<(TenantId, At)>,
    changed_at: HashMap<ConversationId, (TenantId, UnixMillis)>,
    /// The moment of the latest change, if there was one.
    change: Option<UnixMillis>,
    drafts: BTreeMap<(AgentId, u64), ConversationId>,
    draft_numbers: HashMap<(AgentId, ConversationId), u64>,
    /// Counts drafts.
    drafted: u64,
}

/// By what conversations are listed, beside their state: a list of any filter is a walk along one of these for each
/// state that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Tenant(TenantId),
    Site(TenantId, SiteId),
    Agent(TenantId, AgentId),
    AgentAtSite(TenantId, AgentId, SiteId),
    Visitor(VisitorId),
    VisitorWithAgent(VisitorId, AgentId),
}

impl Of {
    /// The lists that a conversation is in.
    fn all(row: &ConversationRow) -> impl Iterator<Item = Self> + use<> {
        let ConversationRow { tenant, site, visitor, assignee, .. } = *row;
        let with_agent = assignee.into_iter().flat_map(move |agent| {
            let at_site = Self::AgentAtSite(tenant, agent, site);
            [Self::Agent(tenant, agent), at_site, Self::VisitorWithAgent(visitor, agent)]
        });
        let always = [Self::Tenant(tenant), Self::Site(tenant, site), Self::Visitor(visitor)];
        always.into_iter().chain(with_agent)
    }

    /// The shortest list that has all that passes. A visitor is one site's: either all of theirs
    /// pass or none.
    fn one(tenant: TenantId, filter: &ConversationFilter) -> Self {
        match (filter.visitor, filter.assignee, filter.site) {
            (Some(visitor), Some(agent), _) => Self::VisitorWithAgent(visitor, agent),
            (Some(visitor), None, _) => Self::Visitor(visitor),
            (None, Some(agent), Some(site)) => Self::AgentAtSite(tenant, agent, site),
            (None, Some(agent), None) => Self::Agent(tenant, agent),
            (None, None, Some(site)) => Self::Site(tenant, site),
            (None, None, None) => Self::Tenant(tenant),
        }
    }
}

impl Register {
    pub(super) fn visitor(&self, visitor: VisitorId) -> Option<&Visitor> {
        self.visitors.get(&visitor).map(|(_, visitor)| visitor)
    }

    pub(super) fn by_secret(&self, secret: SecretHash) -> Option<&Visitor> {
        self.by_secret.get(&secret).and_then(|visitor| self.visitor(*visitor))
    }

    /// A page of a tenant's visitors, the newest first.
    pub(super) fn visitors(&self, tenant: TenantId, page: Page<VisitorId>) -> Vec<Visitor> {
        let before = match page.after {
            None => u64::MAX,
            // Another tenant's visitor has no place in this list.
            Some(after) => self
                .visitors
                .get(&after)
                .filter(|(_, visitor)| visitor.row.tenant == tenant)
                .map_or(0, |(number, _)| *number),
        };
        self.of_tenant
            .range((tenant, 0)..(tenant, before))
            .rev()
            .filter_map(|(_, visitor)| self.visitor(*visitor).cloned())
            .take(usize::from(page.limit))
            .collect()
    }

    /// A visitor, new, or with other contact data; the token of one who is known stays as it is. What was
    /// there.
    pub(super) fn write(&mut self, new: Visitor) -> Result<Option<Visitor>, StoreError> {
        let id = new.row.visitor;
        let Some((_, known)) = self.visitors.get_mut(&id) else {
            self.restore(id, Some(new));
            return Ok(None);
        };
        if known.row.tenant != new.row.tenant || known.row.site != new.row.site {
            return Err(StoreError::Exists { what: "visitor" });
        }
        let before = known.clone();
        (known.name, known.email) = (new.name, new.email);
        known.row.locale = new.row.locale;
        known.row.contact_day = new.row.contact_day;
        Ok(Some(before))
    }

    /// A known visitor's token, the one before it and their ends; nothing else of the row. What was there.
    pub(super) fn write_token(&mut self, row: &VisitorToken) -> Result<Visitor, StoreError> {
        let known = self.visitor(row.visitor).filter(|known| known.row.tenant == row.tenant);
        let before = known.ok_or(StoreError::NotFound)?.clone();
        let mut after = before.clone();
        after.row.secret = row.secret;
        after.row.secret_before = row.secret_before;
        after.row.secret_expires_at = row.secret_expires_at;
        self.restore(row.visitor, Some(after));
        Ok(before)
    }

    /// Puts a visitor as given, or removes them.
    pub(super) fn restore(&mut self, id: VisitorId, visitor: Option<Visitor>) {
        let former = self.visitors.remove(&id);
        if let Some((_, former)) = &former {
            for secret in secrets(&former.row) {
                self.by_secret.remove(&secret);
            }
        }
        let Some(visitor) = visitor else {
            if let Some((number, former)) = former {
                self.of_tenant.remove(&(former.row.tenant, number));
            }
            return;
        };
        let number = former.map_or(self.made + 1, |(number, _)| number);
        self.made = self.made.max(number);
        for secret in secrets(&visitor.row) {
            self.by_secret.insert(secret, id);
        }
        self.of_tenant.insert((visitor.row.tenant, number), id);
        self.visitors.insert(id, (number, visitor));
    }

    /// Lists a conversation; `before` is what it was listed by until now.
    pub(super) fn list(&mut self, before: Option<&ConversationRow>, row: &ConversationRow) {
        if let Some(before) = before {
            self.take_off(before);
        }
        let at = (row.created_at, row.conversation);
        self.conversations.extend(Of::all(row).map(|of| (of, row.state.code(), at)));
        self.labelled.extend(row.tags.iter().map(|tag| (*tag, at)));
    }

    /// The moment of a change that is about to be listed: later than that of any before it, also where the clock
    /// stepped back.
    pub(super) fn change(&mut self, now: UnixMillis) -> UnixMillis {
        let at = self.change.map_or(now, |latest| now.max(latest.plus_ms(1)));
        self.change = Some(at);
        at
    }

    /// A conversation has changed.
    pub(super) fn changed(&mut self, tenant: TenantId, id: ConversationId, at: UnixMillis) {
        if let Some((_, before)) = self.changed_at.insert(id, (tenant, at)) {
            self.changes.remove(&(tenant, (before, id)));
        }
        self.changes.insert((tenant, (at, id)));
    }

    /// When a conversation changed last.
    pub(super) fn changed_at(&self, tenant: TenantId, id: ConversationId) -> Option<UnixMillis> {
        self.changed_at.get(&id).filter(|(of, _)| *of == tenant).map(|(_, at)| *at)
    }

    /// Conversations that changed after a moment, the longest unchanged first.
    pub(super) fn changes(&self, tenant: TenantId, after: At, len_max: usize) -> Vec<At> {
        let range = (Bound::Excluded((tenant, after)), Bound::Included((tenant, LAST)));
        self.changes.range(range).map(|(_, at)| *at).take(len_max).collect()
    }

    /// Conversations with a label, begun below a moment and above another, the newest first.
    pub(super) fn labelled(
        &self,
        tag: TagId,
        before: At,
        after: Option<UnixMillis>,
        len_max: usize,
    ) -> Vec<At> {
        let first = after.map_or(Bound::Included((tag, FIRST)), |at| {
            Bound::Excluded((tag, (at, ConversationId::from_bytes([0xff; 16]))))
        });
        if after.is_some_and(|after| after >= before.0) {
            return Vec::new();
        }
        let range = self.labelled.range((first, Bound::Excluded((tag, before))));
        range.rev().map(|(_, at)| *at).take(len_max).collect()
    }

    fn take_off(&mut self, row: &ConversationRow) {
        let at = (row.created_at, row.conversation);
        for of in Of::all(row) {
            self.conversations.remove(&(of, row.state.code(), at));
        }
        for tag in &row.tags {
            self.labelled.remove(&(*tag, at));
        }
    }

    /// A conversation is gone: off the lists with it, and with the last one its visitor, if nothing is
    /// known of them any more.
    pub(super) fn unlist(&mut self, header: &Header) {
        self.take_off(&header.row);
        let id = header.row.conversation;
        if let Some((tenant, at)) = self.changed_at.remove(&id) {
            self.changes.remove(&(tenant, (at, id)));
        }
        let visitor = header.row.visitor;
        let of = Of::Visitor(visitor);
        let more = self.conversations.range((of, 0, FIRST)..=(of, u8::MAX, LAST)).next().is_some();
        if !more && self.visitor(visitor).is_some_and(|visitor| !visitor.has_sealed()) {
            self.restore(visitor, None);
        }
    }

    /// Conversations that pass, before a place, the newest first, at most so many.
    pub(super) fn conversations(
        &self,
        tenant: TenantId,
        filter: &ConversationFilter,
        states: &[ConversationState],
        before: Option<At>,
        after: Option<UnixMillis>,
        len_max: usize,
    ) -> Vec<At> {
        let of = Of::one(tenant, filter);
        if after.zip(before).is_some_and(|(after, before)| after >= before.0) {
            return Vec::new();
        }
        let first = after.map_or(FIRST, |at| (at, ConversationId::from_bytes([0xff; 16])));
        let walk = |state: &ConversationState| {
            let state = state.code();
            let to = before
                .map_or(Bound::Included((of, state, LAST)), |at| Bound::Excluded((of, state, at)));
            let range = self.conversations.range((Bound::Included((of, state, first)), to));
            range.rev().map(|(_, _, at)| *at).take(len_max)
        };
        let mut found: Vec<At> = states.iter().flat_map(walk).collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        found.truncate(len_max);
        found
    }

    /// Whether an agent has a draft in a conversation.
    pub(super) fn list_draft(&mut self, agent: AgentId, conversation: ConversationId, has: bool) {
        match (self.draft_numbers.get(&(agent, conversation)).copied(), has) {
            (None, true) => {
                self.drafted += 1;
                self.draft_numbers.insert((agent, conversation), self.drafted);
                self.drafts.insert((agent, self.drafted), conversation);
            }
            (Some(number), false) => {
                self.draft_numbers.remove(&(agent, conversation));
                self.drafts.remove(&(agent, number));
            }
            (Some(_), true) | (None, false) => {}
        }
    }

    /// Where an agent has drafts: the newest so many, the oldest of them first.
    pub(super) fn drafts(&self, agent: AgentId, len_max: usize) -> Vec<ConversationId> {
        let theirs = self.drafts.range((agent, 0)..=(agent, u64::MAX)).rev();
        let mut newest: Vec<_> =
            theirs.map(|(_, conversation)| *conversation).take(len_max).collect();
        newest.reverse();
        newest
    }

    /// Removes a visitor's contact data; whether they are known, and their conversations.
    pub(super) fn forget_visitor(
        &mut self,
        tenant: TenantId,
        visitor: VisitorId,
    ) -> (bool, Vec<ConversationId>) {
        let known = self.visitors.get_mut(&visitor).map(|(_, known)| known);
        let known = known.filter(|known| known.row.tenant == tenant);
        let Some(known) = known else { return (false, Vec::new()) };
        (known.name, known.email) = (None, None);
        known.row.locale.clear();
        let of = Of::Visitor(visitor);
        let theirs = self.conversations.range((of, 0, FIRST)..=(of, u8::MAX, LAST));
        (true, theirs.map(|(_, _, (_, conversation))| *conversation).collect())
    }

    /// Removes contact data whose bucket passes.
    pub(super) fn clean_up(&mut self, due: impl Fn(&Bucket) -> bool) {
        for (_, visitor) in self.visitors.values_mut() {
            if visitor.bucket().is_some_and(|bucket| due(&bucket)) {
                (visitor.name, visitor.email) = (None, None);
            }
        }
    }
}

fn secrets(row: &VisitorRow) -> impl Iterator<Item = SecretHash> + use<> {
    std::iter::once(row.secret).chain(row.secret_before.map(|(secret, _)| secret))
}
