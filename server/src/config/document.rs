//! `docs/configuration.md`, made from the registry.

use super::SETTINGS;

const HEAD: &str = "# Settings

<!-- Made by `cargo run -p livehelp --example reference docs`; a test compares it. -->

Every setting can be given in three ways, the later one stronger:

1. in a TOML file, as `name = value`, without tables; `--config FILE` or `LIVEHELP_CONFIG` names the file;
2. as a variable: `LIVEHELP_` and the name in capitals;
3. as a flag of any command, before or after its name: the name with hyphens.

A name that is not in this list is refused, with the nearest one that is; in the file with line, column and a caret.
A variable is refused where a setting was meant (`LIVEHELP_LISEN`, `LIVEHELP_DATA_DIR`); any other that begins with
`LIVEHELP_`, such as what Kubernetes sets for a Service called livehelp, is told once and left alone.
`livehelp serve --print-config` shows what is in force and where each value came from; passwords in addresses are
hidden. `livehelp check` judges settings, keys and data without starting the server. Commands and their other flags:
[command-line.md](command-line.md).

SIGHUP has a running server read the file again. What is marked \"in force after a reload\" changes then; of anything
else the log says that it takes a restart. A file that is wrong changes nothing.

A value that may hold a password can be read from a file of its own, so that neither the list of processes nor the
environment shows it. A path that begins with `${CREDENTIALS_DIRECTORY}/` leads to a credential of the systemd unit
(`LoadCredential=`).
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
            "\n### {}\n\n{}\n\n- Takes {}.\n- Default: {default}.\n- Variable `{}`, flag `--{}`.\n",
            setting.name,
            setting.doc,
            setting.expected(),
            setting.variable(),
            setting.flag(),
        ));
        if setting.is_reloaded() {
            text.push_str("- In force after a reload.\n");
        }
        if let Some(name) = setting.name_of_file() {
            text.push_str(&format!(
                "- From the first line of a file: `{name}`, variable `{}_FILE`, flag `--{}-file`; `-` is standard input.\n",
                setting.variable(),
                setting.flag(),
            ));
        }
    }
    text
}
