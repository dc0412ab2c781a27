//! A proxy that mishandles frames is caught each time, and one that does not is not.

use std::time::Duration;

use crate::harness::{INVARIANTS, Ran, start};
use crate::proxy::{Fault, Proxy};
use crate::server::Server;

const OPEN: &str = "
loop = \"open\"
arrivals = \"constant\"
drain_ms = 15000
[mix]
rooms = 2
watchers = 2
[[phase]]
seconds = 3
rate = 100
[thresholds]
delivery_p99_ms = 500
";

async fn through(fault: Fault, scenario: &str) -> Ran {
    let proxy = Proxy::bind().await;
    let server = Server::start_behind(Some(proxy.address)).await;
    let address = proxy.address;
    proxy.carry(server.public, fault);
    let ran = start(&server, address, scenario, &[]).end().await;
    server.stop().await;
    ran
}

/// Exactly this is found, beside what follows from it, and the run does not pass.
async fn is_caught(fault: Fault, figure: &str, follows: &[&str]) -> Ran {
    is_caught_in(fault, OPEN, figure, follows).await
}

async fn is_caught_in(fault: Fault, scenario: &str, figure: &str, follows: &[&str]) -> Ran {
    let ran = through(fault, scenario).await;
    assert!(ran.figure(figure) > 0.0, "{fault:?}: {}", ran.told());
    for other in INVARIANTS.into_iter().filter(|name| *name != figure && !follows.contains(name)) {
        assert_eq!(ran.figure(other), 0.0, "{fault:?} is found as {other}: {}", ran.told());
        assert!(ran.kept(other), "{fault:?}: {}", ran.told());
    }
    assert!(!ran.kept(figure), "{fault:?}: {}", ran.told());
    assert_ne!(ran.code, 0, "{}", ran.told());
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_nothing_is_not_accused() {
    let ran = through(Fault::Nothing, OPEN).await;
    ran.is_clean();
    assert_eq!(ran.figure("sent"), ran.figure("acked"), "{}", ran.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_message_is_lost() {
    is_caught(Fault::Drop, "lost", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubled_message_is_a_duplicate() {
    is_caught(Fault::Double, "duplicate", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_after_its_follower_is_out_of_order() {
    // The last of a line has no follower and never comes.
    is_caught(Fault::Reorder, "reordered", &["lost"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_the_other_way_round_is_out_of_order() {
    let scenario = "
loop = \"open\"
speakers = \"agents\"
[mix]
reconnectors = 3
[reconnect]
every_ms = 800
away_ms = [300, 300]
[[phase]]
seconds = 3
rate = 100
";
    is_caught_in(Fault::ReversePage, scenario, "reordered", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_letter_is_corrupt() {
    // What is no message of this run any more is missed, too.
    is_caught(Fault::Corrupt, "corrupt", &["lost"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_in_one_conversation_and_comes_to_another_one_is_misdelivered() {
    is_caught(Fault::Misdeliver, "misdelivered", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_none_is_corrupt() {
    is_caught(Fault::Garble, "corrupt", &["lost"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swallowed_ack_leaves_its_message_unacked() {
    // It is waited for to the end.
    let scenario = OPEN.replace("drain_ms = 15000", "drain_ms = 2000");
    is_caught_in(Fault::SwallowAck(usize::MAX), &scenario, "unacked", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_ack_is_swallowed_is_sent_again_by_who_comes_back() {
    let scenario = "
loop = \"open\"
speakers = \"visitors\"
[mix]
reconnectors = 3
[reconnect]
every_ms = 700
[[phase]]
seconds = 4
rate = 100
";
    let ran = through(Fault::SwallowAck(100), scenario).await;
    ran.is_clean();
    assert!(ran.figure("resent") >= 10.0, "{}", ran.told());
    assert_eq!(ran.figure("sent"), ran.figure("acked"), "{}", ran.told());
}

/// What their agents say meanwhile never reaches them, and what is due at them they cannot say.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_and_is_never_welcomed_has_failed_to_connect_and_is_judged_all_the_same() {
    let scenario = "
loop = \"open\"
arrivals = \"constant\"
drain_ms = 1000
[mix]
rooms = 1
reconnectors = 3
[reconnect]
every_ms = 1000
together = true
[[phase]]
seconds = 3
rate = 80
";
    let follows = ["lost", "unsent", "unacked"];
    let ran = is_caught_in(Fault::Silence, scenario, "connect_failures", &follows).await;
    assert_eq!(ran.figure("connect_failures"), 3.0, "{}", ran.told());
    assert!(ran.figure("lost") > 0.0 && ran.figure("unsent") > 0.0, "{}", ran.told());
    assert_eq!(ran.result["faults"].as_array().unwrap().len(), 0, "{}", ran.told());
}

/// Visitors who come one after the other, to so many agents who take so many.
fn visits(agents: u32, capacity: u32) -> String {
    format!(
        "
loop = \"open\"
arrivals = \"constant\"
[mix]
agents = {agents}
[agent]
capacity = {capacity}
think_ms = [200, 300]
[visit]
messages = [2, 2]
think_ms = [200, 300]
[[phase]]
seconds = 5
arrivals = 5
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_nothing_is_not_accused_of_disorder_in_the_queue() {
    let ran = through(Fault::Nothing, &visits(1, 1)).await;
    ran.is_clean();
    assert!(ran.figure("queue_wait_p99_ms") > 1_000.0, "{}", ran.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_to_two_is_offered_twice() {
    is_caught_in(Fault::OfferTwice, &visits(2, 20), "offered_twice", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_goes_back_has_grown() {
    is_caught_in(Fault::GrowPlace, &visits(1, 1), "position_grew", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_offered_after_those_who_came_later_is_out_of_turn() {
    is_caught_in(Fault::OfferLate(3), &visits(2, 20), "out_of_turn", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_is_given_more_than_they_take_is_over_capacity() {
    is_caught_in(Fault::Overburden, &visits(1, 1), "over_capacity", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_breaks_the_bound_of_its_time() {
    let ran = through(Fault::Delay(Duration::from_millis(300)), OPEN).await;
    ran.is_clean();
    assert!(!ran.kept("delivery_p99_ms"), "{}", ran.told());
    assert_ne!(ran.code, 0);
}

/// One stall hits the one message that a closed loop has on its way; an open loop counts all that were due in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stall_shows_in_an_open_loop_and_not_in_a_closed_one() {
    let stall = Fault::Stall(150, Duration::from_millis(200));
    let phase = "[mix]\nrooms = 1\n[[phase]]\nseconds = 4\n";
    let open = format!("loop = \"open\"\narrivals = \"constant\"\n{phase}rate = 200\n");
    let open = through(stall, &open).await;
    let closed = through(stall, &format!("loop = \"closed\"\n{phase}")).await;
    for ran in [&open, &closed] {
        ran.is_clean();
        assert!(ran.figure("delivery_max_ms") > 150.0, "{}", ran.told());
    }
    assert!(open.figure("delivery_p99_ms") > 100.0, "{}", open.told());
    assert!(closed.figure("delivery_p99_ms") < 100.0, "{}", closed.told());
}

/// Nobody would answer a visitor if the agents had not come back; and whoever is idle comes back as a page does.
#[tokio::test(flavor = "multi_thread")]
async fn agents_and_idle_visitors_come_back_when_their_connections_break() {
    let scenario = "
loop = \"open\"
[mix]
agents = 2
idle = 3
[agent]
think_ms = [50, 100]
[visit]
messages = [2, 2]
think_ms = [50, 100]
[[phase]]
seconds = 5
arrivals = 2
[thresholds]
unacked = 5
";
    let ran = through(Fault::Cut(1), scenario).await;
    assert!(ran.figure("disconnects") >= 5.0, "{}", ran.told());
    assert!(ran.figure("visits_done") > 0.0, "{}", ran.told());
    let clean = ["lost", "duplicate", "reordered", "corrupt", "misdelivered"];
    for name in clean.into_iter().chain(["over_capacity", "offered_twice"]) {
        assert_eq!(ran.figure(name), 0.0, "{name}: {}", ran.told());
    }
    let points = ran.result["series"].as_array().unwrap();
    let last = points.last().unwrap()["connections"].as_u64().unwrap();
    assert!(last >= 5, "{last}: {}", ran.told());
}
