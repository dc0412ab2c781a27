//! Signing in however an address and a password are typed, in as many Organizations as a person
//! works for, and the way back from a forgotten password.

use protocol::conversation::Role;
use protocol::ids::TenantId;
use protocol::personal::Personal;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::world::{Answer, By, Company, DAY_MS, NOW, ORIGIN, PASSWORD, World, agent, send, token};
use crate::auth::hash_password;
use crate::store::{AgentRow, Change, TenantRow};

fn nobody() -> By {
    By::nobody().from(Some(ORIGIN))
}

/// Another Organization with one agent, who has this address and password.
async fn further_tenant(world: &World, email: &str, password: &str) -> AgentRow {
    let state = &world.state;
    let tenant = TenantId::from_uuid(state.new_uuid());
    let row = TenantRow {
        tenant,
        name: format!("Company of {password}"),
        privacy_contact: Personal::new(String::from("privacy@example.test")),
        created_at: NOW,
    };
    state.writes().change(vec![Change::create(row)]).await.unwrap();
    let mut row = agent(state, tenant, "further", Role::Agent).await;
    row.email = Personal::new(email.to_owned());
    row.password_hash = hash_password(&SecretString::from(password.to_owned())).unwrap();
    state.writes().change(vec![row.clone().change()]).await.unwrap();
    state
        .writes()
        .change(AgentRow::password(tenant, row.agent, row.password_hash.clone()).into())
        .await
        .unwrap();
    row
}

fn secret(issued: &Value) -> String {
    let link = issued["link"].as_str().unwrap();
    link.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn whoever_works_for_nine_organizations_signs_in_to_each() {
    let world = World::new().await;
    let mut rows = Vec::new();
    for n in 0..9 {
        let password = format!("password number {n}");
        rows.push(further_tenant(&world, "busy@example.test", &password).await);
    }
    for (n, row) in rows.iter().enumerate() {
        let session = world.login("busy@example.test", &format!("password number {n}")).await;
        let session = session.expect(201).json();
        assert_eq!(session["tenant"]["tenant_id"], row.tenant.to_string());
        assert!(session.get("other_tenants").is_none(), "{session}");
    }
    world.login("busy@example.test", "password number 9").await.expect_code(401, "login-refused");
}

#[tokio::test]
async fn one_password_for_several_organizations_names_the_others_and_opens_the_one_asked_for() {
    let world = World::new().await;
    let first = further_tenant(&world, "busy@example.test", "one for all of them").await;
    let other = further_tenant(&world, "busy@example.test", "another one for that").await;
    let second = further_tenant(&world, "busy@example.test", "one for all of them").await;
    let session = world.login("busy@example.test", "one for all of them").await.expect(201).json();
    assert_eq!(session["tenant"]["tenant_id"], first.tenant.to_string());
    let others = session["other_tenants"].as_array().unwrap();
    assert_eq!(others.len(), 1);
    assert_eq!(others[0]["tenant_id"], second.tenant.to_string());
    let to = async |tenant: TenantId| {
        let body = json!({ "email": "busy@example.test", "password": "one for all of them",
            "tenant_id": tenant.to_string() });
        world.post(&nobody(), "/v1/sessions", body).await
    };
    let session = to(second.tenant).await.expect(201).json();
    assert_eq!(session["tenant"]["tenant_id"], second.tenant.to_string());
    to(other.tenant).await.expect_code(401, "login-refused");
    to(world.a.tenant).await.expect_code(401, "login-refused");
}

#[tokio::test]
async fn an_address_is_known_however_it_is_typed() {
    let world = World::new().await;
    // As an earlier release kept it: as typed, but for small letters.
    further_tenant(&world, "bj\u{f6}rn@xn--mller-kva.example", PASSWORD).await;
    further_tenant(&world, "mailto:carol@example.test", PASSWORD).await;
    let plain = world.a.agent.email.expose().clone();
    for typed in [
        format!("mailto:{plain}"),
        format!("\u{200b}{plain}\u{feff}"),
        format!(" <{}> ", plain.to_uppercase()),
        format!("\u{202a}{plain}\u{202c}"),
        String::from("BJO\u{308}RN@MU\u{308}LLER.example."),
        String::from("bj\u{f6}rn@XN--MLLER-KVA.example"),
        String::from("mailto:carol@example.test"),
    ] {
        world.login(&typed, PASSWORD).await.expect(201);
    }
    let invite = async |email: &str| {
        let body = json!({ "email": email, "role": "agent" });
        world.post(&world.a.by_admin, "/v1/invitations", body).await
    };
    invite(&format!("mailto:{plain}?subject=Hello")).await.expect_code(409, "exists");
    let issued = invite("mailto:D\u{d6}ra@M\u{fc}ller.example").await.expect(201).json();
    assert_eq!(issued["email"], "d\u{f6}ra@m\u{fc}ller.example");
}

#[tokio::test]
async fn a_password_is_right_composed_or_in_pieces() {
    let world = World::new().await;
    further_tenant(&world, "bea@example.test", "\u{e9}t\u{e9} indien 2026").await;
    world.login("bea@example.test", "e\u{301}te\u{301} indien 2026").await.expect(201);
    world.login("bea@example.test", "\u{e9}t\u{e9}\u{a0}indien 2026").await.expect(201);
    world.login("bea@example.test", "ete indien 2026").await.expect(401);
}

async fn use_link(world: &World, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "password": password });
    world.post(&nobody(), "/v1/password-resets/use", body).await
}

