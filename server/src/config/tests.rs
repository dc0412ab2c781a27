use std::ffi::OsString;

use super::*;

fn sources(
    file: &str,
    variables: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> (Sources, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("livehelp.toml");
    std::fs::write(&path, file).unwrap();
    let sources = Sources {
        file: Some(path),
        variables: variables
            .iter()
            .map(|(name, text)| (OsString::from(name), OsString::from(text)))
            .collect(),
        flags: flags.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
    };
    (sources, folder)
}

fn complaints(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> String {
    let (sources, _folder) = sources(file, variables, flags);
    load(&sources).unwrap_err().to_string()
}

#[test]
fn the_document_lists_what_can_be_set() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == document(),
        "docs/configuration.md is stale: cargo run -p livehelp --example reference docs"
    );
}

#[test]
fn every_default_is_a_value_of_its_setting_and_they_go_together() {
    let defaults = Config::defaults();
    assert_eq!(defaults.listen.port(), 8080);
    assert_eq!(defaults.bus, Bus::Memory);
    assert_eq!(defaults.complaints(), Vec::<String>::new());
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let (sources, _folder) = sources(
        "offer_ms = 2000\nagent_grace_ms = 3000\npong_ms = 4000\ndemo = true",
        &[("LIVEHELP_AGENT_GRACE_MS", "5000"), ("LIVEHELP_PONG_MS", "6000"), ("PATH", "/bin")],
        &[("pong_ms", "7000")],
    );
    let resolved = load(&sources).unwrap();
    let config = &resolved.config;
    assert_eq!((config.offer_ms, config.agent_grace_ms, config.pong_ms), (2000, 5000, 7000));
    assert!(config.demo);
    let origin = |name: &str| resolved.shown().find(|(shown, ..)| *shown == name).unwrap().2;
    assert!(origin("offer_ms").starts_with("file "));
    assert_eq!(origin("agent_grace_ms"), "variable LIVEHELP_AGENT_GRACE_MS");
    assert_eq!(origin("pong_ms"), "flag --pong-ms");
    assert_eq!(origin("listen"), "default");
}

#[test]
fn unknown_settings_are_refused_all_at_once_with_the_nearest_known_name() {
    let text = complaints("lisen = 1\n[tls]\ncert = 2", &[("LIVEHELP_PONGMS", "1")], &[]);
    assert!(text.contains("unknown setting `lisen` (file "), "{text}");
    assert!(text.contains("did you mean `listen`?"), "{text}");
    assert!(text.contains("[tls]: settings stand without tables"), "{text}");
    assert!(
        text.contains(
            "unknown setting `pongms` (variable LIVEHELP_PONGMS); did you mean `pong_ms`?"
        ),
        "{text}"
    );
}

#[test]
fn a_bad_value_names_setting_source_and_what_was_expected() {
    let text = complaints("offer_ms = 5", &[("LIVEHELP_DEMO", "perhaps")], &[("listen", "8080")]);
    assert!(text.contains("`offer_ms` = \"5\" (file "), "{text}");
    assert!(text.contains("expected a whole number from 1000 to 600000 (ms)"), "{text}");
    assert!(
        text.contains("`demo` = \"perhaps\" (variable LIVEHELP_DEMO): expected true or false"),
        "{text}"
    );
    assert!(
        text.contains("`listen` = \"8080\" (flag --listen): expected an address with a port"),
        "{text}"
    );
}

#[test]
fn a_password_is_neither_shown_nor_complained_about() {
    let secret = "redis://user:hunter2@redis.example:6379/0";
    let (sources, _folder) = sources(&format!("bus = \"{secret}\""), &[], &[]);
    let resolved = load(&sources).unwrap();
    assert_eq!(resolved.config.bus, Bus::Redis(secret.to_owned()));
    assert!(!format!("{:?}", resolved.config).contains("hunter2"));
    let shown = resolved.shown().find(|(name, ..)| *name == "bus").unwrap().1;
    assert_eq!(shown, "redis://[hidden]@redis.example:6379/0");
    let text = complaints("bus = \"http://user:hunter2@redis.example\"", &[], &[]);
    assert!(text.contains("`bus`") && !text.contains("hunter2"), "{text}");
    let text = complaints("bus = \"redis://user:hunter2@", &[], &[]);
    assert!(text.contains("is not TOML") && !text.contains("hunter2"), "{text}");
}

#[test]
fn plain_http_beyond_loopback_needs_a_word() {
    let text = complaints("listen = \"0.0.0.0:80\"\nadmin_listen = \"0.0.0.0:81\"", &[], &[]);
    assert!(text.contains("`listen` = 0.0.0.0:80: plain HTTP is for loopback only"), "{text}");
    assert!(text.contains("`admin_listen` = 0.0.0.0:81"), "{text}");
    let (allowed, _folder) = sources("listen = \"0.0.0.0:80\"\ninsecure_http = true", &[], &[]);
    assert!(load(&allowed).is_ok());
}

