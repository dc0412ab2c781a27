//! A client on a real socket that speaks the wire as a browser does.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request};
use protocol::codec::{Encoding, decode_server, encode_client};
use protocol::conversation::{AgentCard, Availability, ResumePoint};
use protocol::frame::{ClientFrame, ClientRole, RequestId, ServerFrame, WatchTopic};
use protocol::ids::{AgentId, ConversationId, MessageId, SiteKey};
use protocol::limits::List;
use protocol::message::{Body, Message, Seq};
use protocol::personal::{Personal, Text};
use protocol::time::UnixMillis;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};

use crate::server::{COOKIES, SHOP, Site};

/// What a test waits for at most; a hang is a failure, not a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn new_message() -> MessageId {
    MessageId::from_uuid(uuid::Uuid::now_v7())
}

pub fn new_conversation() -> ConversationId {
    ConversationId::from_uuid(uuid::Uuid::now_v7())
}

/// What a socket runs over: TCP, or TLS to a front.
pub trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

pub struct Client {
    socket: WebSocketStream<Box<dyn Line>>,
    encoding: Encoding,
    request: u32,
    /// Frames that came while another was waited for.
    kept: Vec<ServerFrame<'static>>,
    pub token: Option<String>,
    /// Every byte of every frame that came.
    came: Vec<u8>,
}

impl Client {
    pub async fn connect(server: &Site, headers: &[(&str, &str)]) -> Self {
        Self::connect_as(server, Encoding::Msgpack, headers).await
    }

    pub async fn connect_as(server: &Site, encoding: Encoding, headers: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let host = server.address.to_string();
        Self::connect_on(Box::new(stream), &host, encoding, headers).await.unwrap()
    }

    /// The same on a connection that leads there, or the status with which it was refused: 0 for a
    /// connection that broke.
    pub async fn connect_on(
        line: Box<dyn Line>,
        host: &str,
        encoding: Encoding,
        headers: &[(&str, &str)],
    ) -> Result<Self, u16> {
        let mut request = Request::get(format!("ws://{host}/v1/socket"))
            .header("host", host)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", encoding.subprotocol());
        for (name, value) in headers {
            // As it is sent, letters beyond ASCII too.
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request = request.header(*name, value);
        }
        match tokio_tungstenite::client_async(request.body(()).unwrap(), line).await {
            Ok((socket, _)) => {
                let (kept, came) = (Vec::new(), Vec::new());
                Ok(Self { socket, encoding, request: 0, kept, token: None, came })
            }
            Err(WsError::Http(refusal)) => Err(refusal.status().as_u16()),
            Err(_) => Err(0),
        }
    }

    pub fn next_request(&mut self) -> RequestId {
        self.request += 1;
        RequestId(self.request)
    }

    pub async fn tell(&mut self, frame: &ClientFrame<'_>) {
        let mut bytes = Vec::new();
        encode_client(self.encoding, frame, &mut bytes).unwrap();
        let message = match self.encoding {
            Encoding::Msgpack => WsMessage::binary(bytes),
            Encoding::Json => WsMessage::text(String::from_utf8(bytes).unwrap()),
        };
        self.socket.send(message).await.unwrap();
    }

    /// Like [`Client::tell`], on a connection that may be dead.
    pub async fn try_tell(&mut self, frame: &ClientFrame<'_>) -> bool {
        let mut bytes = Vec::new();
        encode_client(self.encoding, frame, &mut bytes).unwrap();
        self.socket.send(WsMessage::binary(bytes)).await.is_ok()
    }

    pub async fn tell_raw(&mut self, message: WsMessage) {
        self.socket.send(message).await.unwrap();
    }

    /// Like [`Client::tell_raw`], on a connection that may be dead.
    pub async fn try_raw(&mut self, message: WsMessage) -> bool {
        self.socket.send(message).await.is_ok()
    }

