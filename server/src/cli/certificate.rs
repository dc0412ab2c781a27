//! `livehelp certificate verify`: what an erasure certificate says, and whether it may be believed.
//!
//! It needs no server, no folder and no network: whoever was erased can run it on their own
//! machine. Not here: what is signed (`privacy/certificate`).

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use protocol::time::UnixMillis;
use protocol::visible;
use serde_json::json;

use super::output::{self, Form};
use super::{CliError, flags, print};
use crate::clock::rfc3339;
use crate::keys;
use crate::privacy::certificate::{Bytes, Certificate, SignedCertificate, Told, Worth};

/// Bytes of a file that are read.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

const FORGED: u8 = 1;
const UNREADABLE: u8 = 3;
const OTHER_KEY: u8 = 4;

/// Said at the end of the command's help.
const EXIT_CODES: &str = "Exit codes: 0 the signature holds; 1 it does not: the certificate was altered; 2 the command line is wrong; 3 the file is no certificate that can be read; 4 the signature holds, but by another key than --public-key.";

pub(super) fn command() -> Command {
    let verify = Command::new("verify")
        .about("Says what an erasure certificate says and whether its signature holds; needs no server and no folder")
        .after_help(EXIT_CODES)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(clap::value_parser!(PathBuf))
                .help("The certificate; - is standard input"),
        )
        .arg(
            Arg::new("public-key")
                .long("public-key")
                .value_name("HEX|FILE")
                .help("Whose signature it must be: 64 hex digits, or a file with them. Without it, the signature shows only that nothing was altered since, not by whom it was signed"),
        );
    let command = Command::new("certificate").about("Erasure certificates").after_help(EXIT_CODES);
    flags::showing_output(command).subcommand_required(true).subcommand(verify)
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    // It has the one subcommand, and clap requires it.
    let matches = matches.subcommand_matches("verify").unwrap_or(matches);
    let given: Option<&PathBuf> = matches.get_one("file");
    let path = given.map_or(Path::new("-"), PathBuf::as_path);
    let expected =
        matches.get_one::<String>("public-key").map(|given| public_key(given)).transpose()?;
    let text = read(path, "file")?;
    let form = output::for_people(matches);
    match SignedCertificate::parse(&text) {
        Ok(signed) => {
            let worth = signed.worth(expected.as_ref(), &keys::is_signed);
            match form {
                Form::Table => print(&words(&signed, worth))?,
                Form::Json => print(&format!(
                    "{}\n",
                    json!({ "signature": verdict(worth).1, "says": signed.certificate,
                        "key_id": signed.signature.key_id })
                ))?,
            };
            Ok(ExitCode::from(verdict(worth).0))
        }
        Err(error) => {
            if form == Form::Json {
                print(&format!("{}\n", json!({ "signature": "unreadable" })))?;
            }
            super::complain(&format!("{}: {error}", super::shown(path)));
            Ok(ExitCode::from(UNREADABLE))
        }
    }
}

/// The exit code, and a word for programs.
fn verdict(worth: Worth) -> (u8, &'static str) {
    match worth {
        Worth::Signed => (0, "signed"),
        Worth::Unaltered => (0, "unaltered"),
        Worth::OtherKey => (OTHER_KEY, "other-key"),
        Worth::Forged => (FORGED, "forged"),
    }
}

fn public_key(given: &str) -> Result<Bytes<32>, CliError> {
    let parse = |text: &str| Bytes::parse(&text.trim().to_ascii_lowercase());
    if let Some(key) = parse(given) {
        return Ok(key);
    }
    let text = read(Path::new(given), "public-key")?;
    parse(&text).ok_or_else(|| {
        CliError::Refused(String::from("--public-key is 64 hex digits, or a file with them"))
    })
}

