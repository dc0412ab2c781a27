//! Agents, their invitations and passwords, keys and labels.

use serde_json::json;

use super::world::{By, DAY_MS, ORIGIN, PASSWORD, World, token};

#[tokio::test]
async fn an_invitation_makes_one_agent_and_signs_them_in() {
    let world = World::new().await;
    let body = json!({ "email": "New@Example.test", "role": "supervisor" });
    let issued = world.post(&world.a.by_admin, "/v1/invitations", body.clone()).await.expect(201);
    let issued = issued.json();
    let link = issued["link"].as_str().unwrap();
    let secret = link.strip_prefix("http://127.0.0.1:8080/#/invitations/").unwrap();
    let open = world.get(&world.a.by_admin, "/v1/invitations").await.expect(200);
    assert_eq!(open.json()["items"][0]["email"], "new@example.test");
    assert!(!open.text.contains(secret));
    let by = By::nobody().from(Some(ORIGIN));
    let lookup = world.post(&by, "/v1/invitations/lookup", json!({ "token": secret })).await;
    assert_eq!(
        lookup.expect(200).json(),
        json!({ "tenant_name": "ada Ltd", "email": "new@example.test", "role": "supervisor" })
    );
    let accept = |name: &str, password: &str| {
        let body = json!({ "token": secret, "name": name, "password": password });
        let (world, by) = (&world, &by);
        async move { world.post(by, "/v1/invitations/accept", body).await }
    };
    let short = accept("Eve", "short").await.expect_code(422, "invalid");
    assert_eq!(short.json()["field"], "password");
    let session = accept("Eve", PASSWORD).await.expect(201);
    assert_eq!(session.json()["agent"]["role"], "supervisor");
    assert_eq!(session.json()["agent"]["capacity"], world.state.agent_capacity);
    world.get(&By::cookie(&token(&session)), "/v1/sessions/current").await.expect(200);
    accept("Eve", PASSWORD).await.expect_code(404, "invitation-gone");
    world.login("new@example.test", PASSWORD).await.expect(201);
    world.post(&world.a.by_admin, "/v1/invitations", body).await.expect_code(409, "exists");
}

#[tokio::test]
async fn an_invitation_ends_after_a_week_or_when_it_is_withdrawn() {
    let world = World::new().await;
    let by = By::nobody().from(Some(ORIGIN));
    let invite = |email: &'static str| {
        let world = &world;
        async move {
            let body = json!({ "email": email, "role": "agent" });
            world.post(&world.a.by_admin, "/v1/invitations", body).await.expect(201).json()
        }
    };
    let secret = |issued: &serde_json::Value| {
        let link = issued["link"].as_str().unwrap();
        json!({ "token": link.rsplit('/').next().unwrap() })
    };
    let one = invite("one@example.test").await;
    let path = format!("/v1/invitations/{}", one["invitation_id"].as_str().unwrap());
    world.delete(&world.b.by_admin, &path).await.expect(404);
    world.delete(&world.a.by_admin, &path).await.expect(204);
    let gone = world.post(&by, "/v1/invitations/lookup", secret(&one)).await;
    gone.expect_code(404, "invitation-gone");
    let two = invite("two@example.test").await;
    world.clock.advance_ms(7 * DAY_MS);
    let gone = world.post(&by, "/v1/invitations/lookup", secret(&two)).await;
    gone.expect_code(404, "invitation-gone");
}

#[tokio::test]
async fn an_organization_keeps_an_active_admin() {
    let world = World::new().await;
    let admin = format!("/v1/agents/{}", world.a.admin.agent);
    let agent = format!("/v1/agents/{}", world.a.agent.agent);
    let by = &world.a.by_admin;
    for change in [json!({ "role": "agent" }), json!({ "state": "deactivated" })] {
        world.patch(by, &admin, change).await.expect_code(409, "last-admin");
    }
    world.patch(by, &agent, json!({ "role": "admin", "capacity": 9 })).await.expect(200);
    world.patch(by, &agent, json!({ "capacity": 101 })).await.expect_code(422, "invalid");
    let changed = world.patch(by, &admin, json!({ "role": "agent" })).await.expect(200);
    assert_eq!(changed.json()["role"], "agent");
    let changed = format!("agent_changed {}", world.a.agent.agent);
    assert!(world.asked().contains(&changed));
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let world = World::new().await;
    let email = world.a.admin.email.expose();
    let other = By::cookie(&token(&world.login(email, PASSWORD).await.expect(201)));
    let path = format!("/v1/agents/{}/password", world.a.admin.agent);
    let change = |current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new });
        let (world, path) = (&world, &path);
        async move { world.put(&world.a.by_admin, path, body).await }
    };
    let wrong = change("not his password", "another long one").await.expect_code(422, "invalid");
    assert_eq!(wrong.json()["field"], "current_password");
    let short = change(PASSWORD, "short").await.expect_code(422, "invalid");
    assert_eq!(short.json()["field"], "new_password");
    change(PASSWORD, "another long one").await.expect(204);
    world.get(&other, "/v1/sessions/current").await.expect(401);
    world.get(&world.a.by_admin, "/v1/sessions/current").await.expect(200);
    world.login(email, PASSWORD).await.expect(401);
    world.login(email, "another long one").await.expect(201);
    let anothers = format!("/v1/agents/{}/password", world.a.agent.agent);
    let body = json!({ "current_password": PASSWORD, "new_password": "another long one" });
    world.put(&world.a.by_admin, &anothers, body).await.expect_code(403, "forbidden");
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_deleted() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    let body = json!({ "name": "CRM", "scopes": ["sites:read"] });
    let issued = world.post(by, "/v1/keys", body).await.expect(201).json();
    let text = issued["text"].as_str().unwrap();
    assert!(text.starts_with("lhk_") && text.len() == 68);
    let list = world.get(by, "/v1/keys").await.expect(200);
    assert!(!list.text.contains(text));
    let key = By::key(text);
    world.get(&key, "/v1/sites").await.expect(200);
    world.get(&key, "/v1/agents").await.expect_code(403, "missing-scope");
    world.get(&key, "/v1/keys").await.expect_code(403, "forbidden");
    let path = format!("/v1/keys/{}", issued["key_id"].as_str().unwrap());
    world.delete(by, &path).await.expect(204);
    world.get(&key, "/v1/sites").await.expect(401);
    for scopes in [json!([]), json!(["tenants:write"]), json!(["sites:read", "all"])] {
        let body = json!({ "name": "CRM", "scopes": scopes });
        world.post(by, "/v1/keys", body).await.expect_code(422, "invalid");
    }
}

#[tokio::test]
async fn labels_come_and_go() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    let tag = world.post(by, "/v1/tags", json!({ "name": " urgent " })).await.expect(201).json();
    assert_eq!(tag["name"], "urgent");
    world.post(by, "/v1/tags", json!({ "name": "URGENT" })).await.expect_code(409, "exists");
    world.post(by, "/v1/tags", json!({ "name": "a\nb" })).await.expect_code(422, "invalid");
    let path = format!("/v1/tags/{}", tag["tag_id"].as_str().unwrap());
    world.delete(&world.a.by_agent, &path).await.expect(403);
    world.delete(by, &path).await.expect(204);
    world.delete(by, &path).await.expect(404);
}
