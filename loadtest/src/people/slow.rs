//! A window that hardly reads what it watches. A server must bound what waits for it and, in the
//! end, close its connection; nobody else may notice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use protocol::ids::ConversationId;
use tokio::task::JoinHandle;

use crate::judge::figure::Count;
use crate::people::caller::Caller;
use crate::people::idle::passes_over;
use crate::people::rooms::{supervisor, window};
use crate::people::world::{Stage, World};
use crate::tasks;

/// A frame that does not come in time is one that is not there.
const AT_ONCE: Duration = Duration::from_millis(1);
/// The same at the end, when much is on its way.
const CATCH_UP: Duration = Duration::from_millis(500);
/// What the kernel keeps for them: little, so that what they do not read waits at the server.
const RECEIVE_BYTES: u32 = 4 * 1024;
/// Time before one who was closed comes back.
const AWAY: Duration = Duration::from_millis(500);

/// Enters the room, and reads slowly until the run is over; comes back each time the connection is
/// closed.
///
/// # Errors
/// If they are not let in at first.
pub(crate) async fn slow_reader(
    world: Arc<World>,
    number: usize,
    conversation: ConversationId,
) -> Result<Vec<JoinHandle<()>>> {
    let (_, caller, _) =
        window(&world, supervisor(&world, number)?, conversation, Some(RECEIVE_BYTES)).await?;
    Ok(vec![tasks::spawn("slow reader", read(world, number, conversation, caller))])
}

async fn read(world: Arc<World>, number: usize, conversation: ConversationId, caller: Caller) {
    let every = Duration::from_millis(world.scenario().habits.slow_read_ms);
    let mut stage = world.stage.subscribe();
    let mut caller = Some(caller);
    world.recipient_comes();
    while *stage.borrow_and_update() != Stage::Over {
        let pause = if caller.is_some() { every } else { AWAY };
        let went_on = tokio::select! {
            () = tokio::time::sleep(pause) => false,
            changed = stage.changed() => {
                // The world outlives everyone in it.
                let _there = changed;
                true
            }
        };
        if went_on && world.stage() == Stage::Settling {
            // Whether the connection was closed stands behind all that they did not read.
            while one_frame(&world, &mut caller, conversation, CATCH_UP).await {}
            world.settles();
        } else if !went_on && caller.is_some() {
            one_frame(&world, &mut caller, conversation, AT_ONCE).await;
        } else if !went_on && world.stage() <= Stage::Running {
            let Ok(who) = supervisor(&world, number) else { break };
            let entered = window(&world, who, conversation, Some(RECEIVE_BYTES)).await;
            caller = entered.ok().map(|(_, caller, _)| caller);
        }
    }
    world.recipient_goes();
    if let Some(caller) = caller {
        caller.close(&world).await;
    }
}

/// Reads a frame, if one comes in time; whether it did.
async fn one_frame(
    world: &World,
    caller: &mut Option<Caller>,
    conversation: ConversationId,
    patience: Duration,
) -> bool {
    let Some(reader) = caller else { return false };
    match tokio::time::timeout(patience, reader.next()).await {
        Ok(Ok(bytes)) => {
            passes_over(world, &bytes, Some(conversation));
            true
        }
        Ok(Err(_)) => {
            world.count(Count::SlowCloses);
            reader.gone(world);
            *caller = None;
            false
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::people::caller::Who;
    use crate::people::caller::tests::Host;
    use crate::people::world::tests::world_at;

    #[tokio::test]
    async fn a_frame_that_is_none_or_not_for_them_is_seen_by_a_slow_reader_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = world_at(listener.local_addr().unwrap(), "");
        let mut who = Who::Visitor { token: None };
        let greeting = Caller::greet(&world, &mut who, None, world.clock.now());
        let (caller, mut host) = tokio::join!(greeting, Host::welcome(&listener));
        host.say(vec![0xc1]).await;
        let room = ConversationId::from_bytes([1; 16]);
        host.tell(&Host::message(room)).await;
        host.tell(&Host::message(ConversationId::from_bytes([2; 16]))).await;
        let mut caller = Some(caller.unwrap());
        for _ in 0..3 {
            assert!(one_frame(&world, &mut caller, room, CATCH_UP).await);
        }
        let found = world.ledger.lock().judge().0;
        assert_eq!((found.corrupt, found.misdelivered), (1, 1));
    }
}
