//! What is held in memory of a person or a day goes, wherever the list says that something lies.

use protocol::retention::RetentionClass;

use super::*;
use crate::clock::ManualClock;
use crate::store::conformance::NOW;
use crate::store::{Write, inventory};

/// A conversation with a form and a page, a message, and both of its people there.
async fn world(stand: &Stand) -> World {
    let world = World::new(7);
    world.settle(&*stand.store).await;
    stand.store.change(vec![Change::create(world.agent_row())]).await.unwrap();
    stand.store.write(vec![Write::Message(world.message(1, "hello"))]).await.unwrap();
    stand.hub.start().await.unwrap();
    world
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    new_message: usize,
    form: bool,
    contact: bool,
    agent: bool,
}

fn left(stand: &Stand, world: &World) -> Left {
    let desk = stand.hub.desks.live(world.tenant).unwrap();
    let state = desk.state.lock();
    let header = &state.headers[&world.conversation];
    let room = stand.hub.rooms.live(world.conversation).unwrap();
    Left {
        new_message: room.with(|room| room.sequencer().words().count()).unwrap(),
        form: !header.row.form.is_empty() || header.row.page_url.is_some(),
        contact: header.contact.is_some(),
        agent: !state.agents[&world.agent].row.name.expose().is_empty(),
    }
}

const ALL: Left = Left { new_message: 1, form: true, contact: true, agent: true };

#[tokio::test]
async fn every_place_in_memory_forgets_a_person_and_a_bucket() {
    let forgets_visitor = |tenant, visitor| (tenant, Subject::Visitor(visitor));
    for step in 0..5 {
        let stand = Stand::at(RoutingConfig::default(), Arc::new(ManualClock::new(NOW)), None);
        let world = world(&stand).await;
        let World { tenant, site, visitor, agent, .. } = world;
        let person = Person::visitor(&world).connect(&stand.hub).await;
        assert_eq!(left(&stand, &world), ALL);
        let of = |class| Bucket { tenant, site: Some(site), class, day: NOW.day() };
        let other = of(RetentionClass::OfflineMessage);
        let (subject, bucket) = match step {
            0 => (Some(forgets_visitor(tenant, visitor)), None),
            1 => (Some((tenant, Subject::Agent(agent))), None),
            2 => (Some(forgets_visitor(tenant, VisitorId::from_bytes([99; 16]))), Some(other)),
            3 => (None, Some(of(RetentionClass::Transcript))),
            _ => (None, Some(of(RetentionClass::Contact))),
        };
        for place in Hub::HELD {
            assert!(inventory::ELSEWHERE.iter().any(|listed| listed.name == place.name));
            if let Some((tenant, subject)) = subject {
                (place.forget_subject)(&stand.hub, tenant, subject);
            }
            if let Some(bucket) = &bucket {
                (place.forget_bucket)(&stand.hub, bucket);
            }
        }
        let expected = match step {
            0 => Left { agent: true, ..Left::default() },
            1 => Left { agent: false, ..ALL },
            2 => ALL,
            3 => Left { new_message: 0, form: false, ..ALL },
            _ => Left { contact: false, ..ALL },
        };
        assert_eq!(left(&stand, &world), expected, "step {step}");
        drop(person);
    }
}
