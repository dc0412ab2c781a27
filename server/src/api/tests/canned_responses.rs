//! Canned responses: whose they are, who may change them, and what is left of them.

use serde_json::{Value, json};

use super::world::{By, World};
use crate::privacy::seal::Subject;

const PATH: &str = "/v1/canned-responses";

fn of(shortcut: &str, personal: bool) -> Value {
    let text = "Your parcel is on its way.";
    json!({ "shortcut": shortcut, "title": "Parcel", "text": text, "personal": personal })
}

async fn shortcuts(world: &World, by: &By) -> Vec<String> {
    let list = world.get(by, PATH).await.expect(200).json();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["shortcut"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_agent_sees_their_own_and_what_all_share() {
    let world = World::new().await;
    let (admin, agent) = (&world.a.by_admin, &world.a.by_agent);
    world.post(agent, PATH, of("shared", false)).await.expect_code(403, "forbidden");
    world.post(admin, PATH, of("shared", false)).await.expect(201);
    world.post(admin, PATH, of("mine", true)).await.expect(201);
    world.post(agent, PATH, of("mine", true)).await.expect(201);
    assert_eq!(shortcuts(&world, admin).await, ["shared", "mine"]);
    assert_eq!(shortcuts(&world, agent).await, ["shared", "mine"]);
    assert_eq!(shortcuts(&world, &world.b.by_admin).await, Vec::<String>::new());
    let taken = world.post(agent, PATH, of("SHARED", true)).await.expect_code(409, "exists");
    assert_eq!(taken.json()["field"], "shortcut");
    world.get(&world.a.by_key, PATH).await.expect(403);
}

#[tokio::test]
async fn it_is_changed_counted_and_deleted_by_whose_it_is() {
    let world = World::new().await;
    let (admin, agent) = (&world.a.by_admin, &world.a.by_agent);
    let made =
        |response: Value| format!("{PATH}/{}", response["canned_response_id"].as_str().unwrap());
    let shared = made(world.post(admin, PATH, of("shared", false)).await.expect(201).json());
    let theirs = made(world.post(admin, PATH, of("theirs", true)).await.expect(201).json());
    let own = made(world.post(agent, PATH, of("own", true)).await.expect(201).json());
    world.get(agent, &theirs).await.expect(404);
    world.delete(agent, &theirs).await.expect(404);
    world.patch(agent, &shared, json!({ "title": "No" })).await.expect_code(403, "forbidden");
    world.delete(agent, &shared).await.expect_code(403, "forbidden");
    world.patch(agent, &own, json!({ "shortcut": "shared" })).await.expect_code(409, "exists");
    let changed = world.patch(agent, &own, json!({ "title": "Late", "shortcut": "late" })).await;
    assert_eq!(changed.expect(200).json()["title"], "Late");
    for _ in 0..2 {
        world.post(agent, &format!("{shared}/use"), json!({})).await.expect(204);
    }
    assert_eq!(world.get(admin, &shared).await.expect(200).json()["used"], 2);
    assert_eq!(world.get(agent, &own).await.expect(200).json()["shortcut"], "late");
    world.delete(agent, &own).await.expect(204);
    world.delete(admin, &shared).await.expect(204);
    assert_eq!(shortcuts(&world, agent).await, Vec::<String>::new());
    assert_eq!(shortcuts(&world, admin).await, ["theirs"]);
}

#[tokio::test]
async fn an_erased_agents_own_go_and_the_shared_ones_stay() {
    let world = World::new().await;
    let (admin, agent) = (&world.a.by_admin, &world.a.by_agent);
    world.post(admin, PATH, of("shared", false)).await.expect(201);
    world.post(agent, PATH, of("own", true)).await.expect(201);
    let (tenant, who) = (world.a.tenant, world.a.agent.agent);
    let all = async || world.state.store.canned_responses(tenant).await.unwrap().len();
    assert_eq!(all().await, 2);
    world.state.writes().forget(tenant, Subject::Agent(who)).await.unwrap();
    assert_eq!(all().await, 1);
    assert_eq!(shortcuts(&world, admin).await, ["shared"]);
}
