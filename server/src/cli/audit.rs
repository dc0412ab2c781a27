//! `livehelp audit`: the chains of the audit written out, and whether they are whole. Both read the
//! data folder without a trace, whether a server runs on it or not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use protocol::ids::TenantId;
use serde_json::{Value, json};

use super::output::{self, Form};
use super::{CliError, flags, print, settings};
use crate::audit::{self, chain_name, entry_from, entry_line, verdict};
use crate::config::Config;
use crate::opened::OpeningError;
use crate::privacy::audit::{ChainId, Entry, Head};
use crate::store::sqlite;

/// The rows of each chain.
type Chains = BTreeMap<ChainId, Vec<Result<Entry, i64>>>;

pub(super) fn command() -> Command {
    let file = |name: &'static str, help: &'static str| {
        let path = clap::value_parser!(PathBuf);
        Arg::new(name).long(name).value_name("FILE").value_parser(path).help(help)
    };
    let export = Command::new("export")
        .about("Writes a chain as lines of JSON, the oldest entry first")
        .arg(
            Arg::new("tenant")
                .long("tenant")
                .value_name("TENANT_ID")
                .required_unless_present("operator")
                .conflicts_with("operator")
                .help("The Organization's chain"),
        )
        .arg(
            Arg::new("operator")
                .long("operator")
                .action(ArgAction::SetTrue)
                .help("The operator's chain"),
        );
    let verify = Command::new("verify")
        .about("Says of each chain that it is whole, or its first fault")
        .arg(file("file", "What `audit export` wrote, instead of the data folder"))
        .arg(file(
            "heads",
            "Signed heads, one a line: a chain that ends before one of them was cut off [default: `audit_heads_file`, where it is set]",
        ))
        .arg(
            Arg::new("key")
                .long("key")
                .value_name("HEX")
                .requires("heads")
                .help("The public key by which all heads must be signed, as the log of heads has it"),
        );
    let command = Command::new("audit")
        .about("The audit: who did what, in chains that show any change of them")
        .subcommand_required(true);
    flags::showing_output(flags::showing(command, &["data", "audit_heads_file"]))
        .subcommand(export)
        .subcommand(verify)
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let config = settings(matches)?.config;
    match matches.subcommand() {
        Some(("export", matches)) => export(&config, matches),
        Some((_, matches)) => verify(&config, matches),
        // clap requires one.
        None => Ok(ExitCode::FAILURE),
    }
}

fn export(config: &Config, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let chain = match matches.get_one::<String>("tenant") {
        None => ChainId::OPERATOR,
        Some(tenant) => {
            let tenant = tenant.parse::<TenantId>();
            let words = "--tenant is no Organization's id: ten_ and 32 hex digits";
            ChainId::of(tenant.map_err(|_| CliError::Refused(words.to_owned()))?)
        }
    };
    let mut text = String::new();
    for row in entries(&config.data, chain)? {
        let entry = row.map_err(|seq| {
            let name = chain_name(chain);
            CliError::Refused(format!("{name}: entry {seq} was altered: it cannot be read"))
        })?;
        text.push_str(&entry_line(&entry));
        text.push('\n');
    }
    print(&text)
}

fn verify(config: &Config, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let given: Option<&PathBuf> = matches.get_one("heads");
    let heads = heads(given.or(config.audit_heads_file.as_ref()), matches.get_one("key"))?;
    let mut chains = match matches.get_one::<PathBuf>("file") {
        Some(path) => exported(path)?,
        None => {
            let mut chains = sqlite::audit::chains(&config.data).map_err(OpeningError::from)?;
            // One whose every entry is gone is missed by its head.
            chains.extend(heads.iter().map(|head| head.chain));
            let read = |chain: ChainId| Ok((chain, entries(&config.data, chain)?));
            chains.into_iter().map(read).collect::<Result<Chains, CliError>>()?
        }
    };
    chains.entry(ChainId::OPERATOR).or_default();
    let mut said: Vec<Value> = Vec::new();
    let mut fault = None;
    for (chain, rows) in chains {
        let name = chain_name(chain);
        match verdict(chain, rows, &heads) {
            Ok(count) => said.push(json!({ "chain": name, "entries": count })),
            Err(found) => {
                let words = format!("{name}: {found}");
                said.push(json!({ "chain": name, "fault": found.to_string() }));
                fault = fault.or(Some(words));
            }
        }
    }
    match output::for_people(matches) {
        Form::Json => print(&format!("{}\n", json!({ "whole": fault.is_none(), "chains": said })))?,
        Form::Table => {
            let line = |chain: &Value| {
                let name = chain["chain"].as_str().unwrap_or_default();
                match chain["fault"].as_str() {
                    Some(fault) => format!("{name}: {fault}\n"),
                    None => format!("{name}: whole: {} entries\n", chain["entries"]),
                }
            };
            print(&said.iter().map(line).collect::<String>())?
        }
    };
    match fault {
        None => Ok(ExitCode::SUCCESS),
        Some(words) => Err(CliError::Refused(format!("the audit is not whole: {words}"))),
    }
}

fn entries(data: &Path, chain: ChainId) -> Result<Vec<Result<Entry, i64>>, CliError> {
    Ok(sqlite::audit::entries(data, chain).map_err(OpeningError::from)?)
}

fn read(path: &Path, flag: &'static str) -> Result<String, CliError> {
    let refused = |source| CliError::ReadFile { path: path.to_owned(), flag, source };
    fs::read_to_string(path).map_err(refused)
}

fn heads(path: Option<&PathBuf>, key: Option<&String>) -> Result<Vec<Head>, CliError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let key = key.map(|key| {
        let words = "--key is 64 hex digits";
        audit::from_hex(key).ok_or_else(|| CliError::Refused(words.to_owned()))
    });
    let text = read(path, "heads")?;
    audit::signed_heads(&text, key.transpose()?).map_err(|line| {
        let path = path.display();
        CliError::Refused(format!("line {line} of {path} is no head whose signature holds"))
    })
}

/// The chains in what was exported, each in the order of its lines.
fn exported(path: &Path) -> Result<Chains, CliError> {
    let mut chains = Chains::new();
    for (line, number) in read(path, "file")?.lines().zip(1..) {
        let entry = entry_from(line).ok_or_else(|| {
            let words = format!("line {number} of {} is no entry of an audit", path.display());
            CliError::Refused(words)
        })?;
        chains.entry(entry.chain).or_default().push(Ok(entry));
    }
    Ok(chains)
}
