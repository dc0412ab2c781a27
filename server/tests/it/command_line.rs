//! The command line as a stranger types it: flags in any order, forms of output, a server
//! elsewhere, secrets, pages.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::command::{Serving, done, init, livehelp};
use crate::http;

/// The program without any flag of its own.
fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_livehelp"));
    command.env_clear().args(arguments);
    command
}

/// The same, with this on its standard input.
fn done_with_input(mut command: Command, input: &str) -> (i32, String, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A furnished folder and what `init` said.
fn furnished() -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    let made = init(folder.path(), &[]);
    (folder, made)
}

#[test]
fn a_flag_stands_before_or_after_any_commands_name() {
    let (folder, _) = furnished();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, keys) = (path("data"), path("keys"));
    for line in [
        ["--data", &data, "--keys", &keys, "check"],
        ["--data", &data, "check", "--keys", &keys],
        ["check", "--keys", &keys, "--data", &data],
    ] {
        let (code, out, err) = done(bare(&line));
        assert!(code == 0 && out.contains("keys and data: good"), "{line:?}: {out}{err}");
    }
    let serving = Serving::start(folder.path(), &[]);
    let admin = serving.address("admin");
    let given = ["--admin-listen", admin, "--keys", &keys];
    let (code, listed, err) = done(bare(&[&["operator", "tenants"][..], &given].concat()));
    assert_eq!(code, 0, "{err}");
    let words = ["operator", "tenants", "list"];
    for at in 0..=words.len() {
        let line = [&words[..at], &given, &words[at..]].concat();
        let (code, out, err) = done(bare(&line));
        assert_eq!((code, out), (0, listed.clone()), "{line:?}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_gets_the_answer_as_it_came_and_a_terminal_a_table() {
    let (folder, made) = furnished();
    let serving = Serving::start(folder.path(), &[]);
    let admin: SocketAddr = serving.address("admin").parse().unwrap();
    let key = std::fs::read_to_string(made["operator_key_file"].as_str().unwrap()).unwrap();
    let bearer = format!("Bearer {}", key.trim());
    let answer = http::get(admin, "/v1/tenants", &[("authorization", &bearer)]).await.body;
    let ask = |more: &[&str]| {
        let admin = ["operator", "--admin-listen", serving.address("admin"), "tenants", "list"];
        livehelp(folder.path(), &[&admin[..], more].concat())
    };
    let (_, out, _) = done(ask(&[]));
    assert_eq!(out, format!("{answer}\n"), "a pipe");
    assert_eq!(done(ask(&["-o", "json"])).1, out);
    let (code, table, _) = done(ask(&["--output", "table"]));
    let head: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!((code, &head[..]), (0, &["TENANT_ID", "NAME", "PRIVACY_CONTACT", "CREATED_AT"][..]));
    assert!(table.contains(made["tenant_id"].as_str().unwrap()) && !table.contains('{'), "{table}");
    // `script` gives its child a terminal.
    let command = ask(&[]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>();
    let mut terminal = Command::new("script");
    terminal.args(["-q", "-e", "-c", &line.join(" "), "/dev/null"]).stdin(Stdio::null());
    let (code, seen, _) = done(terminal);
    assert_eq!((code, seen.replace("\r\n", "\n")), (0, table));
    let (code, _, err) = done(ask(&["--output", "yaml"]));
    assert!(code == 2 && err.contains("table, json"), "{err}");
}

#[test]
fn a_person_and_a_program_are_told_the_same_by_other_commands() {
    let (folder, made) = furnished();
    let (code, out, err) = done(livehelp(folder.path(), &["check"]));
    assert_eq!(code, 0, "{err}");
    for what in [
        "settings: good",
        "settings in force: no file, variables 0, flags 2",
        "certificate: none",
        "listeners: public 127.0.0.1:8080, admin 127.0.0.1:8081; ",
        "bus: memory",
        "clock: ",
        "data folder: ",
        "keys folder: ",
        "accounts: Organizations 1, sites 1, agents 1, operator keys 1",
        "operator's key: ",
        "keys and data: good",
    ] {
        assert!(out.lines().any(|line| line.starts_with(what)), "{what}: {out}");
    }
    let json = |arguments: &[&str]| -> (i32, Value) {
        let arguments = [arguments, &["--output", "json"]].concat();
        let (code, out, err) = done(livehelp(folder.path(), &arguments));
        assert_eq!(out.lines().count(), 1, "{out}{err}");
        (code, serde_json::from_str(&out).unwrap())
    };
    let (code, checked) = json(&["check"]);
    assert_eq!((code, &checked["good"], &checked["fault"]), (0, &Value::Bool(true), &Value::Null));
    let looked_at = checked["looked_at"].as_array().unwrap();
    assert_eq!(looked_at.len(), out.lines().count());
    let said: String = looked_at
        .iter()
        .map(|said| {
            format!("{}: {}\n", said["what"].as_str().unwrap(), said["says"].as_str().unwrap())
        })
        .collect();
    assert_eq!(said, out);
    assert_eq!(json(&["repair"]).1["damaged"], false);
    assert!(json(&["keys", "rotate"]).1["keys"].is_u64());
    let (_, settings) = json(&["serve", "--print-config"]);
    assert_eq!(settings["store"], serde_json::json!({ "value": "sqlite", "origin": "default" }));
    let (_, out, _) = done(bare(&["version", "--output", "json"]));
    assert!(serde_json::from_str::<Value>(&out).unwrap()["version"].is_string(), "{out}");
    let (_, out, _) = done(livehelp(
        folder.path(),
        &[
            "init",
            "--if-absent",
            "-o",
            "table",
            "--tenant-name",
            "A",
            "--site-name",
            "B",
            "--origin",
            "https://a.example",
            "--admin-email",
            "a@a.example",
            "--admin-password-file",
            "/nowhere",
        ],
    ));
    assert!(out.starts_with("agents ") && out.contains("livehelp serve"), "{out}");
    std::fs::remove_file(made["operator_key_file"].as_str().unwrap()).unwrap();
    std::fs::rename(folder.path().join("keys"), folder.path().join("elsewhere")).unwrap();
    let (code, checked) = json(&["check"]);
    assert_eq!((code, &checked["good"]), (1, &Value::Bool(false)));
    assert!(checked["fault"].as_str().unwrap().contains("no keys in"), "{checked}");
}

/// Ends TLS before an admin listener, as a proxy would; its address, and the file with its
/// certificate.
async fn tls_before(admin: SocketAddr, folder: &Path) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = folder.join("authority.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    livehelp::tasks::spawn("tls before", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut behind = TcpStream::connect(admin).await.unwrap();
            // Either side may hang up first.
            let _ended = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
        }
    });
    (address, file.to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_elsewhere_is_asked_over_tls_and_must_prove_who_it_is() {
    let (folder, made) = furnished();
    let serving = Serving::start(folder.path(), &[]);
    let admin: SocketAddr = serving.address("admin").parse().unwrap();
    let (proxy, authority) = tls_before(admin, folder.path()).await;
    let url = format!("https://localhost:{}/", proxy.port());
    let key_file = made["operator_key_file"].as_str().unwrap();
    let key = std::fs::read_to_string(key_file).unwrap();
    let ask = |more: &[&str]| bare(&[&["operator", "tenants", "list"][..], more].concat());
    let to = ["--operator-url", &url, "--operator-ca-file", &authority];
    let (code, out, err) = done(ask(&[&to[..], &["--operator-key-file", key_file]].concat()));
    assert_eq!(code, 0, "{err}");
    let tenants: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(tenants["items"][0]["tenant_id"], made["tenant_id"]);
    let by_input = ask(&[&to[..], &["--key-file", "-"]].concat());
    assert_eq!(done_with_input(by_input, &key), (0, out.clone(), String::new()));
    let mut by_variables = ask(&[]);
    by_variables.env("LIVEHELP_OPERATOR_URL", &url).env("LIVEHELP_OPERATOR_CA_FILE", &authority);
    by_variables.env("LIVEHELP_OPERATOR_KEY_FILE", key_file);
    assert_eq!(done(by_variables), (0, out, String::new()));

    let (code, _, err) = done(ask(&["--operator-url", &url, "--operator-key-file", key_file]));
    assert!(code == 1 && err.contains("cannot be trusted") || err.contains("trusts no"), "{err}");
    assert!(err.contains("--operator-ca-file"), "{err}");
    let by_address = format!("https://{proxy}");
    let wrong_name = ["--operator-url", &by_address, "--operator-ca-file", &authority];
    let (code, _, err) = done(ask(&[&wrong_name[..], &["--operator-key-file", key_file]].concat()));
    assert!(code == 1 && err.contains("cannot be trusted"), "another name: {err}");
    // The key in this machine's keys folder is another server's business.
    let keys = folder.path().join("keys");
    let (code, _, err) = done(ask(&[&to[..], &["--keys", keys.to_str().unwrap()]].concat()));
    assert!(code == 1 && err.contains("--operator-key-file"), "{err}");
    let (code, _, err) = done(ask(&[&to[..], &["--admin-listen", "127.0.0.1:1"]].concat()));
    assert!(code == 2 && err.contains("--operator-url and --admin-listen"), "{err}");
    let (code, out, err) = done(bare(&["health", "--operator-ca-file", &authority, "--url", &url]));
    assert_eq!((code, out.as_str()), (0, "ready\n"), "{err}");
}

#[test]
fn a_key_goes_over_plain_http_to_loopback_only_unless_that_is_asked_for() {
    let (folder, made) = furnished();
    let serving = Serving::start(folder.path(), &[]);
    let key = ["--operator-key-file", made["operator_key_file"].as_str().unwrap()];
    let ask = |more: &[&str]| done(bare(&[&["operator", "clock"][..], &key, more].concat()));
    let here = format!("http://{}", serving.address("admin"));
    assert_eq!(ask(&["--operator-url", &here]).0, 0);
    // 192.0.2.0/24 is for documents; nothing is sent there, for the refusal comes first.
    let (code, _, err) = ask(&["--operator-url", "http://192.0.2.1:8081"]);
    assert!(code == 2 && err.contains("`operator_insecure_http`"), "{err}");
    for wrong in
        ["admin.example", "ftp://admin.example", "https://ada@admin.example", "https://a.example?x"]
    {
        let (code, _, err) = ask(&["--operator-url", wrong]);
        assert!(code == 2 && err.contains("`operator_url`") && err.contains("https://"), "{err}");
    }
}

#[test]
fn health_is_an_exit_code_and_one_line() {
    let (folder, _) = furnished();
    let serving = Serving::start(folder.path(), &[]);
    let admin = serving.address("admin").to_owned();
    let health =
        |more: &[&str]| done(bare(&[&["health", "--admin-listen", &admin][..], more].concat()));
    assert_eq!(health(&[]), (0, "ready\n".to_owned(), String::new()));
    assert_eq!(health(&["--live"]), (0, "live\n".to_owned(), String::new()));
    let by_url = format!("http://{admin}");
    assert_eq!(done(bare(&["health", "--url", &by_url])).0, 0);
    let not_admin = format!("http://{}", serving.address("public"));
    let (code, _, err) = done(bare(&["health", "--url", &not_admin]));
    assert!(code == 1 && err.contains("is no livehelp admin listener"), "{err}");

    // The store misses its file within a second.
    std::fs::rename(folder.path().join("data"), folder.path().join("gone")).unwrap();
    let not_ready = loop {
        let said = health(&[]);
        if said.0 != 0 {
            break said;
        }
    };
    assert_eq!((not_ready.0, not_ready.1.as_str(), not_ready.2.lines().count()), (1, "", 1));
    assert!(not_ready.2.starts_with("livehelp: not ready: ") && not_ready.2.contains("store: no"));
    assert_eq!(health(&["--live"]).0, 0, "it runs all the same");
    drop(serving);
    let (code, out, err) = health(&[]);
    assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1), "{err}");
    assert!(err.contains("no server answers at"), "{err}");
    let (code, _, err) = health(&["--offer-ms", "1"]);
    assert!(code == 1 && err.lines().count() == 1 && err.contains("`offer_ms`"), "{err}");
    assert_eq!(done(bare(&["health", "--url", "nowhere"])).0, 2);
}

