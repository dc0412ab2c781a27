//! `cargo xtask dist`: what a stranger installs, a Debian package and a tarball, and the load
//! harness in a tarball of its own, with their checksums.
//!
//! Lives here: building, the tree of files, packing. Not here: the files themselves (`deploy/`,
//! `docs/`). Called by people and by the Containerfile, which takes the tree alone (`--stage`). The
//! same sources, toolchain and `SOURCE_DATE_EPOCH` (by default the commit's time) make the same
//! bytes.

mod licences;
mod links;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::machine::{Need, provide};
use crate::run::build_fronts;
use crate::shell::{answer, command, present, root, run_shown, target_folder};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const PROGRAM: &str = "usr/bin/livehelp";
const DOCS: &str = "usr/share/doc/livehelp";
const SUMS: &str = "SHA256SUMS";
const MAINTAINER: &str = "livehelp maintainers <maintainers@livehelp.invalid>";

/// Files of the repository: where they are, where they go, with which mode.
const FILES: [(&str, &str, u32); 12] = [
    ("deploy/livehelp.toml", "etc/livehelp/livehelp.toml", 0o644),
    ("deploy/systemd/livehelp.service", "usr/lib/systemd/system/livehelp.service", 0o644),
    (
        "deploy/systemd/livehelp-backup.service",
        "usr/lib/systemd/system/livehelp-backup.service",
        0o644,
    ),
    ("deploy/systemd/livehelp-backup.timer", "usr/lib/systemd/system/livehelp-backup.timer", 0o644),
    ("deploy/systemd/livehelp.sysusers", "usr/lib/sysusers.d/livehelp.conf", 0o644),
    ("deploy/systemd/livehelp.tmpfiles", "usr/lib/tmpfiles.d/livehelp.conf", 0o644),
    ("LICENSE", "usr/share/doc/livehelp/LICENSE", 0o644),
    ("README.md", "usr/share/doc/livehelp/README.md", 0o644),
    ("CHANGELOG.md", "usr/share/doc/livehelp/CHANGELOG.md", 0o644),
    ("SECURITY.md", "usr/share/doc/livehelp/SECURITY.md", 0o644),
    ("deploy/debian/copyright", "usr/share/doc/livehelp/copyright", 0o644),
    ("deploy/debian/lintian-overrides", "usr/share/lintian/overrides/livehelp", 0o644),
];
/// Folders of `deploy/` whose files go beside the documents, as examples to copy.
const EXAMPLES: [&str; 7] =
    ["nginx", "haproxy", "caddy", "prometheus", "grafana", "container", "fail2ban"];
/// The load harness, for machines that have no server: it brings its scenarios as examples to
/// change.
const LOAD_PROGRAM: &str = "usr/bin/livehelp-load";
const LOAD_DOCS: &str = "usr/share/doc/livehelp-load";
const LOAD_FILES: [(&str, &str); 3] = [
    ("loadtest/README.md", "README.md"),
    ("loadtest/SCHEMA.md", "SCHEMA.md"),
    ("LICENSE", "LICENSE"),
];
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Builds and packs, into `target/dist`; with `--stage FOLDER` it lays out the tree there and packs
/// nothing.
///
/// # Errors
/// When something cannot be built, laid out or packed.
pub(crate) fn run(options: &[&str]) -> Result<()> {
    let stage = match options {
        [] => None,
        // The program is asked from another folder than this one.
        ["--stage", folder] => Some(std::path::absolute(folder).context("find the folder")?),
        other => bail!("unknown options `{}`; there is: --stage FOLDER", other.join(" ")),
    };
    provide(&[Need::Node])?;
    build_fronts()?;
    let words = ["cargo", "build", "--release", "--locked", "-p", "livehelp"];
    run_shown(command(&root(), &words))?;
    let program = target_folder()?.join("release/livehelp");
    if let Some(folder) = stage {
        return lay_out(&program, &licences::third_party()?, &folder, &epoch());
    }
    let words = ["cargo", "build", "--release", "--locked", "-p", "livehelp-load"];
    run_shown(command(&root(), &words))?;
    let folder = target_folder()?.join("dist");
    let made = pack(&program, &licences::third_party()?, &folder, &epoch())?;
    let load = target_folder()?.join("release/livehelp-load");
    for made in add_load(&load, &licences::of_load()?, &folder, made, &epoch())? {
        println!("{}", made.display());
    }
    Ok(())
}

