//! Who gets in, and that no Organization sees another.

use axum::http::Request;
use axum::response::IntoResponse as _;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::access::Anyone;
use super::super::{openapi, openapi_admin, sessions};
use super::world::{Answer, By, CANARY, Company, DAY_MS, ORIGIN, PASSWORD, World, send, token};
use crate::auth::{Scope, hash_password};
use crate::store::AgentRow;

/// An operation of a contract: id, method, path with its ids filled in, a body that is well-formed.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    has_id: bool,
    public: bool,
    pub(super) body: Option<Value>,
}

/// Every operation with the ids of this Organization.
pub(super) fn operations(contract: &utoipa::openapi::OpenApi, of: &Company) -> Vec<Operation> {
    let contract = serde_json::to_value(contract).unwrap();
    let mut operations = Vec::new();
    for (template, item) in contract["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = template
                .replace("{agent_id}", &of.agent.agent.to_string())
                .replace("{session_id}", &of.session.to_string())
                .replace("{invitation_id}", "inv_018fb4c27a3f7cc19d4e5b2a6f708192")
                .replace("{site_id}", &of.site.site.to_string())
                .replace("{site_key}", of.site.site_key.as_str())
                .replace("{conversation_id}", &of.conversation.to_string())
                .replace("{message_id}", &of.messages[0].to_string())
                .replace("{canned_response_id}", "can_018fb4c27a3f7cc19d4e5b2a6f708192")
                .replace("{privacy_request_id}", "prq_018fb4c27a3f7cc19d4e5b2a6f708192")
                .replace("{tag_id}", &of.tag.to_string())
                .replace("{visitor_id}", &of.visitor.to_string())
                .replace("{key_id}", &of.key.to_string())
                .replace("{tenant_id}", &of.tenant.to_string());
            assert!(!path.contains('{'), "{path}");
            let id = operation["operationId"].as_str().unwrap().to_owned();
            operations.push(Operation {
                body: body(&id, of),
                public: operation["security"] == json!([{}]),
                has_id: template.contains('{'),
                id,
                method: method.clone(),
                path,
            });
        }
    }
    assert!(operations.len() > 8);
    operations
}

fn body(operation: &str, of: &Company) -> Option<Value> {
    Some(match operation {
        "create_session" => json!({ "email": "a@example.test", "password": PASSWORD }),
        "update_agent" => json!({ "capacity": 7 }),
        "set_agent_password" => {
            json!({ "current_password": PASSWORD, "new_password": "another long one" })
        }
        "create_invitation" | "create_tenant_invitation" => {
            json!({ "email": "new@example.test", "role": "agent" })
        }
        "lookup_invitation" => json!({ "token": "lhi_0" }),
        "accept_invitation" => json!({ "token": "lhi_0", "name": "N", "password": PASSWORD }),
        "lookup_password_reset" => json!({ "token": "lhp_0" }),
        "use_password_reset" => json!({ "token": "lhp_0", "password": PASSWORD }),
        "create_tenant_password_reset" => json!({ "email": "a@example.test" }),
        "create_site" => json!({ "name": "S", "origins": [] }),
        "create_tenant_site" => json!({ "name": "S", "origins": [], "plan": "team" }),
        "update_site" => json!({ "name": "changed" }),
        "set_site_plan" => json!({ "plan": "team" }),
        "assign_conversation" | "transfer_conversation" => json!({ "agent_id": of.agent.agent }),
        "set_conversation_tags" => json!({ "tags": [of.tag] }),
        "create_message" => json!({ "text": "hello" }),
        "create_canned_response" => json!({ "shortcut": "s", "title": "T", "text": "words" }),
        "update_canned_response" => json!({ "title": "T2" }),
        "create_privacy_request" => json!({ "kind": "access", "visitor_id": of.visitor }),
        "verify_privacy_request" => json!({ "proof": "a call" }),
        "refuse_privacy_request" => json!({ "refusal": "not-ours", "answer": "Ask them." }),
        "close_privacy_request" => json!({ "answer": "Here it is." }),
        "create_suppression" => {
            json!({ "kind": "email", "identifier": "gone@example.test", "basis": "erasure" })
        }
        "lift_suppression" => {
            json!({ "kind": "email", "identifier": "gone@example.test", "proof": "a letter" })
        }
        "create_tag" => json!({ "name": "T" }),
        "update_tag" => json!({ "name": "T2" }),
        "take_over_conversation" => {
            json!({ "from": of.admin.agent, "agent_id": of.agent.agent })
        }
        "create_conversation" => json!({
            "site_id": of.site.site, "visitor_id": of.visitor, "message": { "text": "hello" } }),
        "create_backup" => json!({ "to": "/nowhere" }),
        "create_operator_key" => json!({ "name": "K", "scopes": ["sites:read"] }),
        "create_key" => json!({ "name": "K", "scopes": ["sites:read"] }),
        "create_tenant" => json!({ "name": "T", "privacy_contact": "p@example.test" }),
        _ => return None,
    })
}

