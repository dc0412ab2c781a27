//! `livehelp operator`: one request to the admin listener for each command. A program gets the
//! answer as it came, a person gets a table of it.
//!
//! Each command is a thing and an act (`sites close`). What is acted upon is named behind it; what
//! that belongs to is a flag. The spellings of before are understood and not shown.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};
use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::flags::{self, Shape};
use super::output::{self, Form};
use super::{CliError, print, settings, small_runtime};
use crate::config::{Resolved, read_secret};
use crate::http::client::Server;
use crate::operator_key::OPERATOR_KEY_FILE;

mod commands;

use commands::{clock, former, invitations, keys, password_resets, sites, tenant, tenants};

/// Time for the whole exchange.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What to ask: method, path, body.
type Question = (Method, String, Option<Value>);

/// Settings of these commands.
pub(super) const SETTINGS_SHOWN: [&str; 6] = [
    "admin_listen",
    "keys",
    "operator_url",
    "operator_ca_file",
    "operator_key_file",
    "operator_insecure_http",
];

/// Flags that may stand before the act as well, where the spelling without one had them; which acts
/// take which is judged here and not by clap.
const FLOATING: [&str; 3] = ["tenant", "limit", "cursor"];

pub(super) fn command(shape: Shape) -> Command {
    let command = Command::new("operator")
        .about("Organizations, plans and sites of a running server, over its admin listener")
        .subcommand_required(true)
        .arg_required_else_help(true);
    let command = flags::showing_output_for_programs(flags::showing(command, &SETTINGS_SHOWN));
    let command = [
        tenants(shape),
        sites(shape),
        invitations(shape),
        password_resets(shape),
        keys(shape),
        clock(),
    ]
    .into_iter()
    .fold(command, Command::subcommand);
    match shape {
        Shape::Whole => former(command.arg(tenant(shape).hide(true))),
        Shape::Shown => command,
    }
}

/// Thing, act, and what was given with it, whichever way it was spelled.
fn act<'m>(
    command: &'m str,
    given: &'m ArgMatches,
) -> Option<(&'static str, &'m str, &'m ArgMatches)> {
    let (thing, verb) = match command {
        "tenant" => ("tenants", "show"),
        "create-tenant" => ("tenants", "create"),
        "site" => ("sites", "show"),
        "create-site" => ("sites", "create"),
        "plan" => ("sites", "set-plan"),
        "close" => ("sites", "close"),
        "reopen" => ("sites", "reopen"),
        "invite" => ("invitations", "create"),
        "reset-password" => ("password-resets", "create"),
        "confirm-clock" => ("clock", "confirm"),
        "lower-clock-mark" => ("clock", "lower-mark"),
        _ => {
            let thing = ["tenants", "sites", "invitations", "password-resets", "keys", "clock"]
                .into_iter()
                .find(|thing| *thing == command)?;
            return Some(match given.subcommand() {
                Some((verb, given)) => (thing, verb, given),
                None if thing == "clock" => (thing, "show", given),
                None => (thing, "list", given),
            });
        }
    };
    Some((thing, verb, given))
}

/// The server that the operator's commands ask: at `operator_url`, unless `admin_listen` was said
/// more clearly.
///
/// # Errors
/// If both were given as flags, or there is nothing to judge its certificate by.
pub(super) fn server(resolved: &Resolved) -> Result<Server, CliError> {
    let config = &resolved.config;
    let (elsewhere, here) =
        (resolved.origin("operator_url").rank(), resolved.origin("admin_listen").rank());
    let Some(url) = config.operator_url.clone().filter(|_| elsewhere >= here) else {
        return Ok(Server::here(config.admin_listen));
    };
    if elsewhere == here && resolved.origin("operator_url").is_flag() {
        let words = "--operator-url and --admin-listen each name a server: give one of them";
        return Err(misused(&["operator"], ErrorKind::ArgumentConflict, words));
    }
    Ok(Server::elsewhere(url, config.operator_ca_file.as_deref())?)
}

/// The file with the key that this server asks for.
fn key_file(resolved: &Resolved, server: &Server) -> Result<PathBuf, CliError> {
    let config = &resolved.config;
    match (&config.operator_key_file, server) {
        (Some(path), _) => Ok(path.clone()),
        (None, Server::Here(_)) => Ok(config.keys.join(OPERATOR_KEY_FILE)),
        // The key that lies here is another server's, and none of that one's business.
        (None, Server::Elsewhere(..)) => Err(CliError::Refused(
            "a server elsewhere needs an operator key of its own: name the file that holds it with --operator-key-file, or `-` for standard input".to_owned(),
        )),
    }
}

