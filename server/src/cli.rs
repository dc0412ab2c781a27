//! The command line: subcommands, flags made from the registry of settings, exit codes.
//!
//! Lives here: what a person or a script types and reads. Not here: what the commands do (`run`,
//! `init`, the admin listener). Exit codes: 0 done, 1 failed, 2 the command line or the settings
//! are wrong.

mod audit;
mod backup;
mod certificate;
mod files;
mod flags;
mod health;
mod operator;
mod output;
mod pages;
mod serve;
mod setup;
mod stopped;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, json};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::Signal;

use crate::backup::sentence;
use crate::config::{self, ConfigError, Resolved};
use crate::init::InitError;
use crate::metrics::{COMMIT, VERSION};
use crate::opened::OpeningError;
use crate::run::RunError;
use flags::Shape;
use output::Form;

pub use pages::document;

/// Said at the end of each command's help.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, and stderr says why; 2 the command line or the settings are wrong, and nothing was done.";

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
    Open(#[from] OpeningError),
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
    #[error("cannot read {} (flag --{flag})", shown(path))]
    ReadFile { path: PathBuf, flag: &'static str, source: std::io::Error },
    #[error("cannot write to {} (flag --{flag})", path.display())]
    WriteFile { path: PathBuf, flag: &'static str, source: std::io::Error },
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
    /// In one line.
    #[error("{0}")]
    NotHealthy(String),
    /// It prints itself, with how the command is used.
    #[error("{0}")]
    Usage(Box<clap::Error>),
}

impl CliError {
    fn code(&self) -> u8 {
        if matches!(self, Self::Config(_)) { 2 } else { 1 }
    }
}

/// A file as it was named.
fn shown(path: &std::path::Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // Before anything else, the command line included: a hangup that comes first would end the
    // process.
    let is_server = std::env::args_os().any(|word| word == "serve");
    let done = is_server.then(serve::hold_hangups).transpose().and_then(|hangups| {
        let matches = command().get_matches();
        dispatch(&matches, hangups)
    });
    match done {
        Ok(code) => code,
        // With 2.
        Err(CliError::Usage(error)) => error.exit(),
        Err(error) => {
            complain(&sentence(&error));
            ExitCode::from(error.code())
        }
    }
}

fn complain(text: &str) {
    // Nowhere else to complain.
    drop(std::io::stderr().write_all(format!("livehelp: {text}\n").as_bytes()));
}

fn dispatch(matches: &ArgMatches, hangups: Option<Signal>) -> Result<ExitCode, CliError> {
    match matches.subcommand() {
        Some(("serve", matches)) => serve_command(matches, hangups),
        Some(("init", matches)) => setup::run(matches),
        Some(("check", matches)) => stopped::check(matches),
        Some(("health", matches)) => health::run(matches),
        Some(("repair", matches)) => stopped::repair(matches),
        Some(("operator", matches)) => operator::run(matches),
        Some(("audit", matches)) => audit::run(matches),
        Some(("backup", matches)) => backup::backup(matches),
        Some(("verify", matches)) => backup::verify(matches),
        Some(("restore", matches)) => backup::restore(matches),
        // It has the one subcommand, and clap requires it.
        Some(("keys", matches)) => stopped::rotate_keys(matches),
        Some(("certificate", matches)) => certificate::run(matches),
        Some(("completions", matches)) => pages::completions(matches),
        Some(("man", matches)) => pages::man(matches),
        // `version`; clap lets nothing else through.
        _ => version(matches.subcommand_matches("version").unwrap_or(matches)),
    }
}

/// The whole command line, as it is understood.
fn command() -> Command {
    family(Shape::Whole)
}

/// The command line; a new command stands here, in `dispatch`, and in a file of its own.
fn family(shape: Shape) -> Command {
    let serve = flags::showing_output(flags::showing_all(
        Command::new("serve")
            .about("Starts the server")
            .after_help("Exit codes: 0 it was stopped; 1 it could not start or go on, and stderr says why; 2 the command line or the settings are wrong; 130 it was told twice to stop, and stopped at once."),
    ))
    .arg(
        Arg::new("print-config")
            .long("print-config")
            .action(ArgAction::SetTrue)
            .help("Shows every setting in force with its origin, and ends"),
    );
    let root = Command::new("livehelp")
        .about("A live-chat server")
        .version(VERSION)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(format!(
            "Every setting is a flag of every command and may stand before or after its name; `livehelp serve --help` lists all.\n\n{EXIT_CODES}"
        ));
    [
        serve,
        with_exit_codes(setup::command()),
        with_exit_codes(stopped::check_command()),
        health::command(),
        with_exit_codes(operator::command(shape)),
        with_exit_codes(audit::command()),
        with_exit_codes(backup::backup_command()),
        with_exit_codes(backup::verify_command()),
        with_exit_codes(backup::restore_command()),
        certificate::command(),
        with_exit_codes(stopped::repair_command()),
        with_exit_codes(stopped::keys_command()),
        pages::completions_command(),
        pages::man_command(),
        flags::showing_output(Command::new("version").about("Names version and commit")),
    ]
    .into_iter()
    .fold(flags::everywhere(root, shape), Command::subcommand)
}

/// Says them at the end of this command's help, and of each below it.
fn with_exit_codes(command: Command) -> Command {
    command.mut_subcommands(with_exit_codes).after_help(EXIT_CODES)
}

/// Settings from all three sources; what was left alone is told.
fn settings(matches: &ArgMatches) -> Result<Resolved, CliError> {
    let resolved = config::load(&flags::sources(matches))?;
    for warning in &resolved.warnings {
        complain(&format!("warning: {warning}"));
    }
    Ok(resolved)
}

/// For one question over the network.
fn small_runtime() -> Result<Runtime, CliError> {
    Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)
}

fn serve_command(matches: &ArgMatches, hangups: Option<Signal>) -> Result<ExitCode, CliError> {
    if matches.get_flag("print-config") {
        return print_config(&settings(matches)?, output::for_people(matches));
    }
    let resolved = config::load(&flags::sources(matches))?;
    // Its stderr is a log, line by line.
    serve::start_logs(&resolved.config);
    for warning in &resolved.warnings {
        tracing::warn!(reason = warning, "variables of others begin with LIVEHELP_");
    }
    serve::serve(resolved, hangups)
}

fn print_config(resolved: &Resolved, form: Form) -> Result<ExitCode, CliError> {
    let lines: Vec<_> = resolved.shown().collect();
    if form == Form::Json {
        let settings: Map<_, _> = lines
            .into_iter()
            .map(|(name, value, origin)| {
                (name.to_owned(), json!({ "value": value, "origin": origin }))
            })
            .collect();
        return print(&format!("{}\n", json!(settings)));
    }
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

fn version(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    match output::for_people(matches) {
        Form::Table => print(&format!("livehelp {VERSION} ({COMMIT})\n")),
        Form::Json => print(&format!("{}\n", json!({ "version": VERSION, "commit": COMMIT }))),
    }
}

fn print(text: &str) -> Result<ExitCode, CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::Output)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::SETTINGS;

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
    fn each_help_tells_what_the_exit_codes_mean() {
        fn each(command: &mut Command) {
            let help = command.render_help().to_string();
            let named = command.get_name().to_owned();
            let tells = help.contains("Exit codes: ");
            let cannot_fail = ["completions", "man", "version", "help"].contains(&&*named);
            assert!(tells || cannot_fail, "{named}: {help}");
            command.get_subcommands_mut().for_each(each);
        }
        each(&mut family(Shape::Shown));
    }

    /// Every file that tells people what to type, with its commands; a line that ends in a
    /// backslash goes on.
    fn told_commands(path: &Path, into: &mut Vec<(PathBuf, String)>) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                told_commands(&entry.unwrap().path(), into);
            }
            return;
        }
        let Ok(text) = std::fs::read_to_string(path) else { return };
        let names: Vec<_> =
            family(Shape::Shown).get_subcommands().map(|one| one.get_name().to_owned()).collect();
        let is_guide = path.extension().is_some_and(|ending| ending == "md");
        for line in text.replace("\\\n", " ").lines() {
            let ends = |c: char| "`#|;&>()".contains(c);
            let commands = line.match_indices("livehelp ").filter_map(|(at, name)| {
                let (before, rest) = (line.get(..at)?, line.get(at + name.len()..)?);
                let words = rest.split(ends).next()?.trim();
                let first = words.split_whitespace().next()?;
                // What is marked as a command is one, even if no command has its name any more.
                let block = is_guide && line.starts_with("    ") && before.trim().is_empty();
                let marked = before.ends_with('`') || block;
                let marked = marked && first.starts_with(char::is_alphabetic);
                (marked || names.iter().any(|name| name == first)).then_some(words)
            });
            into.extend(commands.map(|words| (path.to_owned(), words.to_owned())));
        }
    }

    /// What a person may type here, by the names that they are shown.
    fn understands(mut command: &Command, words: &str) -> Result<(), String> {
        let settings: Vec<_> = SETTINGS.iter().map(|one| one.name.replace('_', "-")).collect();
        let mut known: Vec<String> = Vec::new();
        for word in words.split_whitespace() {
            if let Some(flag) = word.strip_prefix("--") {
                let flag = flag.split('=').next().unwrap_or(flag).trim_end_matches(['.', ',', ':']);
                let own = |one: &Command| {
                    one.get_arguments().filter_map(|arg| arg.get_long()).any(|long| long == flag)
                };
                let is_known = own(command)
                    || known.iter().chain(&settings).any(|one| one == flag)
                    || ["help", "version", "config", "output"].contains(&flag);
                if !is_known {
                    return Err(format!("no flag --{flag}"));
                }
                continue;
            }
            let longs = command.get_arguments().filter_map(|arg| arg.get_long());
            known.extend(longs.map(ToOwned::to_owned));
            match command.get_subcommands().find(|one| one.get_name() == word) {
                Some(one) => command = one,
                // A word in capitals stands for what a person puts there.
                None if word.chars().all(|c| c.is_ascii_uppercase()) => return Ok(()),
                None if command.is_subcommand_required_set() && !word.starts_with('-') => {
                    return Err(format!("no command {word}"));
                }
                None => {}
            }
        }
        Ok(())
    }

    #[test]
    fn what_people_are_told_to_type_is_what_they_are_shown() {
        let (shown, mut told) = (family(Shape::Shown), Vec::new());
        for place in ["docs", "deploy", "README.md", "CONTRIBUTING.md", "SECURITY.md"] {
            told_commands(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(place), &mut told);
        }
        assert!(told.len() > 100, "{}", told.len());
        let wrong: Vec<_> = told
            .iter()
            .filter_map(|(path, words)| {
                let why = understands(&shown, words).err()?;
                Some(format!("{}: `livehelp {words}`: {why}", path.display()))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_flag_of_a_setting_is_known_to_every_command_and_before_it() {
        for line in [
            ["livehelp", "--pong-ms", "700", "version"],
            ["livehelp", "version", "--pong-ms", "700"],
        ] {
            let matches = command().try_get_matches_from(line).unwrap();
            let version = matches.subcommand_matches("version").unwrap();
            assert_eq!(version.get_one::<String>("pong_ms").unwrap(), "700");
            assert_eq!(flags::sources(version).flags, [("pong_ms".to_owned(), "700".to_owned())]);
        }
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
