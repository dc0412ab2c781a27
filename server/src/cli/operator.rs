//! `livehelp operator`: one request to the admin listener for each command; the answer is printed as it came.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use http::Method;
use serde_json::{Value, json};

use super::{CliError, print, serve, settings};
use crate::auth::Scope;
use crate::http::client;
use crate::init::OPERATOR_KEY_FILE;

/// What to ask: method, path, body.
type Question = (Method, String, Option<Value>);

#[expect(
    clippy::too_many_lines,
    reason = "one command after the other: a flat list reads best whole"
)]
pub(super) fn command(command: Command) -> Command {
    let required = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).required(true).help(help)
    };
    let tenant = || required("tenant", "TENANT_ID", "Organization, ten_…");
    let site = || Arg::new("site").value_name("SITE_ID").required(true).help("Site, sit_…");
    let plan = || Arg::new("plan").value_parser(["free", "team", "business", "enterprise"]);
    let today = || {
        Arg::new("today")
            .value_name("DATE")
            .required(true)
            .help("The day that it really is, UTC, such as 2026-11-24")
    };
    let paged = |command: Command| {
        command
            .arg(Arg::new("limit").long("limit").value_parser(clap::value_parser!(u16)))
            .arg(Arg::new("cursor").long("cursor").help("`next_cursor` of the page before"))
    };
    command
        .subcommand_required(true)
        .arg(
            Arg::new("key-file")
                .long("key-file")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("File with the operator's key [default: operator-key in the keys folder]"),
        )
        .subcommand(paged(Command::new("tenants").about("Lists Organizations")))
        .subcommand(Command::new("tenant").about("Shows an Organization").arg(tenant()))
        .subcommand(
            Command::new("create-tenant")
                .about("Makes an Organization")
                .arg(required("name", "NAME", "Its name"))
                .arg(required(
                    "privacy-contact",
                    "CONTACT",
                    "Where people ask about their data: an address or a page",
                )),
        )
        .subcommand(paged(
            Command::new("sites").about("Lists an Organization's sites").arg(tenant()),
        ))
        .subcommand(Command::new("site").about("Shows a site").arg(site()))
        .subcommand(
            Command::new("create-site")
                .about("Makes a site")
                .arg(tenant())
                .arg(required("name", "NAME", "Its name"))
                .arg(
                    required(
                        "origin",
                        "ORIGIN",
                        "Origin that may embed the widget; may be repeated",
                    )
                    .action(ArgAction::Append),
                )
                .arg(plan().long("plan").default_value("free")),
        )
        .subcommand(
            Command::new("plan").about("Sets a site's plan").arg(site()).arg(plan().required(true)),
        )
        .subcommand(Command::new("close").about("Closes a site").arg(site()))
        .subcommand(Command::new("reopen").about("Opens a closed site again").arg(site()))
        .subcommand(
            Command::new("invite")
                .about("Invites an agent; the link is in the answer, once")
                .arg(tenant())
                .arg(required("email", "ADDRESS", "Their e-mail address"))
                .arg(
                    Arg::new("role")
                        .long("role")
                        .value_parser(["agent", "supervisor", "admin"])
                        .default_value("admin"),
                ),
        )
        .subcommand(
            Command::new("reset-password")
                .about("Makes a link by which an agent who forgot their password sets a new one; the link is in the answer, once")
                .arg(tenant())
                .arg(required("email", "ADDRESS", "The agent's e-mail address")),
        )
        .subcommand(
            Command::new("keys")
                .about("Lists, makes and deletes operator keys")
                .subcommand_required(true)
                .subcommand(Command::new("list").about("Lists operator keys, without their texts"))
                .subcommand(
                    Command::new("create")
                        .about("Makes an operator key; its text is in the answer, once")
                        .arg(required("name", "NAME", "What it is for"))
                        .arg(
                            required("scope", "SCOPE", "What it may do; may be repeated")
                                .action(ArgAction::Append)
                                .value_parser(PossibleValuesParser::new(
                                    Scope::OPERATOR.iter().map(|scope| scope.word()),
                                )),
                        ),
                )
                .subcommand(
                    Command::new("delete")
                        .about("Deletes an operator key: it opens nothing from then on")
                        .arg(
                            Arg::new("key").value_name("KEY_ID").required(true).help("Key, key_…"),
                        ),
                ),
        )
        .subcommand(
            Command::new("clock").about("Shows the server's clock and how far it is trusted"),
        )
        .subcommand(
            Command::new("confirm-clock")
                .about("Confirms a clock that nothing explains, so that sweeps go on by it")
                .arg(today()),
        )
        .subcommand(
            Command::new("lower-clock-mark")
                .about("Puts a latest trusted time that a clock in the future set back to the clock's; refused once something was destroyed by it")
                .arg(today()),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let config = settings(matches)?.config;
    let path: PathBuf =
        matches.get_one("key-file").cloned().unwrap_or_else(|| config.keys.join(OPERATOR_KEY_FILE));
    let key = std::fs::read_to_string(&path).map_err(|source| CliError::ReadFile {
        path,
        flag: "key-file",
        source,
    })?;
    let Some((method, path, body)) =
        matches.subcommand().and_then(|(name, given)| question(name, given))
    else {
        return Err(CliError::Refused("give one of the subcommands that --help lists".to_owned()));
    };
    let body = body.map(|body| body.to_string());
    let asking = client::ask(config.admin_listen, method, &path, key.trim(), body);
    let (status, answer) = serve::runtime(&config)?.block_on(asking)?;
    let text = String::from_utf8_lossy(&answer);
    if !status.is_success() {
        return Err(CliError::Refused(words_of(&text, status.as_u16())));
    }
    print(&format!("{}\n", text.trim_end()))
}

