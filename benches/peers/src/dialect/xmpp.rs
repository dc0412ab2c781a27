//! XMPP over WebSocket (RFC 7395): a guest by SASL ANONYMOUS with an address of their own, nothing confirmed.
//!
//! Two who share a room write to each other's full address, which each has from the server only; a room of more is a
//! room of Multi-User Chat (XEP-0045), whose members hear themselves too: that is left out here.
//!
//! Every message of the socket is one element, as the framing has it; so they are told apart by how they begin, and read
//! without a parser: what is said here holds nothing that XML escapes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Dialect, Heard, Member, Reply};
use crate::clock::pause;
use crate::framing::TEXT;
use crate::net::Upgrade;
use crate::stamp;

/// The host that the server has, and where its rooms of many are.
pub const HOST: &str = "localhost";
const ROOMS: &str = "rooms.localhost";
/// Where the server takes WebSockets.
pub const PATH: &str = "/xmpp";

/// What a client waits behind the upgrade. ejabberd 23.01 loses the first words of one line in some five thousand when they
/// come at once, which is sooner than from a browser, and ends that line after half a minute; behind a millisecond it lost
/// none of twenty thousand. Its processors spin on meanwhile, so a connection seems to cost it more, by up to half.
const GRACE: Duration = Duration::from_millis(1);
/// Before a client has said who they are, and once more behind it.
const OPEN: &str =
    "<open xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\" to=\"localhost\" version=\"1.0\"/>";
const AUTH: &str = "<auth xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\" mechanism=\"ANONYMOUS\"/>";
const BIND: &str = "<iq xmlns=\"jabber:client\" type=\"set\" id=\"bind\">\
                    <bind xmlns=\"urn:ietf:params:xml:ns:xmpp-bind\"/></iq>";

#[derive(Debug, Default)]
struct Room {
    /// The addresses of the first two seats, once they have them.
    two: [Option<String>; 2],
    /// Others sit there too. They are announced before anybody is in, so the first two know it in time.
    many: bool,
}

/// A client of an XMPP server.
#[derive(Debug, Default)]
pub struct Xmpp {
    lines: Vec<Member>,
    rooms: BTreeMap<usize, Room>,
}

/// What an element's first tag has under this name.
fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let (tag, _) = element.split_once('>')?;
    let (_, behind) = tag.split_once(&format!(" {name}="))?;
    let quote = behind.chars().next()?;
    behind.get(1..)?.split(quote).next()
}

/// The text of the first element within that has this name.
fn text<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = element.split_once(&format!("<{name}>"))?;
    Some(behind.split_once(&format!("</{name}>"))?.0)
}

/// What they are called in a room of many.
fn nick(member: Member) -> String {
    format!("member{}", member.number)
}

impl Xmpp {
    fn member(&self, line: usize) -> Result<Member> {
        self.lines.get(line).copied().context("no such line")
    }

    /// They have their address: two may write to each other now, all others ask to be let into their room.
    fn bound(&mut self, member: Member, address: &str, reply: &mut Reply) {
        let room = member.room.and_then(|number| Some((number, self.rooms.get_mut(&number)?)));
        match room {
            Some((number, Room { many: true, .. })) => {
                let wish = format!(
                    "<presence xmlns=\"jabber:client\" to=\"room{number}@{ROOMS}/{}\">\
                     <x xmlns=\"http://jabber.org/protocol/muc\"/></presence>",
                    nick(member)
                );
                reply.say.push(wish.into_bytes());
                return;
            }
            Some((_, Room { two, .. })) => {
                if let Some(seat) = two.get_mut(member.seat) {
                    *seat = Some(address.to_owned());
                }
            }
            None => {}
        }
        reply.heard.push(Heard::Ready);
    }

    fn message(member: Member, element: &str, reply: &mut Reply) -> Result<()> {
        let from = attribute(element, "from").unwrap_or_default();
        let many = attribute(element, "type") == Some("groupchat");
        match text(element, "body") {
            Some(_) if many && from.rsplit('/').next() == Some(&nick(member)) => {}
            Some(body) => match stamp::read(body.as_bytes()) {
                Some(stamp) => reply.heard.push(Heard::Delivered(stamp)),
                None => bail!("a message came in another form than it was sent in"),
            },
            // The room's subject is the last of what a newcomer is told.
            None if many && element.contains("<subject") => reply.heard.push(Heard::Ready),
            None => bail!("a message came without a text: {element}"),
        }
        Ok(())
    }
}

impl Dialect for Xmpp {
    fn upgrade(&mut self, member: Member) -> Upgrade {
        self.lines.push(member);
        if let Some(room) = member.room {
            let room = self.rooms.entry(room).or_default();
            room.many |= member.seat >= room.two.len();
        }
        let headers = vec![(String::from("Sec-WebSocket-Protocol"), String::from("xmpp"))];
        Upgrade { path: String::from(PATH), headers, narrow: member.narrow }
    }

    fn greet(&mut self, _: usize, say: &mut Vec<Vec<u8>>) -> bool {
        pause(GRACE);
        say.push(OPEN.into());
        false
    }

    fn say(&mut self, line: usize, stamp: u32, into: &mut Vec<u8>) {
        let Some(member) = self.lines.get(line) else { return };
        let Some((number, room)) =
            member.room.and_then(|number| Some((number, self.rooms.get(&number)?)))
        else {
            return;
        };
        into.extend_from_slice(b"<message xmlns=\"jabber:client\" ");
        if room.many {
            into.extend_from_slice(
                format!("type=\"groupchat\" to=\"room{number}@{ROOMS}").as_bytes(),
            );
        } else {
            let other = room.two.get(1 - member.seat).and_then(Option::as_deref);
            into.extend_from_slice(b"type=\"chat\" to=\"");
            into.extend_from_slice(other.unwrap_or_default().as_bytes());
        }
        into.extend_from_slice(b"\"><body>");
        into.extend_from_slice(&stamp::message(stamp));
        into.extend_from_slice(b"</body></message>");
    }

