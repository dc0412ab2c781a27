//! Whoever was erased is not invited again, and the link that they still have tells nobody why.

use serde_json::{Value, json};

use super::world::{By, ORIGIN, PASSWORD, World};

const PATH: &str = "/v1/suppressions";

fn email(identifier: &str) -> Value {
    json!({ "kind": "email", "identifier": identifier, "basis": "erasure" })
}

fn invitation(email: &str) -> Value {
    json!({ "email": email, "role": "agent" })
}

fn lift(identifier: &str, proof: &str) -> Value {
    json!({ "kind": "email", "identifier": identifier, "proof": proof })
}

fn refused(world: &World) -> u64 {
    let kind = crate::metrics::Suppressed::Email;
    world.state.metrics.suppressions_refused_total.of(kind).get()
}

#[tokio::test]
async fn a_suppressed_address_is_not_invited_however_it_is_spelled() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    let made = world.post(by, PATH, email("Mary.Smith@m\u{fc}ller.example")).await.expect(201);
    assert!(!made.text.to_lowercase().contains("mary"), "{}", made.text);
    let made = made.json();
    assert_eq!((&made["kind"], &made["basis"]), (&json!("email"), &json!("erasure")));
    let year = made["review_at"].as_u64().unwrap() - made["created_at"].as_u64().unwrap();
    assert_eq!(year, 365 * super::world::DAY_MS);
    let spelled = [
        "mary.smith@m\u{fc}ller.example",
        "MARYSMITH+x@XN--MLLER-KVA.EXAMPLE",
        "m\u{430}ry.smith@m\u{fc}ller.example",
        "mary.srnith@m\u{fc}ller.example",
        "\u{ff4d}ary.smith@mu\u{308}ller.example",
    ];
    for (nth, spelled) in (1..).zip(spelled) {
        let no = world.post(by, "/v1/invitations", invitation(spelled)).await;
        let no = no.expect_code(409, "suppressed");
        assert_eq!(no.json()["field"], "email");
        assert!(!no.text.to_lowercase().contains("ller"), "{}", no.text);
        assert_eq!(refused(&world), nth);
    }
    world.post(by, "/v1/invitations", invitation("mary@m\u{fc}ller.example")).await.expect(201);
    // Another Organization knows nothing of it.
    let other = invitation("mary.smith@m\u{fc}ller.example");
    world.post(&world.b.by_admin, "/v1/invitations", other).await.expect(201);
    assert_eq!(world.get(&world.b.by_admin, PATH).await.json()["items"], json!([]));
    // Nor may the operator invite them there.
    let path = format!("/v1/tenants/{}/invitations", world.a.tenant);
    let body = invitation("marysmith@m\u{fc}ller.example");
    let no = super::world::send(&world.admin, &world.by_operator, "POST", &path, Some(body)).await;
    no.expect_code(409, "suppressed");
}

#[tokio::test]
async fn it_is_made_once_listed_without_a_name_and_lifted_by_whoever_shows_it() {
    let world = World::new().await;
    let by = &world.a.by_key;
    let first = world.post(by, PATH, email("gone@example.test")).await.expect(201).json();
    let again = world.post(by, PATH, email("G.o.n.e+x@example.test")).await.expect(201).json();
    assert_eq!(first, again);
    let phone = json!({ "kind": "phone", "identifier": "0049 30 123456", "basis": "objection" });
    world.post(by, PATH, phone).await.expect(201);
    let list = world.get(by, PATH).await.expect(200);
    let items = list.json()["items"].as_array().unwrap().clone();
    assert_eq!((items.len(), &items[0]), (2, &first));
    assert!(!list.text.contains("gone") && !list.text.contains("123456"), "{}", list.text);
    let page = world.get(by, &format!("{PATH}?limit=1")).await.json();
    let next = page["next_cursor"].as_str().unwrap();
    let rest = world.get(by, &format!("{PATH}?limit=1&cursor={next}")).await.json();
    assert_eq!(rest["items"][0]["kind"], "phone");

    let path = format!("{PATH}/lift");
    let blank = world.post(by, &path, lift("gone@example.test", " ")).await;
    assert_eq!(blank.expect_code(422, "invalid").json()["field"], "proof");
    let other = world.post(&world.b.by_admin, &path, lift("gone@example.test", "a letter")).await;
    other.expect_code(404, "not-found");
    world.post(by, "/v1/invitations", invitation("gone@example.test")).await.expect(409);
    world.post(by, &path, lift("GONE@example.test", "a letter")).await.expect(204);
    world.post(by, &path, lift("GONE@example.test", "a letter")).await.expect(404);
    world.post(by, "/v1/invitations", invitation("gone@example.test")).await.expect(201);
}