/// The time that files get: what the environment says, or the commit's.
fn epoch() -> String {
    #[expect(clippy::disallowed_methods, reason = "the agreed name for a time from outside")]
    let said = std::env::var("SOURCE_DATE_EPOCH").ok();
    said.or_else(|| answer(&["git", "log", "-1", "--format=%ct"]))
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .unwrap_or_else(|| "0".to_owned())
}

/// Lays the tree out anew and makes package, tarball and sums of it. What was made.
fn pack(program: &Path, licences: &str, folder: &Path, epoch: &str) -> Result<Vec<PathBuf>> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    let tree = folder.join("tree");
    lay_out(program, licences, &tree, epoch)?;
    let mut made = vec![tarball("livehelp", &tree, folder, epoch)?];
    if present("dpkg-deb") {
        made.push(package(program, &tree, folder, epoch)?);
    } else {
        println!("no dpkg-deb here: no Debian package is made");
    }
    sums(folder, made)
}

/// Packs the load harness beside what was packed, and makes the sums anew. All that was made.
fn add_load(
    program: &Path,
    licences: &str,
    folder: &Path,
    mut made: Vec<PathBuf>,
    epoch: &str,
) -> Result<Vec<PathBuf>> {
    let tree = folder.join("load-tree");
    put(program, &tree.join(LOAD_PROGRAM), 0o755)?;
    let file =
        |from: PathBuf, to: &str| Shipped { from, to: Path::new(LOAD_DOCS).join(to), mode: 0o644 };
    let mut shipped: Vec<_> =
        LOAD_FILES.iter().map(|(from, to)| file(PathBuf::from(from), to)).collect();
    let scenarios = Path::new("loadtest/scenarios");
    for path in files(&root().join(scenarios))? {
        let to = Path::new("scenarios").join(&path);
        shipped.push(file(scenarios.join(&path), &to.display().to_string()));
    }
    lay(&shipped, &tree)?;
    write(&tree.join(LOAD_DOCS).join("third-party-licences.txt"), licences)?;
    made.retain(|path| !path.ends_with(SUMS));
    made.push(tarball("livehelp-load", &tree, folder, epoch)?);
    sums(folder, made)
}

/// Writes the checksums of what was made, and adds them to it.
fn sums(folder: &Path, mut made: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let names: Vec<_> = made.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    let sums = command(folder, &[&["sha256sum"], names.as_slice()].concat())
        .output()
        .context("start sha256sum")?;
    if !sums.status.success() {
        bail!("sha256sum ended with {}", sums.status);
    }
    let path = folder.join(SUMS);
    fs::write(&path, sums.stdout).with_context(|| format!("write {}", path.display()))?;
    made.push(path);
    Ok(made)
}

/// A file of the repository: its path there, its path in the tree, its mode.
struct Shipped {
    from: PathBuf,
    to: PathBuf,
    mode: u32,
}

/// Every file of the repository that goes into the tree.
fn shipped() -> Result<Vec<Shipped>> {
    let file = |from: &Path, to: PathBuf, mode| Shipped { from: from.to_owned(), to, mode };
    let table = FILES.iter().map(|(from, to, mode)| file(Path::new(from), (*to).into(), *mode));
    let mut shipped: Vec<Shipped> = table.collect();
    let mut folders = vec![(PathBuf::from("docs"), PathBuf::from(DOCS))];
    for name in EXAMPLES {
        folders.push((Path::new("deploy").join(name), Path::new(DOCS).join("examples").join(name)));
    }
    for (from, to) in folders {
        for path in files(&root().join(&from))? {
            let to = to.join(&path);
            shipped.push(file(&from.join(&path), to, 0o644));
        }
    }
    Ok(shipped)
}