/// The key that this server asks for.
///
/// # Errors
/// If it cannot be read.
pub(super) fn key(resolved: &Resolved, server: &Server) -> Result<SecretString, CliError> {
    let file = key_file(resolved, server)?;
    read_secret(&file).map_err(|source| CliError::ReadFile {
        path: file,
        flag: "operator-key-file",
        source,
    })
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let Some((command, given)) = matches.subcommand() else {
        return Err(CliError::Refused("give one of the subcommands that --help lists".to_owned()));
    };
    let (Some((thing, verb, leaf)), Some((method, path, body))) =
        (act(command, given), question(command, given))
    else {
        return Err(CliError::Refused("give one of the subcommands that --help lists".to_owned()));
    };
    refuse_floating(thing, verb, leaf)?;
    let resolved = settings(matches)?;
    let server = server(&resolved)?;
    let key = key(&resolved, &server)?;
    let body = body.map(|body| body.to_string());
    let key = key.expose_secret().trim();
    let asking = server.ask(method, &path, Some(key), body, PATIENCE);
    let (status, answer) = small_runtime()?.block_on(asking)?;
    let text = String::from_utf8_lossy(&answer);
    if !status.is_success() {
        return Err(CliError::Refused(words_of(&text, status.as_u16())));
    }
    match output::for_programs(matches) {
        Form::Json => print(&format!("{}\n", text.trim_end())),
        Form::Table if text.trim_end().is_empty() => print("done\n"),
        Form::Table => print(&output::table(&text, columns(thing))),
    }
}

/// A fault of the command line that clap cannot see, told as it tells its own.
fn misused(path: &[&str], kind: ErrorKind, words: &str) -> CliError {
    let mut whole = super::command();
    whole.build();
    let mut command = path
        .iter()
        .fold(whole, |command, name| command.find_subcommand(name).cloned().unwrap_or(command));
    CliError::Usage(Box::new(command.error(kind, words)))
}

/// What a row of a list shows.
fn columns(thing: &str) -> &'static [&'static str] {
    match thing {
        "tenants" => &["tenant_id", "name", "privacy_contact", "created_at"],
        "sites" => &["site_id", "name", "plan", "state", "origins", "created_at"],
        "keys" => &["key_id", "name", "scopes", "created_at"],
        _ => &[],
    }
}

/// Refuses what floats and does not belong, and misses what does.
fn refuse_floating(thing: &str, verb: &str, leaf: &ArgMatches) -> Result<(), CliError> {
    let given = |name: &str| leaf.try_contains_id(name).unwrap_or(false);
    let takes = |name: &str| match (thing, verb) {
        ("tenants", "list") => name != "tenant",
        ("sites", "list") => true,
        // By its former spelling; behind the act otherwise.
        ("tenants", "show") => name == "tenant" && !given("tenant_id"),
        ("sites" | "invitations" | "password-resets", "create") => name == "tenant",
        _ => false,
    };
    let usage =
        |kind: ErrorKind, words: String| Err(misused(&["operator", thing, verb], kind, &words));
    if let Some(name) = FLOATING.iter().find(|name| given(name) && !takes(name)) {
        let words = format!("`livehelp operator {thing} {verb}` takes no --{name}");
        return usage(ErrorKind::UnknownArgument, words);
    }
    if takes("tenant") && !given("tenant") {
        let words = format!(
            "`livehelp operator {thing} {verb}` needs --tenant TENANT_ID; `livehelp operator tenants list` shows them"
        );
        return usage(ErrorKind::MissingRequiredArgument, words);
    }
    Ok(())
}