#[tokio::test]
async fn what_is_no_identifier_is_refused_by_the_fields_name() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    for (kind, identifier) in [("email", "nobody"), ("phone", "12"), ("username", "\u{200b}")] {
        let body = json!({ "kind": kind, "identifier": identifier, "basis": "erasure" });
        let no = world.post(by, PATH, body).await.expect_code(422, "invalid");
        assert_eq!(no.json()["field"], "identifier");
    }
    for (field, body) in [
        ("kind", json!({ "kind": "name", "identifier": "x@y.test", "basis": "erasure" })),
        ("basis", json!({ "kind": "email", "identifier": "x@y.test", "basis": "whim" })),
    ] {
        let no = world.post(by, PATH, body).await.expect_code(422, "invalid");
        assert_eq!(no.json()["field"], field);
    }
}

#[tokio::test]
async fn a_link_of_somebody_who_is_suppressed_answers_as_one_that_was_withdrawn() {
    let world = World::new().await;
    let by = By::nobody().from(Some(ORIGIN));
    let invite = async |email: &str| {
        let issued = world.post(&world.a.by_admin, "/v1/invitations", invitation(email)).await;
        let issued = issued.expect(201).json();
        issued["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    let link = invite("late@example.test").await;
    world.post(&world.a.by_admin, PATH, email("l.a.t.e@example.test")).await.expect(201);
    let open = world.get(&world.a.by_admin, "/v1/invitations").await.json();
    assert_eq!(open["items"], json!([]));

    // One that came in by another node at the same moment.
    let raced = invite("raced@example.test").await;
    let identifier = crate::privacy::suppression::Identifier::of(
        crate::privacy::suppression::IdentifierKind::Email,
        "raced@example.test",
    );
    let row = crate::store::SuppressionRow::new(
        protocol::ids::SuppressionId::from_bytes([9; 16]),
        world.a.tenant,
        &identifier.unwrap(),
        crate::privacy::suppression::SuppressionBasis::Erasure,
        None,
        world.state.now(),
    );
    let change = vec![crate::store::Change::create(row)];
    world.state.writes().change(change).await.unwrap();

    let gone = "lhi_0000";
    for act in ["lookup", "accept"] {
        let mut told = Vec::new();
        for token in [link.as_str(), raced.as_str(), gone] {
            let body = match act {
                "lookup" => json!({ "token": token }),
                _ => json!({ "token": token, "name": "Eve", "password": PASSWORD }),
            };
            let answer = world.post(&by, &format!("/v1/invitations/{act}"), body).await;
            let mut words = answer.expect_code(404, "invitation-gone").json();
            words.as_object_mut().unwrap().remove("request_id");
            told.push(words);
        }
        assert!(told.iter().all(|words| *words == told[0]), "{told:?}");
    }
}

#[tokio::test]
async fn a_deactivated_agent_who_was_suppressed_stays_so() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    let agent = format!("/v1/agents/{}", world.a.agent.agent);
    world.patch(by, &agent, json!({ "state": "deactivated" })).await.expect(200);
    world.post(by, PATH, email(world.a.agent.email.expose())).await.expect(201);
    let back = world.patch(by, &agent, json!({ "state": "active" })).await;
    back.expect_code(409, "suppressed");
    world.patch(by, &agent, json!({ "capacity": 3 })).await.expect(200);
}
