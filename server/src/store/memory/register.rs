//! Visitors, and the orders in which conversations are listed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use protocol::ids::{AgentId, ConversationId, TenantId, VisitorId};
use protocol::time::UnixMillis;

use super::transcript::{Header, Sealed};
use crate::privacy::seal::{Bucket, SecretHash};
use crate::store::{Page, StoreError, VisitorRow, VisitorToken, sealed};

/// A visitor; his name and e-mail address stand sealed beside the row.
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

    /// The bucket of his contact data.
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
    /// Counts visitors; each keeps his number.
    made: u64,
    of_tenant: BTreeMap<(TenantId, u64), VisitorId>,
    by_secret: HashMap<SecretHash, VisitorId>,
    conversations: BTreeSet<(TenantId, At)>,
    of_visitor: BTreeSet<(VisitorId, At)>,
    drafts: HashMap<AgentId, Vec<ConversationId>>,
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

    /// Puts a visitor as he is given, or removes him.
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

    /// Lists a conversation; one that is listed stays where it is.
    pub(super) fn list(&mut self, header: &Header) {
        let at = (header.row.created_at, header.row.conversation);
        self.conversations.insert((header.row.tenant, at));
        self.of_visitor.insert((header.row.visitor, at));
    }

    /// A conversation is gone: off the lists with it, and with the last one its visitor, if nothing is
    /// known of him any more.
    pub(super) fn unlist(&mut self, header: &Header) {
        let at = (header.row.created_at, header.row.conversation);
        self.conversations.remove(&(header.row.tenant, at));
        let visitor = header.row.visitor;
        self.of_visitor.remove(&(visitor, at));
        let more = self.of_visitor.range((visitor, FIRST)..=(visitor, LAST)).next().is_some();
        if !more && self.visitor(visitor).is_some_and(|visitor| !visitor.has_sealed()) {
            self.restore(visitor, None);
        }
    }

    /// Conversations of a tenant, or of one visitor, before a place, the newest first, at most so many.
    pub(super) fn conversations(
        &self,
        tenant: TenantId,
        visitor: Option<VisitorId>,
        before: Option<At>,
        len_max: usize,
    ) -> Vec<At> {
        match visitor {
            Some(visitor) => newest(&self.of_visitor, visitor, before, len_max),
            None => newest(&self.conversations, tenant, before, len_max),
        }
    }

    /// Whether an agent has a draft in a conversation.
    pub(super) fn list_draft(&mut self, agent: AgentId, conversation: ConversationId, has: bool) {
        let drafts = self.drafts.entry(agent).or_default();
        let there = drafts.iter().position(|one| *one == conversation);
        match (there, has) {
            (None, true) => drafts.push(conversation),
            (Some(at), false) => {
                drafts.remove(at);
            }
            (Some(_), true) | (None, false) => {}
        }
        if drafts.is_empty() {
            self.drafts.remove(&agent);
        }
    }

    /// Where an agent has drafts, the oldest first.
    pub(super) fn drafts(&self, agent: AgentId) -> Vec<ConversationId> {
        self.drafts.get(&agent).cloned().unwrap_or_default()
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

fn newest<Of: Copy + Ord>(
    all: &BTreeSet<(Of, At)>,
    of: Of,
    before: Option<At>,
    len_max: usize,
) -> Vec<At> {
    let to = before.map_or(Bound::Included((of, LAST)), |at| Bound::Excluded((of, at)));
    let range = all.range((Bound::Included((of, FIRST)), to));
    range.rev().map(|(_, at)| *at).take(len_max).collect()
}
