//! Orders and words over TCP: one line of JSON each. The controller listens on loopback; a worker proves with a secret of
//! its environment that it is his.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::tasks;
use crate::worker::{self, LETTERS_MAX, Order, Word};

/// The variable that holds the secret.
pub(crate) const SECRET: &str = "LIVEHELP_LOAD_SECRET";

/// Takes the next worker's call.
///
/// # Errors
/// If whoever calls does not know the secret.
pub(crate) async fn accept(listener: &TcpListener, secret: &str) -> Result<BufReader<TcpStream>> {
    let (stream, _) = listener.accept().await.context("cannot take a worker's call")?;
    stream.set_nodelay(true).context("cannot set up a worker's line")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).await.context("a worker's line broke")?;
    if line.trim_end() != secret {
        bail!("somebody who is no worker called");
    }
    Ok(reader)
}

async fn write<T: Serialize>(writer: &mut OwnedWriteHalf, letter: &T) -> Result<()> {
    let mut line = serde_json::to_vec(letter).context("cannot put a letter into JSON")?;
    line.push(b'\n');
    writer.write_all(&line).await.context("the line between controller and worker broke")
}

async fn read<T: DeserializeOwned>(
    reader: &mut BufReader<OwnedReadHalf>,
    line: &mut String,
) -> Result<Option<T>> {
    line.clear();
    let read =
        reader.read_line(line).await.context("the line between controller and worker broke")?;
    if read == 0 {
        return Ok(None);
    }
    serde_json::from_str(line).context("a letter of another form").map(Some)
}

/// Carries a worker's orders and words at the controller's end.
pub(crate) async fn relay(
    stream: BufReader<TcpStream>,
    mut orders: mpsc::Receiver<Order>,
    words: mpsc::Sender<(usize, Word)>,
    index: usize,
) {
    let (reader, mut writer) = stream.into_inner().into_split();
    let writing = tasks::spawn("orders", async move {
        while let Some(order) = orders.recv().await {
            if write(&mut writer, &order).await.is_err() {
                return;
            }
        }
    });
    let (mut reader, mut line) = (BufReader::new(reader), String::new());
    loop {
        let word = match read::<Word>(&mut reader, &mut line).await {
            Ok(Some(word)) => word,
            Ok(None) => break,
            Err(error) => Word::Failed { words: format!("{error:#}") },
        };
        if words.send((index, word)).await.is_err() {
            break;
        }
    }
    writing.abort();
}

/// A worker's process: calls the controller and does what it says.
///
/// # Errors
/// If the controller cannot be reached.
pub(crate) async fn serve(controller: SocketAddr, secret: &str) -> Result<()> {
    let stream = TcpStream::connect(controller).await.context("cannot call the controller")?;
    stream.set_nodelay(true).context("cannot set up the controller's line")?;
    let (reader, mut writer) = stream.into_split();
    let greeting = format!("{secret}\n");
    writer.write_all(greeting.as_bytes()).await.context("cannot greet the controller")?;
    // Full: the controller's next order waits.
    let (tell, orders) = mpsc::channel(LETTERS_MAX);
    // Full: the worker waits.
    let (words, mut said) = mpsc::channel::<Word>(LETTERS_MAX);
    let reading = tasks::spawn("orders", async move {
        let (mut reader, mut line) = (BufReader::new(reader), String::new());
        while let Ok(Some(order)) = read::<Order>(&mut reader, &mut line).await {
            if tell.send(order).await.is_err() {
                return;
            }
        }
    });
    let writing = tasks::spawn("words", async move {
        while let Some(word) = said.recv().await {
            write(&mut writer, &word).await?;
        }
        Ok::<(), anyhow::Error>(())
    });
    worker::work(orders, words).await;
    reading.abort();
    writing.await.context("a worker's task broke off")?
}
