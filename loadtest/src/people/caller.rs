//! One connection that speaks livehelp: the greeting, frames out, frames in.

use std::time::Duration;

use bytes::Bytes;
use protocol::codec::{Encoding, decode_server, encode_client};
use protocol::conversation::ResumePoint;
use protocol::frame::{ClientFrame, ClientRole, RequestId, ServerFrame};
use protocol::ids::AgentId;
use protocol::limits::List;
use protocol::personal::Personal;

use crate::clock::Micros;
use crate::judge::figure::{Count, Timing};
use crate::people::socket::{Incoming, Socket, SocketError};
use crate::people::world::World;

/// Time for the welcome once a connection is open: who takes connections and greets nobody must be
/// found out.
const WELCOME: Duration = Duration::from_secs(15);

/// Why someone is not connected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The server said no to the greeting, or something that is no welcome.
    #[error("the server did not answer hello with welcome")]
    NotWelcome,
    /// There is a connection, and nobody greets.
    #[error("no welcome within {} s", WELCOME.as_secs())]
    Unwelcomed,
    /// They were still waiting for it.
    #[error("the run was over before the welcome came")]
    Over,
}

impl CallError {
    /// Whether the server's close code says to stay away.
    pub(crate) fn stop(&self) -> bool {
        match self {
            Self::Socket(SocketError::Closed(code)) => {
                matches!(code, 1002 | 1003 | 1007 | 1009 | 4000..=4099)
            }
            Self::Socket(
                SocketError::Connect(_)
                | SocketError::Handshake(_)
                | SocketError::Late
                | SocketError::Broken(_),
            )
            | Self::NotWelcome
            | Self::Unwelcomed => false,
            Self::Over => true,
        }
    }
}

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    Visitor { token: Option<String> },
    Agent { cookie: String },
}

/// An open connection, greeted.
#[derive(Debug)]
pub(crate) struct Caller {
    socket: Socket,
    request: u32,
    /// Who an agent is.
    pub(crate) agent: Option<AgentId>,
    /// Until when the last message waited for the server: what was due before was not late by our
    /// doing.
    pub(crate) blocked_until: Micros,
    /// Whether it is among the world's connections.
    counted: bool,
}

/// Encodes a frame.
pub(crate) fn encoded(frame: &ClientFrame<'_>) -> Bytes {
    let mut bytes = Vec::with_capacity(256);
    // Only an unknown kind has no form, and there is none here.
    let _known = encode_client(Encoding::Msgpack, frame, &mut bytes);
    Bytes::from(bytes)
}

/// Decodes a frame; bytes that are none are a fault of what came.
pub(crate) fn decoded(bytes: &[u8]) -> Option<ServerFrame<'_>> {
    decode_server(Encoding::Msgpack, bytes).ok()
}

/// The first frame of a connection.
pub(crate) fn hello(
    world: &World,
    request: RequestId,
    who: &Who,
    resume: Option<ResumePoint>,
) -> ClientFrame<'static> {
    let (role, site, token) = match who {
        Who::Visitor { token } => {
            (ClientRole::Visitor, Some(world.site_key.clone()), token.clone().map(Personal::new))
        }
        Who::Agent { .. } => (ClientRole::Agent, None, None),
    };
    ClientFrame::Hello {
        request,
        role,
        client: String::from("livehelp-load/1"),
        locale: String::from("en"),
        resume: List::new(resume),
        site,
        token,
        signals: None,
    }
}

impl Caller {
    /// Connects and greets. What it took counts from `due`.
    ///
    /// # Errors
    /// If there is no connection or no welcome, in time and before the run is over.
    pub(crate) async fn greet(
        world: &World,
        who: &mut Who,
        resume: Option<ResumePoint>,
        due: Micros,
    ) -> Result<Self, CallError> {
        Self::greet_with(world, who, resume, due, None).await
    }

    /// The same with a receive buffer of so many bytes.
    ///
    /// # Errors
    /// As [`Caller::greet`].
    pub(crate) async fn greet_with(
        world: &World,
        who: &mut Who,
        resume: Option<ResumePoint>,
        due: Micros,
        receive_bytes: Option<u32>,
    ) -> Result<Self, CallError> {
        let called = tokio::select! {
            called = Box::pin(Self::call(world, who, resume, receive_bytes)) => called,
            () = world.over() => Err(CallError::Over),
        };
        let now = world.clock.now();
        match called {
            Ok(mut caller) => {
                caller.counted = true;
                world.record(Timing::Connect, due, now.since(due));
                world.count_at(Count::Connects, due);
                world.connected();
                Ok(caller)
            }
            Err(error) => {
                world.count_at(Count::ConnectFailures, due);
                Err(error)
            }
        }
    }

