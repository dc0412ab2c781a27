//! Conversations and what is said in them, over HTTP.

use axum::body::Body;
use http::Request;
use serde_json::json;

use super::world::{By, DAY_MS, NOW, World, answer};
use crate::clock::Clock as _;
use crate::store::Write;
use crate::store::conformance::MessageKind;

#[tokio::test]
async fn messages_are_read_newest_page_first_and_notes_are_marked() {
    let world = World::new().await;
    let path = format!("/v1/conversations/{}/messages", world.a.conversation);
    let page = world.get(&world.a.by_agent, &format!("{path}?limit=2")).await.expect(200).json();
    let items = page["items"].as_array().unwrap();
    assert_eq!((&items[0]["seq"], &items[1]["seq"]), (&json!(2), &json!(3)));
    assert_eq!(items[1]["visibility"], "agents");
    assert_eq!(items[0]["author"], json!({ "kind": "agent", "agent_id": world.a.agent.agent }));
    assert_eq!(items[0]["body"], json!({ "kind": "text", "text": "It is on\nits way." }));
    assert_eq!(page["next_cursor"], "2");
    let before = world.get(&world.a.by_key, &format!("{path}?limit=2&before=2")).await.expect(200);
    let before = before.json();
    assert_eq!(before["items"][0]["author"], json!({ "kind": "visitor" }));
    assert_eq!(before["next_cursor"], json!(null));
}

#[tokio::test]
async fn what_is_said_over_rest_is_kept_once_and_redacted() {
    let world = World::new().await;
    let path = format!("/v1/conversations/{}/messages", world.a.conversation);
    let message = "msg_018fb4c27a3f7cc19d4e5b2a6f708192";
    let body = json!({ "message_id": message, "text": "Card 4111 1111 1111 1111, please" });
    let said = world.post(&world.a.by_key, &path, body.clone()).await.expect(201).json();
    assert_eq!((&said["seq"], &said["author"]["kind"]), (&json!(4), &json!("bot")));
    assert!(!said.to_string().contains("4111"), "{said}");
    let again = world.post(&world.a.by_key, &path, body).await.expect(201).json();
    assert_eq!(again, said);
    let other = json!({ "message_id": message, "text": "something else" });
    world.post(&world.a.by_key, &path, other).await.expect_code(409, "conflict");
    let note = json!({ "text": "a note", "visibility": "agents" });
    let note = world.post(&world.a.by_agent, &path, note).await.expect(201).json();
    assert_eq!((&note["visibility"], &note["seq"]), (&json!("agents"), &json!(5)));
    for (body, code) in [
        (json!({ "text": " " }), "invalid"),
        (json!({ "text": "a".repeat(4_001) }), "too-long"),
        (json!({ "text": "a", "message_id": "msg_00000000000040008000000000000000" }), "invalid"),
    ] {
        world.post(&world.a.by_agent, &path, body).await.expect_code(422, code);
    }
}

