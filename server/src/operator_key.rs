//! The operator's key and its file: what opens the admin listener's REST.
//!
//! Lives here: making the key, its file, and lending it to a store that begins empty. Not here:
//! what the key may do (`auth`). Called by `init` for a new server, and by `run`.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use protocol::ids::KeyId;
use protocol::time::UnixMillis;
use secrecy::{ExposeSecret as _, SecretString};

use crate::auth::{Scope, new_operator_key, operator_key_hash, token_hash};
use crate::keys::uuid_v7;
use crate::privacy::audit::{Act, Action, Actor, ChainId, ObjectKind};
use crate::store::{Change, KeyRow, SecretHash, Store, StoreError};

/// The operator's key, in the keys folder.
pub const OPERATOR_KEY_FILE: &str = "operator-key";

/// Why there is no operator's key.
#[derive(Debug, thiserror::Error)]
pub enum OperatorKeyError {
    /// Its file.
    #[error("cannot write the operator's key to {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    /// Its file, where there is one.
    #[error("cannot read the operator's key in {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// Something else is in it.
    #[error("{} holds no operator's key: move it away, or give another keys folder (--keys)", .0.display())]
    NotAKey(PathBuf),
    /// The store.
    #[error("the store did not take the operator's key")]
    Store(#[from] StoreError),
}

/// Gives the operator's key to a store that begins empty at each start: the one in the keys folder,
/// so that whoever has it goes on with it, or a new one.
///
/// # Errors
/// If the file cannot be read or made, or holds something else.
pub async fn lend_operator_key(
    store: &dyn Store,
    keys: &Path,
    at: UnixMillis,
) -> Result<(), OperatorKeyError> {
    let path = keys.join(OPERATOR_KEY_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let text = SecretString::from(text);
            let hash = operator_key_hash(text.expose_secret().trim());
            let hash = hash.ok_or(OperatorKeyError::NotAKey(path))?;
            Ok(store.change(key_made(operator_key_row(hash, at), at).into()).await?)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = DirBuilder::new().recursive(true).mode(0o700).create(keys);
            folder.map_err(|source| OperatorKeyError::Write { path: path.clone(), source })?;
            Ok(store.change(key_made(new_operator_key_in(path, at)?, at).into()).await?)
        }
        Err(source) => Err(OperatorKeyError::Read { path, source }),
    }
}

/// Writes a new key of the operator to its file; it holds once the row is stored.
pub(crate) fn new_operator_key_in(
    path: PathBuf,
    at: UnixMillis,
) -> Result<KeyRow, OperatorKeyError> {
    let issued = new_operator_key();
    write_secret(&path, issued.text.expose_secret())
        .map_err(|source| OperatorKeyError::Write { path, source })?;
    Ok(operator_key_row(issued.hash, at))
}

/// A new key of the operator, and that it was made.
pub(crate) fn key_made(row: KeyRow, at: UnixMillis) -> [Change; 2] {
    let act = Act::new(ChainId::OPERATOR, at, Actor::PROGRAM, Action::KeyCreated);
    let act = act.on(ObjectKind::Key, *row.key.as_bytes());
    [Change::create(row), Change::audit(act)]
}

fn operator_key_row(secret: SecretHash, at: UnixMillis) -> KeyRow {
    KeyRow {
        key: KeyId::from_uuid(uuid_v7(at)),
        tenant: None,
        name: "operator".to_owned(),
        scopes: Scope::OPERATOR.iter().map(|scope| scope.word().to_owned()).collect(),
        secret,
        created_at: at,
    }
}

/// Whether the file holds the text of one of these keys.
pub(crate) fn holds_one_of(path: &Path, keys: &[KeyRow]) -> Result<bool, OperatorKeyError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => SecretString::from(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(OperatorKeyError::Read { path: path.to_owned(), source }),
    };
    let hash = token_hash(text.expose_secret().trim());
    Ok(keys.iter().any(|row| row.secret == hash))
}

/// Writes a file that only its owner reads, and has it on disk before it says so. What stood there
/// before is replaced in one step.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
