//! A visitor who is there and says nothing: what a server pays for a connection.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::task::JoinHandle;

use crate::caller::{Caller, Who};
use crate::histogram::Count;
use crate::tasks;
use crate::world::{Stage, World};

/// Connects, and stays until the run is over.
///
/// # Errors
/// If he is not welcome.
pub(crate) async fn idle(world: Arc<World>) -> Result<Vec<JoinHandle<()>>> {
    let mut who = Who::Visitor { token: None };
    let mut caller = Caller::greet(&world, &mut who, None, world.clock.now())
        .await
        .context("an idle visitor could not connect")?;
    Ok(vec![tasks::spawn("idle", async move {
        let mut stage = world.stage.subscribe();
        loop {
            tokio::select! {
                came = caller.next() => if came.is_err() {
                    world.count(Count::Disconnects);
                    caller.gone(&world);
                    return;
                },
                over = stage.wait_for(|stage| *stage == Stage::Over) => {
                    // The world outlives everyone in it.
                    let _there = over.is_ok();
                    break;
                }
            }
        }
        caller.close(&world).await;
    })])
}