#[tokio::test]
async fn nothing_is_readable_on_the_day_it_expires() {
    let world = World::new().await;
    let conversation = format!("/v1/conversations/{}", world.a.conversation);
    let messages = format!("{conversation}/messages");
    let shown = world.get(&world.a.by_key, &messages).await.expect(200).json();
    let expires_on = shown["items"][0]["expires_on"].as_str().unwrap().to_owned();
    // NOW is 2027-01-15; the free plan keeps sixty days after it.
    assert_eq!(expires_on, "2027-03-17");
    let last = 61 * DAY_MS - NOW.0 % DAY_MS - 1;
    world.clock.advance_ms(last);
    let shown = world.get(&world.a.by_key, &messages).await.expect(200).json();
    assert_eq!(shown["items"].as_array().unwrap().len(), 3);
    let header = world.get(&world.a.by_key, &conversation).await.expect(200).json();
    assert_eq!(header["visitor"]["name"], "Canaria Visitor");
    world.clock.advance_ms(1);
    let shown = world.get(&world.a.by_key, &messages).await.expect(200).json();
    assert_eq!(shown["items"], json!([]));
    let tag = format!("{messages}/{}/tag", world.a.messages[0]);
    world.get(&world.a.by_key, &tag).await.expect(404);
    let transcript = world.get(&world.a.by_key, &format!("{conversation}/transcript")).await;
    assert_eq!(transcript.expect(200).json()["messages"], json!([]));
    for path in [&conversation, &format!("/v1/visitors/{}", world.a.visitor)] {
        let answer = world.get(&world.a.by_key, path).await.expect(200);
        assert!(!answer.text.contains("Canaria"), "{}", answer.text);
        assert!(!answer.text.contains("parcel"), "{}", answer.text);
    }
    let lists = ["/v1/visitors", "/v1/conversations"];
    for path in lists {
        let answer = world.get(&world.a.by_key, path).await.expect(200);
        assert!(!answer.text.contains("Canaria"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_message_says_why_and_how_long_it_is_kept() {
    let world = World::new().await;
    let messages = format!("/v1/conversations/{}/messages", world.a.conversation);
    let tag = format!("{messages}/{}/tag", world.a.messages[0]);
    let tag = world.get(&world.a.by_agent, &tag).await.expect(200).json();
    assert_eq!(tag["class"], "transcript");
    assert_eq!(tag["purposes"], json!(["respond", "provide"]));
    assert_eq!(tag["bases"], json!(["contract"]));
    assert_eq!(
        (&tag["ingest_day"], &tag["expires_on"]),
        (&json!("2027-01-15"), &json!("2027-03-17"))
    );
    assert!(!tag["rules"].as_array().unwrap().is_empty());
    assert!(!tag["reason"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_transcript_is_text_or_json_and_leaves_notes_out_unless_asked() {
    let world = World::new().await;
    let path = format!("/v1/conversations/{}/transcript", world.a.conversation);
    let plain = |path: String| {
        let request = Request::get(path)
            .header("authorization", format!("Bearer {}", world.a.by_key.key.clone().unwrap()))
            .header("accept", "text/plain")
            .body(Body::empty())
            .unwrap();
        answer(&world.public, request)
    };
    let text = plain(path.clone()).await.expect(200);
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(
        text.text,
        "[2027-01-15 08:00:00 UTC] Visitor: Where is my parcel?\n\
         [2027-01-15 08:00:00 UTC] Canaria ada-agent: It is on\n    its way.\n"
    );
    let notes = plain(format!("{path}?notes=true")).await.expect(200);
    assert!(notes.text.contains("Canaria ada-agent (note): He is a good customer."));
    let json = world.get(&world.a.by_key, &path).await.expect(200).json();
    assert_eq!(json["messages"].as_array().unwrap().len(), 2);
    assert_eq!(json["truncated"], false);
}

#[tokio::test]
async fn a_conversation_is_listed_with_what_a_card_shows() {
    let world = World::new().await;
    let one = format!("/v1/conversations/{}", world.a.conversation);
    let one = world.get(&world.a.by_agent, &one).await.expect(200).json();
    assert_eq!((&one["state"], &one["seq_last"]), (&json!("active"), &json!(3)));
    assert_eq!(one["preview"], "He is a good customer.");
    assert_eq!(one["visitor"]["email"], "Canaria@visitor.example");
    assert_eq!(one["form"], json!([{ "field": "name", "answer": "Canaria Visitor" }]));
    let agent = world.a.agent.agent;
    let (site, visitor) = (world.a.site.site, world.a.visitor);
    for (query, found) in [
        (format!("state=active&assignee={agent}&site_id={site}&visitor_id={visitor}"), 1),
        (String::from("state=closed"), 0),
        (format!("assignee={}", world.a.admin.agent), 0),
        (format!("visitor_id={}", world.b.visitor), 0),
    ] {
        let list = world.get(&world.a.by_agent, &format!("/v1/conversations?{query}")).await;
        let items = list.expect(200).json()["items"].clone();
        assert_eq!(items.as_array().unwrap().len(), found, "{query}");
        assert!(found == 0 || items[0] == one, "{items}");
    }
}

#[tokio::test]
async fn acts_reach_the_hub_and_its_refusals_come_back() {
    let world = World::new().await;
    let path = |act: &str| format!("/v1/conversations/{}/{act}", world.a.conversation);
    let (by, key) = (&world.a.by_agent, &world.a.by_key);
    let post = async |by: &By, act: &str| {
        super::world::send(&world.public, by, "POST", &path(act), None).await
    };
    post(by, "close").await.expect(204);
    post(by, "reopen").await.expect_code(409, "conflict");
    world.post(by, &path("assign"), json!({})).await.expect(204);
    world.post(key, &path("assign"), json!({})).await.expect_code(422, "invalid");
    let stranger = json!({ "agent_id": world.b.agent.agent });
    world.post(by, &path("assign"), stranger.clone()).await.expect_code(422, "invalid");
    world.post(by, &path("transfer"), stranger).await.expect_code(422, "invalid");
    let colleague = json!({ "agent_id": world.a.admin.agent });
    world.post(by, &path("transfer"), colleague).await.expect_code(409, "at-capacity");
    let tags = json!({ "tags": [world.a.tag, world.a.tag] });
    world.put(by, &path("tags"), tags).await.expect(204);
    let foreign = json!({ "tags": [world.b.tag] });
    world.put(by, &path("tags"), foreign).await.expect_code(422, "invalid");
    let conversation = world.a.conversation;
    assert_eq!(
        world.asked(),
        [
            format!("close {conversation}"),
            format!("reopen {conversation}"),
            format!("assign {conversation} None"),
            format!("transfer {conversation} {}", world.a.admin.agent),
            format!("set_tags {conversation} [{}]", world.a.tag),
        ]
    );
}

/// Says so many lines of a kind in the company's conversation.
async fn say_many(world: &World, kind: MessageKind, times: u64) {
    let company = &world.a;
    let store = world.state.writes();
    for _ in 0..times {
        let room = store.room(company.tenant, company.conversation, 0).await.unwrap().unwrap();
        let of = crate::store::conformance::World::of(
            (company.tenant, company.site.site),
            (company.visitor, company.agent.agent),
            company.conversation,
        );
        let line = of.message_of_kind(room.seq_last.0 + 1, kind, NOW.day());
        store.write(vec![Write::Message(line)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_preview_is_what_was_said_last_however_many_event_messages_follow() {
    let world = World::new().await;
    for times in [1, 8, 60] {
        say_many(&world, MessageKind::System, times).await;
        let path = format!("/v1/conversations/{}", world.a.conversation);
        let shown = world.get(&world.a.by_admin, &path).await.expect(200).json();
        assert_eq!(shown["preview"], "He is a good customer.", "{times}");
        let listed = world.get(&world.a.by_admin, "/v1/conversations").await.expect(200).json();
        assert_eq!(listed["items"][0]["preview"], "He is a good customer.");
    }
}

#[tokio::test]
async fn pages_of_messages_say_whether_there_are_earlier_ones_that_can_be_read() {
    let world = World::new().await;
    // The three of the beginning, and those that follow, a day before the end of the first.
    say_many(&world, MessageKind::Words, 2).await;
    let path = format!("/v1/conversations/{}/messages?limit=2", world.a.conversation);
    let page = world.get(&world.a.by_admin, &path).await.expect(200).json();
    assert_eq!(page["next_cursor"], "4");
    let next = format!("{path}&before=4");
    let page = world.get(&world.a.by_admin, &next).await.expect(200).json();
    assert_eq!((page["items"][0]["seq"].as_u64(), &page["next_cursor"]), (Some(2), &"2".into()));
    let last = format!("{path}&before=2");
    let page = world.get(&world.a.by_admin, &last).await.expect(200).json();
    assert_eq!((page["items"][0]["seq"].as_u64(), page["next_cursor"].is_null()), (Some(1), true));
    // The free plan keeps sixty days: what comes a month later outlives the beginning.
    world.clock.advance_ms(30 * DAY_MS);
    let room = world.state.store.room(world.a.tenant, world.a.conversation, 0).await;
    let after = room.unwrap().unwrap().seq_last.0;
    let of = crate::store::conformance::World::of(
        (world.a.tenant, world.a.site.site),
        (world.a.visitor, world.a.agent.agent),
        world.a.conversation,
    );
    for seq in after + 1..=after + 2 {
        let line = of.message_of_kind(seq, MessageKind::Words, world.clock.now().day());
        world.state.writes().write(vec![Write::Message(line)]).await.unwrap();
    }
    world.clock.advance_ms(31 * DAY_MS);
    let page = world.get(&world.a.by_key, &path).await.expect(200).json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    assert!(page["next_cursor"].is_null(), "below lies only what has expired");
}