#[tokio::test]
async fn no_route_shows_or_changes_another_organizations_things() {
    let world = World::new().await;
    let ids = [
        world.a.tenant.to_string(),
        world.a.site.site.to_string(),
        world.a.agent.agent.to_string(),
        world.a.conversation.to_string(),
        world.a.visitor.to_string(),
        world.a.tag.to_string(),
        world.a.key.to_string(),
        world.a.session.to_string(),
    ];
    for operation in operations(&openapi(), &world.a) {
        for by in [&world.b.by_admin, &world.b.by_key] {
            let Operation { id, method, path, has_id, public, body } = &operation;
            // Ending one's own session ends the test's.
            if *public || id == "delete_current_session" {
                continue;
            }
            let answer = send(&world.public, by, method, path, body.clone()).await;
            if *has_id {
                let person_only = answer.status == 403 && by.key.is_some();
                assert!(answer.status == 404 || person_only, "{method} {path}: {answer:?}");
            }
            assert!(!ids.iter().any(|id| answer.text.contains(id)), "{method} {path}: {answer:?}");
        }
    }
    assert_eq!(
        world.get(&world.a.by_admin, "/v1/tags").await.json()["items"][0]["name"],
        "ada-label"
    );
    let site = format!("/v1/sites/{}", world.a.site.site);
    assert_eq!(world.get(&world.a.by_admin, &site).await.json()["name"], "ada's shop");
    world.get(&world.a.by_key, "/v1/tags").await.expect(200);
    let asked = world.asked();
    assert!(!asked.iter().any(|line| ids.iter().any(|id| line.contains(id))), "{asked:?}");
}

#[tokio::test]
async fn every_route_wants_to_know_who_asks() {
    let world = World::new().await;
    let strangers = [
        By::nobody(),
        By::cookie("lhs_0000"),
        By::key("lhk_0000"),
        By::key("nonsense"),
        world.by_operator.clone(),
    ];
    for operation in operations(&openapi(), &world.a) {
        for by in strangers.iter().filter(|_| !operation.public) {
            let Operation { method, path, body, .. } = &operation;
            let answer = send(&world.public, by, method, path, body.clone()).await;
            answer.expect_code(401, "not-authenticated");
        }
    }
    let others = [By::nobody(), world.a.by_admin.clone(), world.a.by_key.clone()];
    for operation in operations(&openapi_admin(), &world.a) {
        for by in &others {
            let Operation { method, path, body, .. } = &operation;
            let answer = send(&world.admin, by, method, path, body.clone()).await;
            answer.expect_code(401, "not-authenticated");
        }
    }
}

#[tokio::test]
async fn a_key_opens_only_what_its_scopes_name() {
    let world = World::new().await;
    for operation in operations(&openapi(), &world.a) {
        let Operation { id, method, path, body, public, .. } = &operation;
        if *public {
            continue;
        }
        let answer = send(&world.public, &world.a.by_poor_key, method, path, body.clone()).await;
        let code = answer.code();
        assert!(answer.status == 403, "{id}: {answer:?}");
        assert!(code == "missing-scope" || code == "forbidden", "{id}: {answer:?}");
    }
}

