//! Names and labels, wherever REST takes one, and words in which nothing is seen.

use protocol::ids::TagId;
use protocol::visible::is_blank;
use serde_json::{Value, json};

use super::world::{By, ORIGIN, PASSWORD, World, send};
use crate::store::{Change, TagRow};

/// Invisible in one way or another; a word stays the same with any of them in it.
const HIDDEN: [&str; 12] = [
    "\u{200B}",
    "\u{200D}",
    "\u{202E}",
    "\u{2067}",
    "\u{AD}",
    "\u{34F}",
    "\u{3164}",
    "\u{FE0F}",
    "\u{FEFF}",
    "\u{FFF9}",
    "\u{E0041}",
    "\u{180E}",
];

/// Every place that takes a name: who asks there, how, with what body.
fn places(world: &World) -> Vec<(&By, &'static str, String, Value)> {
    let a = &world.a;
    let site = format!("/v1/sites/{}", a.site.site);
    let sites = format!("/v1/tenants/{}/sites", a.tenant);
    let agent = format!("/v1/agents/{}", a.agent.agent);
    let tenant = json!({ "privacy_contact": "privacy@new.example" });
    let scopes = json!({ "scopes": ["sites:read"] });
    let of_operator = json!({ "scopes": ["tenants:read"] });
    let origins = json!({ "origins": ["https://new.example"] });
    vec![
        (&a.by_admin, "POST", String::from("/v1/tags"), json!({})),
        (&a.by_admin, "POST", String::from("/v1/keys"), scopes),
        (&a.by_admin, "POST", String::from("/v1/sites"), origins.clone()),
        (&a.by_admin, "PATCH", site, json!({})),
        (&a.by_admin, "PATCH", agent, json!({})),
        (&world.by_operator, "POST", String::from("/v1/tenants"), tenant),
        (&world.by_operator, "POST", sites, {
            let mut body = origins;
            body["plan"] = json!("team");
            body
        }),
        (&world.by_operator, "POST", String::from("/v1/operator-keys"), of_operator),
    ]
}

#[tokio::test]
async fn a_name_has_nothing_in_it_that_is_not_seen() {
    let world = World::new().await;
    for (by, method, path, body) in places(&world) {
        let router = if by.cookie.is_some() { &world.public } else { &world.admin };
        let named = async |name: &str| {
            let mut body = body.clone();
            body["name"] = json!(name);
            send(router, by, method, &path, Some(body)).await
        };
        for blank in ["\u{2800}", "\u{3164}\u{200B}", "\u{202E} \u{301}"] {
            let refused = named(blank).await.expect_code(422, "invalid").json();
            assert_eq!(refused["field"], "name", "{method} {path}");
        }
        let all = HIDDEN.concat();
        let kept = named(&format!("{all}Shop{all}  No\u{308}el{all}")).await.json();
        assert_eq!(kept["name"], "Shop N\u{F6}el", "{method} {path}: {kept}");
    }
}

#[tokio::test]
async fn who_joins_has_a_name_that_is_seen() {
    let world = World::new().await;
    let body = json!({ "email": "new@example.test", "role": "agent" });
    let issued = world.post(&world.a.by_admin, "/v1/invitations", body).await.expect(201).json();
    let token = issued["link"].as_str().unwrap().rsplit('/').next().unwrap();
    let by = By::nobody().from(Some(ORIGIN));
    let join = async |name: &str| {
        let body = json!({ "token": token, "name": name, "password": PASSWORD });
        world.post(&by, "/v1/invitations/accept", body).await
    };
    join("\u{2800}\u{200B}").await.expect_code(422, "invalid");
    let session = join("Bob\u{202E}gnp.exe").await.expect(201).json();
    assert_eq!(session["agent"]["name"], "Bobgnp.exe");
}

#[tokio::test]
async fn labels_that_look_alike_are_one() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    world.post(by, "/v1/tags", json!({ "name": "Vip N\u{F6}el" })).await.expect(201);
    for hidden in HIDDEN {
        for twin in
            [format!("VIP{hidden} NO\u{308}EL"), format!("vip\u{3000}{hidden}no\u{308}el{hidden}")]
        {
            let answer = world.post(by, "/v1/tags", json!({ "name": twin })).await;
            answer.expect_code(409, "exists");
        }
    }
    // One that was kept with what is not seen in it, before that was taken out.
    let row = TagRow {
        tag: TagId::from_bytes([0x77; 16]),
        tenant: world.a.tenant,
        name: String::from("Old\u{200B}"),
    };
    world.state.writes().change(vec![Change::create(row.clone())]).await.unwrap();
    world.post(by, "/v1/tags", json!({ "name": "old" })).await.expect_code(409, "exists");
    let tags = format!("/v1/conversations/{}/tags", world.a.conversation);
    world.put(by, &tags, json!({ "tags": [row.tag] })).await.expect(204);
    world.delete(by, &format!("/v1/tags/{}", row.tag)).await.expect(204);
    world.post(by, "/v1/tags", json!({ "name": "old" })).await.expect(201);
}

#[tokio::test]
async fn a_message_a_note_and_a_notice_in_which_nothing_is_seen_are_none() {
    let world = World::new().await;
    let messages = format!("/v1/conversations/{}/messages", world.a.conversation);
    for blank in
        ["", " ", "\u{200B}", "\u{2800}\n\u{2800}", "\u{FE0F}", "\u{301}", "\u{115F}\u{202E}"]
    {
        assert!(is_blank(blank));
        for visibility in ["everyone", "agents"] {
            let body = json!({ "text": blank, "visibility": visibility });
            let refused = world.post(&world.a.by_key, &messages, body).await;
            assert_eq!(refused.expect_code(422, "invalid").json()["field"], "text");
        }
        let site = format!("/v1/sites/{}", world.a.site.site);
        let change = json!({ "notice": { "text": blank, "url": "" }, "texts": { "title": blank } });
        let site = world.patch(&world.a.by_admin, &site, change).await.expect(200).json();
        assert_eq!((&site["notice"]["text"], &site["texts"]["title"]), (&json!(""), &json!("")));
    }
}

#[tokio::test]
async fn two_labels_that_look_alike_are_not_made_at_once() {
    let world = World::new().await;
    let make = |name: &str| world.post(&world.a.by_admin, "/v1/tags", json!({ "name": name }));
    let made = tokio::join!(make("VIP"), make("VIP\u{200B}"), make("vip"), make(" VIP "));
    let statuses = [made.0, made.1, made.2, made.3].map(|answer| answer.status.as_u16());
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 3, "{statuses:?}");
}
