//! A window that hardly reads what it watches. A server must bound what waits for it and, in the end, close its line;
//! nobody else may notice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use protocol::ids::ConversationId;
use tokio::task::JoinHandle;

use crate::caller::Caller;
use crate::histogram::Count;
use crate::rooms::{supervisor, window};
use crate::tasks;
use crate::world::{Stage, World};

/// What the kernel keeps for him: little, so that what he does not read waits at the server.
const RECEIVE_BYTES: u32 = 4 * 1024;
/// Time before one who was closed comes back.
const AWAY: Duration = Duration::from_millis(500);

/// Enters the room, and reads slowly until the run is over; comes back each time he is closed.
///
/// # Errors
/// If he is not let in at first.
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
    loop {
        let pause = if caller.is_some() { every } else { AWAY };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            over = stage.wait_for(|stage| *stage == Stage::Over) => {
                // The world outlives everyone in it.
                let _there = over.is_ok();
                break;
            }
        }
        match &mut caller {
            Some(reader) => {
                // A frame that does not come in time is one that is not there.
                let came = tokio::time::timeout(Duration::from_millis(1), reader.next()).await;
                if came.is_ok_and(|came| came.is_err()) {
                    world.count(Count::SlowCloses);
                    reader.gone(&world);
                    caller = None;
                }
            }
            None => {
                let Ok(who) = supervisor(&world, number) else { break };
                caller = window(&world, who, conversation, Some(RECEIVE_BYTES))
                    .await
                    .ok()
                    .map(|(_, caller, _)| caller);
            }
        }
    }
    if let Some(caller) = caller {
        caller.close(&world).await;
    }
}
