//! Backups of this server, for its operator: one is begun, and asked after until it is finished.
//!
//! What comes of it are files on the server's machine; neither data nor keys pass through here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::StatusCode;
use protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::access::OperatorAccess;
use super::json::{Answer, Json};
use super::problem::{Problem, ProblemCode};
use super::request::Body;
use crate::auth::Scope;
use crate::backup::{BackupError, KEYS_DAYS, Made, RATE_MIB, Standing, Wish};
use crate::privacy::audit::Action;

/// Artefacts of a kind that can be asked to stay at most.
const KEEP_MAX: u32 = 10_000;
/// MiB in a second that can be asked for at most.
const RATE_MIB_MAX: u32 = 100_000;
/// Days that keys can be asked to stay at most.
const KEYS_DAYS_MAX: u32 = 36_500;

/// A backup to be made.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBackup {
    /// Folder on the server's machine, an absolute path, into which the server writes the data
    /// artefact.
    to: String,
    /// The same for the keys artefact; `to` where it is left out. Apart from the data they are
    /// safer.
    keys_to: Option<String>,
    /// MiB that are read and written in a second at most; 32 where it is left out.
    #[schema(minimum = 1, maximum = 100_000)]
    rate_mib: Option<u32>,
    /// How many artefacts of each kind stay, the newest; all where it is left out.
    #[schema(minimum = 1, maximum = 10_000)]
    keep: Option<u32>,
    /// Where `keep` is given: keys artefacts older than so many days are deleted too, but never the
    /// newest; 30 where it is left out.
    #[schema(minimum = 1, maximum = 36_500)]
    keys_days: Option<u32>,
}

/// The newest backup since the server's start.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct BackupState {
    /// `copying`, `verifying`; `done`; `failed`: nothing is left of it.
    state: &'static str,
    /// Bytes of the database that are copied.
    done_bytes: u64,
    /// Bytes of the database; 0 before that is known.
    of_bytes: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// What was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<MadeBackup>,
}

/// A backup that is finished and verified.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct MadeBackup {
    /// The data artefact's path on the server's machine.
    data: String,
    /// The keys artefact's.
    keys: String,
    data_bytes: u64,
    keys_bytes: u64,
    /// Messages in it.
    messages: u64,
    /// Conversations in it.
    conversations: u64,
    /// Everything that was acked before this moment is in it; milliseconds since 1970.
    #[schema(value_type = u64)]
    reaches_at: UnixMillis,
    /// When it was finished; milliseconds since 1970.
    #[schema(value_type = u64)]
    made_at: UnixMillis,
    /// Older artefacts that were deleted.
    let_go: Vec<String>,
}

impl From<Made> for MadeBackup {
    fn from(made: Made) -> Self {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        Self {
            data: text(made.data),
            keys: text(made.keys),
            data_bytes: made.data_bytes,
            keys_bytes: made.keys_bytes,
            messages: made.rows.messages,
            conversations: made.rows.conversations,
            reaches_at: made.reaches,
            made_at: made.made_at,
            let_go: made.let_go.into_iter().map(text).collect(),
        }
    }
}

impl From<Standing> for BackupState {
    fn from(standing: Standing) -> Self {
        let still = |state| Self { state, done_bytes: 0, of_bytes: 0, failure: None, made: None };
        match standing {
            Standing::Running { is_verifying, done_bytes, of_bytes } => {
                let state = if is_verifying { "verifying" } else { "copying" };
                Self { done_bytes, of_bytes, ..still(state) }
            }
            Standing::Done(made) => Self { made: Some(made.into()), ..still("done") },
            Standing::Failed(words) => Self { failure: Some(words), ..still("failed") },
        }
    }
}

/// POST /v1/backups
#[utoipa::path(post, path = "/v1/backups", tag = "backups", operation_id = "create_backup",
    request_body = NewBackup,
    responses((status = 202, body = BackupState), (status = 403), (status = 409), (status = 422)))]
