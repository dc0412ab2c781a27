//! What a request costs does not grow with what was kept before it: every route of both routers, at
//! one times and at twenty times the data, by the steps of SQLite's machine. A new route that no
//! body is known for fails here.

use std::collections::BTreeMap;

use protocol::conversation::ConversationState;
use protocol::ids::{ConversationId, VisitorId};
use protocol::time::UnixMillis;

use super::super::{openapi, openapi_admin};
use super::access::{Operation, operations};
use super::world::{By, NOW, PASSWORD, World, send};
use crate::store::conformance::{MessageKind, World as Lines};
use crate::store::sqlite::tests::Steps;
use crate::store::{ConversationRow, VisitorRow, Write};

/// A route may cost so many times as much with twenty times the data. A tree grows a level; a scan
/// is ten times as much.
const RATIO_MAX: u64 = 2;

/// Steps that come and go with which page of a tree is full.
const SLACK: u64 = 400;

/// Conversations older than the company's first: a page goes on from there.
const OLDER: u64 = 5;

/// Conversations of one visitor and of many, messages in one conversation, all of them of long ago.
async fn fill(world: &World, times: usize) {
    let store = world.state.writes();
    let template = store.conversation(world.a.tenant, world.a.conversation).await.unwrap().unwrap();
    let visitor = store.visitor(world.a.tenant, world.a.visitor).await.unwrap().unwrap();
    let states = [ConversationState::Closed, ConversationState::Closed, ConversationState::Queued];
    let mut writes = Vec::new();
    for n in 0..times * 60 {
        let own = n % 2 == 0;
        let of = if own { visitor.visitor } else { VisitorId::from_uuid(world.state.new_uuid()) };
        let secret = crate::auth::issue("lhv_").hash;
        if !own {
            let row = VisitorRow { visitor: of, secret, ..visitor.clone() };
            writes.push(Write::Visitor(Box::new(row)));
        }
        writes.push(Write::Conversation(Box::new(ConversationRow {
            conversation: ConversationId::from_uuid(world.state.new_uuid()),
            visitor: of,
            state: states[n % 3],
            assignee: (n % 5 < 2).then_some(world.a.agent.agent),
            // Some are older than the company's first, and just as many whatever was kept.
            created_at: UnixMillis(template.created_at.0 - OLDER + u64::try_from(n).unwrap()),
            ..template.clone()
        })));
    }
    store.write(writes).await.unwrap();
    let company = &world.a;
    let of = Lines::of(
        (company.tenant, company.site.site),
        (company.visitor, company.agent.agent),
        company.conversation,
    );
    // The newest are notes alone. With something else in the batch it goes to the file at once, and
    // no request pays for its being carried there later.
    let said = u64::try_from(company.messages.len()).unwrap();
    let lines = u64::try_from(times).unwrap() * 300;
    let mut writes = vec![Write::Conversation(Box::new(template))];
    writes.extend((said + 1..=said + lines).map(|seq| {
        let kind = if seq <= lines / 2 { MessageKind::Words } else { MessageKind::Note };
        Write::Message(of.message_of_kind(seq, kind, NOW.day()))
    }));
    store.write(writes).await.unwrap();
}

/// A request, and what is to be asked for more than its path.
fn requests(world: &World) -> Vec<(String, Operation, By)> {
    let mut requests = Vec::new();
    for operation in operations(&openapi(), &world.a) {
        // What ends something that others need comes last.
        let last = match operation.id.as_str() {
            "delete_session" => 2,
            id if id.starts_with("delete") || id == "set_agent_password" => 1,
            _ => 0,
        };
        let by = match operation.id.as_str() {
            "delete_current_session" => &world.a.by_agent,
            _ => &world.a.by_admin,
        };
        requests.push((last, operation, by.clone()));
    }
    requests.sort_by_key(|(last, ..)| *last);
    let mut named: Vec<_> = requests
        .into_iter()
        .map(|(_, operation, by)| (operation.id.clone(), operation, by))
        .collect();
    for operation in operations(&openapi_admin(), &world.a) {
        named.push((format!("admin {}", operation.id), operation, world.by_operator.clone()));
    }
    named
}