    async fn call(
        world: &World,
        who: &mut Who,
        resume: Option<ResumePoint>,
        receive_bytes: Option<u32>,
    ) -> Result<Self, CallError> {
        let cookie = match &*who {
            Who::Visitor { .. } => None,
            Who::Agent { cookie } => Some(cookie.as_str()),
        };
        let socket = Socket::connect_with(&world.target(cookie), receive_bytes).await?;
        let mut caller =
            Self { socket, request: 0, agent: None, blocked_until: Micros(0), counted: false };
        let request = caller.next_request();
        caller.send(encoded(&hello(world, request, who, resume))).await?;
        let bytes = tokio::time::timeout(WELCOME, caller.next()).await;
        let bytes = bytes.map_err(|_| CallError::Unwelcomed)??;
        let Some(ServerFrame::Welcome { token: fresh, agent, .. }) = decoded(&bytes) else {
            return Err(CallError::NotWelcome);
        };
        if let (Who::Visitor { token }, Some(fresh)) = (who, fresh) {
            *token = Some(fresh.into_exposed());
        }
        caller.agent = agent.map(|card| card.agent);
        Ok(caller)
    }

    pub(crate) fn next_request(&mut self) -> RequestId {
        self.request += 1;
        RequestId(self.request)
    }

    /// Sends encoded bytes.
    ///
    /// # Errors
    /// If the connection broke.
    pub(crate) async fn send(&mut self, bytes: Bytes) -> Result<(), SocketError> {
        self.socket.send(bytes).await
    }

    /// Sends a message's bytes, and keeps in mind whether it had to wait for the server.
    ///
    /// # Errors
    /// If the connection broke.
    pub(crate) async fn say(&mut self, world: &World, bytes: Bytes) -> Result<(), SocketError> {
        if self.socket.send_noting(bytes).await? {
            self.blocked_until = world.clock.now();
        }
        Ok(())
    }

