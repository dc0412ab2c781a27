//! The committed OpenAPI documents are what the routers serve.

use std::path::Path;

use axum::body::Body;
use http::Request;
use serde_json::json;

use super::super::{openapi_files, request::BODY_BYTES_MAX};
use super::world::{By, World, answer, send};

#[test]
fn the_committed_documents_are_what_the_routers_serve() {
    for (name, now) in openapi_files().unwrap() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == now,
            "docs/{name} is not what the router serves: cargo run -p livehelp --example openapi docs"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_a_problem_that_says_what_to_do() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    world.get(by, "/v1/nothing").await.expect_code(404, "not-found");
    let wrong = world.post(by, "/v1/sessions/current", json!({})).await;
    let wrong = wrong.expect_code(405, "method-not-allowed");
    assert!(wrong.header("allow").contains("GET"), "{wrong:?}");
    let missing = world.post(by, "/v1/sites", json!({ "name": "S" })).await;
    assert_eq!(missing.expect_code(422, "invalid").json()["field"], "origins");
    let mistyped = world.post(by, "/v1/sites", json!({ "name": 7, "origins": [] })).await;
    assert_eq!(mistyped.expect_code(422, "invalid").json()["field"], "name");
    let unknown = json!({ "name": "S", "origins": [], "colour": "red" });
    world.post(by, "/v1/sites", unknown).await.expect_code(422, "invalid");
    world.get(by, "/v1/sites?limit=0").await.expect_code(400, "malformed-query");
    world.get(by, "/v1/sites?limit=101").await.expect_code(400, "malformed-query");
    let raw = |kind: &'static str, body: String| {
        let request = Request::post("/v1/sites")
            .header("cookie", by.cookie.clone().unwrap())
            .header("origin", by.origin.unwrap())
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap();
        answer(&world.public, request)
    };
    raw("application/json", String::from("{")).await.expect_code(400, "malformed-json");
    raw("application/json", String::from("{} {}")).await.expect(422);
    raw("application/json", String::from("[")).await.expect_code(400, "malformed-json");
    raw("text/plain", String::from("{}")).await.expect_code(415, "not-json");
    let large = format!("\"{}\"", "a".repeat(BODY_BYTES_MAX));
    raw("application/json", large).await.expect_code(413, "too-large");
}

#[tokio::test]
async fn every_answer_keeps_out_of_caches_and_frames() {
    let world = World::new().await;
    for path in ["/v1/sites", "/v1/nothing"] {
        let answer = world.get(&world.a.by_admin, path).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn a_create_that_is_sent_again_happens_once() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    let body = json!({ "name": "Second shop", "origins": ["https://second.example"] });
    let once = by.clone().once("try-1");
    let first = world.post(&once, "/v1/sites", body.clone()).await.expect(201);
    assert_eq!(first.header("idempotent-replayed"), "");
    let again = world.post(&once, "/v1/sites", body.clone()).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json(), first.json());
    let other = json!({ "name": "Third shop", "origins": [] });
    let other = world.post(&once, "/v1/sites", other).await;
    other.expect_code(409, "idempotency-conflict");
    let sites = world.get(by, "/v1/sites").await.json();
    assert_eq!(sites["items"].as_array().unwrap().len(), 2);
    // Another's key of the same spelling is another key.
    world
        .post(&world.b.by_admin.clone().once("try-1"), "/v1/sites", body.clone())
        .await
        .expect(201);
    let empty = world.post(&by.clone().once(" "), "/v1/sites", body).await;
    empty.expect_code(422, "invalid");
    // What was refused may be tried again with the same key.
    let refused = by.clone().once("try-2");
    world.post(&refused, "/v1/tags", json!({ "name": "" })).await.expect(422);
    world.post(&refused, "/v1/tags", json!({ "name": "T" })).await.expect(201);
}

#[tokio::test]
async fn the_same_create_twice_at_once_happens_once() {
    let world = World::new().await;
    let by = world.a.by_admin.clone().once("both");
    let body = json!({ "name": "Twin shop", "origins": [] });
    let post = || world.post(&by, "/v1/sites", body.clone());
    let (one, two) = tokio::join!(post(), post());
    // The later one is asked to come again, or gets the earlier one's answer if that was done by
    // then.
    let answer = post().await.expect(201).json();
    for made in [one, two] {
        assert!(made.status == 409 || made.json() == answer, "{made:?}");
    }
    let sites = world.get(&world.a.by_admin, "/v1/sites").await.json();
    assert_eq!(sites["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_organization_is_created_once_too() {
    let world = World::new().await;
    let body = json!({ "name": "New Ltd", "privacy_contact": "https://new.example/privacy" });
    let once = world.by_operator.clone().once("tenant-1");
    let post = |by: By, body| async {
        send(&world.admin, &{ by }, "POST", "/v1/tenants", Some(body)).await
    };
    let first = post(once.clone(), body.clone()).await.expect(201);
    let again = post(once, body).await.expect(201);
    assert_eq!(first.json(), again.json());
}

#[tokio::test]
async fn a_list_is_read_page_by_page_to_its_end() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    for n in 0..4 {
        let body = json!({ "name": format!("shop {n}"), "origins": [] });
        world.post(by, "/v1/sites", body).await.expect(201);
    }
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(by, &format!("/v1/sites?limit=2{cursor}")).await.expect(200).json();
        for site in page["items"].as_array().unwrap() {
            names.push(site["name"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    names.sort();
    assert_eq!(names, ["ada's shop", "shop 0", "shop 1", "shop 2", "shop 3"]);
}
