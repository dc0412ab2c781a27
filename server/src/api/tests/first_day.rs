//! What an integration leans on: times, tags of answers, places of what was made, names of unknown
//! fields, lists that go on where they stopped; and the documents by the rules of a linter.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::super::etag::TAGS_CHARS_MAX;
use super::super::{openapi_files, public_router};
use super::world::{Answer, By, World, answer};

async fn with(world: &World, by: &By, path: &str, field: (&str, &str)) -> Answer {
    let key = by.key.as_ref().unwrap();
    let request = Request::get(path)
        .header("authorization", format!("Bearer {key}"))
        .header(field.0, field.1)
        .body(Body::empty())
        .unwrap();
    answer(&world.public, request).await
}

#[tokio::test]
async fn what_was_read_before_is_not_sent_again() {
    let world = World::new().await;
    let by = &world.a.by_key;
    let conversation = format!("/v1/conversations/{}", world.a.conversation);
    let paths = [
        String::from("/v1/tags"),
        String::from("/v1/conversations?limit=5"),
        format!("{conversation}/messages"),
        format!("/v1/sites/{}", world.a.site.site),
        conversation.clone(),
    ];
    for path in &paths {
        let first = world.get(by, path).await.expect(200);
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
        for known in [tag.clone(), format!("\"other\", W/{tag}"), String::from("*")] {
            let again = with(&world, by, path, ("if-none-match", &known)).await.expect(304);
            assert_eq!((again.text.as_str(), again.header("etag")), ("", tag.as_str()), "{path}");
            assert_ne!(again.header("ratelimit"), "", "what is left is told all the same");
        }
        with(&world, by, path, ("if-none-match", "\"other\"")).await.expect(200);
    }
    let before = world.get(by, "/v1/tags").await.header("etag").to_owned();
    world.post(by, "/v1/tags", json!({ "name": "another" })).await.expect(201);
    with(&world, by, "/v1/tags", ("if-none-match", &before)).await.expect(200);
    // A refusal has none, and is never left out.
    let refused = with(&world, by, "/v1/tags/tag_0", ("if-none-match", "*")).await;
    assert_eq!(refused.expect(404).header("etag"), "");
}

#[tokio::test]
async fn an_act_on_what_has_changed_since_is_refused() {
    let world = World::new().await;
    let by = &world.a.by_key;
    let path = format!("/v1/conversations/{}", world.a.conversation);
    let tag = world.get(by, &path).await.expect(200).header("etag").to_owned();
    assert!(tag.starts_with("\"1-"), "{tag}");
    let close = async |seen: &str| {
        let request = Request::post(format!("{path}/close"))
            .header("authorization", format!("Bearer {}", by.key.as_ref().unwrap()))
            .header("if-match", seen)
            .body(Body::empty())
            .unwrap();
        answer(&world.public, request).await
    };
    close("\"2-0123456789abcdef\"").await.expect_code(412, "precondition-failed");
    close(&format!("W/{tag}")).await.expect_code(412, "precondition-failed");
    close("nonsense").await.expect_code(412, "precondition-failed");
    assert!(world.asked().is_empty(), "nothing was done");
    // What was said meanwhile refuses nothing.
    world.post(by, &format!("{path}/messages"), json!({ "text": "on its way" })).await.expect(201);
    assert_ne!(world.get(by, &path).await.header("etag"), tag);
    close(&tag).await.expect(204);
    close("*").await.expect(204);
    close(&format!("\"7-00\", {tag}")).await.expect(204);
}

#[tokio::test]
async fn more_tags_than_are_looked_at_are_refused_by_the_fields_name() {
    let world = World::new().await;
    let by = &world.a.by_key;
    let conversation = format!("/v1/conversations/{}", world.a.conversation);
    let most = "\"0\", ".repeat(TAGS_CHARS_MAX / 5) + "*";
    assert!(most.len() > TAGS_CHARS_MAX - 5 && most.len() <= TAGS_CHARS_MAX);
    for path in ["/v1/tags", &conversation] {
        with(&world, by, path, ("if-none-match", &most)).await.expect(304);
        let long = format!("{most}, \"0\"");
        let refused = with(&world, by, path, ("if-none-match", &long)).await;
        assert_eq!(refused.expect_code(422, "invalid").json()["field"], "If-None-Match");
    }
    for seen in [String::new(), String::from(" , "), format!("{most}, \"0\"")] {
        let request = Request::post(format!("{conversation}/close"))
            .header("authorization", format!("Bearer {}", by.key.as_ref().unwrap()))
            .header("if-match", seen)
            .body(Body::empty())
            .unwrap();
        let refused = answer(&world.public, request).await;
        assert_eq!(refused.expect_code(422, "invalid").json()["field"], "If-Match");
    }
    assert!(world.asked().is_empty(), "nothing was done");
}