    /// Records how late the generator comes to what is due: not where the server kept the
    /// connection from it.
    pub(crate) fn late(&self, world: &World, due: Micros) {
        if due > self.blocked_until {
            world.record(Timing::SendLag, due, world.clock.now().since(due));
        }
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// If the connection broke.
    pub(crate) async fn tell(&mut self, frame: &ClientFrame<'_>) -> Result<(), SocketError> {
        self.socket.send(encoded(frame)).await
    }

    /// The next frame's bytes. Cancel safe.
    ///
    /// # Errors
    /// If the connection ended.
    pub(crate) async fn next(&mut self) -> Result<Bytes, SocketError> {
        match self.socket.next().await? {
            Incoming::Binary(bytes) => Ok(bytes),
            // Nothing of this subprotocol is text; the caller finds that it is no frame.
            Incoming::Text(text) => Ok(Bytes::from(text)),
        }
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self, world: &World) {
        self.gone(world);
        self.socket.close().await;
    }

    /// The connection alone, which is among the world's connections no more.
    pub(crate) fn into_socket(mut self, world: &World) -> Socket {
        self.gone(world);
        self.socket
    }

    /// It is a connection no more; dropped, it goes without a goodbye.
    pub(crate) fn gone(&mut self, world: &World) {
        if std::mem::take(&mut self.counted) {
            world.disconnected();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use futures_util::{SinkExt as _, StreamExt as _};
    use http::HeaderValue;
    use protocol::codec::encode_server;
    use protocol::conversation::AgentCard;
    use protocol::frame::WireLimits;
    use protocol::ids::{ConversationId, MessageId, SessionId};
    use protocol::message::{Author, Body, Seq};
    use protocol::personal::Text;
    use protocol::time::UnixMillis;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

    use super::*;
    use crate::people::world::Stage;
    use crate::people::world::tests::{over, world_at};

    /// Greets one who opens a connection and says nothing.
    async fn greet_the_silent(
        meanwhile: impl FnOnce(&World),
    ) -> (Result<Caller, CallError>, std::sync::Arc<World>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = world_at(listener.local_addr().unwrap(), "");
        let mut who = Who::Visitor { token: None };
        let greeting = Caller::greet(&world, &mut who, None, world.clock.now());
        let silent = async {
            let mut host = Host::open(&listener).await;
            host.next().await;
            meanwhile(&world);
            // Time goes on at once where nothing is to be done.
            tokio::time::pause();
            host.next().await
        };
        let either = async {
            tokio::select! {
                greeted = greeting => greeted,
                _ended = silent => panic!("the connection ended first"),
            }
        };
        let greeted = tokio::time::timeout(Duration::from_secs(600), either).await;
        (greeted.unwrap(), world)
    }

    #[tokio::test]
    async fn a_connection_on_which_nobody_is_welcomed_is_a_failed_connect() {
        let (greeted, world) = greet_the_silent(|_| ()).await;
        assert!(matches!(greeted, Err(CallError::Unwelcomed)));
        assert_eq!(over(&world, Count::ConnectFailures), 1);
    }

    #[tokio::test]
    async fn who_waits_for_a_welcome_when_the_run_is_over_waits_no_longer() {
        let ends = |world: &World| {
            world.stage.send_replace(Stage::Over);
        };
        let (greeted, world) = greet_the_silent(ends).await;
        assert!(matches!(greeted, Err(CallError::Over)));
        assert_eq!(over(&world, Count::ConnectFailures), 1);
    }

    /// The server's end of one connection.
    pub(crate) struct Host {
        socket: WebSocketStream<TcpStream>,
    }

    impl Host {
        /// Opens the connection of the next who calls.
        async fn open(listener: &TcpListener) -> Self {
            let (stream, _) = listener.accept().await.unwrap();
            #[expect(clippy::result_large_err, reason = "the library wants it so")]
            let agreed = |_: &Request, mut response: Response| {
                let subprotocol = HeaderValue::from_static(Encoding::Msgpack.subprotocol());
                response.headers_mut().insert("sec-websocket-protocol", subprotocol);
                Ok(response)
            };
            let socket = tokio_tungstenite::accept_hdr_async(stream, agreed).await.unwrap();
            Self { socket }
        }

        /// Takes the next who calls, and welcomes them.
        pub(crate) async fn welcome(listener: &TcpListener) -> Self {
            let mut host = Self::open(listener).await;
            host.next().await;
            host.tell(&ServerFrame::Welcome {
                request: RequestId(1),
                session: SessionId::from_bytes([1; 16]),
                now: UnixMillis(0),
                heartbeat_ms: 30_000,
                limits: WireLimits {
                    frame_bytes_max: 65_536,
                    text_chars_max: 4_000,
                    history_messages_max: 100,
                },
                conversations: List::default(),
                token: None,
                token_expires_at: None,
                visitor: None,
                site: None,
                agent: Some(AgentCard {
                    agent: AgentId::from_bytes([1; 16]),
                    name: Personal::new(String::from("One")),
                    role: None,
                    availability: None,
                    presence: None,
                    capacity: None,
                    load: None,
                    availability_cause: None,
                }),
            })
            .await;
            host
        }

        pub(crate) async fn tell(&mut self, frame: &ServerFrame<'_>) {
            let mut bytes = Vec::new();
            encode_server(Encoding::Msgpack, frame, &mut bytes).unwrap();
            self.say(bytes).await;
        }

        pub(crate) async fn say(&mut self, bytes: Vec<u8>) {
            self.socket.send(Message::binary(bytes)).await.unwrap();
        }

        /// Something that somebody says in this conversation.
        pub(crate) fn message(conversation: ConversationId) -> ServerFrame<'static> {
            ServerFrame::Message {
                conversation,
                seq: Seq(1),
                message: MessageId::from_bytes([1; 16]),
                author: Author::System,
                at: UnixMillis(0),
                body: Body::Text(Text::new("Hello")),
                expires: None,
                visibility: None,
            }
        }

        pub(crate) async fn next(&mut self) -> Option<Message> {
            self.socket.next().await?.ok()
        }

        /// Whether the other end reads: it then has all that was said to it before.
        pub(crate) async fn is_read(&mut self) -> bool {
            self.socket.send(Message::Ping(Bytes::new())).await.unwrap();
            let answer = tokio::time::timeout(Duration::from_secs(5), self.next()).await;
            matches!(answer, Ok(Some(Message::Pong(_))))
        }
    }
}
