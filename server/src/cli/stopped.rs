//! `livehelp check`, `repair` and `keys rotate`: what is done to the folders of a server that does
//! not run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::output::{self, Form};
use super::{CliError, flags, print, serve, settings};
use crate::backup::sentence;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Bus, Config, Origin, Resolved, SETTINGS, Store};
use crate::http::{Standing, Tls};
use crate::opened::{self, Inspection, OpeningError};
use crate::operator_key::OPERATOR_KEY_FILE;
use crate::store::sqlite::{self, Repaired};

pub(super) fn check_command() -> Command {
    let command = Command::new("check").about(
        "Checks settings, certificate, keys and data as a start would; starts, makes and changes nothing",
    );
    flags::showing_output(flags::showing_all(command))
}

pub(super) fn repair_command() -> Command {
    let command = Command::new("repair").about(
        "Says what can be read of a stopped server's damaged folders, and saves it where the rest is given up",
    );
    flags::showing_output(flags::showing(command, &["data", "keys"])).arg(
        Arg::new("accept-loss")
            .long("accept-loss")
            .action(ArgAction::SetTrue)
            .help("Saves what can be read; what cannot is lost for good"),
    )
}

pub(super) fn keys_command() -> Command {
    let command = Command::new("keys").about("The keys folder of a stopped server");
    flags::showing_output(flags::showing(command, &["data", "keys"]))
        .subcommand_required(true)
        .subcommand(Command::new("rotate").about(
            "Makes a new master key and wraps every key under it; old copies of the master key open nothing any more",
        ))
}

/// What a check says, as it goes: a person reads each line at once, a program the whole.
struct Report {
    form: Form,
    said: Vec<(&'static str, String)>,
}

impl Report {
    fn say(&mut self, what: &'static str, words: impl Into<String>) -> Result<(), CliError> {
        let words = words.into();
        if self.form == Form::Table {
            print(&format!("{what}: {words}\n"))?;
        }
        self.said.push((what, words));
        Ok(())
    }

    /// The whole, where a program asked for it; a fault is its last word, and is told on stderr
    /// too.
    fn end(self, outcome: Result<(), CliError>) -> Result<ExitCode, CliError> {
        if self.form == Form::Json {
            let looked_at: Vec<Value> = self
                .said
                .into_iter()
                .map(|(what, words)| json!({ "what": what, "says": words }))
                .collect();
            let fault = outcome.as_ref().err().map(|error| sentence(error));
            let good = fault.is_none();
            print(&format!(
                "{}\n",
                json!({ "good": good, "fault": fault, "looked_at": looked_at })
            ))?;
        }
        outcome.map(|()| ExitCode::SUCCESS)
    }
}

pub(super) fn check(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let resolved = settings(matches)?;
    serve::start_logs(&resolved.config);
    let mut report = Report { form: output::for_people(matches), said: Vec::new() };
    let outcome = look(&resolved, &mut report);
    report.end(outcome)
}

fn look(resolved: &Resolved, report: &mut Report) -> Result<(), CliError> {
    let config = &resolved.config;
    if let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) {
        report.say("certificate", certificate(&Tls::load(cert, key)?))?;
    }
    report.say("settings", "good")?;
    say_settings(resolved, report)?;
    if config.store == Store::Memory {
        return report
            .say("store", "memory, which keeps nothing; there are no keys and data to look at");
    }
    report.say("data folder", absolute(&config.data))?;
    report.say("keys folder", absolute(&config.keys))?;
    match opened::look(config)? {
        Inspection::Empty if config.data.exists() => Err(CliError::EmptyData(config.data.clone())),
        Inspection::Empty => Err(CliError::NoServer(config.data.clone())),
        Inspection::InUse { pid } => {
            let words = "in use by the running server, process";
            report.say("keys and data", format!("{words} {pid}; they were not looked into"))
        }
        Inspection::Good { version, known } => {
            let version_words = if version < known {
                format!("of version {version}; the next start brings it to version {known}")
            } else {
                format!("of version {version}, the newest")
            };
            report.say("data", version_words)?;
            let counted = sqlite::count(&config.data).map_err(OpeningError::from)?;
            if let Some(found) = counted {
                report.say(
                    "accounts",
                    format!(
                        "Organizations {}, sites {}, agents {}, operator keys {}",
                        found.tenants, found.sites, found.agents, found.operator_keys
                    ),
                )?;
            }
            let operator_key = config.keys.join(OPERATOR_KEY_FILE);
            let words = if operator_key.exists() {
                absolute(&operator_key)
            } else {
                "there is no file of it; only `livehelp operator` misses it".to_owned()
            };
            report.say("operator's key", words)?;
            report.say("keys and data", "good")
        }
    }
}

/// How a certificate stands.
fn certificate(tls: &Tls) -> String {
    match tls.standing(SystemClock.now()) {
        Standing::Good => "good".to_owned(),
        Standing::EndsIn(days) => format!("good, but it ends in {days} days: renew it"),
        Standing::Ended(days) => {
            format!("EXPIRED {days} days ago, browsers refuse it: put a new one in its place")
        }
    }
}

