//! `livehelp backup`, `livehelp verify`, `livehelp restore`: what a person or a timer types, and
//! what they read.
//!
//! Lives here: the arguments, the way to the running server or to a stopped one's folders, progress
//! and summaries. Not here: what a backup is (`backup`).

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::output::{self, Form};
use super::{CliError, flags, operator, print, serve, settings};
use crate::backup::{
    self, Backups, KEYS_DAYS, Kind, Manifest, RATE_MIB, Restored, Standing, Verdict, Wish,
};
use crate::clock::{Clock, SystemClock, rfc3339};
use crate::config::{Config, Resolved, Store};
use crate::http::client::Server;
use crate::metrics::Metrics;
use crate::opened::{self, OpeningError};
use crate::store::sqlite::{self, Inspection};

/// How often the server is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(200);
const MIB: u64 = 1024 * 1024;

fn path_argument(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("DIR")
        .value_parser(clap::value_parser!(PathBuf))
        .help(help)
}

pub(super) fn backup_command() -> Command {
    let command = Command::new("backup");
    flags::showing_output_for_programs(flags::showing(command, &["data", "keys", "admin_listen", "operator_url", "operator_ca_file", "operator_key_file"]))
        .about("Backs up a server, running or stopped: one file with the data, one with the keys, verified")
        .arg(
            path_argument("to", "Folder on the server's machine that the server may write to")
                .required(true),
        )
        .arg(path_argument("keys-to", "Another folder for the keys: apart from the data they are safer"))
        .arg(
            Arg::new("keep")
                .long("keep")
                .value_name("N")
                .value_parser(clap::value_parser!(u32).range(1..=10_000))
                .help("Afterwards deletes all but the newest N artefacts of each kind, and keys that are too old"),
        )
        .arg(
            Arg::new("keys-days")
                .long("keys-days")
                .value_name("DAYS")
                .requires("keep")
                .value_parser(clap::value_parser!(u32).range(1..=36_500))
                .help(format!("With --keep: how old a keys artefact gets, but for the newest [default: {KEYS_DAYS}]")),
        )
        .arg(
            Arg::new("rate")
                .long("rate")
                .value_name("MIB")
                .value_parser(clap::value_parser!(u32).range(1..=100_000))
                .help(format!("MiB that are read and written in a second at most [default: {RATE_MIB}]")),
        )
}

pub(super) fn verify_command() -> Command {
    let command = Command::new("verify");
    flags::showing_output_for_programs(flags::showing(command, &[]))
        .about("Looks backups through: sums, pages, keys, and every sealed value; changes nothing")
        .arg(
            Arg::new("path")
                .value_name("DIR|FILE")
                .required(true)
                .action(ArgAction::Append)
                .num_args(1..)
                .value_parser(clap::value_parser!(PathBuf))
                .help("Artefacts, or folders with artefacts; data is opened with the newest keys among them"),
        )
}

pub(super) fn restore_command() -> Command {
    let command = Command::new("restore");
    flags::showing_output_for_programs(flags::showing(command, &["data", "keys"]))
        .about("Puts a backup back into empty folders (--data, --keys), verified before and after")
        .arg(
            Arg::new("from")
                .long("from")
                .value_name("DIR|FILE")
                .required(true)
                .action(ArgAction::Append)
                .value_parser(clap::value_parser!(PathBuf))
                .help("Artefact, or folder with artefacts; may be repeated. The newest data is taken, with the newest keys"),
        )
        .arg(Arg::new("replace").long("replace").action(ArgAction::SetTrue).help(
            "Moves what is in the folders aside, beside them; the server must be stopped",
        ))
}

