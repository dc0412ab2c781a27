//! Lists and searches of conversations.

use protocol::conversation::ConversationState;
use protocol::ids::{AgentId, ConversationId, SiteId, TagId, TenantId, VisitorId};
use protocol::time::UnixMillis;

use super::{NOW, World, page, scatter};
use crate::store::{
    Change, ConversationFilter, ConversationRow, ConversationSearch, Page, SearchOrder, Store,
    Write,
};

/// Walks all pages of a search.
async fn found(
    store: &dyn Store,
    tenant: TenantId,
    mut search: ConversationSearch,
    limit: u16,
) -> Vec<ConversationId> {
    let mut seen = Vec::new();
    loop {
        let page = store.search(tenant, &search, limit).await.unwrap();
        assert!(page.rows.len() <= usize::from(limit));
        seen.extend(page.rows.iter().map(|row| row.conversation));
        let Some(next) = page.next else { return seen };
        search.order = match search.order {
            SearchOrder::Newest(_) => SearchOrder::Newest(Some(next)),
            SearchOrder::Changed(_) => SearchOrder::Changed(next),
        };
    }
}

/// A world with five conversations, one a millisecond; those of an even number have the label.
async fn five(n: u8, store: &dyn Store) -> World {
    let world = World::new(n);
    world.settle(store).await;
    for n in 1..=5 {
        let (visitor, row) = (world.with_visitor(n).visitor_row(), one_of_five(&world, n));
        let visitor = Write::Visitor(Box::new(visitor));
        store.write(vec![visitor, Write::Conversation(Box::new(row))]).await.unwrap();
    }
    world
}

fn one_of_five(world: &World, n: u8) -> ConversationRow {
    let mut row = world.with_visitor(n).conversation_row();
    row.created_at = NOW.plus_ms(u64::from(n));
    row.tags = if n.is_multiple_of(2) { vec![LABEL] } else { Vec::new() };
    row
}

const LABEL: TagId = TagId::from_bytes([77; 16]);

fn any_conversation() -> ConversationSearch {
    ConversationSearch {
        filter: ConversationFilter::default(),
        tag: None,
        created_after: None,
        created_before: None,
        order: SearchOrder::Newest(None),
    }
}

pub(super) async fn conversations_are_searched_by_label_and_time(store: &dyn Store) {
    let world = five(27, store).await;
    let tenant = world.tenant;
    let any = any_conversation();
    let ids = |numbers: &[u8]| {
        numbers.iter().map(|n| world.with_visitor(*n).conversation).collect::<Vec<_>>()
    };
    for limit in [1, 2, 99] {
        // The newest first; its own conversation is of the world's beginning.
        let all = found(store, tenant, any.clone(), limit).await;
        assert_eq!(all[..5], ids(&[5, 4, 3, 2, 1]), "{limit}");
        let between = ConversationSearch {
            created_after: Some(NOW.plus_ms(1)),
            created_before: Some(NOW.plus_ms(5)),
            ..any.clone()
        };
        assert_eq!(found(store, tenant, between.clone(), limit).await, ids(&[4, 3, 2]));
        let labelled = ConversationSearch { tag: Some(LABEL), ..any.clone() };
        assert_eq!(found(store, tenant, labelled, limit).await, ids(&[4, 2]));
        let both = ConversationSearch {
            tag: Some(LABEL),
            created_before: Some(NOW.plus_ms(4)),
            ..between
        };
        assert_eq!(found(store, tenant, both, limit).await, ids(&[2]));
        let never =
            ConversationSearch { created_after: Some(UnixMillis(u64::MAX / 2)), ..any.clone() };
        assert!(found(store, tenant, never, limit).await.is_empty());
        let other = World::new(28).tenant;
        assert!(found(store, other, any.clone(), limit).await.is_empty());
    }
}