#[tokio::test]
async fn what_was_made_has_a_place() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    let conversation = format!("/v1/conversations/{}", world.a.conversation);
    let made = [
        (String::from("/v1/tags"), json!({ "name": "made" }), "tag_id"),
        (String::from("/v1/sites"), json!({ "name": "made", "origins": [] }), "site_id"),
        (format!("{conversation}/messages"), json!({ "text": "made" }), "message_id"),
    ];
    for (path, body, id) in made {
        let once = by.clone().once(id);
        let first = world.post(&once, &path, body.clone()).await.expect(201);
        let place = format!("{path}/{}", first.json()[id].as_str().unwrap());
        assert_eq!(first.header("location"), place);
        assert_eq!(world.get(by, &place).await.expect(200).json()[id], first.json()[id]);
        let again = world.post(&once, &path, body).await.expect(201);
        assert_eq!(again.header("location"), place);
    }
    let key = json!({ "name": "made", "scopes": ["tags:read"] });
    let key = world.post(by, "/v1/keys", key).await.expect(201);
    assert!(key.header("location").starts_with("/v1/keys/key_"));
    world.delete(by, key.header("location")).await.expect(204);
}

#[tokio::test]
async fn a_field_that_is_not_known_is_named_and_so_is_its_neighbour() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    let refused = async |path: &str, body: Value| {
        let problem = world.post(by, path, body).await.expect_code(422, "invalid").json();
        let text = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
        (text("field"), text("detail"))
    };
    let (field, detail) = refused("/v1/tags", json!({ "nmae": "late" })).await;
    assert_eq!(field, "nmae");
    assert!(detail.contains("Did you mean `name`?"), "{detail}");
    let (field, detail) = refused("/v1/tags", json!({ "name": "late", "colour": 1 })).await;
    assert_eq!(field, "colour");
    assert!(detail.contains("Known are `name`"), "{detail}");
    let new = json!({ "site_id": world.a.site.site, "message": { "txet": "hello" } });
    let (field, detail) = refused("/v1/conversations", new).await;
    assert_eq!(field, "message.txet");
    assert!(detail.contains("`text`"), "{detail}");
    // Whatever a name has in it, only so much of it comes back.
    let long = "`, expected ".repeat(40);
    let (field, _) = refused("/v1/tags", json!({ long: 1 })).await;
    assert!(field.chars().count() <= 64, "{field}");
    for (query, named, words) in [
        ("?limti=5", "limti", "`limit`"),
        ("?limit=many", "limit", "value"),
        ("?limit=0", "limit", "1 to 100"),
        ("?sate=queued", "sate", "`state`"),
        ("?created_after=yesterday", "created_after", "value"),
        ("?updated_after=0&cursor=1", "cursor", "next_cursor"),
        ("?updated_after=0&after=1", "after", "Send one"),
    ] {
        let path = format!("/v1/conversations{query}");
        let problem = world.get(by, &path).await.expect_code(400, "malformed-query").json();
        assert_eq!(problem["field"], named, "{query}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{query}: {problem}");
    }
}

