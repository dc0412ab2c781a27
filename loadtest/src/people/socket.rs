//! One WebSocket of a client, with or without TLS, lean enough to hold ten thousand of them.
//!
//! Lives here: connecting from a chosen source address, the upgrade, messages in and out.
//! Not here: what the messages mean.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// What a read asks for at once. The library's own default is 128 KiB a connection.
const READ_BYTES: usize = 4 * 1024;

/// Sixteen bytes in base64, as a client sends any.
pub(crate) const KEY: &str = "bGl2ZWhlbHAtbG9hZC1oYQ==";

/// Time to connect and upgrade: a server at the end of its open files leaves clients without an
/// answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where to connect and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// Path of the upgrade, from `/`.
    pub path: String,
    /// Offered as `Sec-WebSocket-Protocol`.
    pub subprotocol: Option<&'static str>,
    /// More headers of the upgrade, such as `origin` and `cookie`.
    pub headers: Vec<(String, String)>,
    /// The address to connect from: one has only some 28,000 ports towards one server.
    pub source: Option<IpAddr>,
    pub tls: Option<Arc<ClientConfig>>,
}

/// Why there is no connection, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// No TCP connection.
    #[error("could not connect")]
    Connect(#[source] io::Error),
    /// The server did not upgrade.
    #[error("the handshake failed")]
    Handshake(#[source] Box<WsError>),
    /// Nobody answered.
    #[error("no answer within {} s: the server, or its system, may be at the end of its connections or open files", PATIENCE.as_secs())]
    Late,
    /// It broke off.
    #[error("the connection broke")]
    Broken(#[source] Box<WsError>),
    /// The server closed it with this code; 1005: with none, 1006: without a goodbye.
    #[error("closed with code {0}")]
    Closed(u16),
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    Binary(Bytes),
    Text(String),
}

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Plain($stream) => $call,
            Self::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, into))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// One open WebSocket. Pings are answered while it is read.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<Wire>,
}

impl Socket {
    /// Connects and upgrades.
    ///
    /// # Errors
    /// [`SocketError::Connect`], [`SocketError::Handshake`] or [`SocketError::Late`].
    pub async fn connect(target: &Target) -> Result<Self, SocketError> {
        Self::connect_with(target, None).await
    }

    /// The same with a receive buffer of so many bytes, so that a reader who does not read is felt
    /// soon.
    ///
    /// # Errors
    /// As [`Socket::connect`].
    pub async fn connect_with(
        target: &Target,
        receive_bytes: Option<u32>,
    ) -> Result<Self, SocketError> {
        let opening = tokio::time::timeout(PATIENCE, Self::open(target, receive_bytes));
        opening.await.unwrap_or(Err(SocketError::Late))
    }

    async fn open(target: &Target, receive_bytes: Option<u32>) -> Result<Self, SocketError> {
        let wire = wire(target, receive_bytes).await.map_err(SocketError::Connect)?;
        let scheme = if target.tls.is_some() { "wss" } else { "ws" };
        let mut request = Request::get(format!("{scheme}://{}{}", target.address, target.path))
            .header("host", target.address.to_string())
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", KEY);
        if let Some(subprotocol) = target.subprotocol {
            request = request.header("sec-websocket-protocol", subprotocol);
        }
        for (name, value) in &target.headers {
            request = request.header(name, value);
        }
        let refused = |error| SocketError::Handshake(Box::new(error));
        let request = request.body(()).map_err(|error| refused(WsError::HttpFormat(error)))?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES).write_buffer_size(0);
        let (stream, _) = tokio_tungstenite::client_async_with_config(request, wire, Some(config))
            .await
            .map_err(refused)?;
        Ok(Self { stream })
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// [`SocketError::Broken`].
    pub async fn send(&mut self, bytes: Bytes) -> Result<(), SocketError> {
        self.stream.send(Message::Binary(bytes)).await.map_err(broken)
    }

