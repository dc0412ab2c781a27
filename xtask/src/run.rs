//! `cargo xtask run`: from a checkout to a running demo in one command.
//!
//! Lives here: building what is stale, the first start's password, handing over to the server.
//! Not here: what a demo is made of (`livehelp init`, `livehelp serve --demo`).
//! Called by people. Data stay in `var/data`, keys in `var/keys`; nobody but the owner may read the keys.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::front::{BUNDLED, Front};
use crate::machine::{Need, provide};
use crate::shell::{command, root, run_shown, target_folder};

const AGENT: &str = "demo@example.test";
/// Beside the keys, since it opens as many doors as they do.
const LOGIN: &str = "var/keys/demo-login";

/// Builds and becomes the server: from here on its signals, its output and its exit code are this command's.
///
/// # Errors
/// When something cannot be built or the first start cannot be prepared.
pub(crate) fn run() -> Result<()> {
    let fronts: Vec<Front> = BUNDLED.into_iter().filter_map(Front::find).collect();
    provide(&[Need::Node])?;
    for front in &fronts {
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
    run_shown(command(&root(), &["cargo", "build", "--release", "-p", "livehelp"]))?;
    let server = target_folder()?.join("release/livehelp");
    if !root().join("var/data").exists() {
        first_start(&server)?;
    }
    let password = fs::read_to_string(root().join(LOGIN)).unwrap_or_default();
    println!("demo shop           http://127.0.0.1:8082  be a visitor here");
    println!("server and console  http://127.0.0.1:8080  be an agent here: {AGENT}, {password}");
    println!("admin listener      http://127.0.0.1:8081  metrics, health, the operator's REST");
    println!("The password is the one of the first start, kept in {LOGIN}.");
    println!("Ready when the line {{\"ready\":true,…}} appears; Ctrl-C ends it.");
    let mut serve = Command::new(&server);
    serve.args(["serve", "--demo", "--data", "./var/data", "--keys", "./var/keys"]);
    // Nobody balances load over a demo, so there is nobody to wait for before it ends.
    serve.args(["--drain-grace-ms", "0", "--drain-ms", "1000"]);
    let error = serve.current_dir(root()).exec();
    Err(error).with_context(|| format!("start {}", server.display()))
}

fn first_start(server: &Path) -> Result<()> {
    let keys = root().join("var/keys");
    fs::create_dir_all(&keys).with_context(|| format!("create {}", keys.display()))?;
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700))?;
    let password = password()?;
    let login = root().join(LOGIN);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&login)
        .with_context(|| format!("write {}", login.display()))?;
    file.write_all(password.as_bytes())?;
    let mut init = Command::new(server);
    init.current_dir(root()).arg("init");
    init.args(["--data", "./var/data", "--keys", "./var/keys"]);
    init.args(["--organization", "Demo", "--site", "Kettle & Leaf"]);
    init.args(["--origin", "http://127.0.0.1:8082"]);
    init.args(["--admin-email", AGENT, "--admin-name", "Robin"]);
    init.args(["--admin-password-file", LOGIN]);
    // What it says is for scripts.
    init.stdout(Stdio::null());
    run_shown(init).context("prepare the data folder")
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
    use super::password;

    #[test]
    fn a_password_is_long_and_never_the_same() {
        let (one, other) = (password().expect("chance"), password().expect("chance"));
        assert_eq!(one.len(), 24);
        assert_ne!(one, other);
    }
}