#[tokio::test]
async fn an_agent_does_not_set_up_the_organization() {
    let world = World::new().await;
    let admin_only = [
        "create_site",
        "update_site",
        "create_invitation",
        "list_invitations",
        "delete_invitation",
        "create_key",
        "list_keys",
        "delete_key",
        "list_suppressions",
        "create_suppression",
        "lift_suppression",
    ];
    for operation in operations(&openapi(), &world.a) {
        let Operation { id, method, path, body, .. } = &operation;
        if admin_only.contains(&id.as_str()) {
            let answer = send(&world.public, &world.a.by_agent, method, path, body.clone()).await;
            answer.expect_code(403, "forbidden");
        }
    }
    let other = format!("/v1/agents/{}", world.a.admin.agent);
    world.patch(&world.a.by_agent, &other, json!({ "name": "X" })).await.expect(403);
    let me = format!("/v1/agents/{}", world.a.agent.agent);
    world.patch(&world.a.by_agent, &me, json!({ "role": "admin" })).await.expect(403);
    let mine = world.patch(&world.a.by_agent, &me, json!({ "name": " Eve " })).await.expect(200);
    assert_eq!(mine.json()["name"], "Eve");
}

#[tokio::test]
async fn a_cookie_acts_only_from_the_consoles_own_pages() {
    let world = World::new().await;
    let tag = |by: By| {
        let world = &world;
        async move { world.post(&by, "/v1/tags", json!({ "name": "T" })).await }
    };
    let by = &world.a.by_admin;
    for foreign in [None, Some("https://evil.example"), Some("null"), Some("http://127.0.0.1:8082")]
    {
        tag(by.clone().from(foreign)).await.expect_code(403, "origin-not-allowed");
    }
    tag(by.clone().from(Some(ORIGIN))).await.expect(201);
    world.get(&by.clone().from(None), "/v1/tags").await.expect(200);
    // A page elsewhere cannot sign a visitor's browser in either.
    let body = json!({ "email": "a@example.test", "password": PASSWORD });
    let foreign = By::nobody().from(Some("https://evil.example"));
    world.post(&foreign, "/v1/sessions", body).await.expect_code(403, "origin-not-allowed");
}

