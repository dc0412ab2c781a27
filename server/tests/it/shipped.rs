//! What is shipped beside the program fits it: settings, paths and ports that the files in
//! `deploy/` name.

use std::path::{Path, PathBuf};
use std::process::Command;

use livehelp::config::{Config, SETTINGS, Sources, example, load};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file)
}

fn text(file: &str) -> String {
    std::fs::read_to_string(deploy(file)).unwrap_or_else(|error| panic!("deploy/{file}: {error}"))
}

fn loaded(file: PathBuf) -> Config {
    let sources = Sources { file: Some(file), ..Sources::default() };
    load(&sources).unwrap_or_else(|error| panic!("{error}")).config
}

#[test]
fn the_example_of_a_settings_file_is_made_from_the_settings_and_loads() {
    assert_eq!(
        text("livehelp.toml"),
        example(),
        "run `cargo run -p livehelp --example reference docs`"
    );
    let config = loaded(deploy("livehelp.toml"));
    assert_eq!(config.data, Path::new("/var/lib/livehelp/data"));
    assert_eq!(config.keys, Path::new("/var/lib/livehelp/keys"));
    assert_eq!(config.trusted_proxies.len(), 2);
    // Every line that only waits for its # to be taken away is right as well.
    let folder = tempfile::tempdir().unwrap();
    let all: String = example()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with([' ', '#']) => format!("{rest}\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    let file = folder.path().join("all.toml");
    std::fs::write(&file, &all).unwrap();
    loaded(file);
    for setting in SETTINGS {
        let line = format!("\n{} = ", setting.name);
        assert_eq!(all.matches(&line).count(), 1, "{}", setting.name);
    }
}

/// The words of a file that begin with two hyphens, in the order in which they stand.
fn flags(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words =
        lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'[],`".contains(c)));
    words.filter(|word| word.starts_with("--") && word.len() > 2).collect()
}

#[test]
fn every_flag_and_variable_in_what_is_shipped_is_a_setting() {
    for file in [
        "systemd/livehelp.service",
        "systemd/livehelp-backup.service",
        "container/Containerfile",
        "container/compose.yaml",
    ] {
        let text = text(file);
        for flag in flags(&text) {
            let flag = flag.split('=').next().unwrap();
            if OF_OTHERS.contains(&flag) || OF_BACKUP.contains(&flag) {
                continue;
            }
            let name = flag.trim_start_matches('-').replace('-', "_");
            let known = name == "config" || SETTINGS.iter().any(|setting| setting.name == name);
            assert!(known, "deploy/{file}: {flag}");
        }
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let known = |word: &str| SETTINGS.iter().any(|setting| setting.variable() == word);
            assert!(!word.starts_with("LIVEHELP_") || known(word), "deploy/{file}: {word}");
        }
    }
}

/// Flags of apt-get, xtask, COPY, HEALTHCHECK and Prometheus in the container's files.
const OF_OTHERS: [&str; 10] = [
    "--no-install-recommends",
    "--stage",
    "--from",
    "--chown",
    "--interval",
    "--timeout",
    "--start-period",
    "--retries",
    "--config.file",
    "--storage.tsdb.path",
];

/// Flags of `livehelp backup` that are no settings; that it knows them is tried below.
const OF_BACKUP: [&str; 4] = ["--to", "--keys-to", "--keep", "--keys-days"];

/// Each command of the nightly unit is understood: without a server it fails, and not for its
/// words.
#[test]
fn the_backup_units_commands_are_understood() {
    let unit = text("systemd/livehelp-backup.service");
    let folder = tempfile::TempDir::new().unwrap();
    let settings = folder.path().join("livehelp.toml");
    std::fs::write(&settings, "").unwrap();
    let mut count = 0;
    for line in unit.lines().filter_map(|line| line.strip_prefix("ExecStart=/usr/bin/livehelp ")) {
        let words = line.split_whitespace().map(|word| match word {
            "/etc/livehelp/livehelp.toml" => settings.display().to_string(),
            // Nothing of this machine's is looked at.
            word => word.replace("/var/", &format!("{}/", folder.path().display())),
        });
        let tried = Command::new(env!("CARGO_BIN_EXE_livehelp"))
            .args(words)
            .args(["--admin-listen", "127.0.0.1:1"])
            .current_dir(folder.path())
            .env_remove("LIVEHELP_CONFIG")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&tried.stderr);
        assert_eq!(tried.status.code(), Some(1), "{line}: {said}");
        count += 1;
    }
    assert_eq!(count, 2);
}

/// The commands in the fenced blocks of a guide, a line each.
fn commands(guide: &str) -> Vec<String> {
    let blocks = guide.split("\n```\n").skip(1).step_by(2);
    let lines = blocks.map(|block| block.replace("\\\n", " "));
    lines.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// That the commands of livehelp are understood is a test of the command line's.
#[test]
fn the_way_to_production_gives_curl_addresses_that_it_takes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/production.md");
    let mut asked = 0;
    for command in commands(&std::fs::read_to_string(path).unwrap()) {
        if !command.starts_with("curl ") {
            continue;
        }
        // In braces curl sees a list of addresses, unless it is told to look no further.
        assert!(!command.contains('{') || command.contains(" -g "), "{command}");
        asked += 1;
    }
    assert!(asked > 0, "the guide asks with curl");
}