pub(super) fn backup(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let resolved = settings(matches)?;
    let config = &resolved.config;
    let path = |name: &str| -> Result<Option<PathBuf>, CliError> {
        let given: Option<&PathBuf> = matches.get_one(name);
        let whole = given.map(std::path::absolute).transpose();
        whole.map_err(|error| CliError::Refused(format!("--{name} cannot be resolved: {error}")))
    };
    let number = |name: &str| matches.get_one::<u32>(name).copied();
    let wish = Wish {
        to: path("to")?.unwrap_or_default(),
        keys_to: path("keys-to")?,
        rate_mib: number("rate").unwrap_or(RATE_MIB),
        keep: number("keep").and_then(|keep| usize::try_from(keep).ok()),
        keys_days: number("keys-days").unwrap_or(KEYS_DAYS),
    };
    if config.store == Store::Memory {
        return Err(backup::BackupError::Memory.into());
    }
    let server = operator::server(&resolved)?;
    let found = match &server {
        Server::Elsewhere(..) => Found::Running,
        Server::Here(_) => found(config)?,
    };
    let made = match found {
        Found::Running => ask_the_server(&resolved, &server, &wish)?,
        Found::Stopped => back_up_stopped(config, wish)?,
    };
    if output::for_programs(matches) == Form::Json {
        return print(&format!("{made}\n"));
    }
    print(&summary(&made))
}

/// What is to be backed up.
enum Found {
    /// A server that runs, or whose folders are not here, as in a container.
    Running,
    /// Folders that nobody has.
    Stopped,
}

/// Looks at the folders, and lets go of them: whoever opens them to write has to be alone.
fn found(config: &Config) -> Result<Found, CliError> {
    Ok(match sqlite::look(&config.data).map_err(OpeningError::from)? {
        Inspection::InUse { .. } => Found::Running,
        Inspection::Empty if !config.data.exists() => Found::Running,
        Inspection::Empty => return Err(CliError::EmptyData(config.data.clone())),
        Inspection::Data(data) if data.version < data.known => {
            let (version, known) = (data.version, data.known);
            return Err(CliError::Refused(format!(
                "the data in {} is of version {version}, and this livehelp would first bring it to {known}: back it up with the livehelp that it is from",
                config.data.display()
            )));
        }
        Inspection::Data(_) => Found::Stopped,
    })
}

/// Has the running server do it, and waits.
fn ask_the_server(resolved: &Resolved, server: &Server, wish: &Wish) -> Result<Value, CliError> {
    let key = operator::key(resolved, server)?;
    let body = json!({
        "to": wish.to,
        "keys_to": wish.keys_to,
        "rate_mib": wish.rate_mib,
        "keep": wish.keep,
        "keys_days": wish.keys_days,
    });
    let ask = async |method, path, body: Option<&Value>| {
        let body = body.map(ToString::to_string);
        let key = Some(key.expose_secret().trim());
        let (status, answer) = server.ask(method, path, key, body, operator::PATIENCE).await?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        if !status.is_success() {
            return Err(CliError::Refused(operator::words_of(&text, status.as_u16())));
        }
        serde_json::from_str::<Value>(&text)
            .map_err(|_| CliError::Refused("the server's answer cannot be read".to_owned()))
    };
    super::small_runtime()?.block_on(async {
        let mut state = ask(Method::POST, "/v1/backups", Some(&body)).await?;
        let mut line = Line::new();
        loop {
            match state["state"].as_str() {
                Some("done") => break,
                Some("failed") => {
                    line.end();
                    let words = state["failure"].as_str().unwrap_or("the backup failed");
                    return Err(CliError::Refused(words.to_owned()));
                }
                Some(word) => {
                    let bytes = |name: &str| state[name].as_u64().unwrap_or_default();
                    line.show(word, bytes("done_bytes"), bytes("of_bytes"));
                }
                None => {
                    return Err(CliError::Refused("the server's answer cannot be read".to_owned()));
                }
            }
            tokio::time::sleep(ASK_EVERY).await;
            state = ask(Method::GET, "/v1/backups/newest", None).await?;
        }
        line.end();
        Ok(state["made"].take())
    })
}

