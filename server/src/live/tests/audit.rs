//! Every route that changes something leaves an entry in the audit, or stands in a short list.

use super::*;
use crate::keys::content_hash;
use crate::privacy::audit::{ChainId, Entry, Verifier};

/// Routes without an entry, with the reason.
const NO_ENTRY: [(&str, &[&str]); 4] = [
    ("it changes nothing", &["POST /v1/invitations/lookup", "POST /v1/password-resets/lookup"]),
    ("a counter", &["POST /v1/canned-responses/{canned_response_id}/use"]),
    (
        "content, not acts",
        &["POST /v1/conversations", "POST /v1/conversations/{conversation_id}/messages"],
    ),
    (
        "the conversation itself says who has had it when",
        &[
            "POST /v1/conversations/{conversation_id}/close",
            "POST /v1/conversations/{conversation_id}/reopen",
            "POST /v1/conversations/{conversation_id}/assign",
            "POST /v1/conversations/{conversation_id}/transfer",
            "POST /v1/conversations/{conversation_id}/take-over",
            "POST /v1/conversations/{conversation_id}/withdraw",
            "PUT /v1/conversations/{conversation_id}/tags",
        ],
    ),
];

/// The Organization's chain and the operator's, the oldest entry first; both whole.
async fn chains(world: &World) -> Vec<Entry> {
    let mut all = Vec::new();
    for chain in [ChainId::of(world.ids.tenant), ChainId::OPERATOR] {
        let mut entries = world.store.audit(chain, None, 100).await.unwrap();
        entries.reverse();
        let mut verifier = Verifier::new(chain, content_hash, &[]);
        entries.iter().for_each(|entry| verifier.add(entry).unwrap());
        all.extend(entries);
    }
    all
}

#[tokio::test]
async fn every_route_that_changes_something_leaves_an_entry_with_its_actor() {
    let mut without: BTreeSet<String> = BTreeSet::new();
    for route in routes() {
        let act = format!("{} {}", route.1, route.2);
        let world = World::new(Kind::Memory).await;
        prepare(&world, &route.2).await;
        let before = chains(&world).await.len();
        let answer = send(&world, &ask(&world, &route), POLLS_MAX).await;
        let (status, _, words) = text(answer.expect("it has answered by then")).await;
        assert!((200..300).contains(&status), "{act}: {status} {words}");
        world.state.acts().ended().await;
        let after = chains(&world).await;
        if after.len() == before {
            without.insert(act);
            continue;
        }
        for entry in &after {
            assert_ne!((entry.actor_kind, entry.actor), (0, [0; 16]), "{act}");
            assert_eq!(entry.at, NOW, "{act}");
        }
        // Nothing personal has a place in it.
        let shown = format!("{after:?}");
        for text in ["grace", "Grace", "example.test", "New shop", "Ivy"] {
            assert!(!shown.contains(text), "{act}: {shown}");
        }
    }
    let listed = NO_ENTRY.iter().flat_map(|(_, acts)| acts.iter());
    let listed: BTreeSet<String> = listed.map(|act| (*act).to_owned()).collect();
    assert_eq!(without, listed, "an act has an entry, or a reason why it has none");
}

#[tokio::test]
async fn a_request_that_is_refused_leaves_no_entry() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let world = World::new(kind).await;
        let before = chains(&world).await;
        let wrong = json!({ "name": "" });
        let (status, _) = world.program("POST", "/v1/tags", false, Some(wrong)).await;
        assert_eq!(status, 422);
        let label = json!({ "name": "Billing" });
        let (status, made) = world.program("POST", "/v1/tags", false, Some(label.clone())).await;
        assert_eq!(status, 201, "{made}");
        let (status, _) = world.program("POST", "/v1/tags", false, Some(label)).await;
        assert_eq!(status, 409);
        assert_eq!(chains(&world).await.len(), before.len() + 1);
    }
}
