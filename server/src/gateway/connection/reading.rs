//! Bytes of one connection into frames, which are done at once or kept until what they wait for is
//! there.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use protocol::codec::{DecodeError, Encoding, decode_client, request_of_beginning};
use protocol::frame::{ClientFrame, RequestId};
use protocol::limits::{FRAME_BYTES_MAX, HELLO_BYTES_MAX, REFUSED_BYTES_MAX};
use protocol::reject::{CloseCode, Reject, RejectCode};

use super::Connection;
use crate::gateway::incoming::{Came, ReadContext};
use crate::gateway::websocket::{Went, has_several};
use crate::hub::{FrameSink, cork, tally};
use crate::metrics::Throttle;

/// A message that is not done with while it lies in the thread's buffer.
pub(super) struct Later {
    bytes: Bytes,
    read_at: Instant,
    /// Whether it was found out already that it has to wait.
    tried: bool,
}

impl Connection {
    /// Whole messages out of bytes; pongs and the answer to a close go straight back.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> Vec<Later> {
        let read_at = self.gateway.clock.instant();
        self.received = self.received.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
        self.outbox.heard_ms.store(self.gateway.heartbeats.ms(read_at), Ordering::Relaxed);
        let (mut later, mut answer) = (Vec::new(), Vec::new());
        let (bytes_max, refused_bytes_max) = match &self.session {
            Some(_) => (FRAME_BYTES_MAX, REFUSED_BYTES_MAX),
            None => (HELLO_BYTES_MAX, 0),
        };
        let mut incoming = std::mem::take(&mut self.incoming);
        let mut hear = |encoding, came: Came<'_>| match came {
            Came::Whole(message) => {
                let first = later.is_empty();
                later.extend(self.hear(encoding, message, read_at, first));
            }
            Came::TooLong { beginning } => self.too_long(encoding, beginning),
        };
        let context =
            ReadContext { bytes_max, refused_bytes_max, answer: &mut answer, hear: &mut hear };
        let went = if has_several(bytes) {
            cork::one_read(|| incoming.take(bytes, context))
        } else {
            incoming.take(bytes, context)
        };
        self.incoming = incoming;
        if !answer.is_empty() {
            self.outbox.control(Bytes::from(answer));
        }
        match went {
            Went::On => {}
            Went::Over => {
                self.left = true;
                self.outbox.cut_off();
            }
            Went::Wrong(code) => {
                tracing::debug!(connection_id = %self.outbox.connection(), close_code = code.code(), "bytes that are no frame");
                self.outbox.close(code);
            }
        }
        later
    }

    /// Refuses a message of which only the beginning was read.
    fn too_long(&mut self, encoding: Encoding, beginning: &[u8]) {
        if self.outbox.is_over() {
            return;
        }
        if encoding != self.encoding {
            return self.outbox.close(CloseCode::WrongType);
        }
        if self.gateway.rates.frames.take(&self.frames).is_err() {
            self.gateway.metrics.rate_limited_total.of(Throttle::Frames).inc();
            return self.outbox.close(CloseCode::TooFast);
        }
        match request_of_beginning(encoding, beginning) {
            Some(request) => {
                let words = "this frame is longer than `frame_bytes_max`";
                self.refuse(request, Err(Reject::new(RejectCode::TooLong, words)));
            }
            None => self.outbox.close(CloseCode::TooLarge),
        }
    }

    /// Does what a message asks for, if it need not wait for anything. Otherwise it is kept.
    fn hear(
        &mut self,
        encoding: Encoding,
        bytes: &[u8],
        read_at: Instant,
        first: bool,
    ) -> Option<Later> {
        if self.outbox.is_over() {
            return None;
        }
        if encoding != self.encoding {
            self.outbox.close(CloseCode::WrongType);
            return None;
        }
        if self.gateway.rates.frames.take(&self.frames).is_err() {
            self.gateway.metrics.rate_limited_total.of(Throttle::Frames).inc();
            self.outbox.close(CloseCode::TooFast);
            return None;
        }
        let tried = first && self.session.is_some();
        if tried {
            let frame = self.decode(bytes)?;
            if let Some(done) = self.at_once(&frame, read_at) {
                self.refuse(frame.request(), done);
                return None;
            }
        }
        Some(Later { bytes: Bytes::copy_from_slice(bytes), read_at, tried })
    }

    fn decode<'b>(&self, bytes: &'b [u8]) -> Option<ClientFrame<'b>> {
        match decode_client(self.encoding, bytes) {
            Ok(frame) => Some(frame),
            // A client that knows more than this server is told so, and stays.
            Err(DecodeError::Value { request, field, .. }) => {
                let words = format!("{field}: a value that this server does not know or take");
                self.refuse(request, Err(Reject::new(RejectCode::Invalid, words)));
                None
            }
            Err(error) => {
                tracing::debug!(connection_id = %self.outbox.connection(), %error, "a frame was not read");
                self.outbox.close(CloseCode::Malformed);
                None
            }
        }
    }

    pub(super) async fn handle(&mut self, later: Vec<Later>) {
        for Later { bytes, read_at, tried } in later {
            if self.outbox.is_over() {
                return;
            }
            let Some(frame) = self.decode(&bytes) else { continue };
            self.take(frame, read_at, tried).await;
        }
    }

    pub(super) fn refuse(&self, request: RequestId, done: Result<(), Reject>) {
        if let Err(reject) = done {
            tracing::debug!(connection_id = %self.outbox.connection(), reject_code = reject.code.word(), "a frame was refused");
            tally::refuse(&self.gateway.metrics, &*self.outbox, request, reject);
        }
    }
}
