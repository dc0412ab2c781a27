//! livehelp's own protocol, as its visitors and agents speak it.
//!
//! The frames of a greeting are made by the protocol crate. A message is patched into a frame that was made once, and what
//! comes is walked through no further than needed: the driver must stay cheaper than the server.

use std::sync::Arc;

use anyhow::{Result, bail};
use furnish::Names;
use protocol::codec::{Encoding, encode_client};
use protocol::frame::{ClientFrame, ClientRole, RequestId, WatchTopic};
use protocol::ids::{ConversationId, MessageId, SiteKey};
use protocol::limits::List;
use protocol::message::{Body, Seq};
use protocol::personal::{Personal, Text};

use super::pack::Walk;
use super::{Dialect, Heard, Member, Reply};
use crate::clock::wall_ms;
use crate::framing::BINARY;
use crate::net::Upgrade;
use crate::stamp::{self, MESSAGE_BYTES};

/// Where the server's sockets are.
pub(crate) const SOCKET: &str = "/v1/socket";

/// Kinds of the server's frames that mean something here.
const WELCOME: u64 = 64;
const ACK: u64 = 65;
const MESSAGE: u64 = 66;
const REJECT: u64 = 77;
const BYE: u64 = 78;
const HISTORY: u64 = 81;

/// A number that takes all four or eight bytes, so that others fit in its place.
const WIDE_REQUEST: u32 = u32::MAX;
const WIDE_SEQ: u64 = u64::MAX;

#[derive(Debug)]
struct Seat {
    member: Member,
    request: u32,
    /// The newest place heard of, which a client tells with what it says.
    seen: u64,
    /// Answers that are still missing before they are in.
    missing: usize,
}

/// Where in the frame of a `send` its changing parts stand.
#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    request: usize,
    conversation: usize,
    message: usize,
    seen: usize,
    text: usize,
}

/// A client of livehelp.
#[derive(Debug)]
pub struct Livehelp {
    names: Arc<Names>,
    seats: Vec<Seat>,
    template: Template,
    /// Messages are numbered within a run; ids must not come twice.
    said: u64,
}

impl Livehelp {
    /// A client of a server with these people.
    ///
    /// # Errors
    /// If a `send` does not look as expected.
    pub fn new(names: Arc<Names>) -> Result<Self> {
        Ok(Self { names, seats: Vec::new(), template: Template::new()?, said: 0 })
    }
}

/// The greeting of a visitor of this site, with the token that they have, or of an agent.
pub(crate) fn hello(site: Option<SiteKey>, token: Option<&str>) -> ClientFrame<'static> {
    ClientFrame::Hello {
        request: RequestId(1),
        role: if site.is_some() { ClientRole::Visitor } else { ClientRole::Agent },
        client: String::from("peers/1"),
        locale: String::from("en"),
        resume: List::default(),
        site,
        token: token.map(|token| Personal::new(token.to_owned())),
        signals: None,
    }
}

/// A frame's bytes.
pub(crate) fn written(frame: &ClientFrame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Only a frame of an unknown kind has no form, and none is made here.
    let _written = encode_client(Encoding::Msgpack, frame, &mut bytes);
    bytes
}