pub(super) async fn what_changed_is_found_in_its_order_and_nothing_is_missed(store: &dyn Store) {
    let world = five(42, store).await;
    let tenant = world.tenant;
    let any = any_conversation();
    let ids = |numbers: &[u8]| {
        numbers.iter().map(|n| world.with_visitor(*n).conversation).collect::<Vec<_>>()
    };
    let id = |n: u8| world.with_visitor(n).conversation;
    let begin = (UnixMillis(0), ConversationId::from_bytes([0; 16]));
    let changed = |after| ConversationSearch { order: SearchOrder::Changed(after), ..any.clone() };
    let before = found(store, tenant, changed(begin), 2).await;
    assert_eq!(before[before.len() - 5..], ids(&[1, 2, 3, 4, 5]));
    let newest = store.changed_at(tenant, id(5)).await.unwrap().unwrap();
    assert_eq!(store.changed_at(World::new(28).tenant, id(5)).await.unwrap(), None);
    let since = (newest, ConversationId::from_bytes([0xff; 16]));
    assert!(found(store, tenant, changed(since), 9).await.is_empty());
    // A new version, a label off and another on, and words; in whichever order, the later comes
    // later.
    let mut row = one_of_five(&world, 2);
    (row.version, row.tags) = (2, Vec::new());
    store.write(vec![Write::Conversation(Box::new(row))]).await.unwrap();
    let third = world.with_visitor(3);
    store.write(vec![Write::Message(third.message(1, "words"))]).await.unwrap();
    let mut row = one_of_five(&world, 1);
    (row.version, row.tags) = (2, vec![LABEL]);
    store.write(vec![Write::Conversation(Box::new(row))]).await.unwrap();
    let mut after = found(store, tenant, changed(since), 1).await;
    // Words may be listed with the batch behind them.
    assert!(after.iter().position(|of| *of == id(2)) < after.iter().position(|of| *of == id(1)));
    after.sort_unstable();
    let mut expected = ids(&[1, 2, 3]);
    expected.sort_unstable();
    assert_eq!(after, expected);
    let labelled = ConversationSearch { tag: Some(LABEL), ..any.clone() };
    assert_eq!(found(store, tenant, labelled.clone(), 9).await, ids(&[4, 1]));
    // An older version changes nothing.
    let row = one_of_five(&world, 1);
    let latest = store.changed_at(tenant, id(1)).await.unwrap();
    store.write(vec![Write::Conversation(Box::new(row))]).await.unwrap();
    assert_eq!(store.changed_at(tenant, id(1)).await.unwrap(), latest);
    assert_eq!(found(store, tenant, labelled, 9).await, ids(&[4, 1]));
    let filter =
        ConversationFilter { visitor: Some(world.with_visitor(3).visitor), ..any.filter.clone() };
    let theirs = ConversationSearch { filter, ..changed(begin) };
    assert_eq!(found(store, tenant, theirs, 9).await, ids(&[3]));
}

pub(super) async fn lists_have_pages(store: &dyn Store) {
    let world = World::new(22);
    world.settle(store).await;
    let tenant = world.tenant;
    let mut expected = vec![world.conversation];
    for m in 1..=6 {
        let next = world.with_visitor(m);
        let mut row = next.conversation_row();
        row.created_at = NOW.plus_ms(u64::from(m));
        if m % 2 == 0 {
            row.state = ConversationState::Closed;
        }
        store
            .write(vec![
                Write::Visitor(Box::new(next.visitor_row())),
                Write::Conversation(Box::new(row)),
            ])
            .await
            .unwrap();
        expected.insert(0, next.conversation);
    }
    let everything = ConversationFilter::default();
    let mut seen = Vec::new();
    let mut at = Page { limit: 3, after: None };
    loop {
        let rows = store.conversations(tenant, &everything, at).await.unwrap();
        let Some(last) = rows.last() else { break };
        at.after = Some(last.conversation);
        seen.extend(rows.iter().map(|row| row.conversation));
    }
    assert_eq!(seen, expected, "newest first, each once");
    let live = ConversationFilter { live: true, ..ConversationFilter::default() };
    assert_eq!(store.conversations(tenant, &live, page(99)).await.unwrap().len(), 4);
    let closed = ConversationFilter {
        state: Some(ConversationState::Closed),
        site: Some(world.site),
        ..ConversationFilter::default()
    };
    assert_eq!(store.conversations(tenant, &closed, page(99)).await.unwrap().len(), 3);
    let one = ConversationFilter {
        visitor: Some(world.with_visitor(3).visitor),
        ..ConversationFilter::default()
    };
    assert_eq!(store.conversations(tenant, &one, page(99)).await.unwrap().len(), 1);
    let all_live = store.conversations_live().await.unwrap();
    assert!(all_live.is_sorted_by_key(|row| (row.created_at, row.conversation)));
    assert!(all_live.iter().all(|row| row.state != ConversationState::Closed));
    assert_eq!(all_live.iter().filter(|row| row.tenant == tenant).count(), 4);

    let mut visitors = Vec::new();
    let mut at = Page { limit: 2, after: None };
    loop {
        let rows = store.visitors(tenant, at).await.unwrap();
        let Some(last) = rows.last() else { break };
        at.after = Some(last.visitor);
        visitors.extend(rows.iter().map(|row| row.visitor));
    }
    visitors.sort_unstable();
    visitors.dedup();
    assert_eq!(visitors.len(), 7);
    let tenants = store.tenants(page(2)).await.unwrap();
    let rest = Page { limit: 99, after: tenants.last().map(|row| row.tenant) };
    let rest = store.tenants(rest).await.unwrap();
    assert!(rest.iter().any(|row| row.tenant == tenant));
    assert!(!rest.iter().any(|row| row.tenant == tenants[0].tenant));
    assert_eq!(store.sites(tenant, page(9)).await.unwrap(), [world.site_row()]);
}

