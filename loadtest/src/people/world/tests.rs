use super::*;

/// A world of one room, with further lines of a scenario.
pub(crate) fn world(more: &str) -> Arc<World> {
    world_at(SocketAddr::from(([127, 0, 0, 1], 1)), more)
}

/// The same with its server at this address.
pub(crate) fn world_at(address: SocketAddr, more: &str) -> Arc<World> {
    let text = format!("name = \"x\"\n[mix]\nrooms = 1\n{more}\n[[phase]]\nseconds = 1\n");
    let grounds = Grounds {
        site_key: format!("site_{}", "0".repeat(32)),
        agents: Vec::new(),
        supervisors: Vec::new(),
        bot_key: None,
    };
    World::new(Plan {
        run: 1,
        scenario: Scenario::parse(&text).unwrap(),
        grounds,
        address,
        tls_ca: None,
        origin: String::new(),
        index: 0,
        of: 1,
    })
    .unwrap()
}

/// What was counted so far in the whole run; counting begins anew.
pub(crate) fn over(world: &World, count: Count) -> u64 {
    world.recorder.lock().take_whole().of(count)
}

/// Agents, and idle visitors with them, at each worker.
fn sockets(agents: u32, idle: u32, of: u32) -> Vec<u32> {
    let world = world("");
    let share = |index| {
        let mut plan = Plan { index, of, ..world.plan.clone() };
        (plan.scenario.mix.agents, plan.scenario.mix.idle) = (agents, idle);
        let own = if index == 0 { agents } else { 0 };
        own + plan.share_of_idle()
    };
    (0..of).map(share).collect()
}

#[test]
fn the_first_worker_has_all_agents_and_for_it_fewer_idle_visitors() {
    assert_eq!(sockets(7_900, 30_000, 2), [18_950, 18_950]);
    assert_eq!(sockets(10, 101, 3), [37, 37, 37]);
    assert_eq!(sockets(10, 102, 3), [38, 37, 37]);
    assert_eq!(sockets(5, 7, 1), [12]);
    // More agents than its part of all.
    assert_eq!(sockets(100, 10, 3), [100, 5, 5]);
}

const ROOM: ConversationId = ConversationId::from_bytes([1; 16]);
const ONE: AgentId = AgentId::from_bytes([1; 16]);
const OTHER: AgentId = AgentId::from_bytes([2; 16]);

#[test]
fn what_one_agent_holds_is_offered_to_nobody_however_late() {
    let world = world("");
    world.offer(ROOM, ONE, Micros(0));
    world.taken(ROOM, ONE);
    world.offer(ROOM, OTHER, Micros(0).plus(OFFER * 100));
    assert_eq!(over(&world, Count::OfferedTwice), 1);
}

#[test]
fn two_may_be_asked_one_after_the_other_and_not_at_once() {
    let world = world("");
    world.offer(ROOM, ONE, Micros(0));
    world.offer(ROOM, OTHER, Micros(0).plus(OFFER));
    assert_eq!(over(&world, Count::OfferedTwice), 0);
    world.offer(ROOM, ONE, Micros(1).plus(OFFER));
    assert_eq!(over(&world, Count::OfferedTwice), 1);
}

#[test]
fn who_lets_go_or_loses_a_connection_makes_room_for_another() {
    let world = world("");
    world.taken(ROOM, ONE);
    // It is not theirs to let go of.
    world.let_go(ROOM, OTHER);
    world.let_go(ROOM, ONE);
    world.offer(ROOM, OTHER, Micros(1));
    world.taken(ROOM, OTHER);
    world.let_go_of_all(OTHER);
    world.offer(ROOM, ONE, Micros(2));
    assert_eq!(over(&world, Count::OfferedTwice), 0);
}

#[test]
fn who_is_overtaken_on_this_host_is_counted() {
    let world = world("");
    let rooms = [1, 2].map(|number| ConversationId::from_bytes([number; 16]));
    for (room, ms) in rooms.into_iter().zip([100, 200]) {
        world.queue_order.lock().asks(room, Micros(ms * 1_000));
        world.queue_order.lock().waits(room, Micros(ms * 1_000));
    }
    let deadline = |ms: u64| UnixMillis(ms + 30_000);
    world.offered(rooms[1], deadline(1_000), Micros(1_000_000));
    assert_eq!(over(&world, Count::OutOfTurn), 0);
    world.offered(rooms[0], deadline(2_000), Micros(2_000_000));
    assert_eq!(over(&world, Count::OutOfTurn), 1);
}

#[test]
fn chance_is_the_same_with_the_same_seed_only() {
    let drawn = |seed: u64, person| {
        let world = world("");
        let mut plan = world.plan.clone();
        plan.scenario.seed = seed;
        let world = World::new(plan).unwrap();
        let mut chance = world.chance(person);
        (0..8).map(|_| chance.u64(..)).collect::<Vec<_>>()
    };
    assert_eq!(drawn(7, 3), drawn(7, 3));
    assert_ne!(drawn(7, 3), drawn(8, 3));
    assert_ne!(drawn(7, 3), drawn(7, 4));
}
