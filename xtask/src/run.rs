//! `cargo xtask run`: from a checkout to a running demo in one command.
//!
//! Lives here: building what is stale, the first start's password, handing over to the server. Not
//! here: what a demo is made of (`livehelp init`, `livehelp serve --demo`). Called by people. Data
//! stay in `var/data`, keys in `var/keys`; nobody but the owner may read the keys.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::front::{BUNDLED, Front};
use crate::machine::{Need, provide};
use crate::shell::{command, root, run_shown, target_folder};

const AGENT: &str = "demo@example.test";
/// Beside the keys, since it opens as much as they do.
const LOGIN: &str = "var/keys/demo-login";
/// Its name until the first start is through: found again, it tells of one that broke off.
const NEW_LOGIN: &str = "var/keys/demo-login.new";
const DATA: &str = "var/data";

/// Builds and becomes the server: from here on its signals, its output and its exit code are this
/// command's.
///
/// # Errors
/// When something cannot be built or the first start cannot be prepared.
pub(crate) fn run(flags: &[&str]) -> Result<()> {
    let places = Places::of(flags)?;
    provide(&[Need::Node])?;
    build_fronts()?;
    run_shown(command(&root(), &["cargo", "build", "--release", "-p", "livehelp"]))?;
    let server = target_folder()?.join("release/livehelp");
    match Standing::of(&root()) {
        Standing::Nothing => first_start(&server, &places.demo)?,
        Standing::BrokenOff => {
            println!("the first start broke off before it was through: {DATA} is made anew");
            let data = root().join(DATA);
            fs::remove_dir_all(&data).with_context(|| format!("remove {}", data.display()))?;
            first_start(&server, &places.demo)?;
        }
        Standing::Ready | Standing::Foreign => {}
    }
    let Places { listen, admin, demo } = &places;
    println!("demo shop           http://{demo}  be a visitor here");
    match fs::read_to_string(root().join(LOGIN)) {
        Ok(password) => {
            println!("server and console  http://{listen}  be an agent here: {AGENT}, {password}");
            println!("admin listener      http://{admin}  metrics, health, the operator's REST");
            println!("The password is the one of the first start, kept in {LOGIN}.");
        }
        Err(_) => {
            println!("server and console  http://{listen}  be an agent here");
            println!("admin listener      http://{admin}  metrics, health, the operator's REST");
            println!(
                "{DATA} was made by something else: sign in with an account of its own, or move it away."
            );
        }
    }
    println!("Ready when the line {{\"ready\":true,…}} appears; Ctrl-C ends it.");
    let mut serve = Command::new(&server);
    serve.args(["serve", "--demo", "--data", "./var/data", "--keys", "./var/keys"]);
    // Nobody balances load over a demo, so there is nobody to wait for before it ends.
    for (flag, value) in [("--drain-grace-ms", "0"), ("--drain-ms", "1000")] {
        if value_of(flags, flag).is_none() {
            serve.args([flag, value]);
        }
    }
    serve.args(flags);
    let error = serve.current_dir(root()).exec();
    Err(error).with_context(|| format!("start {}", server.display()))
}

/// Where the listeners will be.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    listen: String,
    admin: String,
    demo: String,
}

impl Places {
    fn of(flags: &[&str]) -> Result<Self> {
        for taken in ["--data", "--keys", "--demo"] {
            if flags.iter().any(|flag| flag.split('=').next() == Some(taken)) {
                bail!("{taken} is this command's own; start another server with `livehelp serve`");
            }
        }
        let place = |flag, usual: &str| value_of(flags, flag).unwrap_or(usual).to_owned();
        Ok(Self {
            listen: place("--listen", "127.0.0.1:8080"),
            admin: place("--admin-listen", "127.0.0.1:8081"),
            demo: place("--demo-listen", "127.0.0.1:8082"),
        })
    }
}

/// What was given with a flag, as `--flag value` or `--flag=value`; the last one counts.
fn value_of<'a>(flags: &[&'a str], flag: &str) -> Option<&'a str> {
    let mut found = None;
    let mut flags = flags.iter();
    while let Some(given) = flags.next() {
        if *given == flag {
            found = flags.next().copied();
        } else if let Some(value) = given.strip_prefix(flag).and_then(|v| v.strip_prefix('=')) {
            found = Some(value);
        }
    }
    found
}

/// How far the first start came.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Nothing,
    /// There is data of which nothing was served yet.
    BrokenOff,
    Ready,
    /// Data that this command did not make.
    Foreign,
}