fn question(command: &str, given: &ArgMatches) -> Option<Question> {
    let (thing, verb, given) = act(command, given)?;
    // Flags that this command does not have are empty.
    let text = |name: &str| match given.try_get_one::<String>(name) {
        Ok(Some(text)) => text.clone(),
        Ok(None) | Err(_) => String::new(),
    };
    let all = |name: &str| -> Vec<String> {
        given.try_get_many(name).ok().flatten().into_iter().flatten().cloned().collect()
    };
    let in_path = |name: &str| escaped(&text(name));
    let (tenant, site) = (in_path("tenant"), in_path("site"));
    let page = || {
        let limit = given.get_one::<u16>("limit").map(|limit| format!("limit={limit}"));
        let cursor =
            given.get_one::<String>("cursor").map(|_| format!("cursor={}", in_path("cursor")));
        let parts: Vec<String> = limit.into_iter().chain(cursor).collect();
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
    };
    Some(match (thing, verb) {
        ("tenants", "list") => (Method::GET, format!("/v1/tenants{}", page()), None),
        ("tenants", "show") => {
            let tenant = [in_path("tenant_id"), tenant].concat();
            (Method::GET, format!("/v1/tenants/{tenant}"), None)
        }
        ("tenants", "create") => {
            let body = json!({ "name": text("name"), "privacy_contact": text("privacy-contact") });
            (Method::POST, "/v1/tenants".to_owned(), Some(body))
        }
        ("sites", "list") => (Method::GET, format!("/v1/tenants/{tenant}/sites{}", page()), None),
        ("sites", "show") => (Method::GET, format!("/v1/sites/{site}"), None),
        ("sites", "create") => {
            let body =
                json!({ "name": text("name"), "origins": all("origin"), "plan": text("plan") });
            (Method::POST, format!("/v1/tenants/{tenant}/sites"), Some(body))
        }
        ("sites", "set-plan") => {
            (Method::PUT, format!("/v1/sites/{site}/plan"), Some(json!({ "plan": text("plan") })))
        }
        ("sites", "close" | "reopen") => (Method::POST, format!("/v1/sites/{site}/{verb}"), None),
        ("invitations", "create") => {
            let body = json!({ "email": text("email"), "role": text("role") });
            (Method::POST, format!("/v1/tenants/{tenant}/invitations"), Some(body))
        }
        ("password-resets", "create") => {
            let path = format!("/v1/tenants/{tenant}/password-resets");
            (Method::POST, path, Some(json!({ "email": text("email") })))
        }
        ("clock", "show") => (Method::GET, "/v1/clock".to_owned(), None),
        ("clock", "confirm") => {
            let body = json!({ "today": text("today") });
            (Method::POST, "/v1/clock/confirm".to_owned(), Some(body))
        }
        ("clock", "lower-mark") => {
            let body = json!({ "today": text("today") });
            (Method::POST, "/v1/clock/lower".to_owned(), Some(body))
        }
        ("keys", "list") => (Method::GET, "/v1/operator-keys".to_owned(), None),
        ("keys", "create") => {
            let body = json!({ "name": text("name"), "scopes": all("scope") });
            (Method::POST, "/v1/operator-keys".to_owned(), Some(body))
        }
        ("keys", "delete") => {
            (Method::DELETE, format!("/v1/operator-keys/{}", in_path("key")), None)
        }
        _ => return None,
    })
}