impl Template {
    fn new() -> Result<Self> {
        let (conversation, message) = ([0xee; 16], [0xdd; 16]);
        let text = String::from_utf8(stamp::message(0).to_vec())?;
        let bytes = written(&ClientFrame::Send {
            request: RequestId(WIDE_REQUEST),
            conversation: ConversationId::from_bytes(conversation),
            message: MessageId::from_bytes(message),
            seen_seq: Seq(WIDE_SEQ),
            body: Body::Text(Text::new(text)),
            visibility: None,
        });
        let find = |part: &[u8]| bytes.windows(part.len()).position(|window| window == part);
        let found = (
            find(&[0xce, 0xff, 0xff, 0xff, 0xff]),
            find(&conversation),
            find(&message),
            find(&[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            find(&stamp::message(0)),
        );
        let (Some(request), Some(conversation), Some(message), Some(seen), Some(text)) = found
        else {
            bail!("a `send` has another form than this driver knows");
        };
        Ok(Self { bytes, request: request + 1, conversation, message, seen: seen + 1, text })
    }
}

fn put(into: &mut [u8], at: usize, part: &[u8]) {
    if let Some(place) = into.get_mut(at..at + part.len()) {
        place.copy_from_slice(part);
    }
}

impl Dialect for Livehelp {
    fn upgrade(&mut self, member: Member) -> Upgrade {
        self.seats.push(Seat { member, request: 1, seen: 0, missing: member.follows.max(1) });
        let header = |name: &str, value: String| (name.to_owned(), value);
        let mut headers =
            vec![header("Sec-WebSocket-Protocol", Encoding::Msgpack.subprotocol().to_owned())];
        if member.seat == 0 {
            headers.push(header("Origin", self.names.page.clone()));
        } else {
            let cookie = self.names.cookie(member.room.unwrap_or_default(), member.seat);
            headers.push(header("Origin", self.names.console.clone()));
            headers.push(header("Cookie", cookie.unwrap_or_default().to_owned()));
        }
        Upgrade { path: SOCKET.to_owned(), headers, narrow: member.narrow }
    }

    fn greet(&mut self, line: usize, say: &mut Vec<Vec<u8>>) -> bool {
        let Some(Seat { member, .. }) = self.seats.get(line) else { return false };
        let greeting = if member.seat == 0 {
            let token = self.names.token(member.room, member.number);
            hello(Some(self.names.site_key.clone()), token)
        } else {
            hello(None, None)
        };
        say.push(written(&greeting));
        false
    }

    fn say(&mut self, line: usize, stamp: u32, into: &mut Vec<u8>) {
        let Some(seat) = self.seats.get_mut(line) else { return };
        seat.request += 1;
        self.said += 1;
        let begin = into.len();
        into.extend_from_slice(&self.template.bytes);
        let Some(frame) = into.get_mut(begin..) else { return };
        let at = &self.template;
        put(frame, at.request, &seat.request.to_be_bytes());
        let room = seat.member.room.unwrap_or_default();
        if let Some(conversation) = self.names.conversation(room) {
            put(frame, at.conversation, conversation.as_bytes());
        }
        put(frame, at.message, &message_id(self.said));
        put(frame, at.seen, &seat.seen.to_be_bytes());
        put(frame, at.text, &stamp::message(stamp));
        debug_assert_eq!(frame.len(), at.text + MESSAGE_BYTES);
    }

    fn hear(&mut self, line: usize, payload: &[u8], reply: &mut Reply) -> Result<()> {
        let Some(seat) = self.seats.get_mut(line) else { return Ok(()) };
        let mut walk = Walk::new(payload);
        let (Some(_), Some(kind)) = (walk.array(), walk.uint()) else {
            bail!("livehelp sent something that is no frame");
        };
        match kind {
            MESSAGE => {
                let _conversation = walk.skip();
                if let Some(seq) = walk.uint() {
                    seat.seen = seat.seen.max(seq);
                }
                let _passed = [walk.skip(), walk.skip(), walk.skip()];
                let Some(stamp) = walk.text().and_then(stamp::read) else {
                    bail!("a message came in another form than it was sent in");
                };
                reply.heard.push(Heard::Delivered(stamp));
            }
            ACK if seat.missing == 0 => {
                // One's own message has been seen as well, once it has its place.
                let (_, seq) = (walk.uint(), walk.uint());
                seat.seen = seat.seen.max(seq.unwrap_or_default());
                reply.heard.push(Heard::Acked);
            }
            WELCOME if seat.member.opens => {
                seat.request += 1;
                let number = u64::try_from(seat.member.number).unwrap_or_default();
                reply.say.push(written(&ClientFrame::Open {
                    request: RequestId(seat.request),
                    conversation: ConversationId::from_bytes(message_id(number)),
                    form: List::default(),
                    notice: None,
                    page: None,
                }));
            }
            WELCOME => match (seat.member.room, seat.member.seat) {
                (None, _) => {
                    seat.missing = 0;
                    reply.heard.push(Heard::Ready);
                }
                // A visitor's own conversation comes of itself.
                (Some(_), 0) => {}
                (Some(room), _) => {
                    for step in 0..seat.missing {
                        seat.request += 1;
                        let room = room + step * self.names.agents.len();
                        reply.say.push(written(&ClientFrame::Watch {
                            request: RequestId(seat.request),
                            topic: WatchTopic::Conversation,
                            conversation: self.names.conversation(room),
                            resume: None,
                            after: None,
                        }));
                    }
                }
            },
            HISTORY if seat.missing > 0 => {
                seat.missing -= 1;
                if seat.missing == 0 {
                    reply.heard.push(Heard::Ready);
                }
            }
            REJECT => {
                let (_, code) = (walk.uint(), walk.uint());
                let words = String::from_utf8_lossy(walk.text().unwrap_or_default()).into_owned();
                bail!("livehelp refused a frame with code {}: {words}", code.unwrap_or_default());
            }
            BYE => bail!("livehelp says goodbye"),
            _ => {}
        }
        Ok(())
    }

    fn acks(&self) -> bool {
        true
    }

    fn opcode(&self) -> u8 {
        BINARY
    }
}

/// A UUID of version 7 whose random part is a counter: unique within a run, and cheap.
fn message_id(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(wall_ms() << 16).to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes[6] = 0x70;
    bytes[8] = 0x80;
    bytes
}

#[cfg(test)]
mod tests {
    use furnish::World;
    use protocol::codec::{decode_client, encode_server};
    use protocol::frame::ServerFrame;
    use protocol::message::Author;
    use protocol::time::{Day, UnixMillis};

    use super::*;

    fn client() -> Livehelp {
        let names = Names::furnished(World { rooms: 4, alone: 0 }, String::new());
        let mut client = Livehelp::new(Arc::new(names)).unwrap();
        let _upgrade = client.upgrade(Member::seated(7, 3, 0));
        client
    }

    #[test]
    fn a_patched_frame_is_a_frame_with_the_message() {
        let mut client = client();
        let mut bytes = Vec::new();
        client.say(0, 4_711, &mut bytes);
        let ClientFrame::Send { request, conversation, message, body, .. } =
            decode_client(Encoding::Msgpack, &bytes).unwrap()
        else {
            panic!("no `send`");
        };
        assert_eq!(request, RequestId(2));
        assert_eq!(Some(conversation), client.names.conversation(3));
        assert_eq!(message.as_bytes()[6] >> 4, 7);
        let Body::Text(text) = body else { panic!("no text") };
        assert_eq!(stamp::read(text.expose().as_bytes()), Some(4_711));
    }

    #[test]
    fn a_message_is_found_in_its_frame() {
        let mut client = client();
        let text = String::from_utf8(stamp::message(9).to_vec()).unwrap();
        let mut bytes = Vec::new();
        let frame = ServerFrame::Message {
            conversation: client.names.conversation(3).unwrap(),
            seq: Seq(70_000),
            message: MessageId::from_bytes([2; 16]),
            author: Author::Agent(protocol::ids::AgentId::from_bytes([3; 16])),
            at: UnixMillis(1_795_000_000_000),
            body: Body::Text(Text::new(text)),
            expires: Some(Day(2_600)),
            visibility: None,
        };
        encode_server(Encoding::Msgpack, &frame, &mut bytes).unwrap();
        let mut reply = Reply::default();
        client.hear(0, &bytes, &mut reply).unwrap();
        assert_eq!((reply.heard, client.seats[0].seen), (vec![Heard::Delivered(9)], 70_000));
    }
}