/// The paths of a list with every filter and from behind many, beside the route itself.
fn queries(id: &str, world: &World) -> Vec<String> {
    let company = &world.a;
    let (site, visitor, agent) = (company.site.site, company.visitor, company.agent.agent);
    match id {
        "list_conversations" => {
            let filters = [
                String::from("state=closed"),
                String::from("state=snoozed"),
                format!("site_id={site}"),
                format!("visitor_id={visitor}"),
                format!("assignee={agent}"),
                format!("assignee={}", company.admin.agent),
                format!("visitor_id={visitor}&assignee={agent}&state=snoozed"),
                format!("site_id={site}&assignee={agent}&state=offered"),
                format!("site_id={site}&state=snoozed"),
                format!("tag_id={}", company.tag),
                format!("tag_id={}&state=snoozed", company.tag),
                String::from("created_after=2027-01-15T08:00:00.001Z"),
                String::from("created_before=2027-01-15T08:00:00Z"),
                format!("site_id={site}&created_after=1"),
                String::from("updated_after=0"),
                String::from("updated_after=0&state=snoozed"),
                format!("updated_after=0&assignee={}&tag_id={}", company.admin.agent, company.tag),
            ];
            let pages = filters.iter().map(|filter| format!("?limit=5&{filter}"));
            // Behind the company's first are the few that are older.
            let far = format!("?limit=5&cursor={}", company.conversation);
            pages.chain([far]).collect()
        }
        "list_visitors" => vec![format!("?limit=5&cursor={visitor}")],
        "list_messages" => vec![
            String::from("?limit=5&before=9"),
            String::from("?limit=5"),
            String::from("?limit=5&after=0"),
            String::from("?limit=5&after=200"),
        ],
        "get_transcript" => vec![],
        // It counts all that is kept of a person.
        "create_privacy_request" => vec![],
        _ => vec![String::new()],
    }
}

async fn costs(times: usize) -> BTreeMap<String, u64> {
    let steps = Steps::count();
    let world = World::new().await;
    fill(&world, times).await;
    let mut costs = BTreeMap::new();
    for (name, operation, by) in requests(&world) {
        let router = if name.starts_with("admin ") { &world.admin } else { &world.public };
        for query in queries(&operation.id, &world) {
            steps.take();
            let Operation { method, path, body, .. } = &operation;
            let body = match name.as_str() {
                "create_session" => {
                    let email = world.a.admin.email.expose();
                    Some(serde_json::json!({ "email": email, "password": PASSWORD }))
                }
                // The day on which the clock of this world stands.
                "admin confirm_clock" | "admin lower_clock_mark" => {
                    Some(serde_json::json!({ "today": "2027-01-15" }))
                }
                _ => body.clone(),
            };
            let answer = send(router, &by, method, &format!("{path}{query}"), body).await;
            // What is refused for its own reasons was looked at all the same; what is malformed was
            // not.
            let status = answer.status.as_u16();
            assert!(!matches!(status, 400 | 401 | 405 | 415 | 500..), "{name}: {answer:?}");
            costs.insert(
                format!("{name} {query}").replace(&world.a.conversation.to_string(), "…"),
                steps.take(),
            );
        }
    }
    costs.into_iter().map(|(name, steps)| (general(&world, &name), steps)).collect()
}

/// Without the ids of this world.
fn general(world: &World, name: &str) -> String {
    let company = &world.a;
    [
        (company.site.site.to_string(), "site"),
        (company.visitor.to_string(), "visitor"),
        (company.agent.agent.to_string(), "agent"),
        (company.admin.agent.to_string(), "admin"),
        (company.tag.to_string(), "tag"),
    ]
    .iter()
    .fold(name.to_owned(), |name, (id, word)| name.replace(id, word))
}

#[tokio::test]
async fn no_request_costs_more_because_much_was_kept_before_it() {
    let (few, many) = (costs(1).await, costs(20).await);
    assert!(few.keys().eq(many.keys()));
    let mut grown = Vec::new();
    for (name, few) in few {
        let many = many[&name];
        if many > few * RATIO_MAX + SLACK {
            grown.push(format!("{name}: {few} steps, {many} with twenty times the data"));
        }
    }
    assert!(grown.is_empty(), "{}", grown.join("\n"));
}