/// A word as a part of a path or a query: whatever is no letter or digit is escaped.
fn escaped(word: &str) -> String {
    word.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// What a problem document says, for a person.
pub(super) fn words_of(text: &str, status: u16) -> String {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let field = |name: &str| problem.get(name).and_then(Value::as_str);
    match (field("title"), field("detail")) {
        (Some(title), Some(detail)) => format!("{title}: {detail}"),
        (Some(words), None) | (None, Some(words)) => words.to_owned(),
        (None, None) => format!("the server answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> Question {
        let all = super::super::command();
        let line = ["livehelp", "operator"].iter().chain(arguments);
        let matches = all.try_get_matches_from(line).unwrap();
        let (name, given) = matches.subcommand_matches("operator").unwrap().subcommand().unwrap();
        question(name, given).unwrap()
    }

    #[test]
    fn each_command_is_one_request_of_the_contract() {
        assert_eq!(asked(&["tenants"]), (Method::GET, "/v1/tenants".to_owned(), None));
        assert_eq!(
            asked(&["sites", "--tenant", "ten_1", "--limit", "5", "--cursor", "a/b"]),
            (Method::GET, "/v1/tenants/ten_1/sites?limit=5&cursor=a%2Fb".to_owned(), None)
        );
        assert_eq!(
            asked(&["plan", "sit_1", "team"]),
            (Method::PUT, "/v1/sites/sit_1/plan".to_owned(), Some(json!({ "plan": "team" })))
        );
        assert_eq!(
            asked(&["close", "../tenants"]),
            (Method::POST, "/v1/sites/..%2Ftenants/close".to_owned(), None)
        );
        assert_eq!(
            asked(&["confirm-clock", "2026-11-24"]),
            (Method::POST, "/v1/clock/confirm".to_owned(), Some(json!({ "today": "2026-11-24" })))
        );
        assert_eq!(
            asked(&["keys", "create", "--name", "ci", "--scope", "sites:read"]),
            (
                Method::POST,
                "/v1/operator-keys".to_owned(),
                Some(json!({ "name": "ci", "scopes": ["sites:read"] }))
            )
        );
        assert_eq!(
            asked(&["reset-password", "--tenant", "ten_1", "--email", "ada@example.test"]),
            (
                Method::POST,
                "/v1/tenants/ten_1/password-resets".to_owned(),
                Some(json!({ "email": "ada@example.test" }))
            )
        );
        assert_eq!(
            asked(&["keys", "delete", "key/1"]),
            (Method::DELETE, "/v1/operator-keys/key%2F1".to_owned(), None)
        );
        let (method, path, body) = asked(&[
            "create-site",
            "--tenant",
            "ten_1",
            "--name",
            "Shop",
            "--origin",
            "https://a.example",
        ]);
        assert_eq!((method, path.as_str()), (Method::POST, "/v1/tenants/ten_1/sites"));
        let body = body.unwrap();
        assert_eq!(
            body,
            json!({ "name": "Shop", "origins": ["https://a.example"], "plan": "free" })
        );
    }

    #[test]
    fn each_former_spelling_asks_the_same_as_the_new_one() {
        for (former, new) in [
            (&["tenants", "--limit", "5"][..], &["tenants", "list", "--limit", "5"][..]),
            (&["tenant", "--tenant", "ten_1"], &["tenants", "show", "ten_1"]),
            (
                &["create-tenant", "--name", "A", "--privacy-contact", "p@a.example"],
                &["tenants", "create", "--name", "A", "--privacy-contact", "p@a.example"],
            ),
            (&["sites", "--tenant", "ten_1"], &["sites", "list", "--tenant", "ten_1"]),
            (&["sites", "--tenant", "ten_1"], &["--tenant", "ten_1", "sites", "list"]),
            (&["site", "sit_1"], &["sites", "show", "sit_1"]),
            (
                &[
                    "create-site",
                    "--tenant",
                    "ten_1",
                    "--name",
                    "A",
                    "--origin",
                    "https://a.example",
                ],
                &[
                    "sites",
                    "--tenant",
                    "ten_1",
                    "create",
                    "--origin",
                    "https://a.example",
                    "--name",
                    "A",
                ],
            ),
            (&["plan", "sit_1", "team"], &["sites", "set-plan", "sit_1", "team"]),
            (&["close", "sit_1"], &["sites", "close", "sit_1"]),
            (&["reopen", "sit_1"], &["sites", "reopen", "sit_1"]),
            (
                &["invite", "--tenant", "ten_1", "--email", "a@a.example"],
                &["invitations", "create", "--tenant", "ten_1", "--email", "a@a.example"],
            ),
            (
                &["reset-password", "--tenant", "ten_1", "--email", "a@a.example"],
                &["password-resets", "create", "--email", "a@a.example", "--tenant", "ten_1"],
            ),
            (&["clock"], &["clock", "show"]),
            (&["confirm-clock", "2026-11-24"], &["clock", "confirm", "2026-11-24"]),
            (&["lower-clock-mark", "2026-11-24"], &["clock", "lower-mark", "2026-11-24"]),
        ] {
            assert_eq!(asked(former), asked(new), "{former:?}");
        }
    }

    /// Why the command line is refused before anything is asked.
    fn refused(arguments: &[&str]) -> Option<String> {
        let line = ["livehelp", "operator"].iter().chain(arguments);
        let matches = super::super::command().try_get_matches_from(line).unwrap();
        let (name, given) = matches.subcommand_matches("operator").unwrap().subcommand().unwrap();
        let (thing, verb, leaf) = act(name, given).unwrap();
        refuse_floating(thing, verb, leaf).err().map(|error| error.to_string())
    }

    #[test]
    fn a_flag_that_floats_is_missed_where_it_is_needed_and_refused_where_it_is_not() {
        let missed = refused(&["sites", "list"]).unwrap();
        assert!(missed.contains("sites list") && missed.contains("--tenant TENANT_ID"), "{missed}");
        assert!(refused(&["tenant"]).is_some());
        for wrong in [
            &["tenants", "--tenant", "ten_1", "show", "ten_2"][..],
            &["tenants", "--limit", "5", "show", "ten_2"],
            &["sites", "--cursor", "c", "show", "sit_1"],
            &["clock", "--tenant", "ten_1"],
            &["--tenant", "ten_1", "keys", "list"],
        ] {
            assert!(refused(wrong).unwrap().contains(" takes no --"), "{wrong:?}");
        }
        for right in [
            &["tenants"][..],
            &["tenant", "--tenant", "ten_1"],
            &["tenants", "show", "ten_1"],
            &["--tenant", "ten_1", "sites"],
            &["keys", "list"],
        ] {
            assert_eq!(refused(right), None, "{right:?}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let problem = r#"{"title":"Not found","detail":"There is no such site.","status":404}"#;
        assert_eq!(words_of(problem, 404), "Not found: There is no such site.");
        assert_eq!(words_of("<html>", 502), "the server answered 502");
    }
}
