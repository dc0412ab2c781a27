//! Rooms: a visitor, their agent's window, and those who watch. All of them find their places
//! before the run begins.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use protocol::conversation::ConversationState;
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::ids::{AgentId, ConversationId};
use protocol::limits::List;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::judge::ledger::Way;
use crate::people::caller::{Caller, Who, decoded};
use crate::people::party::{Part, Party, watch_frame};
use crate::people::talk::Talk;
use crate::people::world::{DUE_MAX, Purpose, World};
use crate::run::scenario::{Loop, Speakers};
use crate::tasks;

/// Time for one person to find their place.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens a conversation, waits for its agent, brings the agent's window in, and lets both speak.
///
/// # Errors
/// If one of them does not find their place.
pub(crate) async fn room(world: Arc<World>, cut: bool) -> Result<Vec<JoinHandle<()>>> {
    let entering = tokio::time::timeout(PATIENCE, Box::pin(enter(&world)));
    let (visitor, agent) = entering.await.context("no agent came to a room in time")??;
    let conversation = visitor.2.conversation;
    let account = world.account(agent).context("an agent of another Organization took a room")?;
    let who = Who::Agent { cookie: account.cookie.clone() };
    let (who, caller, talk) = window(&world, who, conversation, None).await?;
    world.rooms.lock().push(conversation);
    let (first, second) = parts(&world);
    let window = Party::new(&world, who, caller, talk, second);
    let mut visitor = Party::new(&world, visitor.0, visitor.1, visitor.2, first);
    visitor.first_cut = cut.then(|| first_cut(&world, visitor.talk.me));
    Ok(vec![tasks::spawn("visitor", visitor.run()), tasks::spawn("window", window.run())])
}

/// From the run's beginning to a reconnector's first cut.
fn first_cut(world: &World, person: u32) -> Duration {
    let every_us = world.scenario().reconnect.every_ms * 1_000;
    let together = world.scenario().reconnect.together;
    let us = if together { every_us } else { world.chance(person).u64(1..=every_us) };
    Duration::from_micros(us)
}

fn parts(world: &World) -> (Part, Part) {
    if world.scenario().pacing == Loop::Closed {
        return (Part::Alternating(true), Part::Alternating(false));
    }
    let speakers = world.scenario().speakers;
    let part = |speaks: bool| {
        if !speaks {
            return Part::Silent;
        }
        // Full: what is due is counted as unsent by the pacer.
        let (tell, told) = mpsc::channel(DUE_MAX);
        world.speakers.lock().push(tell);
        Part::Scheduled(told)
    };
    (part(speakers != Speakers::Agents), part(speakers != Speakers::Visitors))
}

async fn enter(world: &Arc<World>) -> Result<((Who, Caller, Talk), AgentId)> {
    let mut who = Who::Visitor { token: None };
    let mut caller = Caller::greet(world, &mut who, None, world.clock.now())
        .await
        .context("a visitor could not connect")?;
    let mut talk = Talk::new(world, World::conversation(Purpose::Room));
    open(&mut caller, talk.conversation).await?;
    loop {
        let bytes =
            caller.next().await.context("a visitor's connection ended before an agent came")?;
        match for_them(world, talk.conversation, &bytes) {
            Some(ServerFrame::Conversation { card })
                if card.state == ConversationState::Active
                    && card.conversation == talk.conversation =>
            {
                talk.assigned();
                let agent = card.assignee.context("an active conversation without an agent")?;
                return Ok(((who, caller, talk), agent));
            }
            Some(ServerFrame::Queue { conversation, position, .. })
                if conversation == talk.conversation =>
            {
                talk.queued(world, position);
            }
            Some(ServerFrame::History { messages, .. }) => {
                talk.page(world, &messages, Way::Entered);
            }
            Some(ServerFrame::Reject { code, words, .. }) => {
                bail!("a conversation was refused ({}): {words}", code.word());
            }
            Some(_) | None => {}
        }
    }
}

/// What comes to one who finds their place: no frame, or what is said elsewhere, is counted.
fn for_them<'a>(world: &World, own: ConversationId, bytes: &'a [u8]) -> Option<ServerFrame<'a>> {
    let frame = decoded(bytes);
    if frame.is_none() {
        world.garbled();
    }
    frame.filter(|frame| !world.misdelivered(frame, |conversation| conversation == own))
}

/// Asks for a conversation; the answer comes with the other frames.
///
/// # Errors
/// If the connection broke.
pub(crate) async fn open(caller: &mut Caller, conversation: ConversationId) -> Result<RequestId> {
    let request = caller.next_request();
    let form = List::default();
    let frame = ClientFrame::Open { request, conversation, form, notice: None, page: None };
    caller.tell(&frame).await.context("a visitor could not open a conversation")?;
    Ok(request)
}