async fn link_for(world: &World, by: &By, agent: &AgentRow) -> Answer {
    world.post(by, &format!("/v1/agents/{}/password-reset", agent.agent), json!({})).await
}

#[tokio::test]
async fn an_admins_link_sets_a_new_password_once_and_ends_every_session() {
    let world = World::new().await;
    let Company { by_admin, agent, .. } = &world.a;
    let email = agent.email.expose();
    let former = secret(&link_for(&world, by_admin, agent).await.expect(201).json());
    let issued = link_for(&world, by_admin, agent).await.expect(201).json();
    assert_eq!(issued["expires_at"], NOW.plus_ms(DAY_MS).0);
    let token_of_link = secret(&issued);
    let link = issued["link"].as_str().unwrap();
    assert_eq!(link, format!("http://127.0.0.1:8080/#/password-resets/{token_of_link}"));
    let gone = use_link(&world, &former, "an entirely new one").await;
    gone.expect_code(404, "password-reset-gone");
    let lookup = json!({ "token": token_of_link });
    let shown = world.post(&nobody(), "/v1/password-resets/lookup", lookup.clone()).await;
    assert_eq!(shown.expect(200).json(), json!({ "tenant_name": "ada Ltd", "email": email }));
    let short = use_link(&world, &token_of_link, "short").await.expect_code(422, "invalid");
    assert_eq!(short.json()["field"], "password");
    world.get(&world.a.by_agent, "/v1/sessions/current").await.expect(200);

    let session = use_link(&world, &token_of_link, "an entirely new one").await.expect(201);
    world.get(&world.a.by_agent, "/v1/sessions/current").await.expect(401);
    assert!(world.asked().iter().any(|asked| asked.starts_with("session_ended")));
    world.get(&By::cookie(&token(&session)), "/v1/sessions/current").await.expect(200);
    world.login(email, PASSWORD).await.expect(401);
    world.login(email, "an entirely new one").await.expect(201);
    let gone = use_link(&world, &token_of_link, "and once more, new").await;
    gone.expect_code(404, "password-reset-gone");
    let gone = world.post(&nobody(), "/v1/password-resets/lookup", lookup).await;
    gone.expect_code(404, "password-reset-gone");
}

#[tokio::test]
async fn a_link_ends_after_a_day_by_an_own_change_and_with_the_account() {
    let world = World::new().await;
    let Company { by_admin, admin, agent, .. } = &world.a;
    let late = secret(&link_for(&world, by_admin, agent).await.expect(201).json());
    world.clock.advance_ms(DAY_MS);
    use_link(&world, &late, "an entirely new one").await.expect_code(404, "password-reset-gone");

    let own = secret(&link_for(&world, by_admin, admin).await.expect(201).json());
    let path = format!("/v1/agents/{}/password", admin.agent);
    let change = json!({ "current_password": PASSWORD, "new_password": "another long one" });
    world.put(by_admin, &path, change).await.expect(204);
    use_link(&world, &own, "an entirely new one").await.expect_code(404, "password-reset-gone");

    let open = secret(&link_for(&world, by_admin, agent).await.expect(201).json());
    let path = format!("/v1/agents/{}", agent.agent);
    world.patch(by_admin, &path, json!({ "state": "deactivated" })).await.expect(200);
    use_link(&world, &open, "an entirely new one").await.expect_code(404, "password-reset-gone");
    link_for(&world, by_admin, agent).await.expect_code(409, "conflict");
}

