//! `docs/configuration.md` and `deploy/livehelp.toml`, made from the registry.

use super::SETTINGS;
use crate::prose::{filled, point};

const HEAD: &str = "# Settings

<!-- Made by `cargo run -p livehelp --example reference docs`; a test compares it. -->

Every setting can be given in three ways, the later one stronger:

1. in a TOML file, as `name = value`, without tables; `--config FILE` or `LIVEHELP_CONFIG` names the
   file;
2. as a variable: `LIVEHELP_` and the name in capitals;
3. as a flag of any command, before or after its name: the name with hyphens.

A name that is not in this list is refused, with the nearest one that is; in the file with line,
column and a caret. A variable is refused where a setting was meant (`LIVEHELP_LISEN`,
`LIVEHELP_DATA_DIR`); any other that begins with `LIVEHELP_`, such as what Kubernetes sets for a
Service called livehelp, is told once and left alone. `livehelp serve --print-config` shows what is
in force and where each value came from; passwords in addresses are hidden. `livehelp check` judges
settings, keys and data without starting the server. Commands and their other flags:
[command-line.md](command-line.md).

SIGHUP has a running server read the file again. What is marked \"in force after a reload\" changes
then; of anything else the log says that it takes a restart. A file that is wrong changes nothing.

A value that may hold a password can be read from a file of its own, so that neither the list of
processes nor the environment shows it. A path that begins with `${CREDENTIALS_DIRECTORY}/` leads to
a credential of the systemd unit (`LoadCredential=`).
";

/// The document.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            text.push_str(&format!("\n## {group}\n"));
        }
        let default = match setting.default {
            "" => "none".to_owned(),
            default => format!("`{default}`"),
        };
        text.push_str(&format!(
            "\n### {}\n\n{}\n{}{}{}",
            setting.name,
            filled(setting.doc, ""),
            point(&format!("Takes {}.", setting.expected())),
            point(&format!("Default: {default}.")),
            point(&format!("Variable `{}`, flag `--{}`.", setting.variable(), setting.flag())),
        ));
        if setting.is_reloaded() {
            text.push_str("- In force after a reload.\n");
        }
        if let Some(name) = setting.name_of_file() {
            text.push_str(&point(&format!(
                "From the first line of a file: `{name}`, variable `{}_FILE`, flag `--{}-file`; `-` is standard input.",
                setting.variable(),
                setting.flag(),
            )));
        }
    }
    text
}

const EXAMPLE_HEAD: &str = "\
# Settings of livehelp, as for one server behind a front on the same machine.
#
# Every setting is here. One behind a # has its default; take the # away to change it. A variable
# LIVEHELP_... or a flag is stronger than this file.
#
#     livehelp check --config /etc/livehelp/livehelp.toml    judges it
#     systemctl reload livehelp                              puts in force what may change
#
# Made by `cargo run -p livehelp --example reference docs`; a test compares it.
";

/// What the example sets: where a package keeps things, and the front that it tells of.
const EXAMPLE_SETS: &[(&str, &str)] = &[
    ("trusted_proxies", "127.0.0.1, ::1"),
    ("data", "/var/lib/livehelp/data"),
    ("keys", "/var/lib/livehelp/keys"),
];

/// Columns of the example's comments.
const EXAMPLE_COLUMNS: usize = 100;

/// The settings file that is shipped.
pub fn example() -> String {
    let mut text = EXAMPLE_HEAD.to_owned();
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            text.push_str(&format!("\n\n## {group}\n"));
        }
        text.push('\n');
        comment(setting.doc, &mut text);
        comment(&format!("Takes {}.", setting.expected()), &mut text);
        let set = EXAMPLE_SETS.iter().find(|(name, _)| *name == setting.name);
        let (mark, value) = set.map_or(("#", setting.default), |(_, value)| ("", *value));
        let bare = setting.switch || !setting.unit.is_empty();
        let quote = if bare { "" } else { "\"" };
        text.push_str(&format!("{mark}{} = {quote}{value}{quote}\n", setting.name));
    }
    text
}

/// Adds words as lines of comment.
fn comment(words: &str, text: &mut String) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() > 1 && line.len() + 1 + word.len() > EXAMPLE_COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
