//! `livehelp health`: whether a server is ready, in one line and by its exit code, for checks of
//! containers and scripts.
//!
//! It reads the server's own settings, so that it asks where that server listens; it needs no key
//! and opens no folder.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use http::{Method, StatusCode};

use super::flags;
use super::output::{self, Form};
use super::{CliError, operator, print, small_runtime};
use crate::backup::sentence;
use crate::config::{self, ServerUrl};
use crate::http::client::Server;

/// Time for the answer; a server under full load gives it within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn command() -> Command {
    let shown = ["admin_listen", "operator_url", "operator_ca_file"];
    let command = Command::new("health")
        .about("Asks a running server whether it is ready")
        .after_help(
            "Exit codes: 0 it is; 1 it is not, or does not answer: one line on stderr says why; 2 the command line is wrong.",
        )
        .arg(
            Arg::new("live")
                .long("live")
                .action(ArgAction::SetTrue)
                .help("Asks only whether it runs, ready or not"),
        )
        .arg(
            Arg::new("url")
                .long("url")
                .value_name("URL")
                .value_parser(str::parse::<ServerUrl>)
                .help("Where its admin listener is, such as http://127.0.0.1:8081; no key goes there, so plain HTTP may go anywhere [default: the settings']"),
        );
    flags::showing_output(flags::showing(command, &shown))
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let live = matches.get_flag("live");
    let (word, path) = if live { ("live", "/livez") } else { ("ready", "/readyz") };
    match ask(matches, path) {
        Ok(()) => match output::for_people(matches) {
            Form::Table => print(&format!("{word}\n")),
            Form::Json => print(&format!("{}\n", serde_json::json!({ word: true }))),
        },
        Err(why) => Err(CliError::NotHealthy(format!("not {word}: {}", in_one_line(&why)))),
    }
}

/// Asks; why not, if not.
fn ask(matches: &ArgMatches, path: &str) -> Result<(), String> {
    let resolved = config::load(&flags::sources(matches)).map_err(|error| error.to_string())?;
    let server = match matches.get_one::<ServerUrl>("url").cloned() {
        Some(url) => Server::elsewhere(url, resolved.config.operator_ca_file.as_deref())
            .map_err(|error| sentence(&error))?,
        None => operator::server(&resolved).map_err(|error| sentence(&error))?,
    };
    let asking = server.ask(Method::GET, path, None, None, PATIENCE);
    let runtime = small_runtime().map_err(|error| sentence(&error))?;
    let (status, answer) = runtime.block_on(asking).map_err(|error| sentence(&error))?;
    judged(status, &String::from_utf8_lossy(&answer))
        .map_err(|why| format!("{} says {why}", server.shown()))
}

/// What an answer means: the first line of ours is `ok` or `no`, each further one a condition.
fn judged(status: StatusCode, answer: &str) -> Result<(), String> {
    let mut lines = answer.lines();
    match (lines.next(), status) {
        (Some("ok"), StatusCode::OK) => Ok(()),
        (Some("no"), StatusCode::SERVICE_UNAVAILABLE) => {
            let conditions: Vec<&str> = lines.collect();
            Err(if conditions.is_empty() { "no".to_owned() } else { conditions.join(", ") })
        }
        _ => Err(format!("{} and is no livehelp admin listener", status.as_u16())),
    }
}

fn in_one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_ready_or_says_why_not() {
        assert_eq!(judged(StatusCode::OK, "ok\n"), Ok(()));
        let no = judged(StatusCode::SERVICE_UNAVAILABLE, "no\nstore: no\nbus: no\n");
        assert_eq!(no, Err("store: no, bus: no".to_owned()));
        assert_eq!(judged(StatusCode::SERVICE_UNAVAILABLE, "no\n"), Err("no".to_owned()));
        for (status, answer) in [(StatusCode::OK, "<html>"), (StatusCode::NOT_FOUND, "ok\n")] {
            assert!(judged(status, answer).unwrap_err().contains("no livehelp admin listener"));
        }
    }
}
