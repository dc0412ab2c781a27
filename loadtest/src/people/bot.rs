//! A program that writes into rooms over REST, with an API key. What it says is heard and accounted
//! for like all else.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, header};
use protocol::ids::ConversationId;
use serde_json::json;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::clock::{Micros, micros};
use crate::judge::figure::{Count, Timing};
use crate::judge::ledger::SentTally;
use crate::people::stamp::Stamp;
use crate::people::world::{Stage, World};
use crate::run::rest::{Answer, Rest, Shown};
use crate::tasks;

/// Begins with the run; writes into one room of this worker, or into the first of all where it has
/// none.
pub(crate) fn bot(
    world: Arc<World>,
    rest: Rest,
    number: usize,
    first: Option<ConversationId>,
) -> JoinHandle<()> {
    let me = world.speaker();
    tasks::spawn("bot", async move {
        let mut stage = world.stage.subscribe();
        // The world outlives everyone in it.
        let _there = stage.wait_for(|stage| *stage >= Stage::Running).await.is_ok();
        let rooms = world.rooms.lock().clone();
        let own = rooms.get(number % rooms.len().max(1)).copied();
        let Some(conversation) = own.or(first) else { return };
        world.owes("bots");
        let mut chance = world.chance(me);
        let mut tally =
            SentTally { conversation, sender: me, used: 0, refused: vec![], unacked: vec![] };
        let every = Duration::from_millis(world.scenario().habits.bot_ms);
        let mut due = world.clock.now();
        let mut free_since = Micros(0);
        while world.stage() <= Stage::Running {
            if due > free_since {
                world.record(Timing::SendLag, due, world.clock.now().since(due));
            }
            say(&world, &rest, &mut tally, &mut chance, due).await;
            // What came due while an answer was awaited was not late by our doing.
            free_since = world.clock.now();
            due = due.plus(every);
            tokio::select! {
                () = tokio::time::sleep_until(world.clock.instant(due)) => {}
                _over = stage.wait_for(|stage| *stage > Stage::Running) => {}
            }
        }
        world.ledger.lock().said(tally);
        world.handed_in("bots");
    })
}

async fn say(
    world: &World,
    rest: &Rest,
    tally: &mut SentTally,
    chance: &mut fastrand::Rng,
    due: Micros,
) {
    let number = tally.used;
    tally.used += 1;
    let now = world.clock.now();
    let late_us = u32::try_from(micros(now.since(due))).unwrap_or(u32::MAX);
    let stamp = Stamp {
        run: world.plan.run,
        sender: tally.sender,
        number,
        intended_us: due.0,
        late_us,
        last: false,
    };
    let chars = world.chars(chance);
    let text = stamp.text(chars);
    let message = format!("msg_{}", Uuid::now_v7().simple());
    let body = json!({ "message_id": message, "text": text });
    let path = format!("/v1/conversations/{}/messages", tally.conversation);
    let key = world.plan.grounds.bot_key.as_deref().unwrap_or_default();
    world.sends(due, chars);
    world.count_at(Count::BotMessages, due);
    let answer = loop {
        let answer = rest.ask(Method::POST, &path, Shown::Bearer(key), Some(body.clone())).await;
        let put_off = answer.as_ref().ok().and_then(put_off);
        let Some(wait) = put_off else { break answer };
        world.count(Count::PutOff);
        tokio::time::sleep(wait).await;
        if world.stage() >= Stage::Settling {
            break Err(anyhow::anyhow!("put off to the end"));
        }
        world.count(Count::Resent);
    };
    world.answered();
    match answer {
        Ok(answer) if answer.status.is_success() => {
            world.recorder.lock().acked(due, world.clock.now());
        }
        Ok(_) => {
            tally.refused.push(number);
            world.count_at(Count::Refused, due);
        }
        Err(_) => tally.unacked.push(number),
    }
}

/// How long to wait, where the same may succeed later: as a program would that reads the answer's
/// header.
fn put_off(answer: &Answer) -> Option<Duration> {
    let later = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    let after = answer.headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok());
    let seconds = after.and_then(|after| after.parse().ok()).unwrap_or(2);
    later.contains(&answer.status).then(|| Duration::from_secs(seconds))
}