#[tokio::test]
async fn messages_are_read_on_from_a_number() {
    let world = World::new().await;
    let by = &world.a.by_key;
    let path = format!("/v1/conversations/{}/messages", world.a.conversation);
    let page =
        async |query: &str| world.get(by, &format!("{path}?{query}")).await.expect(200).json();
    let seqs = |page: &Value| {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let first = page("after=0&limit=2").await;
    assert_eq!((seqs(&first), &first["next_cursor"]), (vec![1, 2], &json!("2")));
    let second = page("after=2&limit=2").await;
    assert_eq!((seqs(&second), &second["next_cursor"]), (vec![3], &Value::Null));
    assert!(seqs(&page("after=3").await).is_empty());
    assert!(seqs(&page("after=9000000").await).is_empty());
    world.get(by, &format!("{path}?after=1&before=2")).await.expect_code(400, "malformed-query");
    let one = &first["items"][0];
    let one = format!("{path}/{}", one["message_id"].as_str().unwrap());
    assert_eq!(world.get(by, &one).await.expect(200).json(), first["items"][0]);
    assert_eq!(first["items"][0]["time"], "2027-01-15T08:00:00.000Z");
}

#[tokio::test]
async fn conversations_are_followed_and_found() {
    let world = World::new().await;
    let by = &world.a.by_key;
    let list = async |query: &str| {
        world.get(by, &format!("/v1/conversations?{query}")).await.expect(200).json()
    };
    let all = list("updated_after=0").await;
    let newest = &all["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(newest["created_time"], "2027-01-15T08:00:00.000Z");
    assert_eq!(newest["closed_time"], Value::Null);
    let since = newest["updated_at"].as_u64().unwrap();
    let count = |page: &Value| page["items"].as_array().unwrap().len();
    assert_eq!(count(&list(&format!("updated_after={since}")).await), 0);
    assert_eq!(count(&list("created_after=2027-01-15T08:00:00Z").await), 0);
    assert_eq!(count(&list("created_after=2027-01-15T07:59:59Z").await), 1);
    assert_eq!(count(&list("created_before=2027-01-15T09:00:00%2B01:00").await), 0);
    let tag = world.a.tag;
    assert_eq!(count(&list(&format!("tag_id={tag}")).await), 0);
    // Labels show their names, and the list by one has what it is on.
    let store = world.state.writes();
    let row = store.conversation(world.a.tenant, world.a.conversation).await.unwrap().unwrap();
    let row = crate::store::ConversationRow { tags: vec![tag], version: 2, ..row };
    store.write(vec![crate::store::Write::Conversation(Box::new(row))]).await.unwrap();
    let labelled = list(&format!("tag_id={tag}&state=active")).await;
    assert_eq!(labelled["items"][0]["labels"], json!([{ "tag_id": tag, "name": "ada-label" }]));
    assert_eq!(count(&list(&format!("tag_id={tag}&state=closed")).await), 0);
    let changed = list(&format!("updated_after={since}")).await;
    assert_eq!(changed["items"][0]["conversation_id"], json!(world.a.conversation));
    assert!(changed["items"][0]["updated_at"].as_u64().unwrap() > since);
    let text = changed["items"][0]["updated_time"].as_str().unwrap();
    assert_eq!(count(&list(&format!("updated_after={text}")).await), 0);
    // Another's label finds nothing of this one.
    let theirs = format!("/v1/conversations?tag_id={tag}");
    assert_eq!(count(&world.get(&world.b.by_key, &theirs).await.expect(200).json()), 0);
}

#[tokio::test]
async fn a_label_is_renamed_and_no_two_look_alike() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    let path = format!("/v1/tags/{}", world.a.tag);
    assert_eq!(world.get(by, &path).await.expect(200).json()["name"], "ada-label");
    world.post(by, "/v1/tags", json!({ "name": "Other" })).await.expect(201);
    world.patch(by, &path, json!({ "name": "OTHER" })).await.expect_code(409, "exists");
    world.patch(by, &path, json!({ "name": "" })).await.expect_code(422, "invalid");
    let renamed = world.patch(by, &path, json!({ "name": "Ada-Label" })).await.expect(200);
    assert_eq!(renamed.json()["name"], "Ada-Label");
    assert_eq!(world.patch(by, &path, json!({})).await.expect(200).json(), renamed.json());
    world.patch(&world.b.by_admin, &path, json!({ "name": "stolen" })).await.expect(404);
    world.patch(&world.a.by_agent, &path, json!({ "name": "mine" })).await.expect(403);
}

#[tokio::test]
async fn the_contract_and_its_page_are_served_without_anything_from_elsewhere() {
    let world = World::new().await;
    let [(_, public), (_, admin)] = openapi_files().unwrap();
    for (router, document) in [(&world.public, public), (&world.admin, admin)] {
        let get = async |path: &str| {
            answer(router, Request::get(path).body(Body::empty()).unwrap()).await.expect(200)
        };
        let served = get("/v1/openapi.json").await;
        assert!(served.text == document, "what is served is what is committed");
        assert_eq!(served.header("content-type"), "application/json");
        assert_ne!(served.header("etag"), "");
        let page = get("/docs/api").await;
        assert!(page.header("content-type").starts_with("text/html"));
        let policy = page.header("content-security-policy");
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        // Nothing of it is inline, and nothing comes from another host.
        let inline = page.text.matches("<script").count();
        assert_eq!(inline, page.text.matches("<script src=\"/docs/api/").count());
        assert!(!page.text.contains("<style") && !page.text.contains(" style="));
        for path in ["/docs/api/page.js", "/docs/api/page.css"] {
            let file = get(path).await;
            for foreign in ["http://", "https://", "innerHTML", "@import"] {
                assert!(!file.text.contains(foreign), "{path}: {foreign}");
            }
        }
        assert!(!page.text.contains("://"));
    }
    drop(public_router(world.state.clone()));
}

/// The rules of Spectral's `oas` set that a document without a network can be held to.
#[test]
fn the_documents_pass_the_rules_that_a_linter_has() {
    for (name, text) in openapi_files().unwrap() {
        let document: Value = serde_json::from_str(&text).unwrap();
        let info = &document["info"];
        for field in ["title", "version", "description", "contact", "license"] {
            assert!(!info[field].is_null(), "{name}: info.{field}");
        }
        let servers = document["servers"].as_array().unwrap();
        assert!(!servers.is_empty(), "{name}");
        let tags: Vec<&str> = document["tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tag| tag["name"].as_str().unwrap())
            .collect();
        for tag in document["tags"].as_array().unwrap() {
            assert!(!tag["description"].as_str().unwrap().is_empty(), "{name}: {tag}");
        }
        let mut ids = Vec::new();
        let mut used = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            assert!(!path.ends_with('/') && !path.contains('?'), "{name}: {path}");
            for (verb, operation) in item.as_object().unwrap() {
                let place = format!("{name}: {verb} {path}");
                ids.push(operation["operationId"].as_str().unwrap());
                let own = operation["tags"].as_array().unwrap();
                assert!(own.len() == 1 && tags.contains(&own[0].as_str().unwrap()), "{place}");
                used.push(own[0].as_str().unwrap());
                an_operation_is_told(&document, path, operation, &place);
            }
        }
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{name}: an id twice");
        assert!(tags.iter().all(|tag| used.contains(tag)), "{name}: a resource without operations");
        // No schema that nothing speaks of.
        for schema in document["components"]["schemas"].as_object().unwrap().keys() {
            let reference = format!("\"#/components/schemas/{schema}\"");
            assert!(text.contains(&reference), "{name}: {schema} is not used");
        }
    }
}

fn an_operation_is_told(document: &Value, path: &str, operation: &Value, place: &str) {
    let id = operation["operationId"].as_str().unwrap();
    assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{place}");
    for field in ["summary", "description"] {
        let words = operation[field].as_str().unwrap_or_default();
        assert!(words.len() > 5 && !words.contains("/v1/{"), "{place}: {field}");
        assert!(!words.starts_with("GET /") && !words.starts_with("POST /"), "{place}");
    }
    assert!(operation["responses"].as_object().unwrap().keys().any(|s| s.starts_with('2')));
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    for parameter in &parameters {
        let words = parameter["description"].as_str().unwrap_or_default();
        assert!(!words.is_empty(), "{place}: {}", parameter["name"]);
        assert_eq!(
            path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap())),
            parameter["in"] == "path"
        );
    }
    for template in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
        assert!(
            parameters.iter().any(|parameter| parameter["name"] == template),
            "{place}: {template}"
        );
    }
    let mut media = vec![&operation["requestBody"]["content"]["application/json"]];
    let answers = operation["responses"].as_object().unwrap().values();
    media.extend(answers.map(|answer| &answer["content"]["application/json"]));
    for media in media.into_iter().filter(|media| !media.is_null()) {
        assert!(!media["example"].is_null(), "{place} has no example");
        fits(document, &media["schema"], &media["example"], place);
    }
}