/// The tree of files as it lies on a machine.
fn lay_out(program: &Path, licences: &str, tree: &Path, epoch: &str) -> Result<()> {
    put(program, &tree.join(PROGRAM), 0o755)?;
    lay(&shipped()?, tree)?;
    write(&tree.join(DOCS).join("third-party-licences.txt"), licences)?;
    changelog(&tree.join(DOCS).join("changelog"), epoch)?;
    pages(tree)
}

/// Files of the repository, with their links led to where those are that they lead to.
fn lay(shipped: &[Shipped], tree: &Path) -> Result<()> {
    let place = |path: &Path| {
        shipped.iter().find_map(|file| {
            // What is asked for may be a folder above it.
            let below = file.from.strip_prefix(path).ok()?.components().count();
            file.to.ancestors().nth(below).map(Path::to_owned)
        })
    };
    for file in shipped {
        let (from, to) = (root().join(&file.from), tree.join(&file.to));
        if from.extension().is_some_and(|ending| ending == "md") {
            let text = fs::read_to_string(&from)
                .with_context(|| format!("read {}", file.from.display()))?;
            write(&to, &links::led_anew(&text, (&file.from, &file.to), place))?;
        } else {
            put(&from, &to, file.mode)?;
        }
    }
    Ok(())
}

/// What Debian wants to find of each package, in a form of its own; it leads to the one that people
/// read.
fn changelog(path: &Path, epoch: &str) -> Result<()> {
    let written = format!("--date=@{epoch}");
    let date = answer(&["date", "--utc", "--rfc-email", &written]).context("ask for the date")?;
    write(
        path,
        &format!(
            "livehelp ({VERSION}) stable; urgency=medium\n\n  * See CHANGELOG.md.\n\n \
             -- {MAINTAINER}  {date}\n"
        ),
    )?;
    run_shown(command(&root(), &["gzip", "-9nf", &path.display().to_string()]))
}

/// Man pages and completions, by the program's own word. One that cannot say them has none.
fn pages(tree: &Path) -> Result<()> {
    let program = tree.join(PROGRAM).display().to_string();
    let man = tree.join("usr/share/man/man1");
    fs::create_dir_all(&man).with_context(|| format!("create {}", man.display()))?;
    let written =
        command(&root(), &[&program, "man", "--dir", &man.display().to_string()]).output();
    if !written.is_ok_and(|output| output.status.success()) {
        fs::remove_dir_all(tree.join("usr/share/man"))?;
        println!("the program writes no man pages: none are packed");
    }
    for entry in fs::read_dir(&man).into_iter().flatten() {
        let page = entry?.path();
        // The folder may have been laid out before.
        if page.extension().is_some_and(|ending| ending != "gz") {
            run_shown(command(&man, &["gzip", "-9nf", &page.display().to_string()]))?;
        }
    }
    for (shell, to) in [
        ("bash", "usr/share/bash-completion/completions/livehelp"),
        ("zsh", "usr/share/zsh/vendor-completions/_livehelp"),
        ("fish", "usr/share/fish/vendor_completions.d/livehelp.fish"),
    ] {
        let said = command(&root(), &[&program, "completions", shell]).output();
        if let Some(said) = said.ok().filter(|output| output.status.success()) {
            write(&tree.join(to), &String::from_utf8_lossy(&said.stdout))?;
        }
    }
    Ok(())
}

fn tarball(program: &str, tree: &Path, folder: &Path, epoch: &str) -> Result<PathBuf> {
    let name = format!("{program}-{VERSION}-{}-linux", std::env::consts::ARCH);
    let path = folder.join(format!("{name}.tar.gz"));
    let (transform, mtime) = (format!("s,^\\.,{name},"), format!("--mtime=@{epoch}"));
    let words = ["tar", "--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"];
    let mut tar = command(tree, &words);
    tar.args(["--format=gnu", "--use-compress-program=gzip -9n", "--transform", &transform])
        .arg(mtime)
        .arg("--file")
        .arg(&path)
        .arg(".");
    run_shown(tar)?;
    Ok(path)
}