    /// The same; says whether it had to wait because the other end takes nothing more. A thread
    /// that was only held up by its own machine did not wait.
    ///
    /// # Errors
    /// [`SocketError::Broken`].
    pub async fn send_noting(&mut self, bytes: Bytes) -> Result<bool, SocketError> {
        // Without the runtime's budget a write is unfinished only where the system had no room for
        // it.
        let sending = tokio::task::unconstrained(self.stream.send(Message::Binary(bytes)));
        let (mut sending, mut waited) = (std::pin::pin!(sending), false);
        let sent = std::future::poll_fn(|cx| {
            let polled = sending.as_mut().poll(cx);
            waited |= polled.is_pending();
            polled
        });
        sent.await.map_err(broken)?;
        Ok(waited)
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`SocketError::Broken`].
    pub async fn send_text(&mut self, text: String) -> Result<(), SocketError> {
        self.stream.send(Message::text(text)).await.map_err(broken)
    }

    /// Writes bytes as they are, be they frames or not.
    ///
    /// # Errors
    /// [`SocketError::Broken`].
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), SocketError> {
        let wire = self.stream.get_mut();
        wire.write_all(bytes).await.map_err(|error| broken(WsError::Io(error)))?;
        wire.flush().await.map_err(|error| broken(WsError::Io(error)))
    }

    /// Asks for an upgrade with these lines, each with its end, in place of key and version. Gives
    /// the status of the answer; `None`: the connection ended without one.
    ///
    /// # Errors
    /// If there is no connection.
    pub(crate) async fn knock(target: &Target, lines: &str) -> io::Result<Option<u16>> {
        let mut wire = wire(target, None).await?;
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{lines}\r\n",
            target.path, target.address
        );
        let mut status = [0; "HTTP/1.1 101".len()];
        let answered = async {
            wire.write_all(head.as_bytes()).await?;
            wire.flush().await?;
            wire.read_exact(&mut status).await
        };
        if answered.await.is_err() {
            return Ok(None);
        }
        let status = std::str::from_utf8(&status).ok();
        Ok(status.and_then(|status| status.rsplit(' ').next()?.parse().ok()))
    }

    /// The next message. Cancel safe.
    ///
    /// # Errors
    /// [`SocketError::Closed`] or [`SocketError::Broken`].
    pub async fn next(&mut self) -> Result<Incoming, SocketError> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(Incoming::Binary(bytes)),
                Some(Ok(Message::Text(text))) => return Ok(Incoming::Text(text.to_string())),
                Some(Ok(Message::Close(frame))) => {
                    return Err(SocketError::Closed(frame.map_or(1005, |frame| frame.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(WsError::ConnectionClosed)) | None => {
                    return Err(SocketError::Closed(1006));
                }
                Some(Err(error)) => return Err(broken(error)),
            }
        }
    }

    /// Says goodbye with 1000.
    pub async fn close(&mut self) {
        // The other end may be gone already; then there is nobody to say it to.
        let _gone = self.stream.close(None).await;
    }
}

fn broken(error: WsError) -> SocketError {
    SocketError::Broken(Box::new(error))
}

async fn wire(target: &Target, receive_bytes: Option<u32>) -> io::Result<Wire> {
    let socket = match target.address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(source) = target.source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(target.address).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = &target.tls else { return Ok(Wire::Plain(stream)) };
    let name = ServerName::IpAddress(target.address.ip().into());
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
    Ok(Wire::Tls(Box::new(stream)))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_nobody_is_told_as_such() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target {
            address: listener.local_addr().unwrap(),
            path: String::from("/"),
            subprotocol: None,
            headers: Vec::new(),
            source: None,
            tls: None,
        };
        let late = Socket::connect(&target).await.unwrap_err();
        assert!(matches!(late, SocketError::Late), "{late}");
        assert!(late.to_string().contains("within 30 s"), "{late}");
    }

    #[tokio::test]
    async fn a_send_waits_only_where_the_other_end_reads_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_deaf, _) = listener.accept().await.unwrap();
        let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
        let config = Some(WebSocketConfig::default().write_buffer_size(0));
        let stream = WebSocketStream::from_raw_socket(Wire::Plain(stream), role, config).await;
        let mut socket = Socket { stream };
        assert!(!socket.send_noting(Bytes::from(vec![0; 1_000])).await.unwrap());
        let much = socket.send_noting(Bytes::from(vec![0; 64 * 1024 * 1024]));
        let much = tokio::time::timeout(Duration::from_millis(50), much);
        assert!(much.await.is_err(), "nobody reads");
    }
}
