//! The command line as text: completions for shells, man pages, `docs/command-line.md`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use clap_complete::aot::{Bash, Fish, Zsh, generate};
use clap_mangen::Man;

use super::flags::Shape;
use super::{CliError, EXIT_CODES, family, print};
use crate::config::SETTINGS;
use crate::prose::{filled, point};

const NAME: &str = "livehelp";

pub(super) fn completions_command() -> Command {
    Command::new("completions")
        .about("Prints completions for a shell")
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(["bash", "zsh", "fish"])
                .help("For which shell"),
        )
        .after_help(
            "bash: livehelp completions bash > /usr/share/bash-completion/completions/livehelp\nzsh:  livehelp completions zsh > /usr/share/zsh/vendor-completions/_livehelp\nfish: livehelp completions fish > ~/.config/fish/completions/livehelp.fish",
        )
}

pub(super) fn man_command() -> Command {
    Command::new("man")
        .about("Prints the man page, or writes one for each command into a folder")
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Folder for livehelp.1, livehelp-serve.1 and so on; it is made if it is not there"),
        )
        .after_help("To read it at once: livehelp man | man -l -")
}

pub(super) fn completions(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let mut command = family(Shape::Shown);
    let mut script = Vec::new();
    match matches.get_one::<String>("shell").map(String::as_str) {
        Some("zsh") => generate(Zsh, &mut command, NAME, &mut script),
        Some("fish") => generate(Fish, &mut command, NAME, &mut script),
        // bash; clap lets nothing else through.
        _ => generate(Bash, &mut command, NAME, &mut script),
    }
    print(&String::from_utf8_lossy(&script))
}

pub(super) fn man(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let command = family(Shape::Shown).disable_help_subcommand(true);
    match matches.get_one::<PathBuf>("dir") {
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page).map_err(CliError::Output)?;
            print(&String::from_utf8_lossy(&page))
        }
        Some(dir) => {
            write_pages(command, dir).map_err(|source| CliError::WriteFile {
                path: dir.clone(),
                flag: "dir",
                source,
            })?;
            print(&format!("the man pages are in {}\n", dir.display()))
        }
    }
}

fn write_pages(command: Command, dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(command, dir)
}

const HEAD: &str = "# Command line

<!-- Made by `cargo run -p livehelp --example reference docs`; a test compares it. -->

`livehelp` is the server and every tool around it. `livehelp COMMAND --help` says the same as this
page; `livehelp man --dir DIR` writes it as man pages, and `livehelp completions SHELL` makes a
shell finish your words.

**Names.** The operator's commands are a thing and an act: `operator sites close`. What is acted
upon stands behind the act by its id (`SITE_ID`, `sit_…`); what it belongs to is a flag (`--tenant
TENANT_ID`, `ten_…`). A thing alone lists it. What is called an Organization for people is a
`tenant` in commands, REST and files.