#[tokio::test]
async fn only_who_may_makes_a_link() {
    let world = World::new().await;
    let Company { admin, agent, .. } = &world.a;
    link_for(&world, &world.a.by_agent, agent).await.expect(403);
    link_for(&world, &world.a.by_poor_key, agent).await.expect(403);
    link_for(&world, &world.b.by_admin, agent).await.expect(404);
    link_for(&world, &world.a.by_key, agent).await.expect(201);
    link_for(&world, &world.a.by_key, admin).await.expect_code(403, "forbidden");
    let foreign = world.a.by_admin.clone().from(Some("https://evil.example"));
    link_for(&world, &foreign, agent).await.expect_code(403, "origin-not-allowed");
}

#[tokio::test]
async fn the_operator_lets_the_last_admin_in_again() {
    let world = World::new().await;
    let path = format!("/v1/tenants/{}/password-resets", world.a.tenant);
    let email = world.a.admin.email.expose();
    let ask = async |path: &str, email: &str| {
        send(&world.admin, &world.by_operator, "POST", path, Some(json!({ "email": email }))).await
    };
    let issued = ask(&path, &format!("mailto:{}", email.to_uppercase())).await.expect(201).json();
    assert_eq!(issued["agent_id"], world.a.admin.agent.to_string());
    let session = use_link(&world, &secret(&issued), "an entirely new one").await.expect(201);
    assert_eq!(session.json()["agent"]["role"], "admin");
    let foreign = format!("/v1/tenants/{}/password-resets", world.b.tenant);
    ask(&foreign, email).await.expect(404);
    ask(&path, "nobody@example.test").await.expect(404);
    ask(&path, "nobody").await.expect(422);
}

#[tokio::test]
async fn an_address_once_invited_is_not_burnt() {
    let world = World::new().await;
    let Company { by_admin, agent, tenant, .. } = &world.a;
    let invite = async |email: &str, role: &str| {
        let body = json!({ "email": email, "role": role });
        world.post(by_admin, "/v1/invitations", body).await
    };
    let accept = async |token: &str, name: &str| {
        let body = json!({ "token": token, "name": name, "password": "an entirely new one" });
        world.post(&nobody(), "/v1/invitations/accept", body).await
    };
    let first = secret(&invite("new@example.test", "agent").await.expect(201).json());
    let second = secret(&invite("New@example.test", "supervisor").await.expect(201).json());
    let open = world.get(by_admin, "/v1/invitations").await.expect(200).json();
    assert_eq!(open["items"].as_array().unwrap().len(), 1, "a new one takes the old one's place");
    accept(&first, "Eve").await.expect_code(404, "invitation-gone");
    let session = accept(&second, "Eve").await.expect(201).json();
    assert_eq!(session["agent"]["role"], "supervisor");

    let email = agent.email.expose();
    invite(email, "agent").await.expect_code(409, "exists");
    let path = format!("/v1/agents/{}", agent.agent);
    world.patch(by_admin, &path, json!({ "state": "deactivated" })).await.expect(200);
    let again = secret(&invite(email, "supervisor").await.expect(201).json());
    let session = accept(&again, "Back again").await.expect(201).json();
    let back = &session["agent"];
    assert_eq!(back["agent_id"], agent.agent.to_string(), "transcripts know the same agent");
    assert_eq!((&back["name"], &back["role"]), (&json!("Back again"), &json!("supervisor")));
    assert_eq!(back["state"], "active");
    world.login(email, PASSWORD).await.expect(401);
    world.login(email, "an entirely new one").await.expect(201);
    let row = world.state.store.agent(*tenant, agent.agent).await.unwrap().unwrap();
    assert_eq!(row.created_at, agent.created_at);
}
