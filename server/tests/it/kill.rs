//! `kill -9` under load, again and again: every acked message is found once and in order.
//!
//! The clients keep their journals in this process, outside the server's. Each kill is judged by what it
//! interrupted: messages that others had seen and that were not stored, messages that were stored and
//! not acked. Both must have happened, or the test has shown nothing.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use protocol::conversation::ResumePoint;
use protocol::frame::{ClientFrame, RequestId, ServerFrame};
use protocol::ids::{AgentId, ConversationId, MessageId, SiteKey};
use protocol::message::{Body, Message, Seq};
use protocol::personal::Text;
use tempfile::TempDir;

use crate::client::{Client, new_message};
use crate::server::{Site, config, furnish};

const KILLS: usize = 50;
const CONVERSATIONS: usize = 4;
/// Messages that are on their way from one sender at a time.
const UNACKED_MAX: usize = 16;

struct Process {
    child: Child,
    site: Site,
}

impl Process {
    fn start(folder: &Path, site_key: &SiteKey) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_livehelp"))
            .arg("serve")
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--messages-per-minute", "1000000", "--messages-burst", "1000000"])
            .args(["--frames-per-second", "100000", "--frames-burst", "1000000"])
            .arg("--data")
            .arg(folder.join("data"))
            .arg("--keys")
            .arg(folder.join("keys"))
            .env_remove("LIVEHELP_CONFIG")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).expect("the ready line");
        let address = ready["public"].as_str().unwrap().trim_start_matches("http://");
        let address: SocketAddr = address.parse().unwrap();
        let agents = [AgentId::from_bytes([1; 16]), AgentId::from_bytes([2; 16])];
        Self { child, site: Site { address, site_key: site_key.clone(), agents } }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// One visitor with two windows: one writes, the other looks on.
struct Journal {
    conversation: ConversationId,
    token: Option<String>,
    /// Everything ever said, in order.
    said: Vec<MessageId>,
    acked: HashMap<MessageId, Seq>,
    /// The newest place that was known when a message was first tried.
    seen_at: HashMap<MessageId, Seq>,
    /// What the second window has on its screen.
    view: Vec<(Seq, MessageId)>,
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
        let (seq, message) = last.map_or((Seq(0), None), |(seq, message)| (*seq, Some(*message)));
        vec![ResumePoint { conversation, seq, message }]
    }

    fn show(&mut self, seq: Seq, message: MessageId) {
        // A known id at a new place moves.
        self.view.retain(|(_, known)| *known != message);
        let at = self.view.partition_point(|(known, _)| *known < seq);
        self.view.insert(at, (seq, message));
    }

    fn take(&mut self, frame: &ServerFrame<'_>) {
        match frame {
            ServerFrame::Message { seq, message, .. } => {
                self.show(*seq, *message);
                self.seen.insert(*message);
            }
            ServerFrame::Void { message, .. } => self.view.retain(|(_, known)| known != message),
            ServerFrame::History { reset, messages, .. } => {
                if *reset {
                    let first = messages.first().map_or(Seq(0), |message| message.seq);
                    self.view.retain(|(seq, _)| *seq < first);
                }
                for message in messages {
                    self.show(message.seq, message.message);
                }
            }
            _ => {}
        }
    }

    /// Sends what is not acked, then new ones, until the line breaks.
    async fn write_until_death(&mut self, site: &Site) {
        let mut client = Client::visitor(site, self.token.clone(), vec![]).await;
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
    let mut windows = Vec::new();
    for journal in &journals {
        windows.push(look_on(&process.site, journal).await);
    }
    let Site { address, site_key, agents } = &process.site;
    let mut tasks = Vec::new();
    for (mut journal, mut window) in journals.into_iter().zip(windows) {
        let site = Site { address: *address, site_key: site_key.clone(), agents: *agents };
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
            tokio::join!(journal.write_until_death(&site), looking);
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

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_and_double_nothing() {
    let folder = TempDir::new().unwrap();
    let site_key = SiteKey::from_random([7; 16]);
    let agents = [AgentId::from_bytes([1; 16]), AgentId::from_bytes([2; 16])];
    furnish(&config(folder.path()), &site_key, agents).await;
    let mut process = Process::start(folder.path(), &site_key);
    let mut journals = Vec::new();
    for _ in 0..CONVERSATIONS {
        let mut client = Client::visitor(&process.site, None, vec![]).await;
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
    let (mut shown_not_stored, mut stored_not_acked, mut acked) = (0, 0, 0);
    for kill in 0..KILLS {
        // Moments that differ without a random source: the load itself is not in step with them.
        let delay = Duration::from_millis(20 + u64::try_from(kill * 37 % 90).unwrap());
        journals = load_until_killed(process, journals, delay).await;
        process = Process::start(folder.path(), &site_key);
        for journal in &mut journals {
            let stored = transcript(&process.site, journal).await;
            let places: HashMap<_, _> = stored.iter().map(|m| (m.message, m.seq)).collect();
            assert_eq!(places.len(), stored.len(), "kill {kill}: a message is there twice");
            for (message, seq) in &journal.acked {
                assert_eq!(
                    places.get(message),
                    Some(seq),
                    "kill {kill}: an acked message moved or is gone"
                );
            }
            let order: Vec<_> = stored.iter().map(|m| m.message).collect();
            let said: Vec<_> =
                journal.said.iter().copied().filter(|m| places.contains_key(m)).collect();
            assert_eq!(order, said, "kill {kill}: the order is the order of saying");
            shown_not_stored += journal.seen.iter().filter(|m| !places.contains_key(m)).count();
            stored_not_acked += places.keys().filter(|m| !journal.acked.contains_key(m)).count();
            acked += journal.acked.len();
            // The window comes back: its screen is the transcript.
            let mut window = look_on(&process.site, journal).await;
            let page = window
                .until(|frame| matches!(frame, ServerFrame::History { .. }).then(|| frame.clone()))
                .await;
            journal.take(&page);
            let first = journal.view.first().map_or(Seq(0), |(seq, _)| *seq);
            let expected: Vec<_> =
                stored.iter().filter(|m| m.seq >= first).map(|m| (m.seq, m.message)).collect();
            assert_eq!(journal.view, expected, "kill {kill}: the screen is not the transcript");
        }
    }
    process.kill();
    println!(
        "{KILLS} kills: {shown_not_stored} shown and not stored, {stored_not_acked} stored and not acked, {acked} acks checked"
    );
    assert!(shown_not_stored > 0 && stored_not_acked > 0 && acked > 0);
}