/// Whether an example fits its schema, as far as types, words, bounds and required fields go.
fn fits(document: &Value, schema: &Value, example: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        return fits(document, schema, example, place);
    }
    for any in ["oneOf", "anyOf"] {
        if let Some(one) = schema[any].as_array() {
            let null = |schema: &&Value| schema["type"] != "null";
            return fits(document, one.iter().find(null).unwrap(), example, place);
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return assert!(words.contains(example), "{place}: {example}");
    }
    let kind = schema["type"].to_string();
    let is = match example {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kind == "null" || kind.contains(is), "{place}: {example} is no {kind}");
    if let Some(text) = example.as_str() {
        let max = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
        assert!(u64::try_from(text.chars().count()).unwrap() <= max, "{place}: {text}");
        let pattern = schema["pattern"].as_str().unwrap_or_default();
        let pattern = regex_automata::meta::Regex::new(pattern).unwrap();
        assert!(pattern.is_match(text), "{place}: {text} has not its form");
    }
    if let Some(number) = example.as_u64() {
        assert!(number <= schema["maximum"].as_u64().unwrap_or(u64::MAX), "{place}: {number}");
    }
    for item in example.as_array().into_iter().flatten() {
        fits(document, &schema["items"], item, place);
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(example.get(name.as_str().unwrap()).is_some(), "{place}: {name} is missing");
    }
    for (name, value) in example.as_object().into_iter().flatten() {
        if let Some(schema) = schema["properties"].get(name) {
            fits(document, schema, value, &format!("{place}.{name}"));
        }
    }
}