fn package(program: &Path, tree: &Path, folder: &Path, epoch: &str) -> Result<PathBuf> {
    let about = tree.join("DEBIAN");
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let bytes = fs::read(program).with_context(|| format!("read {}", program.display()))?;
    let libc = libc_min(&bytes).map_or_else(String::new, |minor| format!(" (>= 2.{minor})"));
    let packed = files(tree)?;
    let kib = kib(tree, &packed)?;
    write(
        &about.join("control"),
        &format!(
            "Package: livehelp\nVersion: {VERSION}\nArchitecture: {architecture}\n\
             Maintainer: {MAINTAINER}\n\
             Depends: libc6{libc}, libgcc-s1, passwd\nRecommends: nginx | haproxy | caddy\n\
             Installed-Size: {kib}\nSection: net\nPriority: optional\n\
             Description: live-chat server for websites\n \
             Visitors write in a small widget, agents answer in a console in the browser.\n \
             One program with its own embedded store; privacy rules are part of it.\n \
             It comes with a systemd unit, settings for nginx, HAProxy and Caddy in front\n \
             of it, and dashboards and alerts for Prometheus. Step by step:\n \
             /usr/share/doc/livehelp/production.md.\n"
        ),
    )?;
    put(&root().join("deploy/debian/conffiles"), &about.join("conffiles"), 0o644)?;
    write(&about.join("md5sums"), &md5sums(tree, &packed)?)?;
    for script in SCRIPTS {
        put(&root().join("deploy/debian").join(script), &about.join(script), 0o755)?;
    }
    let path = folder.join(format!("livehelp_{VERSION}_{architecture}.deb"));
    let mut deb = Command::new("dpkg-deb");
    deb.args(["--root-owner-group", "-Zxz", "--build"]).arg(tree).arg(&path);
    run_shown({
        deb.env("SOURCE_DATE_EPOCH", epoch).stdout(std::process::Stdio::null());
        deb
    })?;
    fs::remove_dir_all(&about)?;
    Ok(path)
}

/// The newest version of the C library of which the program uses something: 2 and this.
fn libc_min(program: &[u8]) -> Option<u32> {
    const MARK: &[u8] = b"GLIBC_2.";
    let found = program.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    found
        .filter_map(|(at, _)| {
            let rest = program.get(at + MARK.len()..)?;
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
            String::from_utf8(digits.copied().collect()).ok()?.parse::<u32>().ok()
        })
        .max()
}

/// What is on the disk of it, each file in whole KiB.
fn kib(folder: &Path, files: &[PathBuf]) -> Result<u64> {
    files
        .iter()
        .try_fold(0, |sum, path| Ok(sum + fs::metadata(folder.join(path))?.len().div_ceil(1_024)))
}

/// The sums by which `dpkg --verify` sees what was changed since. Settings are there to be changed.
fn md5sums(tree: &Path, files: &[PathBuf]) -> Result<String> {
    let mut md5sum = command(tree, &["md5sum"]);
    md5sum.args(files.iter().filter(|path| !path.starts_with("etc")));
    let said = md5sum.output().context("start md5sum")?;
    if !said.status.success() {
        bail!("md5sum ended with {}", said.status);
    }
    String::from_utf8(said.stdout).context("read what md5sum says")
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        folders(folder)?;
    }
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    mode(path, 0o644)
}

fn put(from: &Path, to: &Path, bits: u32) -> Result<()> {
    if let Some(folder) = to.parent() {
        folders(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    mode(to, bits)
}

/// Every file below a folder, as its path from there, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        let name = PathBuf::from(path.file_name().unwrap_or_default());
        if path.is_dir() {
            found.extend(files(&path)?.iter().map(|below| name.join(below)));
        } else {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// With modes that do not depend on whose machine packs.
fn folders(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        folders(above)?;
    }
    fs::create_dir(folder).with_context(|| format!("create {}", folder.display()))?;
    mode(folder, 0o755)
}

fn mode(path: &Path, bits: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(bits))
        .with_context(|| format!("set the mode of {}", path.display()))
}

#[cfg(test)]
mod tests;