impl Standing {
    fn of(root: &Path) -> Self {
        let has = |path: &str| root.join(path).exists();
        match (has(DATA), has(LOGIN), has(NEW_LOGIN)) {
            (false, ..) => Self::Nothing,
            (true, _, true) => Self::BrokenOff,
            (true, true, false) => Self::Ready,
            (true, false, false) => Self::Foreign,
        }
    }
}

/// Installs and bundles what the server's binary carries.
///
/// # Errors
/// When a step fails.
pub(crate) fn build_fronts() -> Result<()> {
    for front in BUNDLED.into_iter().filter_map(Front::find) {
        if let Some(install) = front.install()? {
            println!("{}: installing its packages", front.name);
            run_shown(install)?;
            front.installed()?;
        }
        if let Some(build) = front.build()? {
            println!("{}: building", front.name);
            run_shown(build)?;
            front.built()?;
        }
    }
    Ok(())
}

fn first_start(server: &Path, demo: &str) -> Result<()> {
    let keys = root().join("var/keys");
    fs::create_dir_all(&keys).with_context(|| format!("create {}", keys.display()))?;
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700))?;
    let password = password()?;
    let (login, new_login) = (root().join(LOGIN), root().join(NEW_LOGIN));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new_login)
        .with_context(|| format!("write {}", new_login.display()))?;
    file.write_all(password.as_bytes())?;
    file.sync_all()?;
    let mut init = Command::new(server);
    init.current_dir(root()).arg("init");
    init.args(["--data", "./var/data", "--keys", "./var/keys"]);
    init.args(["--organization", "Demo", "--site", "Kettle & Leaf"]);
    init.args(["--origin", &format!("http://{demo}")]);
    init.args(["--admin-email", AGENT, "--admin-name", "Robin"]);
    init.args(["--admin-password-file", NEW_LOGIN]);
    // What it says is for scripts.
    init.stdout(Stdio::null());
    run_shown(init).context("prepare the data folder")?;
    fs::rename(&new_login, &login).with_context(|| format!("write {}", login.display()))
}

/// 24 letters and digits that nobody can guess: 32 signs to choose from, so 120 bits.
fn password() -> Result<String> {
    const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut chance = [0_u8; 24];
    File::open("/dev/urandom")?.read_exact(&mut chance).context("read /dev/urandom")?;
    Ok(chance.iter().map(|byte| char::from(SIGNS[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::{DATA, LOGIN, NEW_LOGIN, Places, Standing, fs, password};

    #[test]
    fn flags_are_the_servers_but_for_the_folders() {
        let usual = Places::of(&[]).expect("no flags");
        assert_eq!(usual.listen, "127.0.0.1:8080");
        let flags =
            ["--listen", "127.0.0.1:9090", "--demo-listen=127.0.0.1:9092", "--log-level", "debug"];
        let places = Places::of(&flags).expect("flags of the server");
        assert_eq!((&*places.listen, &*places.admin), ("127.0.0.1:9090", "127.0.0.1:8081"));
        assert_eq!(places.demo, "127.0.0.1:9092");
        assert!(Places::of(&["--data=elsewhere"]).is_err());
        assert!(Places::of(&["--keys", "elsewhere"]).is_err());
    }

    #[test]
    fn a_first_start_that_broke_off_is_known_by_the_name_of_its_password() {
        let root = std::env::temp_dir().join(format!("livehelp-run-{}", std::process::id()));
        fs::create_dir_all(root.join("var/keys")).expect("a folder");
        assert_eq!(Standing::of(&root), Standing::Nothing);
        fs::write(root.join(NEW_LOGIN), "x").expect("a file");
        assert_eq!(Standing::of(&root), Standing::Nothing, "nothing was made yet");
        fs::create_dir_all(root.join(DATA)).expect("a folder");
        assert_eq!(Standing::of(&root), Standing::BrokenOff);
        fs::rename(root.join(NEW_LOGIN), root.join(LOGIN)).expect("a file");
        assert_eq!(Standing::of(&root), Standing::Ready);
        fs::remove_file(root.join(LOGIN)).expect("a file");
        assert_eq!(Standing::of(&root), Standing::Foreign);
        fs::remove_dir_all(&root).expect("a folder");
    }

    #[test]
    fn a_password_is_long_and_never_the_same() {
        let (one, other) = (password().expect("chance"), password().expect("chance"));
        assert_eq!(one.len(), 24);
        assert_ne!(one, other);
    }
}
