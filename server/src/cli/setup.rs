//! `livehelp init`: the first rows of a new server, by what was given on the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::flags;
use super::output::{self, Form};
use super::{CliError, print, serve, settings};
use crate::config::read_secret;
use crate::init::{self, InitError, NewServer};

pub(super) fn command() -> Command {
    let required = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).required(true).help(help)
    };
    let command = Command::new("init")
        .about("Makes an Organization, a site and its first admin, on a stopped server's folders")
        .arg(required("tenant-name", "NAME", "Name of the Organization").alias("organization"))
        .arg(required("site-name", "NAME", "Name of its first website").alias("site"))
        .arg(
            required(
                "origin",
                "ORIGIN",
                "Origin that may embed the widget, such as https://shop.example; may be repeated",
            )
            .action(ArgAction::Append),
        )
        .arg(required("admin-email", "ADDRESS", "E-mail address of the first admin"))
        .arg(
            required(
                "admin-password-file",
                "FILE",
                "File whose first line is their password; - is standard input",
            )
            .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(
            Arg::new("admin-name")
                .long("admin-name")
                .value_name("NAME")
                .default_value("Admin")
                .help("Their name, as visitors see it"),
        )
        .arg(Arg::new("if-absent").long("if-absent").action(ArgAction::SetTrue).help(
            "Where a server is there already, says what it has, changes nothing and ends with 0",
        ));
    flags::showing_output_for_programs(flags::showing(
        command,
        &["data", "keys", "listen", "public_url"],
    ))
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let resolved = settings(matches)?;
    let if_absent = matches.get_flag("if-absent");
    // Before the password's file, which need not be kept.
    if if_absent && let Some(there) = init::there(&resolved.config)? {
        return say(matches, &there.json());
    }
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let path: PathBuf = matches.get_one("admin-password-file").cloned().unwrap_or_default();
    let new = NewServer {
        organization: text("tenant-name"),
        site: text("site-name"),
        origins: matches.get_many("origin").into_iter().flatten().cloned().collect(),
        admin_name: protocol::personal::Personal::new(text("admin-name")),
        admin_email: protocol::personal::Personal::new(text("admin-email")),
        admin_password: read_secret(&path).map_err(|source| CliError::ReadFile {
            path,
            flag: "admin-password-file",
            source,
        })?,
    };
    let json = serve::runtime(&resolved.config)?.block_on(async {
        if !if_absent {
            return Ok::<_, InitError>(init::init(&resolved.config, &new).await?.json());
        }
        let made = init::init_if_absent(&resolved.config, &new).await?;
        Ok(made.map_or_else(|there| there.json(), |made| made.json()))
    })?;
    say(matches, &json)
}

fn say(matches: &ArgMatches, json: &str) -> Result<ExitCode, CliError> {
    match output::for_programs(matches) {
        Form::Json => print(&format!("{json}\n")),
        Form::Table => {
            let next = "Next: `livehelp serve` starts the server, and the embed tag goes into each page of the site.";
            print(&format!("{}\n{next}\n", output::table(json, &[])))
        }
    }
}
