//! Heads: how far each chain has come, signed every hour, so that an end that was cut off is
//! missed.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::time::UnixMillis;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{chain_name, chain_of, from_hex, hex};
use crate::clock::Clock;
use crate::keys::{Signer, is_signed};
use crate::privacy::audit::{ChainId, Head};
use crate::store::{Page, Store, StoreError};

/// How often heads are signed.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Organizations that are looked at with one question.
const PAGE: u16 = 500;

/// Signs heads.
#[derive(Debug)]
pub struct Heads {
    store: Arc<dyn Store>,
    signer: Signer,
    clock: Arc<dyn Clock>,
    /// On another disk than the data.
    file: Option<PathBuf>,
    /// The seq of each chain that was signed last.
    signed: HashMap<ChainId, u64>,
}

impl Heads {
    pub fn new(
        store: Arc<dyn Store>,
        signer: Signer,
        clock: Arc<dyn Clock>,
        file: Option<PathBuf>,
    ) -> Self {
        Self { store, signer, clock, file, signed: HashMap::new() }
    }

    /// A round at once, one each hour, and a last one when the shutdown begins.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(EVERY);
        loop {
            let is_last = tokio::select! {
                _ = tick.tick() => false,
                _ = shutdown.wait_for(|down| *down) => true,
            };
            if let Err(error) = self.round().await {
                tracing::error!(%error, "the audit's heads could not be read; they are signed later");
            }
            if is_last {
                return;
            }
        }
    }

    /// Signs the head of each chain that has moved, and returns their lines.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn round(&mut self) -> Result<Vec<String>, StoreError> {
        let mut lines = Vec::new();
        let mut moved = Vec::new();
        for chain in self.chains().await? {
            let Some(last) = self.store.audit(chain, None, 1).await?.pop() else { continue };
            if self.signed.get(&chain).is_some_and(|signed| *signed >= last.seq) {
                continue;
            }
            let at = self.clock.now();
            let head = Head { chain, seq: last.seq, hash: last.hash, at };
            let signature = self.signer.sign(&head.signed_bytes());
            let key = hex(&self.signer.public_key());
            let (chain_name, hash, signature) =
                (chain_name(chain), hex(&head.hash), hex(&signature));
            tracing::info!(
                chain = chain_name,
                seq = head.seq,
                hash,
                at = at.0,
                key,
                signature,
                "audit head"
            );
            lines.push(
                json!({
                    "chain": chain_name, "seq": head.seq, "hash": hash, "at": at.0,
                    "key": key, "signature": signature,
                })
                .to_string(),
            );
            moved.push((chain, head.seq));
        }
        if let (Some(path), false) = (self.file.clone(), lines.is_empty()) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let written = tokio::task::spawn_blocking(move || append(&path, &text)).await;
            if let Err(error) = written.unwrap_or_else(|_| Err(io::Error::other("it broke off"))) {
                tracing::error!(%error, "the file of the audit's heads (`audit_heads_file`) could not be written; they are signed again");
                return Ok(lines);
            }
        }
        self.signed.extend(moved);
        Ok(lines)
    }

    async fn chains(&self) -> Result<Vec<ChainId>, StoreError> {
        let mut chains = vec![ChainId::OPERATOR];
        let mut after = None;
        loop {
            let rows = self.store.tenants(Page { limit: PAGE, after }).await?;
            chains.extend(rows.iter().map(|row| ChainId::of(row.tenant)));
            match rows.last() {
                Some(last) if rows.len() == usize::from(PAGE) => after = Some(last.tenant),
                _ => return Ok(chains),
            }
        }
    }
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The heads in the lines of a file; with a key, all must be signed by it.
///
/// # Errors
/// The number of the first line that is no head, or whose signature does not hold.
pub fn signed_heads(text: &str, key: Option<[u8; 32]>) -> Result<Vec<Head>, usize> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines.map(|(line, number)| signed_head(line, key).ok_or(number)).collect()
}

fn signed_head(line: &str, key: Option<[u8; 32]>) -> Option<Head> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| value[name].as_str();
    let head = Head {
        chain: chain_of(text("chain")?)?,
        seq: value["seq"].as_u64()?,
        hash: from_hex(text("hash")?)?,
        at: UnixMillis(value["at"].as_u64()?),
    };
    let by = from_hex(text("key")?)?;
    let holds = key.is_none_or(|key| key == by)
        && is_signed(&by, &head.signed_bytes(), &from_hex(text("signature")?)?);
    holds.then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::verdict;
    use crate::clock::ManualClock;
    use crate::keys::KeyStore;
    use crate::privacy::audit::{Act, Action, Actor, Entry, Fault};
    use crate::store::conformance::{NOW, World};
    use crate::store::memory::{MemoryConfig, MemoryStore};
    use crate::store::{Change, Records as _};

    async fn entries(store: &MemoryStore, chain: ChainId) -> Vec<Result<Entry, i64>> {
        store.audit(chain, None, 100).await.unwrap().into_iter().rev().map(Ok).collect()
    }

    #[tokio::test]
    async fn heads_of_what_moved_are_signed_and_an_end_that_was_cut_off_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let keys = Arc::new(KeyStore::in_memory().unwrap());
        let store =
            Arc::new(MemoryStore::new(keys.clone(), &MemoryConfig::default(), clock.clone()));
        let world = World::new(1);
        world.settle(&*store).await;
        let chain = ChainId::of(world.tenant);
        let act = |chain| Change::audit(Act::new(chain, NOW, Actor::PROGRAM, Action::ShredDone));
        store.change(vec![act(chain), act(ChainId::OPERATOR), act(chain)]).await.unwrap();
        let file = folder.path().join("heads");
        let signer = keys.signer();
        let key = signer.public_key();
        let mut heads = Heads::new(store.clone(), signer, clock, Some(file.clone()));
        assert_eq!(heads.round().await.unwrap().len(), 2);
        assert_eq!(heads.round().await.unwrap(), Vec::<String>::new(), "nothing moved");
        store.change(vec![act(chain)]).await.unwrap();
        assert_eq!(heads.round().await.unwrap().len(), 1);
        let text = std::fs::read_to_string(&file).unwrap();
        let signed = signed_heads(&text, Some(key)).unwrap();
        assert_eq!(signed.len(), 3);
        let mut rows = entries(&store, chain).await;
        assert_eq!(verdict(chain, rows.clone(), &signed), Ok(3));
        rows.pop();
        assert_eq!(verdict(chain, rows.clone(), &[]), Ok(2));
        let fault = Fault::Truncated { seq_last: 2, signed: 3 };
        assert_eq!(verdict(chain, rows, &signed), Err(fault));
        // A head that somebody made, or changed.
        assert_eq!(signed_heads(&text, Some([1; 32])), Err(1));
        assert_eq!(signed_heads(&text.replace("\"seq\":3", "\"seq\":2"), None), Err(3));
        assert_eq!(signed_heads("\n{}\n", None), Err(2));
    }
}