#[tokio::test]
async fn signing_in_gives_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let world = World::new().await;
    let email = format!(" {} ", world.a.admin.email.expose().to_uppercase());
    let answer = world.login(&email, PASSWORD).await.expect(201);
    let cookie = answer.header("set-cookie");
    for part in ["Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=1209600"] {
        assert!(cookie.split("; ").any(|given| given == part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "plain HTTP on loopback: {cookie}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let by = By::cookie(&token(&answer));
    let current = world.get(&by, "/v1/sessions/current").await.expect(200);
    assert_eq!(current.json(), answer.json());
    assert_eq!(current.json()["tenant"]["name"], "ada Ltd");
    assert_eq!(current.json()["agent"]["role"], "admin");
    let mine = world.get(&by, "/v1/sessions").await.expect(200).json();
    assert_eq!(mine["items"].as_array().unwrap().len(), 2);
    let out = world.delete(&by, "/v1/sessions/current").await.expect(204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    world.get(&by, "/v1/sessions/current").await.expect_code(401, "not-authenticated");
    assert!(world.asked().iter().any(|line| line.starts_with("session_ended ")));
    let mut state = world.state.clone();
    let tls = "https://chat.example";
    state.public_url = std::sync::Arc::new(crate::origin::PublicUrl::set(tls).unwrap());
    let router = super::super::public_router(state);
    let body = json!({ "email": email, "password": PASSWORD });
    let by = By::nobody().from(Some(tls));
    let answer = send(&router, &by, "POST", "/v1/sessions", Some(body)).await.expect(201);
    assert!(answer.header("set-cookie").ends_with("; Secure"));
}

#[tokio::test]
async fn a_browser_that_asks_over_tls_gets_a_cookie_for_tls_alone() {
    let world = World::new().await;
    let login = json!({ "email": world.a.admin.email.expose(), "password": PASSWORD }).to_string();
    for (secure, method, path) in [
        (true, "POST", "/v1/sessions"),
        (true, "DELETE", "/v1/sessions/current"),
        (false, "POST", "/v1/sessions"),
    ] {
        let token = world.a.by_admin.cookie.clone().unwrap();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1:8080")
            .header("origin", ORIGIN)
            .header("cookie", token)
            .header("content-type", "application/json")
            .body(axum::body::Body::from(login.clone()))
            .unwrap();
        let ip = std::net::IpAddr::from([203, 0, 113, 9]);
        request.extensions_mut().insert(crate::http::Peer { ip, secure });
        let answer = super::world::answer(&world.public, request).await;
        let cookie = answer.header("set-cookie");
        assert_eq!(cookie.ends_with("; Secure"), secure, "{method}: {cookie}");
        assert_eq!(cookie.starts_with("__Host-livehelp_session="), secure, "{method}: {cookie}");
    }
}

#[tokio::test]
async fn a_program_neither_makes_nor_changes_admins() {
    let world = World::new().await;
    let by = &world.a.by_key;
    let invite = |role: &str| json!({ "email": format!("{role}@example.test"), "role": role });
    world.post(by, "/v1/invitations", invite("admin")).await.expect_code(403, "forbidden");
    world.post(by, "/v1/invitations", invite("supervisor")).await.expect(201);
    world.post(&world.a.by_admin, "/v1/invitations", invite("admin")).await.expect(201);
    let agent = format!("/v1/agents/{}", world.a.agent.agent);
    let admin = format!("/v1/agents/{}", world.a.admin.agent);
    let refused = [
        (&agent, json!({ "role": "admin" })),
        (&admin, json!({ "role": "agent" })),
        (&admin, json!({ "state": "deactivated" })),
    ];
    for (path, change) in refused {
        world.patch(by, path, change).await.expect_code(403, "forbidden");
    }
    world.patch(by, &agent, json!({ "role": "supervisor" })).await.expect(200);
    world.patch(by, &admin, json!({ "capacity": 2 })).await.expect(200);
    let stays = world.get(&world.a.by_admin, &admin).await.expect(200).json();
    assert_eq!((&stays["role"], &stays["state"]), (&json!("admin"), &json!("active")));
}

#[tokio::test]
async fn operator_keys_are_made_listed_and_deleted_and_the_last_one_stays() {
    let world = World::new().await;
    let ask = async |by: &By, method: &str, path: &str, body: Option<Value>| {
        send(&world.admin, by, method, path, body).await
    };
    let by = &world.by_operator;
    let keys = "/v1/operator-keys";
    let first = ask(by, "GET", keys, None).await.expect(200).json();
    let first = format!("{keys}/{}", first["items"][0]["key_id"].as_str().unwrap());
    ask(by, "DELETE", &first, None).await.expect_code(409, "last-key");

    let new = json!({ "name": "deploys", "scopes": ["tenants:read", "operator-keys:manage"] });
    let once = by.clone().once("key-1");
    let made = ask(&once, "POST", keys, Some(new.clone())).await.expect(201);
    let again = ask(&once, "POST", keys, Some(new)).await.expect(201);
    assert_eq!(made.text, again.text);
    let text = made.json()["text"].as_str().unwrap().to_owned();
    let second = By::key(&text);
    ask(&second, "GET", "/v1/tenants", None).await.expect(200);
    ask(&second, "GET", "/v1/clock", None).await.expect_code(403, "missing-scope");
    world.get(&second, "/v1/tags").await.expect(401);
    let listed = ask(&second, "GET", keys, None).await.expect(200);
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 2);
    assert!(!listed.text.contains(&text), "its text is shown once");

    let more = json!({ "name": "all", "scopes": ["sites:write"] });
    ask(&second, "POST", keys, Some(more)).await.expect_code(403, "missing-scope");
    let too_many = json!(vec!["tenants:read"; Scope::ALL.len() + 1]);
    for scopes in [json!([]), json!(["conversations:read"]), too_many] {
        let wrong = json!({ "name": "x", "scopes": scopes });
        ask(by, "POST", keys, Some(wrong)).await.expect_code(422, "invalid");
    }
    let poor = json!({ "name": "reader", "scopes": ["sites:read"] });
    let poor = ask(by, "POST", keys, Some(poor)).await.expect(201).json();
    let poor_by = By::key(poor["text"].as_str().unwrap());
    ask(&poor_by, "GET", keys, None).await.expect_code(403, "missing-scope");
    ask(&poor_by, "DELETE", &first, None).await.expect_code(403, "missing-scope");

    ask(&second, "DELETE", &first, None).await.expect(204);
    ask(&second, "DELETE", &first, None).await.expect(404);
    ask(by, "GET", keys, None).await.expect_code(401, "not-authenticated");
    let tenant_key = format!("{keys}/{}", world.a.key);
    ask(&second, "DELETE", &tenant_key, None).await.expect(404);
    let own = format!("{keys}/{}", made.json()["key_id"].as_str().unwrap());
    ask(&second, "DELETE", &own, None).await.expect_code(409, "last-key");
    world.get(&world.a.by_key, "/v1/tags").await.expect(200);
}

#[tokio::test]
async fn a_session_ends_by_time_by_its_owner_and_with_its_agent() {
    let world = World::new().await;
    let admin = format!("/v1/agents/{}", world.a.agent.agent);
    world.get(&world.a.by_agent, "/v1/sessions/current").await.expect(200);
    let change = json!({ "state": "deactivated" });
    world.patch(&world.a.by_admin, &admin, change).await.expect(200);
    world.get(&world.a.by_agent, "/v1/sessions/current").await.expect(401);
    let email = world.a.agent.email.expose();
    world.login(email, PASSWORD).await.expect_code(401, "login-refused");
    let session = format!("/v1/sessions/{}", world.a.session);
    world.delete(&world.b.by_admin, &session).await.expect(404);
    world.delete(&world.a.by_admin, &session).await.expect(204);
    world.get(&world.a.by_admin, "/v1/sites").await.expect(401);
    world.clock.advance_ms(14 * DAY_MS);
    world.get(&world.b.by_admin, "/v1/sites").await.expect(401);
}

#[tokio::test]
async fn an_agent_has_so_many_sessions_and_a_further_one_ends_the_oldest() {
    let world = World::new().await;
    let email = world.b.agent.email.expose();
    for _ in 0..29 {
        world.clock.advance_ms(1);
        let agent = world.b.agent.clone();
        let address = std::net::IpAddr::from([127, 0, 0, 1]);
        let client = String::from("Firefox");
        let anyone = Anyone { address, secure: false, client, devices: Vec::new() };
        sessions::begin(&world.state, agent, anyone, sessions::Proof::Password).await.unwrap();
    }
    world.get(&world.b.by_agent, "/v1/sessions").await.expect(200);
    let newest = By::cookie(&token(&world.login(email, PASSWORD).await.expect(201)));
    world.get(&world.b.by_agent, "/v1/sessions").await.expect(401);
    let mine = world.get(&newest, "/v1/sessions").await.expect(200).json();
    assert_eq!(mine["items"].as_array().unwrap().len(), 30);
    world.clock.advance_ms(14 * DAY_MS);
    let again = By::cookie(&token(&world.login(email, PASSWORD).await.expect(201)));
    let mine = world.get(&again, "/v1/sessions").await.expect(200).json();
    assert_eq!(mine["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_password_that_was_replaced_while_it_was_looked_at_begins_no_session() {
    let world = World::new().await;
    let looked_at = world.b.agent.clone();
    let hash = hash_password(&SecretString::from("another long password".to_owned())).unwrap();
    let stored = world
        .state
        .writes()
        .change(AgentRow::password(looked_at.tenant, looked_at.agent, hash).into());
    stored.await.unwrap();
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    let client = String::from("Firefox");
    let anyone = Anyone { address, secure: false, client, devices: Vec::new() };
    let begun = sessions::begin(&world.state, looked_at, anyone, sessions::Proof::Password).await;
    let refused = begun.unwrap_err().into_response();
    assert_eq!(refused.status(), http::StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_refused_login_does_not_say_why_and_soon_has_to_wait() {
    let world = World::new().await;
    let email = world.a.admin.email.expose().clone();
    let wrong = world.login(&email, "not his password").await.expect_code(401, "login-refused");
    let unknown = world.login("nobody@example.test", PASSWORD).await;
    assert_eq!((unknown.status, &unknown.text), (wrong.status, &wrong.text));
    for _ in 0..9 {
        world.login(&email, "not his password").await.expect(401);
    }
    let waits = world.login(&email, PASSWORD).await.expect_code(429, "too-fast");
    // One of ten in ten minutes comes back in one.
    assert_eq!(waits.header("retry-after"), "60");
    world.login(world.b.admin.email.expose(), PASSWORD).await.expect(201);
    world.clock.advance_ms(10 * 60 * 1000);
    world.login(&email, PASSWORD).await.expect(201);
}

#[tokio::test]
async fn problems_never_repeat_what_was_sent() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    let site = format!("/v1/sites/{}", world.a.site.site);
    let message = format!("/v1/conversations/{}/messages", world.a.conversation);
    let me = format!("/v1/agents/{}", world.a.admin.agent);
    let long = CANARY.repeat(800);
    let answers: Vec<Answer> = vec![
        world.login(&format!("{CANARY}@example.test"), CANARY).await,
        world.login(CANARY, CANARY).await,
        world.post(by, "/v1/sessions", json!({ "email": [CANARY], "password": CANARY })).await,
        world
            .post(by, "/v1/sessions", json!({ "email": "a@b", "password": CANARY, CANARY: 1 }))
            .await,
        world.post(by, "/v1/sessions", json!(CANARY)).await,
        world.post(by, "/v1/invitations", json!({ "email": CANARY, "role": "agent" })).await,
        world
            .post(by, "/v1/invitations", json!({ "email": "a@example.test", "role": CANARY }))
            .await,
        world.post(by, &message, json!({ "text": long })).await,
        world.post(by, &message, json!({ "text": "a", "message_id": CANARY })).await,
        world.post(by, &message, json!({ "text": "a", "visibility": CANARY })).await,
        world.patch(by, &site, json!({ "origins": [CANARY] })).await,
        world.patch(by, &site, json!({ "texts": { CANARY: CANARY } })).await,
        world.patch(by, &site, json!({ "texts": { "title": long } })).await,
        world.patch(by, &site, json!({ "form": { CANARY: "optional" } })).await,
        world.patch(by, &site, json!({ "form": { "name": CANARY } })).await,
        world.patch(by, &site, json!({ "notice": { "text": "", "url": CANARY } })).await,
        world.patch(by, &site, json!({ "redaction_patterns": [format!("({CANARY}")] })).await,
        world.patch(by, &me, json!({ "name": long })).await,
        world.patch(by, &me, json!({ "capacity": CANARY })).await,
        world.get(by, &format!("/v1/agents?cursor={CANARY}")).await,
        world.get(by, &format!("/v1/agents?{CANARY}=1")).await,
        world.get(by, &format!("/v1/conversations?state={CANARY}")).await,
        world.get(by, &format!("/v1/agents/{CANARY}")).await,
        world.get(by, &format!("/v1/{CANARY}")).await,
        world.get(&By::nobody(), &format!("/v1/widget/{CANARY}")).await,
    ];
    for answer in answers {
        assert!(answer.status.is_client_error(), "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(!answer.text.to_lowercase().contains(&CANARY.to_lowercase()), "{}", answer.text);
    }
    let shown = format!("{:?} {:?} {:?}", world.state, world.a.admin, world.a.site);
    assert!(!shown.to_lowercase().contains(&CANARY.to_lowercase()), "{shown}");
}
