//! What takes long to be looked through waits in its Organization's queue, and nothing that others
//! need waits with it.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use protocol::conversation::PageView;
use protocol::personal::Personal;

use super::*;
use crate::hub::Opening;
use crate::store::SecretHash;
use crate::tasks;

/// A title so long, and so full of numbers, that it is looked through beside the serving threads.
fn long_page() -> PageView {
    let title = "20261126 4711 ".repeat(200);
    PageView {
        url: Personal::new("https://shop.example/".to_owned()),
        title: Some(Personal::new(title)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opening_that_is_looked_through_holds_no_id_lock() {
    let stand = Stand::new();
    let world = World::new(9);
    world.settle(&*stand.store).await;
    let sink = TestSink::new();
    let sink: Arc<dyn FrameSink> = Arc::clone(&sink) as _;
    let who = Who::Visitor { site: world.site, visitor: world.visitor };
    let speaker = Speaker { tenant: world.tenant, who, sink };
    let hub = &stand.hub;
    hub.presence().visitor_connected(&speaker, Flags::default()).await.unwrap();
    // The Organization's queue is held up by something that stands still.
    let (begun, began) = sync_channel(1);
    let (go_on, waits) = sync_channel::<()>(1);
    let other = tasks::spawn(
        "test",
        tasks::blocking(world.tenant, 9, move || {
            begun.send(()).unwrap();
            waits.recv().unwrap();
        }),
    );
    tokio::task::spawn_blocking(move || began.recv().unwrap()).await.unwrap();
    let conversation = ConversationId::from_uuid(Uuid::now_v7());
    let opening = {
        let (hub, speaker) = (Arc::clone(hub), speaker.clone());
        tasks::spawn("test", async move {
            let page = long_page();
            let opening = Opening {
                conversation,
                form: vec![("email", "ada@example.test")],
                page: Some(&page),
                notice: None,
                locale: "en",
                secret: SecretHash([8; 32]),
                secret_expires_at: UnixMillis(u64::MAX / 2),
                address: std::net::IpAddr::from([127, 0, 0, 1]),
                gpc: false,
            };
            hub.conversations().open(&speaker, opening).await
        })
    };
    let page = {
        let (hub, speaker) = (Arc::clone(hub), speaker.clone());
        tasks::spawn("test", async move { hub.presence().page(&speaker, &long_page()).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!opening.is_finished() && !page.is_finished(), "they wait for their Organization's");
    drop(hub.conversations().id_lock(conversation.as_bytes()).await);
    go_on.send(()).unwrap();
    opening.await.unwrap().unwrap();
    page.await.unwrap().unwrap();
    assert_eq!(other.await.unwrap(), Ok(()));
}