/// Where the settings came from, and what of them a check does not try.
fn say_settings(resolved: &Resolved, report: &mut Report) -> Result<(), CliError> {
    let config = &resolved.config;
    let from = |is: fn(&Origin) -> bool| {
        SETTINGS.iter().filter(|setting| is(&resolved.origin(setting.name))).count()
    };
    let file = match &resolved.file {
        Some(path) => {
            format!("{} of {}", from(|origin| matches!(origin, Origin::File(_))), absolute(path))
        }
        None => "no file".to_owned(),
    };
    let variables = from(|origin| matches!(origin, Origin::Variable(_)));
    let flags = from(Origin::is_flag);
    report.say(
        "settings in force",
        format!("{file}, variables {variables}, flags {flags}; the others at their defaults"),
    )?;
    if !config.tls() {
        report.say("certificate", "none; the public listener speaks plain HTTP")?;
    }
    report.say("listeners", listeners(config))?;
    let bus = match &config.bus {
        Bus::Memory => "memory: one node".to_owned(),
        Bus::Redis(_) => {
            let shown = resolved.shown().find(|(name, ..)| *name == "bus");
            let address = shown.map(|(_, address, _)| address).unwrap_or_default();
            format!("{address}; a check does not ask it, a start does")
        }
    };
    report.say("bus", bus)?;
    let synced = config.clock_sync_file.try_exists().unwrap_or(false);
    let clock = if synced {
        "is there"
    } else {
        "is not there: after a rest of 3 hours the operator is asked for the day"
    };
    report.say("clock", format!("{} {clock}", config.clock_sync_file.display()))
}

fn listeners(config: &Config) -> String {
    let demo = if config.demo { format!(", demo {}", config.demo_listen) } else { String::new() };
    format!(
        "public {}, admin {}{demo}; a check does not take them, a start does",
        config.listen, config.admin_listen
    )
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)).display().to_string()
}

/// On a stopped server, for both folders are taken.
pub(super) fn repair(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let resolved = settings(matches)?;
    let accept_loss = matches.get_flag("accept-loss");
    let config = &resolved.config;
    serve::start_logs(config);
    if config.store == Store::Memory {
        return Err(CliError::Refused("`store` = memory keeps nothing to repair".to_owned()));
    }
    if !config.data.exists() {
        return Err(CliError::NoServer(config.data.clone()));
    }
    let repaired = opened::repair(config, accept_loss)?;
    match output::for_people(matches) {
        Form::Json => print(&format!("{}\n", repaired_json(&repaired, accept_loss))),
        Form::Table => say_repaired(&repaired, accept_loss),
    }
}

fn repaired_json(repaired: &Repaired, accept_loss: bool) -> Value {
    let Repaired { fault, saved, lost, lost_commits, lost_keys, .. } = repaired;
    json!({
        "damaged": fault.is_some() || *lost_keys > 0,
        "changed": accept_loss && (fault.is_some() || *lost_keys > 0),
        "fault": fault.as_ref().map(ToString::to_string),
        "messages_saved": saved,
        "messages_lost_at_least": lost,
        "writes_lost": lost_commits,
        "keys_lost": lost_keys,
    })
}

fn say_repaired(repaired: &Repaired, accept_loss: bool) -> Result<ExitCode, CliError> {
    let Repaired { fault, saved, lost, lost_commits, lost_keys, .. } = repaired;
    if fault.is_none() && *lost_keys == 0 {
        return print("nothing is damaged: there is nothing to repair\n");
    }
    let verb = if accept_loss { ("saved", "lost") } else { ("can be saved", "would be lost") };
    let (did, gone) = verb;
    if *lost_keys > 0 {
        print(&format!("keys that do not open: {lost_keys}; what they sealed {gone}\n"))?;
    }
    if let Some(fault) = fault {
        print(&format!("{fault}\n"))?;
    }
    print(&format!("messages that only the journal has: {saved} {did}, {lost} or more {gone}\n"))?;
    if *lost_commits > 0 {
        print(&format!("the database: {lost_commits} writes that were acked {gone}\n"))?;
    }
    if !accept_loss {
        return print(
            "nothing was changed; `livehelp repair --accept-loss` goes on with what is there\n",
        );
    }
    let aside = if fault.is_some() {
        "; the damaged journal lies beside it as livehelp.journal.damaged"
    } else {
        ""
    };
    print(&format!("the next start goes on with what is there{aside}\n"))
}

/// On a stopped server, for the lock on its data is taken.
pub(super) fn rotate_keys(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let resolved = settings(matches)?;
    let config = &resolved.config;
    serve::start_logs(config);
    if config.store == Store::Memory {
        let words = "`store` = memory has keys for one run only: there is nothing to rotate";
        return Err(CliError::Refused(words.to_owned()));
    }
    if !config.data.exists() {
        return Err(CliError::NoServer(config.data.clone()));
    }
    let keys = serve::runtime(config)?.block_on(async {
        let opened = opened::open(config, Arc::new(SystemClock))?;
        let keys = Arc::clone(&opened.keys);
        let rotated = tokio::task::spawn_blocking(move || keys.rotate_master()).await;
        crate::store::Store::close(&*opened.store).await;
        opened.keys.close();
        match rotated {
            Ok(Ok(keys)) => Ok(keys),
            Ok(Err(error)) => Err(OpeningError::from(error).into()),
            Err(_) => Err(CliError::Refused("the rotation was cut off: start it again".to_owned())),
        }
    })?;
    match output::for_people(matches) {
        Form::Json => print(&format!("{}\n", json!({ "keys": keys }))),
        Form::Table => print(&format!("{keys} keys are wrapped under a new master key\n")),
    }
}