#[test]
fn a_proxy_before_the_public_listener_opens_no_admin_listener() {
    let file = "listen = \"0.0.0.0:80\"\nadmin_listen = \"0.0.0.0:81\"\ninsecure_http = true";
    let text = complaints(file, &[], &[]);
    assert!(text.contains("`admin_listen` = 0.0.0.0:81") && !text.contains("`listen`"), "{text}");
    assert!(text.contains("`admin_insecure_http`"), "{text}");
    let (allowed, _folder) = sources(&format!("{file}\nadmin_insecure_http = true"), &[], &[]);
    assert!(load(&allowed).is_ok());
    let (one, _folder) =
        sources("admin_listen = \"0.0.0.0:81\"\nadmin_insecure_http = true", &[], &[]);
    assert!(load(&one).is_ok());
}

#[test]
fn trusted_proxies_are_addresses_and_networks_of_both_families() {
    let list = "10.1.2.3/8, 192.0.2.1,2001:db8::/32, ::ffff:198.51.100.0/120, ::ffff:203.0.113.1";
    let (given, _folder) = sources(&format!("trusted_proxies = \"{list}\""), &[], &[]);
    let trusted = load(&given).unwrap().config.trusted_proxies;
    let among = |ip: &str| trusted.iter().any(|network| network.contains(ip.parse().unwrap()));
    for ip in [
        "10.255.0.1",
        "::ffff:10.0.0.1",
        "192.0.2.1",
        "2001:db8:f::1",
        "198.51.100.255",
        "203.0.113.1",
    ] {
        assert!(among(ip), "{ip}");
    }
    for ip in ["11.0.0.1", "192.0.2.2", "2001:db9::1", "198.51.101.0", "203.0.113.2", "::1"] {
        assert!(!among(ip), "{ip}");
    }
    for wrong in ["10.0.0.0/33", "10.0.0.0/", "/8", "2001:db8::/129", "::ffff:10.0.0.0/8", "proxy"]
    {
        let text = complaints(&format!("trusted_proxies = \"192.0.2.1, {wrong}\""), &[], &[]);
        assert!(text.contains("`trusted_proxies`") && text.contains(wrong), "{text}");
        assert!(text.contains("networks such as 10.0.0.0/8"), "{text}");
    }
}

#[test]
fn the_public_url_is_an_origin_by_the_url_standard() {
    let address = "127.0.0.1:8080".parse().unwrap();
    for (given, url) in [
        ("https://Chat.Example:443/", "https://chat.example"),
        ("https://m\u{fc}nchen.example", "https://xn--mnchen-3ya.example"),
        ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080"),
        ("", "http://127.0.0.1:8080"),
    ] {
        let (file, _folder) = sources(&format!("public_url = \"{given}\""), &[], &[]);
        assert_eq!(load(&file).unwrap().config.public_origin(address).as_str(), url);
    }
    for wrong in ["https://ada@chat.example", "https://chat.example?x", "https://*.chat.example"] {
        let text = complaints(&format!("public_url = \"{wrong}\""), &[], &[]);
        assert!(text.contains("expected an origin without a path"), "{text}");
    }
}

#[test]
fn what_keeps_nothing_listens_on_loopback_only() {
    for name in ["listen", "admin_listen", "demo_listen"] {
        let file = format!("store = \"memory\"\n{name} = \"192.0.2.1:80\"\ninsecure_http = true");
        let text = complaints(&file, &[], &[]);
        let words = format!("`store` = memory and `{name}` = 192.0.2.1:80: ");
        assert!(text.contains(&words), "{text}");
    }
    let (allowed, _folder) = sources("store = \"memory\"", &[], &[]);
    assert_eq!(load(&allowed).unwrap().config.store, Store::Memory);
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    for (file, words) in [
        ("tls_cert = \"a.pem\"", "`tls_cert` and `tls_key` belong together"),
        ("data = \"./var\"\nkeys = \"var/keys\"", "neither may lie inside the other"),
        ("data = \"/srv/x\"\nkeys = \"/srv/x\"", "neither may lie inside the other"),
        ("public_url = \"https://chat.example/path\"", "expected an origin without a path"),
        ("public_url = \"chat.example\"", "expected an origin without a path"),
    ] {
        let text = complaints(file, &[], &[]);
        assert!(text.contains(words), "{file}: {text}");
    }
}

#[test]
fn a_settings_file_that_is_missing_is_an_error() {
    let sources = Sources { file: Some("/nowhere/livehelp.toml".into()), ..Sources::default() };
    let text = load(&sources).unwrap_err().to_string();
    assert!(text.contains("file /nowhere/livehelp.toml: cannot be read"), "{text}");
}

