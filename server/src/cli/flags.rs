//! Flags that are known everywhere: one for each setting, `--config`, `--output`.
//!
//! Lives here: how they are made from the registry, and which command shows which. Not here: what
//! they mean (`config`). Each stands before or after any command's name: the root knows all of
//! them, hidden; a command that one concerns shows it.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{SETTINGS, Setting, Sources};

/// How much of the command line is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// All that is understood: old spellings too, and every flag everywhere.
    Whole,
    /// What a person is to see: for pages and completions.
    Shown,
}

/// Lets the whole command line take these flags wherever they stand.
pub(super) fn everywhere(command: Command, shape: Shape) -> Command {
    match shape {
        Shape::Whole => SETTINGS
            .iter()
            .flat_map(of_setting)
            .chain([config(), output()])
            .fold(command, |command, arg| command.arg(arg.hide(true))),
        Shape::Shown => command,
    }
}

/// Shows the flags of these settings at this command and below it.
pub(super) fn showing(command: Command, names: &[&str]) -> Command {
    SETTINGS
        .iter()
        .filter(|setting| names.contains(&setting.name))
        .flat_map(of_setting)
        .fold(command.arg(config()), Command::arg)
}

/// Shows the flags of all settings.
pub(super) fn showing_all(command: Command) -> Command {
    SETTINGS.iter().flat_map(of_setting).fold(command.arg(config()), Command::arg)
}

/// Shows `--output` at this command and below it: what it says was made for people.
pub(super) fn showing_output(command: Command) -> Command {
    command.arg(output().help("Text for people, or JSON for programs [default: table]"))
}

/// The same, where what it says was made for programs.
pub(super) fn showing_output_for_programs(command: Command) -> Command {
    command.arg(output().help(
        "A table for people, or JSON for programs [default: table on a terminal, json elsewhere]",
    ))
}

fn config() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .global(true)
        .help("TOML file with settings [variable: LIVEHELP_CONFIG]")
}

fn output() -> Arg {
    Arg::new("output")
        .long("output")
        .short('o')
        .value_name("FORM")
        .value_parser(PossibleValuesParser::new(["table", "json"]))
        .global(true)
}

fn of_setting(setting: &'static Setting) -> Vec<Arg> {
    let default = if setting.default.is_empty() { "none" } else { setting.default };
    let mut arg = Arg::new(setting.name)
        .long(setting.flag())
        .value_name("VALUE")
        .help(format!("{} [default: {default}]", setting.doc))
        .help_heading(setting.group)
        .global(true)
        .allow_hyphen_values(true);
    if setting.switch {
        arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    if setting.name == "operator_key_file" {
        // Its name before it was a setting.
        arg = arg.alias("key-file");
    }
    let of_file = setting.name_of_file().map(|name| {
        let flag = setting.flag();
        Arg::new(name)
            .long(format!("{flag}-file"))
            .value_name("FILE")
            .help(format!(
                "File whose first line is the value of --{flag}, so that the list of processes does not show it; - is standard input"
            ))
            .help_heading(setting.group)
            .global(true)
            .action(ArgAction::Set)
    });
    std::iter::once(arg).chain(of_file).collect()
}

/// What was given for the settings.
pub(super) fn sources(matches: &ArgMatches) -> Sources {
    let flags = SETTINGS
        .iter()
        .flat_map(|setting| [Some(setting.name.to_owned()), setting.name_of_file()])
        .flatten()
        .filter(|name| matches.value_source(name) == Some(ValueSource::CommandLine))
        .filter_map(|name| {
            let text: &String = matches.get_one(&name)?;
            Some((name.clone(), text.clone()))
        })
        .collect();
    Sources::from_environment(matches.get_one("config").cloned(), flags)
}
