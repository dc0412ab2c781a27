//! The audit outside the database: its entries and signed heads as lines of JSON, the round that
//! signs heads, and the verdict on what was read.
//!
//! Lives here: what `livehelp audit` writes and reads, and the log line and the file of heads. Not
//! here: what an entry is and how a chain is verified (`privacy::audit`), where it lies (`store`),
//! the key (`keys`). Started by `run`, called by the command line.

mod heads;
mod lines;

use protocol::ids::TenantId;

use crate::keys::content_hash;
use crate::privacy::audit::{ChainId, Entry, Fault, Head, Verifier};

pub use heads::{Heads, signed_heads};
pub use lines::{entry_from, entry_line};

/// How a chain is named: an Organization's id, or `operator`.
pub fn chain_name(chain: ChainId) -> String {
    chain.tenant().map_or_else(|| "operator".to_owned(), |tenant| tenant.to_string())
}

/// The reverse.
pub fn chain_of(name: &str) -> Option<ChainId> {
    match name {
        "operator" => Some(ChainId::OPERATOR),
        tenant => tenant.parse::<TenantId>().ok().map(ChainId::of),
    }
}

/// How many entries a chain has, whole as it is, or its first fault. A row that no entry can be
/// read from comes as its seq.
///
/// # Errors
/// If it is not whole.
pub fn verdict(
    chain: ChainId,
    rows: impl IntoIterator<Item = Result<Entry, i64>>,
    heads: &[Head],
) -> Result<u64, Fault> {
    let mut verifier = Verifier::new(chain, content_hash, heads);
    for row in rows {
        match row {
            Ok(entry) => verifier.add(&entry)?,
            Err(seq) => return Err(Fault::Altered { seq: u64::try_from(seq).unwrap_or(0) }),
        }
    }
    verifier.end()
}

/// Bytes as hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of hex digits; `None` where these are others, or more or fewer.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u32; 2]| u8::try_from(high * 16 + low).ok();
    let bytes: Vec<u8> = pairs.iter().map(byte).collect::<Option<_>>()?;
    if rest.is_empty() { bytes.try_into().ok() } else { None }
}
