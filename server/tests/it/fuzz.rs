//! Frames made by chance, and good ones with something changed, on a live connection: each gets its
//! answer or ends its own connection with the code that says why; nobody else notices.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use protocol::codec::{Encoding, encode_client};
use protocol::frame::{ClientFrame, RequestId, ServerFrame, WatchTopic};
use protocol::ids::ConversationId;
use protocol::limits::List;
use protocol::message::{Body, Seq};
use protocol::personal::Text;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use crate::client::{Client, new_conversation, new_message};
use crate::server::{SHOP, TestServer};

const CASES: u32 = 60;
/// Malformed, a frame of the other kind, too large: the ends that a frame may bring about.
const ENDS: [u16; 3] = [4000, 1003, 1009];
/// What the probe after each case is asked with.
const PROBE: RequestId = RequestId(4_000_000_000);

/// What is done to a good frame.
#[derive(Debug, Clone)]
enum Change {
    Byte(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Twice(Index),
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Byte(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Insert(at, more) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Twice(at) => {
                let again = bytes.split_off(at.index(bytes.len()));
                bytes.extend_from_slice(&again);
                bytes.extend_from_slice(&again);
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(at, more)| Change::Insert(at, more)),
        1 => any::<Index>().prop_map(Change::Twice),
    ]
}

/// One thing to send.
#[derive(Debug, Clone)]
enum Sent {
    Noise(Vec<u8>),
    Changed(Index, Vec<Change>),
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Sent::Noise),
        5 => (any::<Index>(), prop::collection::vec(change(), 0..4))
            .prop_map(|(which, changes)| Sent::Changed(which, changes)),
    ]
}

/// What a visitor may say, and what only agents may, about a conversation.
fn good(conversation: ConversationId) -> Vec<ClientFrame<'static>> {
    let request = RequestId(7);
    let body = |text: &'static str| Body::Text(Text::new(text));
    let (message, seen_seq) = (new_message(), Seq(0));
    let form = List::default();
    let topic = WatchTopic::Conversation;
    vec![
        ClientFrame::Send {
            request,
            conversation,
            message,
            seen_seq,
            body: body("hello"),
            visibility: None,
        },
        ClientFrame::Open {
            request,
            conversation: new_conversation(),
            form,
            notice: None,
            page: None,
        },
        ClientFrame::History { request, conversation, before: Seq(9), limit: 20 },
        ClientFrame::Typing { conversation, typing: true },
        ClientFrame::Seen { conversation, seq: Seq(1) },
        ClientFrame::Delivered { conversation, seq: Seq(1) },
        ClientFrame::Close { request, conversation },
        ClientFrame::Reopen { request, conversation },
        ClientFrame::Accept { request, conversation },
        ClientFrame::Watch {
            request,
            topic,
            conversation: Some(conversation),
            resume: None,
            after: None,
        },
        ClientFrame::Watch {
            request,
            topic: WatchTopic::Board,
            conversation: None,
            resume: None,
            after: None,
        },
        ClientFrame::Ping { request },
    ]
}

fn bytes_of(sent: &Sent, encoding: Encoding, conversation: ConversationId) -> Vec<u8> {
    match sent {
        Sent::Noise(bytes) => bytes.clone(),
        Sent::Changed(which, changes) => {
            let mut bytes = Vec::new();
            let frames = good(conversation);
            encode_client(encoding, &frames[which.index(frames.len())], &mut bytes).unwrap();
            for change in changes {
                change.make(&mut bytes);
            }
            bytes
        }
    }
}

/// One connection's life: it answers a last probe, or ended for a reason that is written down.
async fn live(server: &TestServer, encoding: Encoding, all: &[Sent]) {
    let mut client = Client::connect_as(server, encoding, &[("origin", SHOP)]).await;
    client.greet_as_visitor(server.site_key.clone(), None, vec![]).await;
    let conversation = client.open().await;
    let mut frames: Vec<_> =
        all.iter().map(|sent| bytes_of(sent, encoding, conversation)).collect();
    let mut probe = Vec::new();
    encode_client(encoding, &ClientFrame::Ping { request: PROBE }, &mut probe).unwrap();
    frames.push(probe);
    for bytes in frames {
        let message = match (encoding, String::from_utf8(bytes)) {
            (Encoding::Json, Ok(text)) => WsMessage::text(text),
            // WebSocket itself refuses text that is none; as bytes it is of the other subprotocol.
            (Encoding::Json, Err(none)) => WsMessage::binary(none.into_bytes()),
            (Encoding::Msgpack, Ok(text)) => WsMessage::binary(text.into_bytes()),
            (Encoding::Msgpack, Err(none)) => WsMessage::binary(none.into_bytes()),
        };
        if !client.try_raw(message).await {
            break;
        }
    }
    loop {
        match client.next().await {
            Ok(ServerFrame::Pong { request }) if request == PROBE => return,
            Ok(_) => {}
            Err(code) => {
                assert!(ENDS.contains(&code), "{code} is no answer to a frame");
                return;
            }
        }
    }
}

#[test]
fn frames_made_by_chance_get_an_answer_or_end_their_own_connection() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (server, mut bystander, conversation) = runtime.block_on(async {
        let server = TestServer::start_with(|config| {
            config.conversations_per_ip_hour_max = 100_000;
        })
        .await;
        let mut bystander = Client::visitor(&server, None, vec![]).await;
        let conversation = bystander.open().await;
        (server, bystander, conversation)
    });
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        // A connection that died in silence is waited for each time.
        max_shrink_iters: 3,
        ..Config::default()
    });
    let all = (prop::bool::ANY, prop::collection::vec(sent(), 1..14));
    runner
        .run(&all, |(json, all)| {
            let encoding = if json { Encoding::Json } else { Encoding::Msgpack };
            runtime.block_on(live(&server, encoding, &all));
            Ok(())
        })
        .unwrap();
    runtime.block_on(async {
        bystander.say(conversation, "unharmed").await;
        server.stop().await;
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}