/// The same on a stopped server's folders, which are taken for as long.
fn back_up_stopped(config: &Config, wish: Wish) -> Result<Value, CliError> {
    serve::start_logs(config);
    serve::runtime(config)?.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let opened = opened::open(config, Arc::clone(&clock))?;
        let backups = opened::backups(config, &opened, &clock, &Metrics::new());
        let made = follow(&backups, wish).await;
        crate::store::Store::close(&*opened.store).await;
        opened.keys.close();
        let made = made?;
        Ok(json!({
            "data": made.data, "keys": made.keys,
            "data_bytes": made.data_bytes, "keys_bytes": made.keys_bytes,
            "messages": made.rows.messages, "conversations": made.rows.conversations,
            "reaches_at": made.reaches, "reaches_time": rfc3339(made.reaches),
            "made_at": made.made_at, "made_time": rfc3339(made.made_at), "let_go": made.let_go,
        }))
    })
}

async fn follow(backups: &Arc<Backups>, wish: Wish) -> Result<backup::Made, CliError> {
    backups.begin(wish)?;
    let mut line = Line::new();
    loop {
        match backups.standing() {
            Some(Standing::Done(made)) => {
                line.end();
                return Ok(made);
            }
            Some(Standing::Failed(words)) => {
                line.end();
                return Err(CliError::Refused(words));
            }
            Some(Standing::Running { is_verifying, done_bytes, of_bytes }) => {
                line.show(if is_verifying { "verifying" } else { "copying" }, done_bytes, of_bytes);
            }
            None => return Err(CliError::Refused("the backup ended by a fault".to_owned())),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// One line that says how far it is, for people.
struct Line {
    is_shown: bool,
    is_begun: bool,
}

impl Line {
    fn new() -> Self {
        Self { is_shown: std::io::stderr().is_terminal(), is_begun: false }
    }

    fn show(&mut self, word: &str, done: u64, of: u64) {
        if self.is_shown {
            self.is_begun = true;
            let text = format!("\r\x1b[K{word}: {} of {}", size(done), size(of));
            drop(std::io::stderr().write_all(text.as_bytes()));
        }
    }

    fn end(&mut self) {
        if self.is_begun {
            drop(std::io::stderr().write_all(b"\r\x1b[K"));
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..MIB => format!("{} KiB", bytes.div_ceil(1024)),
        _ => {
            let tenths = bytes * 10 / MIB;
            format!("{}.{} MiB", tenths / 10, tenths % 10)
        }
    }
}

fn summary(made: &Value) -> String {
    let text = |name: &str| made[name].as_str().unwrap_or_default();
    let number = |name: &str| made[name].as_u64().unwrap_or_default();
    let mut lines = format!(
        "data: {} ({})\nkeys: {} ({})\n{} messages in {} conversations, verified\nit reaches until {}: what was acked before is in it\n",
        text("data"),
        size(number("data_bytes")),
        text("keys"),
        size(number("keys_bytes")),
        number("messages"),
        number("conversations"),
        text("reaches_time"),
    );
    for path in made["let_go"].as_array().into_iter().flatten() {
        lines.push_str(&format!("deleted: {}\n", path.as_str().unwrap_or_default()));
    }
    lines
}

pub(super) fn verify(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let given: Vec<PathBuf> = matches.get_many("path").into_iter().flatten().cloned().collect();
    let paths = backup::gather(&given)?;
    if paths.is_empty() {
        return Err(CliError::Refused("there is no backup in these folders".to_owned()));
    }
    let verdicts = backup::verify(&paths);
    let is_good = verdicts.iter().all(|verdict| verdict.fault.is_none());
    if output::for_programs(matches) == Form::Json {
        let artefacts: Vec<Value> = verdicts.iter().map(verdict_json).collect();
        print(&format!("{}\n", json!({ "good": is_good, "artefacts": artefacts })))?;
    } else {
        verdicts.iter().try_for_each(|verdict| print(&verdict_words(verdict)).map(drop))?;
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fault_of(verdict: &Verdict) -> Option<String> {
    let fault = verdict.fault.as_ref()?;
    Some(backup::sentence(fault))
}

fn about(manifest: &Manifest) -> Value {
    json!({
        "kind": manifest.kind, "store_id": manifest.store_id, "version": manifest.version,
        "schema": manifest.schema, "generation": manifest.generation,
        "reaches_at": manifest.reaches, "reaches_time": rfc3339(manifest.reaches),
        "made_at": manifest.made_at, "made_time": rfc3339(manifest.made_at), "rows": manifest.rows,
    })
}

fn verdict_json(verdict: &Verdict) -> Value {
    json!({
        "path": verdict.path,
        "good": verdict.fault.is_none(),
        "fault": fault_of(verdict),
        "manifest": verdict.manifest.as_ref().map(about),
        "opened_with": verdict.opened_with,
    })
}

fn verdict_words(verdict: &Verdict) -> String {
    if let Some(fault) = fault_of(verdict) {
        return format!("bad: {fault}\n");
    }
    let path = verdict.path.display();
    let Some(manifest) = &verdict.manifest else { return format!("good: {path}\n") };
    let reaches = rfc3339(manifest.reaches);
    match (manifest.kind, &manifest.rows, &verdict.opened_with) {
        (Kind::Data, Some(rows), Some(with)) => {
            let opened = if verdict.is_former {
                "of an earlier version: its values are opened once a start brought it to this one"
                    .to_owned()
            } else {
                format!("every value opens with {}", with.display())
            };
            format!(
                "good: {path}: {} messages in {} conversations, until {reaches}; {opened}\n",
                rows.messages, rows.conversations
            )
        }
        _ => format!("good: {path}: keys of {reaches}, generation {}\n", manifest.generation),
    }
}

pub(super) fn restore(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let config = settings(matches)?.config;
    serve::start_logs(&config);
    if config.store == Store::Memory {
        return Err(backup::BackupError::Memory.into());
    }
    let from: Vec<PathBuf> = matches.get_many("from").into_iter().flatten().cloned().collect();
    let folders: [&Path; 2] = [&config.data, &config.keys];
    let restored = backup::restore(&from, folders, matches.get_flag("replace"), SystemClock.now())?;
    let Restored { data, keys, aside } = &restored;
    let reaches = rfc3339(restored.manifest().reaches);
    if output::for_programs(matches) == Form::Json {
        let aside: Vec<Value> =
            aside.iter().map(|(from, to)| json!({ "from": from, "to": to })).collect();
        let done = json!({
            "data": data.path, "keys": keys.path, "manifest": about(&data.manifest),
            "into": { "data": config.data, "keys": config.keys }, "aside": aside,
        });
        return print(&format!("{done}\n"));
    }
    let mut words = format!("restored from {} and {}\n", data.path.display(), keys.path.display());
    if let Some(rows) = &data.manifest.rows {
        words.push_str(&format!(
            "{} messages in {} conversations, verified\n",
            rows.messages, rows.conversations
        ));
    }
    for (from, to) in aside {
        words.push_str(&format!("{} is now {}\n", from.display(), to.display()));
    }
    words.push_str(&format!(
        "it reaches until {reaches}: what was acked later is not in it\nstart it with `livehelp serve`\n"
    ));
    print(&words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_summaries_are_for_people() {
        assert_eq!(size(1), "1 KiB");
        assert_eq!(size(3 * MIB / 2), "1.5 MiB");
        let made = json!({
            "data": "/b/x.data", "keys": "/b/x.keys", "data_bytes": 2 * MIB, "keys_bytes": 9_000,
            "messages": 7, "conversations": 2, "reaches_time": "2026-11-24T02:04:19.000Z",
            "let_go": ["/b/old.data"],
        });
        assert_eq!(
            summary(&made),
            "data: /b/x.data (2.0 MiB)\nkeys: /b/x.keys (9 KiB)\n7 messages in 2 conversations, \
             verified\nit reaches until 2026-11-24T02:04:19.000Z: what was acked before is in \
             it\ndeleted: /b/old.data\n"
        );
    }
}