/// What is no text is no certificate either, and is judged as one.
fn read(path: &Path, flag: &'static str) -> Result<String, CliError> {
    let failed = |source| CliError::ReadFile { path: path.to_owned(), flag, source };
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What it says, for people. Who wrote it is not known: nothing in it moves a terminal's cursor.
fn words(signed: &SignedCertificate, worth: Worth) -> String {
    let of = &signed.certificate;
    let mut lines = vec![judged(worth, &signed.signature.key_id), String::new()];
    if worth == Worth::Forged {
        lines.push(String::from("What it claims, and nobody signed:"));
    }
    lines.push(format!("Erasure {} of the Organization {}.", of.request_id, of.tenant_id));
    lines.push(format!("Who: a person called {} here and nowhere else.", of.pseudonym));
    lines.push(format!("Asked for {}, done {}.", time(of.received_at), time(of.done_at)));
    lines.push(format!("By the rules {}.", list(of.rules.iter().map(String::as_str))));
    lines.push(String::new());
    lines.extend(destroyed(of));
    lines.push(String::new());
    lines.extend(remains(of));
    lines.push(String::new());
    lines.push(format!(
        "Backups: until {} a backup of the keys may still open it, from then on none can.",
        time(of.backup_horizon_at)
    ));
    let audit = &of.audit;
    lines.push(format!(
        "Audit chain {}, entry {}, hash {}. Software {}. Policy {}.",
        shown(&audit.chain),
        audit.seq,
        audit.hash,
        shown(&of.software),
        of.policy_hash
    ));
    lines.push(String::new());
    lines.join("\n")
}

fn judged(worth: Worth, key_id: &str) -> String {
    let key_id = shown(key_id);
    match worth {
        Worth::Signed => format!(
            "The signature holds: it was signed with this key ({key_id}) and not altered since."
        ),
        Worth::Unaltered => format!(
            "The signature holds: it was not altered since it was signed. By whom it was signed this does not show: the key ({key_id}) came with it. Compare with a key that you have from elsewhere: --public-key."
        ),
        Worth::OtherKey => {
            format!("NOT SIGNED WITH THIS KEY: the signature holds, but by another key ({key_id}).")
        }
        Worth::Forged => {
            String::from("FORGED: the signature does not hold. It is not what was signed.")
        }
    }
}

fn destroyed(of: &Certificate) -> Vec<String> {
    let mut lines = vec![String::from("What was destroyed:")];
    lines.extend(of.stores.iter().map(|count| {
        format!(
            "  {}: {} of {}, {} held",
            shown(&count.store),
            count.destroyed,
            count.found,
            count.held
        )
    }));
    lines.push(format!("  keys: {}", of.keys.count));
    lines.push(format!("  nodes that hold nothing of it any more: {}", of.nodes.len()));
    lines
}

fn remains(of: &Certificate) -> Vec<String> {
    let mut lines = Vec::new();
    if of.exceptions.is_empty() {
        lines.push(String::from("What remains: nothing."));
    } else {
        lines.push(String::from("What remains, and why:"));
    }
    lines.extend(of.exceptions.iter().map(|exception| {
        let (what, basis) = (shown(&exception.what), shown(&exception.basis));
        format!("  {what}: {basis}, looked at again {}", time(exception.review_at))
    }));
    if !of.recipients.is_empty() {
        lines.push(String::from(
            "Who had been sent something before. Whether they deleted it cannot be verified:",
        ));
    }
    lines.extend(of.recipients.iter().map(|recipient| {
        let told = match recipient.told {
            Told::Acknowledged => "acknowledged that it was told",
            Told::Unconfirmed => "unconfirmed: it did not answer",
        };
        format!("  {}: {told}", shown(&recipient.recipient))
    }));
    lines
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(shown).collect::<Vec<_>>().join(", ")
}

/// What is seen of a text, in one line.
fn shown(text: &str) -> String {
    visible::name(text).chars().filter(|sign| !sign.is_control()).collect()
}

fn time(at: UnixMillis) -> String {
    rfc3339(at)
}
