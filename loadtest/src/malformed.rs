//! A client that sends what is no frame. A server must answer it or close its line, and go on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use tokio::task::JoinHandle;

use crate::caller::{Caller, Who, decoded, encoded};
use crate::clock::micros;
use crate::histogram::Count;
use crate::line::{Line, LineError};
use crate::tasks;
use crate::world::{Stage, World};

/// Time in which a server must have said or done something.
const PATIENCE: Duration = Duration::from_secs(15);

/// Begins with the run, one hostile line after another.
pub(crate) fn malformed(world: Arc<World>) -> JoinHandle<()> {
    let mut chance = world.chance(world.speaker());
    tasks::spawn("malformed", async move {
        let mut stage = world.stage.subscribe();
        // The world outlives everyone in it.
        let _there = stage.wait_for(|stage| *stage >= Stage::Running).await.is_ok();
        let every = micros(Duration::from_millis(world.scenario().habits.malformed_ms));
        while world.stage() <= Stage::Running {
            let kind = chance.u8(0..6);
            let junk: Vec<u8> = (0..chance.usize(1..600)).map(|_| chance.u8(..)).collect();
            let turned_away = Box::pin(attack(&world, kind, junk)).await;
            let count = if turned_away { Count::Repelled } else { Count::Unrepelled };
            world.count(count);
            let pause = Duration::from_micros(chance.u64(every / 2..=every * 3 / 2));
            tokio::time::sleep(pause).await;
        }
    })
}

/// Whether the server answered or closed in time.
async fn attack(world: &World, kind: u8, junk: Vec<u8>) -> bool {
    if kind < 3 {
        // Before any greeting.
        let Ok(mut line) = Line::connect(&world.target(None)).await else { return false };
        let sent = match kind {
            0 => line.send(Bytes::from(junk)).await,
            1 => line.send_text(String::from("[\"hello\"]")).await,
            _ => line.send(deep()).await,
        };
        return sent.is_err() || ended(async { line.next().await.map(|_| ()) }).await;
    }
    let mut who = Who::Visitor { token: None };
    let Ok(mut caller) = Caller::greet(world, &mut who, None, world.clock.now()).await else {
        return false;
    };
    let bytes = match kind {
        3 => Bytes::from(junk),
        // One byte short.
        4 => {
            let whole = encoded(&ClientFrame::Ping { request: RequestId(70_000) });
            whole.slice(..whole.len().saturating_sub(1))
        }
        _ => Bytes::from(vec![0xc4; 40_000]),
    };
    let sent = caller.send(bytes).await;
    let turned_away = sent.is_err() || ended(refused(&mut caller)).await;
    caller.gone(world);
    turned_away
}

/// Until a `reject` or the line's end.
async fn refused(caller: &mut Caller) -> Result<(), LineError> {
    loop {
        let bytes = caller.next().await?;
        if let Some(ServerFrame::Reject { .. }) = decoded(&bytes) {
            return Ok(());
        }
    }
}

/// Arrays in arrays.
fn deep() -> Bytes {
    Bytes::from(vec![0x91; 1_000])
}

/// An answer will do, such as a `reject`; so will a close.
async fn ended(next: impl Future<Output = Result<(), LineError>>) -> bool {
    tokio::time::timeout(PATIENCE, next).await.is_ok()
}
