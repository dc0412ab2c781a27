//! `kill -9` and power cuts under load, again and again: every acked message is found once and in
//! order.
//!
//! The clients keep their journals in this process, outside the server's. Each kill is judged by
//! what it interrupted: messages that others had seen and that were not stored, messages that were
//! stored and not acked. Both must have happened, or the test has shown nothing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use protocol::conversation::ResumePoint;
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::ids::{ConversationId, MessageId};
use protocol::message::{Body, Message, Seq};
use protocol::personal::Text;
use protocol::time::UnixMillis;
use tempfile::TempDir;

use crate::client::{Client, new_message};
use crate::disk::Disk;
use crate::process::Process;
use crate::server::{Site, furnish};

const DEATHS: usize = 50;
const CONVERSATIONS: usize = 4;
/// Messages that are on their way from one sender at a time.
const UNACKED_MAX: usize = 16;

/// One visitor with two windows: one writes, the other looks on.
struct Journal {
    conversation: ConversationId,
    token: Option<String>,
    /// Everything ever said, in order.
    said: Vec<MessageId>,
    acked: HashMap<MessageId, Seq>,
    /// The newest sequence number that was known when a message was first tried.
    seen_at: HashMap<MessageId, Seq>,
    /// What the second window has on its screen.
    view: Vec<(Seq, MessageId, UnixMillis)>,
    /// What it saw since the last start.
    seen: HashSet<MessageId>,
}

fn text_of(number: usize) -> String {
    format!("message {number}")
}

impl Journal {
    fn point(&self) -> Vec<ResumePoint> {
        let conversation = self.conversation;
        let last = self.view.last();
        vec![ResumePoint {
            conversation,
            seq: last.map_or(Seq(0), |(seq, ..)| *seq),
            message: last.map(|(_, message, _)| *message),
            at: last.map(|(.., at)| *at),
        }]
    }

    fn show(&mut self, seq: Seq, message: MessageId, at: UnixMillis) {
        // A known id at a new sequence number moves.
        self.view.retain(|(_, known, _)| *known != message);
        let index = self.view.partition_point(|(known, ..)| *known < seq);
        self.view.insert(index, (seq, message, at));
    }

    fn take(&mut self, frame: &ServerFrame<'_>) {
        match frame {
            ServerFrame::Message { seq, message, at, .. } => {
                self.show(*seq, *message, *at);
                self.seen.insert(*message);
            }
            ServerFrame::Void { message, .. } => self.view.retain(|(_, known, _)| known != message),
            ServerFrame::History { reset, messages, .. } => {
                if *reset {
                    self.view.clear();
                }
                for message in messages {
                    self.show(message.seq, message.message, message.at);
                }
            }
            _ => {}
        }
    }