fn question(command: &str, given: &ArgMatches) -> Option<Question> {
    // Flags that this command does not have are empty.
    let text = |name: &str| match given.try_get_one::<String>(name) {
        Ok(Some(text)) => text.clone(),
        Ok(None) | Err(_) => String::new(),
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
    Some(match command {
        "tenants" => (Method::GET, format!("/v1/tenants{}", page()), None),
        "tenant" => (Method::GET, format!("/v1/tenants/{tenant}"), None),
        "create-tenant" => {
            let body = json!({ "name": text("name"), "privacy_contact": text("privacy-contact") });
            (Method::POST, "/v1/tenants".to_owned(), Some(body))
        }
        "sites" => (Method::GET, format!("/v1/tenants/{tenant}/sites{}", page()), None),
        "site" => (Method::GET, format!("/v1/sites/{site}"), None),
        "create-site" => {
            let origins: Vec<&String> = given.get_many("origin").into_iter().flatten().collect();
            let body = json!({ "name": text("name"), "origins": origins, "plan": text("plan") });
            (Method::POST, format!("/v1/tenants/{tenant}/sites"), Some(body))
        }
        "plan" => {
            (Method::PUT, format!("/v1/sites/{site}/plan"), Some(json!({ "plan": text("plan") })))
        }
        "close" | "reopen" => (Method::POST, format!("/v1/sites/{site}/{command}"), None),
        "invite" => {
            let body = json!({ "email": text("email"), "role": text("role") });
            (Method::POST, format!("/v1/tenants/{tenant}/invitations"), Some(body))
        }
        "reset-password" => {
            let path = format!("/v1/tenants/{tenant}/password-resets");
            (Method::POST, path, Some(json!({ "email": text("email") })))
        }
        "clock" => (Method::GET, "/v1/clock".to_owned(), None),
        "confirm-clock" => {
            let body = json!({ "today": text("today") });
            (Method::POST, "/v1/clock/confirm".to_owned(), Some(body))
        }
        "keys" => {
            let keys = "/v1/operator-keys".to_owned();
            match given.subcommand()? {
                ("list", _) => (Method::GET, keys, None),
                ("create", given) => {
                    let name: &String = given.get_one("name")?;
                    let scopes: Vec<&String> = given.get_many("scope")?.collect();
                    (Method::POST, keys, Some(json!({ "name": name, "scopes": scopes })))
                }
                ("delete", given) => {
                    let key: &String = given.get_one("key")?;
                    (Method::DELETE, format!("{keys}/{}", escaped(key)), None)
                }
                _ => return None,
            }
        }
        "lower-clock-mark" => {
            let body = json!({ "today": text("today") });
            (Method::POST, "/v1/clock/lower".to_owned(), Some(body))
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
    fn a_refusal_is_told_in_the_servers_words() {
        let problem = r#"{"title":"Not found","detail":"There is no such site.","status":404}"#;
        assert_eq!(words_of(problem, 404), "Not found: There is no such site.");
        assert_eq!(words_of("<html>", 502), "the server answered 502");
    }
}
