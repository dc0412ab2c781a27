//! What another node changed is followed as what this one did.

use protocol::time::UnixMillis;

use super::world::World;
use crate::store::{Change, FeedReaderRow, News};

#[tokio::test]
async fn sites_agents_and_sessions_follow_what_the_feed_says() {
    let world = World::new().await;
    let (tenant, store, live) =
        (world.a.site.tenant, world.state.writes(), world.state.live.following());
    let reader = "node two".to_owned();
    let row = FeedReaderRow { tenant, reader, created_at: UnixMillis(1) };
    let after = store.feed_end().await.unwrap();
    store.change(vec![Change::create(row)]).await.unwrap();
    let session = store.sessions(tenant, world.a.admin.agent).await.unwrap().remove(0);
    store.change(vec![world.a.site.clone().change()]).await.unwrap();
    store.change(vec![world.a.agent.clone().change()]).await.unwrap();
    // It is there: nobody's connection ends.
    let there = Change::update(session.clone(), &["expires_at"]);
    store.change(vec![there]).await.unwrap();
    assert!(world.asked().is_empty(), "nobody told");
    let follow = async |after| {
        let events = store.feed(tenant, after, 9).await.unwrap();
        for event in &events {
            let news = News { tenant, kind: event.kind, object: event.object };
            live.follow(&news).await.unwrap();
        }
        events.last().unwrap().position
    };
    let after = follow(after).await;
    let site = format!("site_changed {}", world.a.site.site);
    let agent = format!("agent_changed {}", world.a.agent.agent);
    assert_eq!(world.asked(), [site, agent]);
    store.change(vec![Change::remove(session.clone())]).await.unwrap();
    follow(after).await;
    assert_eq!(world.asked().last(), Some(&format!("session_ended {}", session.session)));
}