/// Exposure by `systemd-analyze security`, in tenths.
const EXPOSURE_TENTHS_MAX: u32 = 20;

#[test]
fn the_unit_is_closed_as_far_as_a_server_can_be() {
    let unit = text("systemd/livehelp.service");
    let value = |name: &str| {
        let lines = unit.lines().filter_map(|line| line.split_once('='));
        lines.filter(|(key, _)| *key == name).map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(value("Type"), ["notify"]);
    assert_eq!(value("User"), ["livehelp"]);
    assert_eq!(value("StateDirectory"), ["livehelp/data livehelp/keys"]);
    assert_eq!(value("StateDirectoryMode"), ["0700"]);
    assert_eq!(value("ProtectSystem"), ["strict"]);
    // What systemd waits for before it kills is longer than a stop may take.
    let config = Config::defaults();
    let stop_s = (config.drain_grace_ms + config.drain_ms).div_ceil(1_000) + 30;
    assert!(value("TimeoutStopSec")[0].parse::<u64>().unwrap() > stop_s);
    assert!(value("LimitNOFILE")[0].parse::<usize>().unwrap() > config.connections_max + 256);
    judge("livehelp.service");
    judge("livehelp-backup.service");
}

/// Asks systemd how exposed a unit is, where there is one new enough to judge a file by itself.
fn judge(unit: &str) {
    let words = ["security", "--offline=true", "--no-pager"];
    let judged = Command::new("systemd-analyze")
        .args(words)
        .arg(deploy(&format!("systemd/{unit}")))
        .output();
    let said = judged.map(|judged| String::from_utf8_lossy(&judged.stdout).into_owned());
    let said = said.unwrap_or_default();
    let words = format!("Overall exposure level for {unit}:");
    let Some((_, level)) = said.split_once(&words) else { return };
    let (whole, tenth) = level.split_whitespace().next().unwrap().split_once('.').unwrap();
    let tenths = whole.parse::<u32>().unwrap() * 10 + tenth.parse::<u32>().unwrap();
    assert!(tenths <= EXPOSURE_TENTHS_MAX, "{said}");
}

#[test]
fn the_container_is_small_nobodys_and_keeps_data_and_keys_apart() {
    let file = text("container/Containerfile");
    let lines: Vec<&str> =
        file.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let has = |line: &str| assert!(lines.contains(&line), "no line {line:?}");
    has("USER 65532:65532");
    has("VOLUME [\"/var/lib/livehelp/data\", \"/var/lib/livehelp/keys\"]");
    has("ENTRYPOINT [\"/usr/bin/livehelp\"]");
    assert!(file.contains("CMD [\"/usr/bin/livehelp\", \"health\"]"));
    // The settings in force there are those of a server that may start.
    let variables: Vec<_> = lines
        .iter()
        .filter_map(|line| line.trim().trim_start_matches("ENV ").split_once('='))
        .filter(|(name, _)| name.starts_with("LIVEHELP_"))
        .map(|(name, value)| (name.into(), value.trim_end_matches([' ', '\\']).into()))
        .collect();
    assert!(!variables.is_empty());
    let config = load(&Sources { variables, ..Sources::default() }).unwrap().config;
    assert_eq!(config.data, Path::new("/var/lib/livehelp/data"));
    assert_eq!(config.keys, Path::new("/var/lib/livehelp/keys"));
    assert!(config.admin_listen.ip().is_loopback(), "nobody outside asks the admin listener");
}

#[test]
fn compose_shows_the_front_alone_and_leaves_the_root_unwritten() {
    let file = text("container/compose.yaml");
    let service = |name: &str| {
        let (_, rest) = file.split_once(&format!("\n  {name}:\n")).expect("the service is there");
        let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
        lines.collect::<Vec<_>>().join("\n")
    };
    let server = service("livehelp");
    for wanted in
        ["read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", "stop_grace_period: 120s"]
    {
        assert!(server.contains(wanted), "{wanted}");
    }
    assert!(!server.contains("ports:"), "the front is the only way in");
    assert!(service("caddy").contains("443:443"));
    assert!(service("prometheus").contains("profiles: [metrics]"));
    // What is mounted from beside the file is there.
    let mounted = file.lines().filter_map(|line| line.trim().strip_prefix("- ./"));
    for path in mounted.filter_map(|line| line.split(':').next()) {
        assert!(deploy("container").join(path).exists(), "{path}");
    }
}

#[test]
fn the_containers_front_is_the_shipped_one_under_another_name() {
    let site = |file: &str| {
        let text = text(file);
        let (_, site) = text.split_once(" {\n").expect("a site");
        site.replace("livehelp:8080", "127.0.0.1:8080")
    };
    assert_eq!(site("container/Caddyfile"), site("caddy/Caddyfile"));
}