    fn hear(&mut self, line: usize, payload: &[u8], reply: &mut Reply) -> Result<()> {
        let element = std::str::from_utf8(payload).context("read what the server said")?;
        let member = self.member(line)?;
        let (name, _) = element.split_once([' ', '>', '/']).unwrap_or_default();
        if attribute(element, "type") == Some("error") {
            bail!("the server refused: {element}");
        }
        match name {
            "<message" => Self::message(member, element, reply)?,
            "<open" | "<presence" => {}
            "<stream:features" if element.contains(">ANONYMOUS<") => reply.say.push(AUTH.into()),
            "<stream:features" if element.contains("<bind") => reply.say.push(BIND.into()),
            "<success" => reply.say.push(OPEN.into()),
            "<iq" => match text(element, "jid") {
                Some(address) => self.bound(member, address, reply),
                None => bail!("the server asked or answered something else: {element}"),
            },
            _ => bail!("the server refused: {element}"),
        }
        Ok(())
    }

    fn acks(&self) -> bool {
        false
    }

    fn opcode(&self) -> u8 {
        TEXT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says what ejabberd said to these lines.
    fn told(client: &mut Xmpp, line: usize, elements: &[&str]) -> Reply {
        let mut reply = Reply::default();
        for element in elements {
            client.hear(line, element.as_bytes(), &mut reply).unwrap();
        }
        reply
    }

    fn bound(address: &str) -> String {
        format!(
            "<iq xmlns='jabber:client' type='result' id='bind'>\
             <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{address}</jid></bind></iq>"
        )
    }

    fn said(client: &mut Xmpp, line: usize) -> String {
        let mut bytes = Vec::new();
        client.say(line, 77, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    fn text_of_77() -> String {
        String::from_utf8(stamp::message(77).to_vec()).unwrap()
    }

    #[test]
    fn a_guest_comes_in_and_has_their_address() {
        let mut client = Xmpp::default();
        let _upgrade = client.upgrade(Member::alone(0));
        let features = "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>\
                        <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                        <mechanism>ANONYMOUS</mechanism></mechanisms></stream:features>";
        let authenticated = "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>\
                             <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>";
        let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='1'/>";
        let success = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
        let address = bound("1@localhost/2");
        let reply = told(&mut client, 0, &[open, features, success, open, authenticated, &address]);
        assert_eq!(reply.say, [AUTH.as_bytes(), OPEN.as_bytes(), BIND.as_bytes()]);
        assert_eq!(reply.heard, [Heard::Ready]);
    }

    #[test]
    fn two_write_to_each_others_address() {
        let mut client = Xmpp::default();
        for seat in 0..2 {
            let _upgrade = client.upgrade(Member::seated(seat, 5, seat));
        }
        for (line, address) in ["1@localhost/a", "2@localhost/b"].iter().enumerate() {
            assert_eq!(told(&mut client, line, &[&bound(address)]).heard, [Heard::Ready]);
        }
        assert!(said(&mut client, 0).contains("type=\"chat\" to=\"2@localhost/b\""));
        assert!(said(&mut client, 1).contains("type=\"chat\" to=\"1@localhost/a\""));
        let message = format!(
            "<message xmlns='jabber:client' to='2@localhost/b' from='1@localhost/a' type='chat'>\
             <body>{}</body></message>",
            text_of_77()
        );
        assert_eq!(told(&mut client, 1, &[&message]).heard, [Heard::Delivered(77)]);
    }

    #[test]
    fn in_a_room_of_many_nobody_hears_himself() {
        let mut client = Xmpp::default();
        for (number, seat) in [0, 2, 3].into_iter().enumerate() {
            let _upgrade = client.upgrade(Member::seated(number, 0, seat));
        }
        let reply = told(&mut client, 0, &[&bound("1@localhost/a")]);
        assert!(reply.heard.is_empty(), "they are not in the room yet");
        assert!(String::from_utf8_lossy(&reply.say[0]).contains("room0@rooms.localhost/member0"));
        let subject = "<message xmlns='jabber:client' type='groupchat' \
                       from='room0@rooms.localhost'><subject/></message>";
        assert_eq!(told(&mut client, 0, &[subject]).heard, [Heard::Ready]);
        assert!(said(&mut client, 0).contains("type=\"groupchat\" to=\"room0@rooms.localhost\""));
        let message = format!(
            "<message xmlns='jabber:client' type='groupchat' from='room0@rooms.localhost/member0'>\
             <body>{}</body></message>",
            text_of_77()
        );
        assert!(told(&mut client, 0, &[&message]).heard.is_empty());
        assert_eq!(told(&mut client, 1, &[&message]).heard, [Heard::Delivered(77)]);
    }

    #[test]
    fn a_refusal_ends_the_run() {
        let mut client = Xmpp::default();
        let _upgrade = client.upgrade(Member::alone(0));
        for refusal in [
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>",
            "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
            "<message xmlns='jabber:client' type='error'><body>x</body></message>",
            "<message xmlns='jabber:client' type='chat'><body>x</body></message>",
        ] {
            let _refused = client.hear(0, refusal.as_bytes(), &mut Reply::default()).unwrap_err();
        }
    }
}
