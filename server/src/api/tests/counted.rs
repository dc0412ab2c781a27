//! Who signs in and whose key is refused is counted, by what it came to.

use protocol::ids::KeyId;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::world::{By, Company, KEY_REQUESTS_BURST, NOW, PASSWORD, World, send};
use crate::auth::{Scope, new_tenant_key};
use crate::metrics::{KeyRefused, SignIn};
use crate::store::{Change, KeyRow};

#[tokio::test]
async fn sign_ins_are_counted_by_their_result() {
    let world = World::new().await;
    let counts = || {
        [SignIn::Ok, SignIn::Refused, SignIn::Throttled]
            .map(|result| world.state.metrics.sign_ins_total.of(result).get())
    };
    let email = world.a.agent.email.expose().clone();
    world.login(&email, PASSWORD).await.expect(201);
    assert_eq!(counts(), [1, 0, 0]);
    world.login(&email, "not the password").await.expect(401);
    world.login("nobody@example.test", PASSWORD).await.expect(401);
    assert_eq!(counts(), [1, 2, 0], "a wrong password and a wrong address look the same");
    world.login("no address", PASSWORD).await.expect(422);
    assert_eq!(counts(), [1, 2, 0], "that was no attempt");
    let mut refused = 2;
    while world.login(&email, "not the password").await.status != 429 {
        refused += 1;
    }
    assert_eq!(counts(), [1, refused, 1]);
}

/// A key of this Organization with these scopes.
async fn key_of(world: &World, company: &Company, scopes: &[Scope]) -> By {
    let key = new_tenant_key();
    let row = KeyRow {
        key: KeyId::from_uuid(world.state.new_uuid()),
        tenant: Some(company.tenant),
        name: String::from("narrow"),
        scopes: scopes.iter().map(|scope| scope.word().to_owned()).collect(),
        secret: key.hash,
        created_at: NOW,
    };
    world.state.writes().change(vec![Change::create(row)]).await.unwrap();
    By::key(key.text.expose_secret())
}

#[tokio::test]
async fn refused_keys_are_counted_by_the_reason() {
    let world = World::new().await;
    let kinds =
        [KeyRefused::Unknown, KeyRefused::Misplaced, KeyRefused::Scope, KeyRefused::Throttled];
    let counts = || kinds.map(|reason| world.state.metrics.keys_refused_total.of(reason).get());
    let narrow = key_of(&world, &world.a, &[Scope::SitesRead]).await;
    world.get(&narrow, "/v1/sites").await.expect(200);
    world.get(&By::nobody(), "/v1/sites").await.expect(401);
    send(&world.admin, &By::nobody(), "GET", "/v1/tenants", None).await.expect(401);
    assert_eq!(counts(), [0; 4], "a good key, and none");
    for text in ["lhk_0123", "lho_0123", "no key at all"] {
        world.get(&By::key(text), "/v1/sites").await.expect(401);
    }
    send(&world.admin, &By::key("lho_0123"), "GET", "/v1/tenants", None).await.expect(401);
    assert_eq!(counts(), [4, 0, 0, 0]);
    world.get(&world.by_operator, "/v1/sites").await.expect(401);
    send(&world.admin, &world.a.by_key, "GET", "/v1/tenants", None).await.expect(401);
    assert_eq!(counts(), [4, 2, 0, 0]);
    world.get(&narrow, "/v1/tags").await.expect_code(403, "missing-scope");
    world.post(&narrow, "/v1/tags", json!({ "name": "T" })).await.expect(403);
    assert_eq!(counts(), [4, 2, 2, 0]);
    let mut left = 2 * KEY_REQUESTS_BURST;
    while world.get(&narrow, "/v1/sites").await.status != 429 {
        left -= 1;
        assert!(left > 0, "the limit of a key holds");
    }
    assert_eq!(counts(), [4, 2, 2, 1]);
}
