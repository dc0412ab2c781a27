//! One request to the admin listener, for the command line.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::tasks;

/// Bytes of an answer; a page of a list is far smaller.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Time for the whole exchange.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error(
        "no server answers at {address} (setting `admin_listen`): start it with `livehelp serve`, or name its admin listener with --admin-listen"
    )]
    Connect { address: SocketAddr, source: std::io::Error },
    /// What listens there speaks no HTTP, or not like us.
    #[error("what answers at {address} is not a livehelp admin listener")]
    Exchange { address: SocketAddr, source: hyper::Error },
    /// The request could not be put into words.
    #[error("the request cannot be made: {source}")]
    Request {
        #[from]
        source: http::Error,
    },
    /// The answer is too large or broke off.
    #[error("the answer broke off or is larger than {ANSWER_BYTES_MAX} bytes")]
    Answer,
    /// Too long.
    #[error("the server did not answer within 30 seconds")]
    Patience,
}

/// Asks, with a key.
///
/// # Errors
/// If no answer comes; an answer that refuses is an answer.
pub async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
    bearer: &str,
    body: Option<String>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {bearer}"));
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
    match tokio::time::timeout(PATIENCE, exchange(address, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(ClientError::Patience),
    }
}

async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|source| ClientError::Connect { address, source })?;
    let broken = |source| ClientError::Exchange { address, source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = tasks::spawn("admin client", connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    drop(sender);
    connection.abort();
    Ok((status, body.map_err(|_| ClientError::Answer)?.to_bytes()))
}
