//! The command line: subcommands, flags made from the registry of settings, exit codes.
//!
//! Lives here: what a person or a script types and reads. Not here: what the commands do (`run`, `init`,
//! the admin listener). Exit codes: 0 done, 1 failed, 2 the command line or the settings are wrong.

mod backup;
mod files;
mod operator;
mod serve;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use secrecy::SecretString;

use crate::config::{self, ConfigError, Resolved, SETTINGS, Sources};
use crate::init::{self, InitError, NewServer};
use crate::metrics::{COMMIT, VERSION};
use crate::run::RunError;

/// Bytes of a password file; longer than any password.
const PASSWORD_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why a command failed. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Bind(#[from] crate::http::BindError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Init(#[from] InitError),
    #[error(transparent)]
    Tls(#[from] crate::http::TlsError),
    #[error(transparent)]
    Backup(#[from] crate::backup::BackupError),
    #[error(transparent)]
    Verify(#[from] crate::backup::VerifyError),
    #[error(transparent)]
    Restore(#[from] crate::backup::RestoreError),
    #[error(transparent)]
    Client(#[from] crate::http::client::ClientError),
    #[error("cannot read {} (flag --{flag})", path.display())]
    ReadFile { path: PathBuf, flag: &'static str, source: std::io::Error },
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("cannot hear the system's signals")]
    Signals(#[source] std::io::Error),
    #[error("cannot write to stdout")]
    Output(#[source] std::io::Error),
    #[error("there is no server in {}: make one with `livehelp init`", .0.display())]
    NoServer(PathBuf),
    #[error("the data folder {} is empty: make a server in it with `livehelp init`", .0.display())]
    EmptyData(PathBuf),
    #[error("{0}")]
    Refused(String),
}

impl CliError {
    fn code(&self) -> u8 {
        if matches!(self, Self::Config(_)) { 2 } else { 1 }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    match dispatch(&matches) {
        Ok(code) => code,
        Err(error) => {
            let mut text = String::from("livehelp: ");
            text.push_str(&error.to_string());
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                // Transparent errors repeat themselves as their own cause.
                if !text.ends_with(&cause_text) {
                    text.push_str(": ");
                    text.push_str(&cause_text);
                }
                source = cause.source();
            }
            text.push('\n');
            // Nowhere else to complain.
            drop(std::io::stderr().write_all(text.as_bytes()));
            ExitCode::from(error.code())
        }
    }
}

fn dispatch(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    match matches.subcommand() {
        Some(("serve", matches)) => {
            let resolved = settings(matches)?;
            if matches.get_flag("print-config") {
                return print_config(&resolved);
            }
            serve::serve(resolved.config)
        }
        Some(("init", matches)) => init_command(matches),
        Some(("check", matches)) => serve::check(&settings(matches)?),
        Some(("repair", matches)) => {
            serve::repair(&settings(matches)?, matches.get_flag("accept-loss"))
        }
        Some(("operator", matches)) => operator::run(matches),
        Some(("backup", matches)) => backup::backup(matches),
        Some(("verify", matches)) => backup::verify(matches),
        Some(("restore", matches)) => backup::restore(matches),
        // It has the one subcommand, and clap requires it.
        Some(("keys", matches)) => serve::rotate_keys(&settings(matches)?),
        // `version`; clap lets nothing else through.
        _ => print(&format!("livehelp {VERSION} ({COMMIT})\n")),
    }
}

/// The whole command line.
fn command() -> Command {
    Command::new("livehelp")
        .about("A live-chat server")
        .version(VERSION)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            with_settings(Command::new("serve").about("Starts the server"), &[]).arg(
                Arg::new("print-config")
                    .long("print-config")
                    .action(ArgAction::SetTrue)
                    .help("Shows every setting in force with its origin, and ends"),
            ),
        )
        .subcommand(with_settings(
            Command::new("check")
                .about("Checks settings, keys and data; starts, makes and changes nothing"),
            &[],
        ))
        .subcommand(
            with_settings(
                Command::new("repair").about(
                    "Says what can be read of a stopped server's damaged folders, and saves it where the rest is given up",
                ),
                &["data", "keys"],
            )
            .arg(
                Arg::new("accept-loss")
                    .long("accept-loss")
                    .action(ArgAction::SetTrue)
                    .help("Saves what can be read; what cannot is lost for good"),
            ),
        )
        .subcommand(init_arguments(with_settings(
            Command::new("init").about(
                "Makes an Organization, a site and its first admin, on a stopped server's folders",
            ),
            &["data", "keys", "listen", "public_url"],
        )))
        .subcommand(operator::command(with_settings(
            Command::new("operator")
                .about("Organizations, plans and sites, over the admin listener"),
            &["admin_listen", "keys"],
        )))
        .subcommand(
            with_settings(
                Command::new("keys").about("The keys folder of a stopped server"),
                &["data", "keys"],
            )
            .subcommand_required(true)
            .subcommand(Command::new("rotate").about(
                "Makes a new master key and wraps every key under it; old copies of the master key open nothing any more",
            )),
        )
        .subcommand(backup::backup_command(with_settings(
            Command::new("backup"),
            &["data", "keys", "admin_listen"],
        )))
        .subcommand(backup::verify_command(Command::new("verify")))
        .subcommand(backup::restore_command(with_settings(
            Command::new("restore"),
            &["data", "keys"],
        )))
        .subcommand(Command::new("version").about("Names version and commit"))
}

/// A flag for each setting; where only some concern the command, its help names those.
fn with_settings(command: Command, shown: &[&str]) -> Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("TOML file with settings [variable: LIVEHELP_CONFIG]");
    SETTINGS.iter().fold(command.arg(file), |command, setting| {
        let default = if setting.default.is_empty() { "none" } else { setting.default };
        let help = format!("{} [default: {default}]", setting.doc);
        let mut arg = Arg::new(setting.name)
            .long(setting.flag())
            .value_name("VALUE")
            .help(help)
            .help_heading(setting.group)
            .hide(!shown.is_empty() && !shown.contains(&setting.name))
            .allow_hyphen_values(true);
        if setting.switch {
            arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
        }
        command.arg(arg)
    })
}

/// Settings from all three sources.
fn settings(matches: &ArgMatches) -> Result<Resolved, ConfigError> {
    let flags = SETTINGS
        .iter()
        .filter(|setting| matches.value_source(setting.name) == Some(ValueSource::CommandLine))
        .filter_map(|setting| {
            let text: &String = matches.get_one(setting.name)?;
            Some((setting.name.to_owned(), text.clone()))
        })
        .collect();
    config::load(&Sources::from_environment(matches.get_one("config").cloned(), flags))
}

fn print_config(resolved: &Resolved) -> Result<ExitCode, CliError> {
    let lines: Vec<_> = resolved.shown().collect();
    let wide = lines.iter().map(|(name, value, _)| name.len() + value.len()).max().unwrap_or(0) + 5;
    let text: String = lines
        .iter()
        .map(|(name, value, origin)| {
            let setting = format!("{name} = {value:?}");
            format!("{setting:<wide$}  # {origin}\n")
        })
        .collect();
    print(&text)
}

fn print(text: &str) -> Result<ExitCode, CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::Output)?;
    Ok(ExitCode::SUCCESS)
}

fn init_arguments(command: Command) -> Command {
    let required = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).required(true).help(help)
    };
    command
        .arg(required("organization", "NAME", "Name of the Organization"))
        .arg(required("site", "NAME", "Name of its first website"))
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
            required("admin-password-file", "FILE", "File whose first line is their password")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(Arg::new("if-absent").long("if-absent").action(ArgAction::SetTrue).help(
            "Where a server is there already, says what it has, changes nothing and ends with 0",
        ))
        .arg(
            Arg::new("admin-name")
                .long("admin-name")
                .value_name("NAME")
                .default_value("Admin")
                .help("Their name, as visitors see it"),
        )
}

fn init_command(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let resolved = settings(matches)?;
    let if_absent = matches.get_flag("if-absent");
    // Before the password's file, which need not be kept.
    if if_absent && let Some(there) = init::there(&resolved.config)? {
        return print(&format!("{}\n", there.json()));
    }
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let path: PathBuf = matches.get_one("admin-password-file").cloned().unwrap_or_default();
    let new = NewServer {
        organization: text("organization"),
        site: text("site"),
        origins: matches.get_many("origin").into_iter().flatten().cloned().collect(),
        admin_name: protocol::personal::Personal::new(text("admin-name")),
        admin_email: protocol::personal::Personal::new(text("admin-email")),
        admin_password: read_password(path)?,
    };
    let json = serve::runtime(&resolved.config)?.block_on(async {
        if !if_absent {
            return Ok::<_, InitError>(init::init(&resolved.config, &new).await?.json());
        }
        let made = init::init_if_absent(&resolved.config, &new).await?;
        Ok(made.map_or_else(|there| there.json(), |made| made.json()))
    })?;
    print(&format!("{json}\n"))
}

fn read_password(path: PathBuf) -> Result<SecretString, CliError> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = std::fs::File::open(&path)
        .and_then(|file| file.take(PASSWORD_FILE_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(SecretString::from(text.lines().next().unwrap_or_default().to_owned())),
        Err(source) => Err(CliError::ReadFile { path, flag: "admin-password-file", source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn a_flag_that_is_nearly_right_is_refused_with_the_right_one() {
        let error =
            command().try_get_matches_from(["livehelp", "serve", "--lisen", "x"]).unwrap_err();
        assert!(error.to_string().contains("'--listen'"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn a_switch_needs_no_value_and_takes_one() {
        for (given, value) in [("--demo", "true"), ("--demo=false", "false")] {
            let matches = command().try_get_matches_from(["livehelp", "serve", given]).unwrap();
            let serve = matches.subcommand_matches("serve").unwrap();
            assert_eq!(serve.get_one::<String>("demo").unwrap(), value);
        }
    }
}