#[test]
fn a_shell_finishes_words_by_the_completions() {
    for (shell, mark) in [("zsh", "#compdef livehelp"), ("fish", "complete -c livehelp")] {
        let (code, script, _) = done(bare(&["completions", shell]));
        assert!(code == 0 && script.contains(mark) && script.contains("operator-url"), "{shell}");
    }
    let (_, script, _) = done(bare(&["completions", "bash"]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("livehelp.bash");
    std::fs::write(&file, script).unwrap();
    let finish = |words: &str, last: &str| -> Vec<String> {
        let count = words.split(' ').count() - 1;
        let before = words.split(' ').nth(count - 1).unwrap();
        let ask = format!(
            "source '{}'; COMP_WORDS=({words}); COMP_CWORD={count}; _livehelp livehelp '{last}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-c", &ask]);
        let (_, out, err) = done(bash);
        assert_eq!(err, "", "{words}");
        out.lines().map(ToOwned::to_owned).collect()
    };
    assert_eq!(finish("livehelp operator sites cl", "cl"), ["close"]);
    assert_eq!(
        finish("livehelp operator te", "te"),
        ["tenants"],
        "former spellings are not offered"
    );
    assert_eq!(finish("livehelp hea", "hea"), ["health"]);
    assert!(
        finish("livehelp health --admin-l", "--admin-l").contains(&"--admin-listen".to_owned())
    );
    assert_eq!(done(bare(&["completions", "csh"])).0, 2);
}

#[test]
fn each_command_that_is_shown_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man/man1");
    let (code, _, err) = done(bare(&["man", "--dir", dir.to_str().unwrap()]));
    assert_eq!(code, 0, "{err}");
    for name in
        ["livehelp", "livehelp-serve", "livehelp-health", "livehelp-operator-sites-set-plan"]
    {
        let page = std::fs::read_to_string(dir.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
    let serve = std::fs::read_to_string(dir.join("livehelp-serve.1")).unwrap();
    assert!(serve.contains("connections") && serve.contains("130"), "settings and exit codes");
    assert!(!dir.join("livehelp-operator-create-tenant.1").exists(), "a former spelling");
    let (code, page, _) = done(bare(&["man"]));
    assert_eq!((code, page), (0, std::fs::read_to_string(dir.join("livehelp.1")).unwrap()));
    let (code, _, err) = done(bare(&["man", "--dir", "/dev/null/man"]));
    assert!(code == 1 && err.contains("--dir"), "{err}");
}

#[test]
fn a_password_comes_by_a_file_or_by_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bus");
    std::fs::write(&file, "redis://user:hunter2@127.0.0.1:6379/0\nmore\n").unwrap();
    let file = file.to_str().unwrap();
    let shown = "bus = \"redis://[hidden]@127.0.0.1:6379/0\"";
    let print_config = |more: &[&str]| bare(&[&["serve", "--print-config"][..], more].concat());
    let is_shown = |(code, out, err): (i32, String, String), origin: &str| {
        let line = out.lines().find(|line| line.starts_with("bus =")).unwrap_or_default();
        assert!(code == 0 && line.starts_with(shown) && line.ends_with(origin), "{out}{err}");
        assert!(!out.contains("hunter2"), "{out}");
    };
    is_shown(done(print_config(&["--bus-file", file])), "# flag --bus-file");
    let mut by_variable = print_config(&[]);
    by_variable.env("LIVEHELP_BUS_FILE", file);
    is_shown(done(by_variable), "# variable LIVEHELP_BUS_FILE");
    let input = "redis://user:hunter2@127.0.0.1:6379/0\n";
    is_shown(done_with_input(print_config(&["--bus-file", "-"]), input), "# flag --bus-file");
    let both = print_config(&["--bus-file", file, "--bus", "memory"]);
    let (code, _, err) = done(both);
    assert!(code == 2 && err.contains("give one of them"), "{err}");
    let (code, _, err) = done(print_config(&["--bus-file", "redis://user:hunter2@h"]));
    assert!(code == 2 && err.contains("cannot be read") && !err.contains("hunter2"), "{err}");
}

#[test]
fn former_flags_of_init_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let line = ["init", "--organization", "", "--site", "B", "--origin", "https://a.example"];
    let more = ["--admin-email", "a@a.example", "--admin-password-file", "-"];
    let command = livehelp(folder.path(), &[&line[..], &more].concat());
    let (code, _, err) = done_with_input(command, "a long enough password\n");
    assert!(code == 1 && err.contains("--tenant-name is empty"), "{err}");
    let (code, _, err) =
        done(livehelp(folder.path(), &[&line[..], &more[..3], &["/nowhere"]].concat()));
    assert!(
        code == 1 && err.contains("cannot read /nowhere (flag --admin-password-file)"),
        "{err}"
    );
}