#[test]
fn a_fault_of_the_file_is_told_with_its_line_and_a_caret() {
    let file = "# settings\nlisten = \"127.0.0.1:8080\noffer_ms = 2000\n";
    let text = complaints(file, &[], &[]);
    assert!(text.contains("livehelp.toml, line 2, column "), "{text}");
    assert!(
        text.contains("is not TOML: ") && text.contains("\n  2 | listen = \"127.0.0.1:8080"),
        "{text}"
    );
    assert!(text.ends_with('^'), "{text}");
    let text = complaints("pong_ms = 4000\n  lisen = \"a\"\n", &[], &[]);
    assert!(text.starts_with("unknown setting `lisen` (file "), "{text}");
    assert!(
        text.ends_with(
            "livehelp.toml, line 2, column 3); did you mean `listen`?\n  2 |   lisen = …\n    |   ^^^^^"
        ),
        "{text}"
    );
    let text = complaints("pong_ms = 4000\noffer_ms = 5\n", &[], &[]);
    assert!(
        text.ends_with(
            "livehelp.toml, line 2, column 12): expected a whole number from 1000 to 600000 (ms)\n  2 | offer_ms = 5\n    |            ^"
        ),
        "{text}"
    );
    let text = complaints("[tls]\ncert = 2\n", &[], &[]);
    assert!(text.contains(", line 1, column ") && text.contains("\n  1 | [tls]\n    |"), "{text}");
    // A value that something stronger sets is not the file's fault.
    let text = complaints("offer_ms = 2000", &[], &[("offer_ms", "5")]);
    assert!(text.contains("(flag --offer-ms)") && !text.contains('^'), "{text}");
}

#[test]
fn no_fault_of_the_file_shows_a_password() {
    for file in [
        "bus = \"redis://user:hunter2@",
        "bus = redis://user:hunter2@h",
        "bus = \"http://user:hunter2@h\"",
        "buss = \"redis://user:hunter2@h\"",
        "bus = \"\"\"\nredis://user:hunter2@\\q\"\"\"",
        "bus = [\n\"hunter2@\\q\"]",
        "bus = 'a' hunter2",
        "bus \"redis://user:hunter2@h\"",
        "public_url = \"https://user:hunter2@h\" 1",
    ] {
        let text = complaints(file, &[], &[]);
        assert!(text.contains("line ") && !text.contains("hunter2"), "{file}: {text}");
    }
}

#[test]
fn a_variable_that_is_nearly_right_is_told_its_right_name() {
    let text = complaints("", &[("LIVEHELP_DATA_DIR", "/srv/data")], &[]);
    assert_eq!(
        text,
        "unknown setting `data_dir` (variable LIVEHELP_DATA_DIR); did you mean `data`? Its variable is LIVEHELP_DATA"
    );
}

#[test]
fn what_is_left_alone_is_told_without_its_value() {
    let (given, _folder) = sources(
        "",
        &[
            ("LIVEHELP_PORT", "tcp://10.0.0.1:80"),
            ("LIVEHELP_LOAD_SECRET", "hunter2"),
            ("LIVEHELP_REPLICAS", "hunter2"),
            ("LIVEHELP_LISTEN", "127.0.0.1:1"),
        ],
        &[],
    );
    let resolved = load(&given).unwrap();
    assert_eq!(resolved.config.listen.port(), 1);
    let told = resolved.warnings.join("\n");
    assert_eq!(resolved.warnings.len(), 3, "{told}");
    for name in ["LIVEHELP_PORT", "LIVEHELP_LOAD_SECRET", "LIVEHELP_REPLICAS"] {
        assert!(told.contains(name), "{told}");
    }
    assert!(!told.contains("hunter2") && !told.contains("LIVEHELP_LISTEN"), "{told}");
}

#[test]
fn a_secret_is_read_from_a_file_of_its_own() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "redis://user:hunter2@h:1\r\nsecond\n").unwrap();
    let path = secret.path().to_str().unwrap();
    let (given, _folder) = sources(&format!("bus_file = {path:?}"), &[], &[]);
    assert_eq!(load(&given).unwrap().config.bus, Bus::Redis("redis://user:hunter2@h:1".to_owned()));
    // The stronger source wins, whichever name it has.
    let (given, _folder) = sources("bus = \"memory\"", &[("LIVEHELP_BUS_FILE", path)], &[]);
    assert!(matches!(load(&given).unwrap().config.bus, Bus::Redis(_)));
    let (given, _folder) = sources(&format!("bus_file = {path:?}"), &[], &[("bus", "memory")]);
    assert_eq!(load(&given).unwrap().config.bus, Bus::Memory);
    let text = complaints(&format!("bus_file = {path:?}\nbus = \"memory\""), &[], &[]);
    assert!(text.contains("give one of them"), "{text}");
    let text = complaints("bus_file = \"/nowhere\"", &[], &[]);
    assert!(
        text.contains("`bus_file` = \"/nowhere\"") && text.contains("cannot be read"),
        "{text}"
    );
}

/// All Rust text below a folder, tests left out.
fn source_text(folder: &std::path::Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_text(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            into.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_setting_is_read_by_somebody() {
    let mut text = String::new();
    source_text(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut text);
    for setting in SETTINGS {
        let read = ["config", "self"].iter().any(|owner| {
            let name = format!("{owner}.{}", setting.name);
            text.split(&name)
                .skip(1)
                .any(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        });
        assert!(read, "nobody reads `{}`: obey it or remove it", setting.name);
    }
}
