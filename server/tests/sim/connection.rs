//! The way between a client and the server: frames, connections that break, half of what was sent.

use std::collections::VecDeque;

use livehelp::routing::Input;
use protocol::conversation::{Availability, ConversationState, ResumePoint};
use protocol::ids::{AgentId, ConnectionId, ConversationId, MessageId};
use protocol::message::Seq;
use protocol::time::{Day, UnixMillis};

use crate::client::{Client, Item, Pending, Who};
use crate::world::World;

pub(crate) type Conn = u64;

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) client: usize,
    /// To which node it leads.
    pub(crate) node: usize,
    pub(crate) up: VecDeque<Up>,
    /// Frames, and the day by which they were judged.
    pub(crate) down: VecDeque<(Day, Down)>,
    /// The client let go; what it had sent may still arrive.
    pub(crate) cut: bool,
    pub(crate) greeted: bool,
    /// The server waits with what it reads here, and reads no further.
    pub(crate) held: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Up {
    Hello {
        points: Vec<ResumePoint>,
    },
    Open {
        conversation: ConversationId,
    },
    Send(Pending),
    Accept {
        conversation: ConversationId,
    },
    Decline {
        conversation: ConversationId,
    },
    Close {
        conversation: ConversationId,
    },
    Reopen {
        conversation: ConversationId,
    },
    Transfer {
        conversation: ConversationId,
        to: AgentId,
    },
    Choose {
        availability: Availability,
    },
    /// Someone who names what is not theirs.
    Pry {
        conversation: ConversationId,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Down {
    Page {
        conversation: ConversationId,
        reset: bool,
        /// There are earlier ones than this page reaches back to, from here.
        more: Option<Seq>,
        items: Vec<Item>,
    },
    Message {
        conversation: ConversationId,
        item: Item,
    },
    Ack {
        message: MessageId,
        seq: Seq,
        at: UnixMillis,
        expires: Option<Day>,
    },
    Void {
        conversation: ConversationId,
        seq: Seq,
        message: MessageId,
    },
    Reject {
        message: MessageId,
        retry: bool,
    },
    Opened,
    Offer {
        conversation: ConversationId,
    },
    OfferOver {
        conversation: ConversationId,
    },
    Owner {
        conversation: ConversationId,
        version: u64,
        assignee: Option<AgentId>,
        state: ConversationState,
    },
}

impl World {
    pub(crate) fn client_connects(&mut self) {
        for _ in 0..=self.chance.below(4) {
            // Those who only look on stay away for longer, and find much changed.
            let client = self.actor();
            self.connect(client);
        }
    }

    pub(crate) fn connect(&mut self, client: usize) {
        if self.clients[client].conn.is_some() {
            return;
        }
        self.next += 1;
        let conn = self.next;
        let person = &mut self.clients[client];
        person.conn = Some(conn);
        person.offers.clear();
        let points = person.views.keys().filter_map(|conversation| person.point(*conversation));
        let points = points.collect();
        let mut up = VecDeque::from([Up::Hello { points }]);
        if let (Some(conversation), false) = (person.own, person.opened) {
            up.push_back(Up::Open { conversation });
        }
        up.extend(person.outbox.iter().cloned().map(Up::Send));
        self.counts.resends += u32::try_from(person.outbox.len()).unwrap();
        let node = self.any_node();
        let (down, cut, greeted, held) = (VecDeque::new(), false, false, false);
        let wire = Wire { client, node, up, down, cut, greeted, held };
        self.wires.insert(conn, wire);
    }

    pub(crate) fn resend(&mut self, client: usize) {
        let person = &self.clients[client];
        let Some(wire) = person.conn.and_then(|conn| self.wires.get_mut(&conn)) else { return };
        if wire.up.is_empty() {
            wire.up.extend(person.outbox.iter().cloned().map(Up::Send));
            self.counts.resends += u32::try_from(person.outbox.len()).unwrap();
            self.clients[client].retries = false;
        }
    }

    pub(crate) fn cut_a_wire(&mut self) {
        let client = self.chance.below(self.clients.len());
        self.cut(client);
    }

    /// The client's end is gone at once; of what it sent, some is still under way.
    pub(crate) fn cut(&mut self, client: usize) {
        let Some(conn) = self.clients[client].conn.take() else { return };
        self.counts.drops += 1;
        if let Some(wire) = self.wires.get_mut(&conn) {
            wire.cut = true;
            wire.down.clear();
            wire.up.truncate(self.chance.below(4));
        }
    }

    /// The server learns of a cut.
    pub(crate) fn notice_a_cut(&mut self) {
        let cut: Vec<Conn> =
            self.wires.iter().filter(|(_, wire)| wire.cut).map(|(conn, _)| *conn).collect();
        let Some(conn) = self.chance.pick(&cut) else { return };
        let Some(wire) = self.wires.remove(&conn) else { return };
        for live in self.nodes[wire.node].rooms.values_mut() {
            live.room.leave(connection(conn));
        }
        self.gone(&wire);
    }

    /// Nobody is at the other end of it any more.
    pub(crate) fn gone(&mut self, wire: &Wire) {
        let Client { tenant, who, .. } = self.clients[wire.client];
        if let (Who::Agent(agent), true) = (who, wire.greeted) {
            let back = self
                .wires
                .values()
                .any(|other| other.greeted && self.clients[other.client].who == who);
            if !back {
                self.route(tenant, Input::AgentGone { agent });
            }
        }
    }
    pub(crate) fn carry_a_frame(&mut self) {
        let conns: Vec<Conn> = self.wires.keys().copied().collect();
        let Some(mut conn) = self.chance.pick(&conns) else { return };
        if self.mood.is_about_one() {
            let actor = self.actor();
            conn = self.clients[actor].conn.unwrap_or(conn);
        }
        for _ in 0..=self.chance.below(4) {
            if self.chance.one_in(2) {
                self.carry_up(conn);
            } else {
                self.carry_down(conn);
            }
        }
    }

    pub(crate) fn carry_up(&mut self, conn: Conn) {
        let Some(wire) = self.wires.get_mut(&conn).filter(|wire| !wire.held) else { return };
        if let Some(frame) = wire.up.pop_front() {
            // A resend on the same connection, as an impatient client makes it.
            if matches!(frame, Up::Send(_)) && self.chance.one_in(12) {
                self.counts.resends += 1;
                wire.up.push_front(frame.clone());
            }
            self.serve(conn, frame);
        }
    }

    pub(crate) fn carry_down(&mut self, conn: Conn) {
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        if wire.cut {
            return;
        }
        let client = wire.client;
        if let Some((judged, frame)) = wire.down.pop_front() {
            self.show(client, frame, judged);
        }
    }

    /// What the server said reaches everyone at once.
    pub(crate) fn everyone_hears(&mut self) {
        let conns: Vec<Conn> = self.wires.keys().copied().collect();
        for conn in conns {
            while self.wires.get(&conn).is_some_and(|wire| !wire.cut && !wire.down.is_empty()) {
                self.carry_down(conn);
            }
        }
    }

    pub(crate) fn push(&mut self, conn: Conn, frame: Down) {
        let today = self.today();
        if let Some(wire) = self.wires.get_mut(&conn).filter(|wire| !wire.cut) {
            wire.down.push_back((today, frame));
        }
    }
}

pub(crate) fn connection(conn: Conn) -> ConnectionId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&conn.to_be_bytes());
    ConnectionId::from_bytes(bytes)
}