#[expect(clippy::too_many_lines, reason = "one filter after the other")]
pub(super) async fn every_filter_lists_what_passes(store: &dyn Store) {
    let world = World::new(61);
    world.settle(store).await;
    let tenant = world.tenant;
    let id = |kind: u8, n: u64| {
        let mut id = [61; 16];
        (id[0], id[1]) = (kind, u8::try_from(n).unwrap());
        id
    };
    let site = |n| SiteId::from_bytes(id(1, n));
    let agent = |n| AgentId::from_bytes(id(2, n));
    let visitor = |n| VisitorId::from_bytes(id(3, n));
    let states = [
        ConversationState::Queued,
        ConversationState::Offered,
        ConversationState::Active,
        ConversationState::Snoozed,
        ConversationState::Closed,
    ];
    let mut rows = vec![world.conversation_row()];
    for n in 0..120 {
        let mut row = world.conversation_row();
        row.conversation = ConversationId::from_bytes(id(4, n));
        // A visitor is one site's.
        let who = scatter(n) % 6;
        (row.visitor, row.site) = (visitor(who), site(who % 2));
        row.created_at = NOW.plus_ms(scatter(n + 1_000) % 40);
        row.state = ConversationState::Queued;
        store.write(vec![Write::Conversation(Box::new(row.clone()))]).await.unwrap();
        // It has been in other lists before.
        row.version = 2;
        row.state = states[usize::try_from(scatter(n + 2_000) % 5).unwrap()];
        row.assignee =
            (!scatter(n + 3_000).is_multiple_of(4)).then(|| agent(scatter(n + 4_000) % 3));
        store.write(vec![Write::Conversation(Box::new(row.clone()))]).await.unwrap();
        rows.push(row);
    }
    rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.conversation)));
    let passes = |row: &&ConversationRow, filter: &ConversationFilter| {
        filter.state.is_none_or(|state| row.state == state)
            && !(filter.live && row.state == ConversationState::Closed)
            && filter.site.is_none_or(|site| row.site == site)
            && filter.visitor.is_none_or(|visitor| row.visitor == visitor)
            && filter.assignee.is_none_or(|agent| row.assignee == Some(agent))
    };
    for state in [None, Some(states[0]), Some(states[4])] {
        for site in [None, Some(site(0)), Some(site(7))] {
            for visitor in [None, Some(visitor(2)), Some(visitor(3))] {
                for assignee in [None, Some(agent(1)), Some(agent(9))] {
                    for live in [false, true] {
                        let filter = ConversationFilter { state, live, site, visitor, assignee };
                        let expected: Vec<_> = rows
                            .iter()
                            .filter(|row| passes(row, &filter))
                            .map(|row| row.conversation)
                            .collect();
                        let mut listed = Vec::new();
                        let mut at = Page { limit: 7, after: None };
                        loop {
                            let page = store.conversations(tenant, &filter, at).await.unwrap();
                            let Some(last) = page.last() else { break };
                            at.after = Some(last.conversation);
                            let left = expected.len() - listed.len();
                            assert_eq!(page.len(), left.min(7), "a page is full: {filter:?}");
                            listed.extend(page.iter().map(|row| row.conversation));
                        }
                        assert_eq!(listed, expected, "{filter:?}");
                    }
                }
            }
        }
    }
}

pub(super) async fn a_place_in_another_tenants_list_says_nothing(store: &dyn Store) {
    let world = World::new(45);
    world.settle(store).await;
    let tenant = world.tenant;
    store.change(vec![Change::create(world.agent_row())]).await.unwrap();
    // Made later than all of ours: its place in the tables must not show.
    let stranger = World::new(43);
    stranger.settle(store).await;
    store.change(vec![Change::create(stranger.agent_row())]).await.unwrap();
    let foreign = Page { limit: 9, after: Some(stranger.site) };
    assert_eq!(store.sites(tenant, foreign).await.unwrap(), [world.site_row()]);
    let foreign = Page { limit: 9, after: Some(stranger.agent) };
    assert_eq!(store.agents(tenant, foreign).await.unwrap(), [world.agent_row()]);
    let foreign = Page { limit: 9, after: Some(stranger.visitor) };
    assert_eq!(store.visitors(tenant, foreign).await.unwrap(), []);
    let foreign = Page { limit: 9, after: Some(stranger.conversation) };
    let everything = ConversationFilter::default();
    assert_eq!(store.conversations(tenant, &everything, foreign).await.unwrap(), []);
}
