//! The audit: an entry stands with its act or not at all, and each chain is whole.

use protocol::ids::{KeyId, TagId};

use super::{NOW, World};
use crate::privacy::audit::{Act, Action, Actor, ActorKind, ChainId, Entry, ObjectKind, Verifier};
use crate::privacy::seal::Sealer;
use crate::store::{Change, ClockAct, Store, StoreError, TagRow};

fn act(world: &World, tag: u8) -> Change {
    let actor = Actor::new(ActorKind::Agent, *world.agent.as_bytes());
    let act = Act::new(ChainId::of(world.tenant), NOW, actor, Action::TagCreated);
    Change::audit(act.on(ObjectKind::Tag, [tag; 16]))
}

fn tag(world: &World, n: u8, name: &str) -> Change {
    let tag = TagId::from_bytes([n; 16]);
    Change::create(TagRow { tag, tenant: world.tenant, name: name.to_owned() })
}

/// The whole chain, verified, the oldest entry first.
async fn whole(store: &dyn Store, sealer: &dyn Sealer, chain: ChainId) -> Vec<Entry> {
    let mut entries = store.audit(chain, None, 1_000).await.unwrap();
    entries.reverse();
    let mut verifier = Verifier::new(chain, |bytes: &[u8]| sealer.sum(bytes), &[]);
    entries.iter().for_each(|entry| verifier.add(entry).unwrap());
    assert_eq!(verifier.end(), Ok(u64::try_from(entries.len()).unwrap()));
    entries
}

pub(super) async fn an_act_and_its_entry_stand_together_or_not_at_all(
    store: &dyn Store,
    sealer: &dyn Sealer,
) {
    let (world, other) = (World::new(120), World::new(121));
    world.settle(store).await;
    other.settle(store).await;
    let (chain, others) = (ChainId::of(world.tenant), ChainId::of(other.tenant));
    store.change(vec![tag(&world, 210, "first"), act(&world, 210)]).await.unwrap();
    store.change(vec![act(&other, 211)]).await.unwrap();
    // A refused batch leaves none, wherever the entry stands in it.
    for changes in [
        vec![act(&world, 212), tag(&world, 212, "first")],
        vec![tag(&world, 213, "second"), act(&world, 213), tag(&world, 214, "first")],
    ] {
        let refused = store.change(changes).await;
        assert_eq!(refused, Err(StoreError::Exists { what: "name" }));
    }
    store.change(vec![act(&world, 215), act(&world, 216)]).await.unwrap();
    let entries = whole(store, sealer, chain).await;
    let objects: Vec<_> = entries.iter().map(|entry| entry.objects[0].1[0]).collect();
    assert_eq!(objects, [210, 215, 216]);
    assert_eq!(whole(store, sealer, others).await.len(), 1, "each has its own");
    assert_eq!(store.tags(world.tenant).await.unwrap().len(), 1);
    // In pages, the newest first.
    let page = store.audit(chain, None, 2).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [3, 2]);
    let page = store.audit(chain, Some(2), 2).await.unwrap();
    assert_eq!(page, entries[..1]);
}

pub(super) async fn a_chain_has_no_gaps_however_many_write_at_once(
    store: &dyn Store,
    sealer: &dyn Sealer,
) {
    let world = World::new(122);
    world.settle(store).await;
    let write = |n| store.change(vec![act(&world, n), act(&world, n)]);
    let outcomes = futures_util::future::join_all((1..=40).map(write)).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let entries = whole(store, sealer, ChainId::of(world.tenant)).await;
    assert_eq!(entries.len(), 80);
    for both in entries.as_chunks::<2>().0 {
        assert_eq!(both[0].objects, both[1].objects, "a batch is written in one piece");
    }
}

pub(super) async fn the_operators_word_on_the_clock_stands_in_their_chain(
    store: &dyn Store,
    sealer: &dyn Sealer,
) {
    let before = whole(store, sealer, ChainId::OPERATOR).await.len();
    let key = KeyId::from_bytes([123; 16]);
    let wall = store.high_water().await.unwrap().max(NOW);
    assert!(store.clock_act(ClockAct { key, wall, lower: false }).await.unwrap());
    let entries = whole(store, sealer, ChainId::OPERATOR).await;
    assert_eq!(entries.len(), before + 1);
    let last = entries.last().unwrap();
    assert_eq!((last.action, last.actor), (Action::ClockConfirmed.code(), [123; 16]));
}
