//! A plain relay on tokio-tungstenite with its defaults, as one writes it on the first day: one task for each connection, a queue
//! to each member, rooms by the path of the address.
#![expect(clippy::print_stdout, reason = "the line that says where it listens")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// Messages that may wait for a member; when it is full, they miss some.
const QUEUE_MAX: usize = 256;

type Rooms = Arc<Mutex<HashMap<String, Vec<(u64, mpsc::Sender<Message>)>>>>;

#[tokio::main]
async fn main() -> Result<()> {
    let listener =
        TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.context("listen")?;
    println!("{{\"ready\":true,\"public\":\"http://{}\"}}", listener.local_addr()?);
    let rooms = Rooms::default();
    let mut number = 0;
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        number += 1;
        spawn(serve(stream, number, Arc::clone(&rooms)));
    }
}

#[expect(clippy::disallowed_methods, reason = "its tasks end with their sockets")]
fn spawn(task: impl Future<Output = Result<()>> + Send + 'static) {
    drop(tokio::spawn(task));
}

async fn serve(stream: TcpStream, number: u64, rooms: Rooms) -> Result<()> {
    use futures_util::{SinkExt as _, StreamExt as _};
    stream.set_nodelay(true)?;
    let mut room = String::new();
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        request.uri().path().clone_into(&mut room);
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, look).await?;
    let (mut out, mut incoming) = socket.split();
    let (queue, mut queued) = mpsc::channel(QUEUE_MAX);
    let locked = || rooms.lock().unwrap_or_else(PoisonError::into_inner);
    locked().entry(room.clone()).or_default().push((number, queue));
    spawn(async move {
        while let Some(message) = queued.recv().await {
            out.send(message).await?;
        }
        Ok(())
    });
    while let Some(Ok(message)) = incoming.next().await {
        if !message.is_binary() && !message.is_text() {
            continue;
        }
        for (_, member) in locked().get(&room).into_iter().flatten().filter(|m| m.0 != number) {
            // Full: they miss this one.
            let _missed = member.try_send(message.clone());
        }
    }
    if let Some(members) = locked().get_mut(&room) {
        members.retain(|member| member.0 != number);
    }
    Ok(())
}