    /// Bytes as they are, past the WebSocket.
    pub async fn tell_bytes(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).await.unwrap();
    }

    /// The next frame, or the code with which the connection ended.
    pub async fn next(&mut self) -> Result<ServerFrame<'static>, u16> {
        // Pings are nothing that a test waits for.
        tokio::time::timeout(PATIENCE, self.read()).await.expect("something comes in time")
    }

    async fn read(&mut self) -> Result<ServerFrame<'static>, u16> {
        loop {
            match self.socket.next().await {
                Some(Ok(WsMessage::Binary(bytes))) => {
                    self.came.extend_from_slice(&bytes);
                    // A test's frames may live as long as the test.
                    let bytes = Box::leak(bytes.to_vec().into_boxed_slice());
                    return Ok(decode_server(Encoding::Msgpack, bytes).unwrap());
                }
                Some(Ok(WsMessage::Text(text))) => {
                    self.came.extend_from_slice(text.as_bytes());
                    let text = Box::leak(text.to_string().into_boxed_str());
                    return Ok(decode_server(Encoding::Json, text.as_bytes()).unwrap());
                }
                Some(Ok(WsMessage::Close(frame))) => {
                    return Err(frame.map_or(1005, |frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The first frame for which `wanted` finds something; the others are kept.
    pub async fn until<T>(&mut self, wanted: impl FnMut(&ServerFrame<'static>) -> Option<T>) -> T {
        self.find(wanted).await.unwrap_or_else(|code| panic!("closed with {code}"))
    }

    /// The same on a connection that may end: then with which code.
    pub async fn find<T>(
        &mut self,
        mut wanted: impl FnMut(&ServerFrame<'static>) -> Option<T>,
    ) -> Result<T, u16> {
        for at in 0..self.kept.len() {
            if let Some(found) = wanted(&self.kept[at]) {
                self.kept.remove(at);
                return Ok(found);
            }
        }
        loop {
            let frame = self.next().await?;
            if let Some(found) = wanted(&frame) {
                return Ok(found);
            }
            self.kept.push(frame);
        }
    }

    /// Everything that came before the answer to a ping: all that was on its way.
    pub async fn settled(&mut self) -> Vec<ServerFrame<'static>> {
        let request = self.next_request();
        self.tell(&ClientFrame::Ping { request }).await;
        self.until(|frame| {
            matches!(frame, ServerFrame::Pong { request: r } if *r == request).then_some(())
        })
        .await;
        std::mem::take(&mut self.kept)
    }

    /// All that came so far, undecoded: text stands in it as it is.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.came).into_owned()
    }

    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    pub async fn acked(&mut self, request: RequestId) -> Option<Seq> {
        self.acked_at(request).await.0
    }

    /// Its place and its time.
    pub async fn acked_at(&mut self, request: RequestId) -> (Option<Seq>, Option<UnixMillis>) {
        self.until(|frame| match frame {
            ServerFrame::Ack { request: r, seq, at, .. } if *r == request => Some((*seq, *at)),
            ServerFrame::Reject { request: r, code, .. } if *r == request => {
                panic!("rejected: {}", code.word())
            }
            _ => None,
        })
        .await
    }

    pub async fn visitor(server: &Site, token: Option<String>, resume: Vec<ResumePoint>) -> Self {
        let mut client = Self::connect(server, &[("origin", SHOP)]).await;
        client.greet_as_visitor(server.site_key.clone(), token, resume).await;
        client
    }

    pub async fn greet_as_visitor(
        &mut self,
        site_key: SiteKey,
        token: Option<String>,
        resume: Vec<ResumePoint>,
    ) {
        self.greet_asking(site_key, token, resume, None).await;
    }

    /// The same with what the browser asks for.
    pub async fn greet_asking(
        &mut self,
        site_key: SiteKey,
        token: Option<String>,
        resume: Vec<ResumePoint>,
        signals: Option<u8>,
    ) {
        let request = self.next_request();
        self.token.clone_from(&token);
        self.tell(&ClientFrame::Hello {
            request,
            role: ClientRole::Visitor,
            client: String::from("test/1"),
            // Nothing keeps a client from saying more than its language.
            locale: String::from("en-GB-x-canarylocale"),
            resume: List::new(resume),
            site: Some(site_key),
            token: token.map(Personal::new),
            signals,
        })
        .await;
        let fresh = self
            .until(|frame| match frame {
                ServerFrame::Welcome { token, .. } => Some(token.clone()),
                _ => None,
            })
            .await;
        if let Some(fresh) = fresh {
            self.token = Some(fresh.into_exposed());
        }
    }

    /// An agent's window that watches the board.
    pub async fn agent(server: &Site, number: usize) -> Self {
        Self::agent_with(server, &format!("livehelp_session={}", COOKIES[number])).await
    }

    /// The same with this cookie.
    pub async fn agent_with(server: &Site, cookie: &str) -> Self {
        let origin = format!("http://{}", server.address);
        let headers = [("origin", origin.as_str()), ("cookie", cookie)];
        let mut client = Self::connect(server, &headers).await;
        client.greet_as_agent().await;
        client.until(|f| matches!(f, ServerFrame::Welcome { .. }).then_some(())).await;
        let request = client.next_request();
        let topic = WatchTopic::Board;
        client
            .tell(&ClientFrame::Watch {
                request,
                topic,
                conversation: None,
                resume: None,
                after: None,
            })
            .await;
        client.until(|f| matches!(f, ServerFrame::Board { .. }).then_some(())).await;
        client
    }

    /// Says hello as an agent; what comes of it is for the caller.
    pub async fn greet_as_agent(&mut self) {
        let request = self.next_request();
        self.tell(&ClientFrame::Hello {
            request,
            role: ClientRole::Agent,
            client: String::from("test/1"),
            locale: String::from("en"),
            resume: List::default(),
            site: None,
            token: None,
            signals: None,
        })
        .await;
    }

    /// The colleagues as the board shows them.
    pub async fn board(&mut self) -> Vec<AgentCard> {
        let request = self.next_request();
        let topic = WatchTopic::Board;
        self.tell(&ClientFrame::Watch {
            request,
            topic,
            conversation: None,
            resume: None,
            after: None,
        })
        .await;
        self.until(|frame| match frame {
            ServerFrame::Board { request: r, agents, .. } if *r == request => Some(agents.clone()),
            _ => None,
        })
        .await
    }

    pub async fn available(&mut self) {
        let request = self.next_request();
        let availability = Availability::Available;
        self.tell(&ClientFrame::Availability { request, availability, capacity: None }).await;
        self.acked(request).await;
    }

    /// Opens a conversation and is in its room.
    pub async fn open(&mut self) -> ConversationId {
        let conversation = new_conversation();
        let request = self.next_request();
        let form = List::default();
        self.tell(&ClientFrame::Open { request, conversation, form, notice: None, page: None })
            .await;
        self.acked(request).await;
        self.history(RequestId(0)).await;
        conversation
    }

    pub async fn say(&mut self, conversation: ConversationId, text: &str) -> Option<Seq> {
        let request = self.next_request();
        self.send(request, conversation, new_message(), text).await;
        self.acked(request).await
    }

    pub async fn send(
        &mut self,
        request: RequestId,
        conversation: ConversationId,
        message: MessageId,
        text: &str,
    ) {
        self.send_having_seen(Seq(0), request, conversation, message, text).await;
    }

    pub async fn send_having_seen(
        &mut self,
        seen_seq: Seq,
        request: RequestId,
        conversation: ConversationId,
        message: MessageId,
        text: &str,
    ) {
        let body = Body::Text(Text::new(text.to_owned()));
        let frame =
            ClientFrame::Send { request, conversation, message, seen_seq, body, visibility: None };
        self.tell(&frame).await;
    }

    pub async fn heard(&mut self, text: &str) -> Seq {
        self.until(|frame| match frame {
            ServerFrame::Message { body: Body::Text(said), seq, .. } if said.expose() == text => {
                Some(*seq)
            }
            _ => None,
        })
        .await
    }

    /// Waits for an offer, takes it and enters the room.
    pub async fn accept(&mut self, conversation: ConversationId) {
        self.until(|frame| {
            matches!(frame, ServerFrame::Offer { conversation: c, .. } if *c == conversation)
                .then_some(())
        })
        .await;
        self.accept_offered(conversation).await;
    }

    /// Takes what was offered and enters the room.
    pub async fn accept_offered(&mut self, conversation: ConversationId) {
        let request = self.next_request();
        self.tell(&ClientFrame::Accept { request, conversation }).await;
        self.acked(request).await;
        self.watch(conversation, None).await;
    }

    pub async fn transfer(&mut self, conversation: ConversationId, agent: AgentId) {
        let request = self.next_request();
        self.tell(&ClientFrame::Transfer { request, conversation, agent }).await;
        self.acked(request).await;
    }

    /// Enters a room; gives what stands in it.
    pub async fn watch(
        &mut self,
        conversation: ConversationId,
        resume: Option<ResumePoint>,
    ) -> (bool, Vec<Message<'static>>) {
        let request = self.next_request();
        let topic = WatchTopic::Conversation;
        let conversation = Some(conversation);
        self.tell(&ClientFrame::Watch { request, topic, conversation, resume, after: None }).await;
        self.history(request).await
    }

    pub async fn history(&mut self, request: RequestId) -> (bool, Vec<Message<'static>>) {
        self.until(|frame| match frame {
            ServerFrame::History { request: r, reset, messages, .. } if *r == request => {
                Some((*reset, messages.clone()))
            }
            _ => None,
        })
        .await
    }
}
