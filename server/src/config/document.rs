//! `docs/configuration.md`, made from the registry.

use super::SETTINGS;

const HEAD: &str = "# Settings

<!-- Made by `cargo run -p livehelp --example reference docs`; a test compares it. -->

Every setting can be given in three ways, the later one stronger:

1. in a TOML file, as `name = value`, without tables; `--config FILE` or `LIVEHELP_CONFIG` names the file;
2. as a variable: `LIVEHELP_` and the name in capitals;
3. as a flag of `livehelp serve`, `check`, `init` or `operator`: the name with hyphens.

A name that is not in this list is refused, with the nearest one that is. `livehelp serve --print-config` shows
what is in force and where each value came from; passwords in addresses are hidden. `livehelp check` judges
settings, keys and data without starting the server.

SIGHUP has a running server read the file again. What is marked \"in force after a reload\" changes then; of anything
else the log says that it takes a restart. A file that is wrong changes nothing.

A path that begins with `${CREDENTIALS_DIRECTORY}/` leads to a credential of the systemd unit (`LoadCredential=`).
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
    }
    text
}
