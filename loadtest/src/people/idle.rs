//! A visitor who is there and says nothing: what a server pays for a connection.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use protocol::ids::ConversationId;
use tokio::task::JoinHandle;

use crate::judge::figure::Count;
use crate::people::backoff::{Backoff, may_return};
use crate::people::caller::{CallError, Caller, Who, decoded};
use crate::people::socket::SocketError;
use crate::people::world::{Stage, World};
use crate::tasks;

/// Connects, and stays until the run is over.
///
/// # Errors
/// If they are not welcome.
pub(crate) async fn idle(world: Arc<World>) -> Result<Vec<JoinHandle<()>>> {
    let mut who = Who::Visitor { token: None };
    let mut caller = Caller::greet(&world, &mut who, None, world.clock.now())
        .await
        .context("an idle visitor could not connect")?;
    Ok(vec![tasks::spawn("idle", async move {
        while let Err(error) = stay(&world, &mut caller).await {
            world.count(Count::Disconnects);
            caller.gone(&world);
            let Some(back) = come_back(&world, &mut who, error.into()).await else { return };
            caller = back;
        }
        caller.close(&world).await;
    })])
}

/// Until the run is over, or the connection is.
async fn stay(world: &World, caller: &mut Caller) -> Result<(), SocketError> {
    let mut stage = world.stage.subscribe();
    loop {
        tokio::select! {
            came = caller.next() => passes_over(world, &came?, None),
            // The world outlives everyone in it.
            _over = stage.wait_for(|stage| *stage == Stage::Over) => return Ok(()),
        }
    }
}

/// Somebody who does not look at what comes; what is said in a conversation not their own is not
/// for them.
pub(crate) fn passes_over(world: &World, bytes: &[u8], own: Option<ConversationId>) {
    match decoded(bytes) {
        Some(frame) => {
            world.misdelivered(&frame, |conversation| Some(conversation) == own);
        }
        None => world.garbled(),
    }
}

/// As a page that is still open does.
async fn come_back(world: &World, who: &mut Who, mut error: CallError) -> Option<Caller> {
    let mut chance = world.chance(world.speaker());
    let mut backoff = Backoff::new();
    while may_return(world, &error, backoff.wait(&mut chance)).await {
        match Box::pin(Caller::greet(world, who, None, world.clock.now())).await {
            Ok(caller) => return Some(caller),
            Err(failed) => error = failed,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::people::caller::tests::Host;
    use crate::people::world::tests::world_at;

    #[tokio::test]
    async fn what_is_said_anywhere_is_misdelivered_to_one_who_has_no_conversation() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = world_at(listener.local_addr().unwrap(), "");
        let (idle, mut host) = tokio::join!(idle(Arc::clone(&world)), Host::welcome(&listener));
        host.tell(&Host::message(ConversationId::from_bytes([1; 16]))).await;
        assert!(host.is_read().await);
        assert_eq!(world.ledger.lock().judge().0.misdelivered, 1);
        world.stage.send_replace(Stage::Over);
        for task in idle.unwrap() {
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_frame_that_is_none_is_corrupt_for_one_who_says_nothing_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = world_at(listener.local_addr().unwrap(), "");
        let (idle, mut host) = tokio::join!(idle(Arc::clone(&world)), Host::welcome(&listener));
        host.say(vec![0xc1]).await;
        assert!(host.is_read().await);
        assert_eq!(world.ledger.lock().judge().0.corrupt, 1);
        world.stage.send_replace(Stage::Over);
        for task in idle.unwrap() {
            task.await.unwrap();
        }
    }
}
