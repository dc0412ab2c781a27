//! Sends finished traces to a collector, in batches, by OTLP over HTTP.
//!
//! A collector that is slow or away costs traces and nothing else: what waits is bounded, and what
//! is lost is counted in the log.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::config::Endpoint;
use crate::tasks;
use crate::traces::{self, Finished, Span};

/// Spans of one request.
const BATCH_SPANS_MAX: usize = 512;

/// How long a batch is gathered.
const GATHER: Duration = Duration::from_secs(2);

/// Time for one request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time for the last one, when the server ends.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the collector cannot be reached")]
    Connect(#[from] std::io::Error),
    #[error("the collector breaks the exchange off")]
    Exchange(#[from] hyper::Error),
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
    #[error("the collector answers {0}")]
    Refused(StatusCode),
    #[error("the collector does not answer in time")]
    Patience,
}

/// Sends what is finished until `ended` turns true, then what is left.
pub async fn send(
    endpoint: Endpoint,
    node: String,
    mut finished: Finished,
    mut ended: watch::Receiver<bool>,
) {
    let mut failing = false;
    loop {
        let mut batch: Vec<Span> = Vec::new();
        let gather = tokio::time::sleep(GATHER);
        tokio::pin!(gather);
        let over = loop {
            tokio::select! {
                trace = finished.0.recv() => match trace {
                    Some(spans) => batch.extend(spans),
                    None => break true,
                },
                () = &mut gather => break false,
                _ = ended.wait_for(|ended| *ended) => break true,
            }
            if batch.len() >= BATCH_SPANS_MAX {
                break false;
            }
        };
        while over && let Ok(spans) = finished.0.try_recv() {
            batch.extend(spans);
        }
        if !batch.is_empty() {
            let patience = if over { LAST_PATIENCE } else { PATIENCE };
            let sent = tokio::time::timeout(patience, post(&endpoint, &node, &batch)).await;
            tell(&mut failing, &sent.unwrap_or(Err(Failure::Patience)), batch.len());
        }
        let lost = traces::take_lost();
        if lost > 0 {
            tracing::warn!(count = lost, "traces were lost: they came faster than they were sent");
        }
        if over {
            return;
        }
    }
}

/// Says once that it fails, and once that it goes again.
fn tell(failing: &mut bool, sent: &Result<(), Failure>, spans: usize) {
    match sent {
        Ok(()) if *failing => tracing::info!("the collector of traces takes them again"),
        Ok(()) => {}
        Err(error) if !*failing => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(
                %error,
                cause,
                count = spans,
                setting = "traces_endpoint",
                "traces cannot be sent, and are lost until they can"
            );
        }
        Err(_) => {}
    }
    *failing = sent.is_err();
}

async fn post(endpoint: &Endpoint, node: &str, spans: &[Span]) -> Result<(), Failure> {
    let body = traces::export(spans, node).to_string();
    let request = Request::post(&endpoint.path)
        .header(header::HOST, &endpoint.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let stream = TcpStream::connect(&endpoint.authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tasks::spawn("collector", connection);
    let response = sender.send_request(request).await;
    let answer = match response {
        Ok(response) => {
            let status = response.status();
            // Read, so that the collector is not cut off in its sentence.
            drop(Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await);
            if status.is_success() { Ok(()) } else { Err(Failure::Refused(status)) }
        }
        Err(error) => Err(error.into()),
    };
    connection.abort();
    answer
}
