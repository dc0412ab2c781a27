//! One request over HTTP, with or without TLS, and its answer as JSON.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tasks;

/// Bytes of an answer; `/metrics` of a full server is a tenth of it.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Time for an exchange. A server computes a password's hash in it.
const PATIENCE: Duration = Duration::from_secs(60);

/// One listener.
#[derive(Debug, Clone)]
pub struct Rest {
    pub address: SocketAddr,
    pub tls: Option<Arc<ClientConfig>>,
    /// Sent with each request.
    pub origin: String,
}

/// What a request shows.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'a> {
    Nothing,
    Bearer(&'a str),
    Cookie(&'a str),
}

/// What came.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body, if the answer is a good one.
    ///
    /// # Errors
    /// With the problem's own words.
    pub fn json(&self) -> Result<Value> {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
        if self.status.is_success() {
            return Ok(value);
        }
        let words = value.get("detail").and_then(Value::as_str).unwrap_or("no words");
        bail!("the server says {}: {words}", self.status)
    }
}

impl Rest {
    /// Asks.
    ///
    /// # Errors
    /// If no answer comes; an answer that refuses is an answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        shown: Shown<'_>,
        body: Option<Value>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::ORIGIN, &self.origin)
            .header(header::CONNECTION, "close");
        match shown {
            Shown::Nothing => {}
            Shown::Bearer(key) => {
                request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
            }
            Shown::Cookie(cookie) => request = request.header(header::COOKIE, cookie),
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(|value| value.to_string()).unwrap_or_default();
        let request =
            request.body(Full::new(Bytes::from(body))).context("cannot make a request")?;
        let exchange = Box::pin(self.exchange(request));
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        answer.with_context(|| format!("{} did not answer in {PATIENCE:?}", self.address))?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let address = self.address;
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("no server answers at {address}"))?;
        match &self.tls {
            None => talk(stream, request).await,
            Some(tls) => {
                let name = ServerName::IpAddress(address.ip().into());
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
                talk(stream.with_context(|| format!("no TLS with {address}"))?, request).await
            }
        }
    }
}

async fn talk<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let words = "what answers there does not speak HTTP";
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.context(words)?;
    let driver = tasks::spawn("rest connection", connection);
    let answer = sender.send_request(request).await.context(words)?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|_| anyhow::anyhow!("the answer broke off or is too large"))?;
    driver.abort();
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
}