    /// Sends what is not acked, then new ones, until the connection breaks.
    async fn write_until_death(&mut self, mut client: Client) {
        let mut by_request: HashMap<RequestId, MessageId> = HashMap::new();
        let mut waiting: HashSet<MessageId> = HashSet::new();
        let mut next =
            self.said.iter().position(|m| !self.acked.contains_key(m)).unwrap_or(self.said.len());
        loop {
            while waiting.len() < UNACKED_MAX {
                if next == self.said.len() {
                    self.said.push(new_message());
                }
                let (message, request) = (self.said[next], client.next_request());
                let body = Body::Text(Text::new(text_of(next)));
                let newest = self.acked.values().copied().max().unwrap_or_default();
                let seen_seq = *self.seen_at.entry(message).or_insert(newest);
                let conversation = self.conversation;
                next += 1;
                if self.acked.contains_key(&message) {
                    continue;
                }
                by_request.insert(request, message);
                waiting.insert(message);
                let visibility = None;
                let frame = ClientFrame::Send {
                    request,
                    conversation,
                    message,
                    seen_seq,
                    body,
                    visibility,
                };
                if !client.try_tell(&frame).await {
                    return;
                }
            }
            match client.next().await {
                Ok(ServerFrame::Ack { request, seq: Some(seq), .. }) => {
                    if let Some(message) = by_request.remove(&request) {
                        waiting.remove(&message);
                        self.acked.insert(message, seq);
                    }
                }
                Ok(ServerFrame::Reject { code, words, .. }) => panic!("{}: {words}", code.word()),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// The whole transcript, page by page.
async fn transcript(site: &Site, journal: &Journal) -> Vec<Message<'static>> {
    let mut client = Client::visitor(site, journal.token.clone(), vec![]).await;
    let mut before = Seq(0);
    let mut all: Vec<Message<'static>> = Vec::new();
    loop {
        let request = client.next_request();
        let conversation = journal.conversation;
        client.tell(&ClientFrame::History { request, conversation, before, limit: 100 }).await;
        let (_, mut page) = client.history(request).await;
        let Some(first) = page.first() else { return all };
        before = first.seq;
        page.append(&mut all);
        all = page;
        if before == Seq(1) {
            return all;
        }
    }
}

async fn look_on(site: &Site, journal: &Journal) -> Client {
    let mut client = Client::connect(site, &[("origin", crate::server::SHOP)]).await;
    client.greet_as_visitor(site.site_key.clone(), journal.token.clone(), journal.point()).await;
    client
}

async fn load_until_killed(
    process: Process,
    journals: Vec<Journal>,
    delay: Duration,
) -> Vec<Journal> {
    // All are in before the time runs: death is to come while they write.
    let mut windows = Vec::new();
    for journal in &journals {
        let writer = Client::visitor(&process.site, journal.token.clone(), vec![]).await;
        windows.push((writer, look_on(&process.site, journal).await));
    }
    let mut tasks = Vec::new();
    for (mut journal, (writer, mut window)) in journals.into_iter().zip(windows) {
        tasks.push(livehelp::tasks::spawn("journal", async move {
            journal.seen.clear();
            let mut looker = Journal {
                conversation: journal.conversation,
                token: None,
                said: Vec::new(),
                acked: HashMap::new(),
                seen_at: HashMap::new(),
                view: std::mem::take(&mut journal.view),
                seen: HashSet::new(),
            };
            let looking = async {
                while let Ok(frame) = window.next().await {
                    looker.take(&frame);
                }
            };
            tokio::join!(journal.write_until_death(writer), looking);
            journal.view = looker.view;
            journal.seen = looker.seen;
            journal
        }));
    }
    tokio::time::sleep(delay).await;
    process.kill();
    let mut back = Vec::new();
    for task in tasks {
        back.push(task.await.unwrap());
    }
    back
}

/// What so many deaths interrupted, and how many acks were held against the transcript.
#[derive(Debug, Default)]
struct Toll {
    shown_not_stored: usize,
    stored_not_acked: usize,
    acked: usize,
}

impl Toll {
    /// Deaths fell between fan-out and commit, and between commit and ack.
    fn shows_something(&self) {
        let each = [self.shown_not_stored, self.stored_not_acked, self.acked];
        assert!(each.iter().all(|count| *count > 0), "{self:?}");
    }
}

async fn journals(site: &Site) -> Vec<Journal> {
    let mut journals = Vec::new();
    for _ in 0..CONVERSATIONS {
        let mut client = Client::visitor(site, None, vec![]).await;
        let conversation = client.open().await;
        journals.push(Journal {
            conversation,
            token: client.token.clone(),
            said: Vec::new(),
            acked: HashMap::new(),
            seen_at: HashMap::new(),
            view: Vec::new(),
            seen: HashSet::new(),
        });
    }
    journals
}

/// Ends the server under load again and again; `start` serves the folder again as the death left
/// it.
async fn deaths(start: impl Fn(bool) -> Process) -> Toll {
    let mut toll = Toll::default();
    let mut process = start(false);
    let mut journals = journals(&process.site).await;
    for death in 0..DEATHS {
        // Moments that differ without a random source: the load itself is not in step with them.
        let delay = Duration::from_millis(20 + u64::try_from(death * 37 % 90).unwrap());
        journals = load_until_killed(process, journals, delay).await;
        process = start(true);
        for journal in &mut journals {
            hold_against(&process.site, journal, death, &mut toll).await;
        }
    }
    process.kill();
    toll
}

/// Compares a client's journal and screen with what the server kept.
async fn hold_against(site: &Site, journal: &mut Journal, death: usize, toll: &mut Toll) {
    let stored = transcript(site, journal).await;
    let places: HashMap<_, _> = stored.iter().map(|m| (m.message, m.seq)).collect();
    assert_eq!(places.len(), stored.len(), "death {death}: a message is there twice");
    for (message, seq) in &journal.acked {
        let place = places.get(message);
        assert_eq!(place, Some(seq), "death {death}: an acked message moved or is gone");
    }
    let order: Vec<_> = stored.iter().map(|m| m.message).collect();
    let said: Vec<_> = journal.said.iter().copied().filter(|m| places.contains_key(m)).collect();
    assert_eq!(order, said, "death {death}: the order is the order of saying");
    toll.shown_not_stored += journal.seen.iter().filter(|m| !places.contains_key(m)).count();
    toll.stored_not_acked += places.keys().filter(|m| !journal.acked.contains_key(m)).count();
    toll.acked += journal.acked.len();
    // The window comes back: its screen is the transcript.
    let mut window = look_on(site, journal).await;
    let page = window
        .until(|frame| matches!(frame, ServerFrame::History { .. }).then(|| frame.clone()))
        .await;
    journal.take(&page);
    let first = journal.view.first().map_or(Seq(0), |(seq, ..)| *seq);
    let expected: Vec<_> =
        stored.iter().filter(|m| m.seq >= first).map(|m| (m.seq, m.message, m.at)).collect();
    assert_eq!(journal.view, expected, "death {death}: the screen is not the transcript");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_and_double_nothing() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    deaths(|_| Process::start(folder.path())).await.shows_something();
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_power_cuts_lose_and_double_nothing() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path()).await;
    let disk = Disk::new();
    let toll = deaths(|after_a_death| {
        if after_a_death {
            disk.cut_power(folder.path());
        }
        disk.take_in(folder.path());
        Process::start_as(folder.path(), |command| disk.beneath(command))
    })
    .await;
    toll.shows_something();
}
