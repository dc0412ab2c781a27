//! The licences of what the program is linked with, as their texts ask for.
//!
//! Lives here: which packages those are, and their texts, each text once. Not here: which licences
//! are allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::front::BUNDLED;
use crate::shell::{command, root};

/// How the files begin in which packages keep their licences.
const FILE_NAMES: [&str; 5] = ["license", "licence", "copying", "copyright", "notice"];

/// One text with the packages under each licence's text.
///
/// # Errors
/// When cargo does not say what the program is made of, or a package cannot be read.
pub(super) fn third_party() -> Result<String> {
    let mut packages = crates("livehelp")?;
    packages.extend(npm_packages()?);
    list("livehelp", &packages)
}

/// The same of the load harness, which has no front ends.
///
/// # Errors
/// As [`third_party`].
pub(super) fn of_load() -> Result<String> {
    list("livehelp-load", &crates("livehelp-load")?)
}

fn list(program: &str, packages: &Packages) -> Result<String> {
    let mut by_text: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut list = String::new();
    for (name, (licence, folder)) in packages {
        list.push_str(&format!("{name}: {licence}\n"));
        for text in texts(folder)? {
            by_text.entry(text).or_default().insert(name.clone());
        }
    }
    let rule = "-".repeat(78);
    let texts: String = by_text
        .iter()
        .map(|(text, names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("\n{rule}\n{}\n{rule}\n\n{text}\n", names.join(", "))
        })
        .collect();
    Ok(format!("{program} is linked with these packages, under these licences.\n\n{list}{texts}"))
}

/// Name and version of each package, its licence in short, and its folder.
type Packages = BTreeMap<String, (String, PathBuf)>;

fn crates(program: &str) -> Result<Packages> {
    let words = ["cargo", "tree", "--locked", "-p", program, "-e", "normal", "--prefix", "none"];
    let tree = command(&root(), &[&words[..], &["--format", "{p}"]].concat()).output()?;
    let words = ["cargo", "metadata", "--locked", "--format-version", "1"];
    let metadata = command(&root(), &words).output()?;
    if !tree.status.success() || !metadata.status.success() {
        bail!("cargo does not say what the program is made of");
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata.stdout).context("read cargo's answer")?;
    let tree = String::from_utf8_lossy(&tree.stdout);
    // `name v1.2.3 (where)`.
    let linked: BTreeSet<String> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some(format!("{} {}", words.next()?, words.next()?.trim_start_matches('v')))
        })
        .collect();
    let mut packages = Packages::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let text = |name: &str| package[name].as_str().unwrap_or_default();
        let name = format!("{} {}", text("name"), text("version"));
        // Without a source it is ours.
        if linked.contains(&name) && !package["source"].is_null() {
            let manifest = Path::new(text("manifest_path"));
            let folder = manifest.parent().unwrap_or(manifest).to_path_buf();
            packages.insert(name, (text("license").to_owned(), folder));
        }
    }
    Ok(packages)
}

/// What the bundles of the front ends hold.
fn npm_packages() -> Result<Packages> {
    let mut packages = Packages::new();
    for front in BUNDLED {
        let folder = root().join(front);
        let Ok(text) = fs::read_to_string(folder.join("package.json")) else { continue };
        let manifest: serde_json::Value = serde_json::from_str(&text)?;
        for name in manifest["dependencies"].as_object().into_iter().flatten().map(|(name, _)| name)
        {
            let folder = folder.join("node_modules").join(name);
            let text = fs::read_to_string(folder.join("package.json"))
                .with_context(|| format!("read the manifest of {name}"))?;
            let about: serde_json::Value = serde_json::from_str(&text)?;
            let text = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
            packages.insert(format!("{name} {}", text("version")), (text("license"), folder));
        }
    }
    Ok(packages)
}

fn texts(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("look into {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths.iter().filter(|path| path.is_file()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if FILE_NAMES.iter().any(|start| name.starts_with(start))
            && let Ok(text) = fs::read_to_string(path)
        {
            texts.push(text.trim_end().to_owned());
        }
    }
    Ok(texts)
}