pub(crate) async fn create(
    access: OperatorAccess,
    Body { value: new, .. }: Body<NewBackup>,
) -> Result<(StatusCode, Json<BackupState>), Problem> {
    access.need_or_manage(Scope::BackupsCreate)?;
    let bound = |field, value: Option<u32>, most: u32| match value {
        Some(value) if !(1..=most).contains(&value) => {
            Err(Problem::field(field, format!("It must be between 1 and {most}.")))
        }
        value => Ok(value),
    };
    let wish = Wish {
        to: PathBuf::from(new.to),
        keys_to: new.keys_to.map(PathBuf::from),
        rate_mib: bound("rate_mib", new.rate_mib, RATE_MIB_MAX)?.unwrap_or(RATE_MIB),
        keep: bound("keep", new.keep, KEEP_MAX)?.and_then(|keep| usize::try_from(keep).ok()),
        keys_days: bound("keys_days", new.keys_days, KEYS_DAYS_MAX)?.unwrap_or(KEYS_DAYS),
    };
    let (backups, keys_to) = (Arc::clone(&access.state.backups), wish.keys_to.clone());
    // Folders may lie on disks that are slow to answer; a task is begun from there as well.
    let begun = tokio::task::spawn_blocking(move || backups.begin(wish)).await;
    let begun = begun.map_err(|_| Problem::internal())?;
    begun.map_err(|error| refused(&error, keys_to.as_deref()))?;
    access.state.carry_out(access.act(Action::BackupBegun), Vec::new()).await?;
    tracing::info!(key_id = %access.key, "the operator has the server back itself up");
    let standing = access.state.backups.standing().ok_or_else(Problem::internal)?;
    Ok((StatusCode::ACCEPTED, Json(standing.into())))
}

/// GET /v1/backups/newest
#[utoipa::path(get, path = "/v1/backups/newest", tag = "backups", operation_id = "get_newest_backup",
    responses((status = 200, body = BackupState), (status = 403), (status = 404)))]
pub(crate) async fn newest(access: OperatorAccess) -> Answer<BackupState> {
    access.need_or_manage(Scope::BackupsCreate)?;
    match access.state.backups.standing() {
        Some(standing) => Ok(Json(standing.into())),
        None => Err(Problem::not_found("backup since the server's start")),
    }
}

fn refused(error: &BackupError, keys_to: Option<&Path>) -> Problem {
    let of = |folder: &Path, words: &'static str| {
        Problem::field(if keys_to == Some(folder) { "keys_to" } else { "to" }, words)
    };
    match error {
        BackupError::UnderWay => {
            Problem::new(ProblemCode::Conflict, "A backup is under way already.")
        }
        BackupError::Memory => Problem::new(
            ProblemCode::Conflict,
            "This server keeps nothing that could be backed up (`store` = memory).",
        ),
        BackupError::NotAbsolute(folder) => {
            of(folder, "It must be an absolute path: it is the server that writes there.")
        }
        BackupError::NoFolder(folder) => of(
            folder,
            "There is no such folder on the server's machine. Make it, and let the server write there.",
        ),
        BackupError::OpenToAll(folder) => of(
            folder,
            "Everyone on the server's machine can write there. Take that away (chmod o-w).",
        ),
        BackupError::Inside { folder, .. } => {
            of(folder, "It lies inside the data or the keys folder. A backup belongs elsewhere.")
        }
        BackupError::Stopped
        | BackupError::NoRoom { .. }
        | BackupError::DataRoom(_)
        | BackupError::Unbound
        | BackupError::Copy(_)
        | BackupError::Keys(_)
        | BackupError::Data(_)
        | BackupError::Artefact(_)
        | BackupError::Verify(_) => {
            tracing::warn!(%error, cause = ?std::error::Error::source(error), "a backup cannot begin");
            Problem::field("to", "The server cannot use this folder. Its log says why.")
        }
    }
}