**Flags** stand before or after any command's name: `livehelp --data /srv/data check` is `livehelp
check --data /srv/data`. Every setting is a flag of every command
([configuration.md](configuration.md)); below, each command lists those that concern it. `--output
json` is for programs, `--output table` for people. Without it, what was made for programs
(`operator`, `init`) is a table on a terminal and JSON in a pipe; what was made for people is text
in both.

**Secrets** stand in files, so that no list of processes shows them: `--admin-password-file`,
`--operator-key-file`, `--bus-file`. Their first line counts; `-` is standard input.

**Exit codes**

| code | means |
|---|---|
| 0 | done; of `health`: it is ready |
| 1 | it failed, and stderr says why and what to do; of `health`: it is not ready, or does not answer |
| 2 | the command line or the settings are wrong, and nothing was done; of `health`, the command line alone |
| 3 | of `certificate verify`: the file is no certificate that can be read |
| 4 | of `certificate verify`: the signature holds, but by another key than `--public-key` |
| 130 | `serve` was told twice to stop, and stopped at once |

What a command found is on stdout, what went wrong on stderr. A variable that begins with
`LIVEHELP_` and is no setting is told on stderr and left alone, unless a setting was meant.
";

/// `docs/command-line.md`.
pub fn document() -> String {
    let mut command = family(Shape::Shown).disable_help_subcommand(true);
    command.build();
    let mut text = HEAD.to_owned();
    for command in command.get_subcommands() {
        section(command, 2, &mut text);
    }
    text
}

fn section(command: &Command, depth: usize, text: &mut String) {
    let path = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim().trim_start_matches("Usage:").trim();
    let depth_marks = "#".repeat(depth);
    // A String takes every write.
    let _written = write!(text, "\n{depth_marks} {path}\n\n{}", filled(&format!("{about}."), ""));
    if command.get_subcommands().next().is_none() {
        let _written = write!(text, "\n    {usage}\n");
    }
    let own = command.get_arguments().filter(|arg| !is_setting(arg) && !is_common(arg));
    for (index, arg) in own.enumerate() {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let start = if index == 0 { "\n" } else { "" };
        let words = format!("`{}`: {}{}", spelled(arg), help, values(arg));
        let _written = write!(text, "{start}{}", point(&words));
    }
    // Shown where they stand first, not again at each act.
    if depth == 2 {
        let shown: Vec<&Arg> = command.get_arguments().filter(|arg| is_setting(arg)).collect();
        if shown.len() >= SETTINGS.len() {
            text.push_str("\nSettings: all of [configuration.md](configuration.md).\n");
        } else if !shown.is_empty() {
            let names: Vec<String> = shown
                .iter()
                .map(|arg| format!("`--{}`", arg.get_long().unwrap_or_default()))
                .collect();
            let words = filled(&format!("Settings: {}.", names.join(", ")), "");
            let _written = write!(text, "\n{words}");
        }
    }
    // Those of most commands stand at the top.
    let after = command.get_after_help().map(ToString::to_string);
    if let Some(after) = after.filter(|after| after != EXIT_CODES) {
        for line in after.lines() {
            let _written = write!(text, "\n{}", filled(line, ""));
        }
    }
    for command in command.get_subcommands() {
        section(command, depth + 1, text);
    }
}

fn is_setting(arg: &Arg) -> bool {
    let id = arg.get_id().as_str();
    SETTINGS
        .iter()
        .any(|setting| setting.name == id || setting.name_of_file().is_some_and(|name| name == id))
}

fn is_common(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "config" | "output" | "help" | "version")
}

fn spelled(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .filter(|_| arg.get_action().takes_values())
        .and_then(|names| names.first())
        .map(ToString::to_string);
    match (arg.get_long(), value) {
        (Some(flag), Some(value)) => format!("--{flag} {value}"),
        (Some(flag), None) => format!("--{flag}"),
        (None, value) => value.unwrap_or_else(|| arg.get_id().to_string()),
    }
}

fn values(arg: &Arg) -> String {
    let mut text = String::new();
    if arg.get_action().takes_values() {
        let possible: Vec<String> = arg
            .get_possible_values()
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !possible.is_empty() {
            let _written = write!(text, ": {}", possible.join(", "));
        }
        let defaults: Vec<String> = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        if !defaults.is_empty() {
            let _written = write!(text, " (default `{}`)", defaults.join(" "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_command_line() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/command-line.md");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == document(),
            "docs/command-line.md is stale: cargo run -p livehelp --example reference docs"
        );
    }

    fn each(command: &Command, visit: &mut impl FnMut(&Command)) {
        visit(command);
        for command in command.get_subcommands() {
            each(command, visit);
        }
    }

    #[test]
    fn everything_that_is_shown_says_what_it_is() {
        let mut shown = family(Shape::Shown);
        shown.build();
        each(&shown, &mut |command| {
            let name = command.get_bin_name().unwrap_or_default();
            assert!(command.get_about().is_some(), "{name}");
            assert!(!command.is_hide_set(), "{name}");
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some() && !arg.is_hide_set(), "{name} {}", arg.get_id());
            }
        });
    }
}