/// A window that hears a conversation, with all that was said in it before.
///
/// # Errors
/// If it is not let in.
pub(crate) async fn window(
    world: &Arc<World>,
    mut who: Who,
    conversation: ConversationId,
    receive_bytes: Option<u32>,
) -> Result<(Who, Caller, Talk)> {
    let due = world.clock.now();
    let mut caller = Caller::greet_with(world, &mut who, None, due, receive_bytes)
        .await
        .context("an agent's window could not connect")?;
    let mut talk = Talk::new(world, conversation);
    if let Err(error) = let_in(world, &mut caller, &mut talk).await {
        caller.gone(world);
        return Err(error);
    }
    Ok((who, caller, talk))
}

/// Asks to hear the conversation, and hears what was said in it before.
async fn let_in(world: &World, caller: &mut Caller, talk: &mut Talk) -> Result<()> {
    let watch = caller.next_request();
    let frame = watch_frame(watch, talk.resume_point());
    caller.tell(&frame).await.context("an agent's window could not ask")?;
    loop {
        let bytes = caller.next().await.context("an agent's connection ended")?;
        match for_them(world, talk.conversation, &bytes) {
            Some(ServerFrame::History { request, messages, .. }) if request == watch => {
                talk.page(world, &messages, Way::Entered);
                return Ok(());
            }
            Some(ServerFrame::Reject { request, code, words, .. }) if request == watch => {
                bail!("a window was not let in ({}): {words}", code.word());
            }
            Some(_) | None => {}
        }
    }
}

/// A supervisor's window that hears the first room.
///
/// # Errors
/// If it is not let in.
pub(crate) async fn watcher(
    world: Arc<World>,
    number: usize,
    conversation: ConversationId,
) -> Result<Vec<JoinHandle<()>>> {
    let who = supervisor(&world, number)?;
    let (who, caller, talk) = window(&world, who, conversation, None).await?;
    let party = Party::new(&world, who, caller, talk, Part::Silent);
    Ok(vec![tasks::spawn("watcher", party.run())])
}

/// One of the supervisors.
///
/// # Errors
/// If there is none.
pub(crate) fn supervisor(world: &World, number: usize) -> Result<Who> {
    let accounts = &world.plan.grounds.supervisors;
    let account = accounts.get(number % accounts.len().max(1)).context("there is no supervisor")?;
    Ok(Who::Agent { cookie: account.cookie.clone() })
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::judge::figure::Count;
    use crate::people::caller::tests::Host;
    use crate::people::world::Stage;
    use crate::people::world::tests::{over, world_at};

    #[tokio::test]
    async fn a_window_that_is_not_let_in_is_no_connection_any_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = world_at(listener.local_addr().unwrap(), "");
        let who = Who::Agent { cookie: String::from("session=x") };
        let conversation = World::conversation(Purpose::Room);
        let sent_away = async { drop(Host::welcome(&listener).await) };
        let entering = window(&world, who, conversation, None);
        let (entered, ()) = tokio::join!(entering, sent_away);
        assert!(entered.is_err());
        assert_eq!((over(&world, Count::Connects), world.connections()), (1, 0));
    }

    #[tokio::test]
    async fn a_connection_that_will_be_cut_is_read_from_the_beginning_and_cut_once_the_run_began() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = world_at(listener.local_addr().unwrap(), "");
        let mut who = Who::Visitor { token: None };
        let greeting = Caller::greet(&world, &mut who, None, world.clock.now());
        let (caller, mut host) = tokio::join!(greeting, Host::welcome(&listener));
        let talk = Talk::new(&world, World::conversation(Purpose::Room));
        let mut visitor = Party::new(&world, who, caller.unwrap(), talk, Part::Silent);
        visitor.first_cut = Some(Duration::from_millis(1));
        let visitor = tasks::spawn("visitor", visitor.run());
        assert!(in_time(host.is_read()).await);
        assert_eq!(over(&world, Count::Cuts), 0);
        world.stage.send_replace(Stage::Running);
        let _back = in_time(Host::welcome(&listener)).await;
        assert_eq!(over(&world, Count::Cuts), 1);
        world.stage.send_replace(Stage::Over);
        in_time(visitor).await.unwrap();
    }

    /// What a connection does that is cut too early is nothing, for ever.
    async fn in_time<T>(act: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), act).await.unwrap()
    }
}
