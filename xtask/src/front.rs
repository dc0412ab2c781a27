//! The packages written in TypeScript: their dependencies and their bundles.
//!
//! Lives here: when `npm ci` and `npm run build` are due. Not here: what they do (each package's
//! own scripts). Called by `test` and `run`. A stamp beside the installed packages tells what they
//! were made from.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{answer, command, root};

/// Bundled into the server, in the order in which they are built.
pub(crate) const BUNDLED: [&str; 2] = ["widget-js", "console"];
/// What the two share: wire and transcript. It is bundled into both, and has no bundle of its own.
pub(crate) const SHARED: &str = "protocol/ts";
/// Every package whose sources and tests are this repository's, the shared one first.
pub(crate) const FRONTS: [&str; 3] = [SHARED, "widget-js", "console"];
/// Where the browser tests are.
pub(crate) const BROWSER_TESTS: &str = "e2e";

/// One npm package of this repository.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) name: &'static str,
    pub(crate) folder: PathBuf,
}

impl Front {
    /// The package of this name, or `None` when the tree does not have it.
    pub(crate) fn find(name: &'static str) -> Option<Self> {
        let folder = root().join(name);
        folder.join("package.json").is_file().then_some(Self { name, folder })
    }

    /// The command that installs what the lock file names, or `None` when that is what is there.
    ///
    /// # Errors
    /// When the lock file cannot be read.
    pub(crate) fn install(&self) -> Result<Option<std::process::Command>> {
        let lock = self.folder.join("package-lock.json");
        let text = fs::read_to_string(&lock).with_context(|| format!("read {}", lock.display()))?;
        let node = answer(&["node", "--version"]).unwrap_or_default();
        let wanted = format!("{node}\n{:016x}\n", fingerprint(&text));
        if self.stamp_is("lock", &wanted) {
            return Ok(None);
        }
        Ok(Some(command(&self.folder, &["npm", "ci", "--no-audit", "--no-fund"])))
    }

    /// Notes that the lock file's packages are in place.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub(crate) fn installed(&self) -> Result<()> {
        let lock = fs::read_to_string(self.folder.join("package-lock.json"))?;
        let node = answer(&["node", "--version"]).unwrap_or_default();
        self.write_stamp("lock", &format!("{node}\n{:016x}\n", fingerprint(&lock)))
    }

    /// The command that makes the bundle, or `None` when there is none to make, or nothing it is
    /// made from has changed.
    ///
    /// # Errors
    /// When the sources cannot be read.
    pub(crate) fn build(&self) -> Result<Option<std::process::Command>> {
        if !self.has_script("build") {
            return Ok(None);
        }
        if self.folder.join("dist").is_dir() && self.stamp_is("dist", &self.sources()?) {
            return Ok(None);
        }
        Ok(Some(command(&self.folder, &["npm", "run", "--silent", "build"])))
    }

    /// Notes what the bundle was made from.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub(crate) fn built(&self) -> Result<()> {
        self.write_stamp("dist", &self.sources()?)
    }

    /// Whether `package.json` has a script of this name.
    pub(crate) fn has_script(&self, script: &str) -> bool {
        let text = fs::read_to_string(self.folder.join("package.json")).unwrap_or_default();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        manifest.pointer(&format!("/scripts/{script}")).is_some()
    }

    /// The state of all that a bundle is made from, and of the bundle, in one word. The shared
    /// package counts for both bundles.
    fn sources(&self) -> Result<String> {
        let mut contents = BTreeMap::new();
        for name in FRONTS {
            collect(&root().join(name), name == self.name, &mut contents)?;
        }
        Ok(format!("{:016x}\n", fingerprint(&contents)))
    }

    fn stamp(&self, what: &str) -> PathBuf {
        self.folder.join("node_modules").join(format!(".livehelp-{what}"))
    }

    fn stamp_is(&self, what: &str, wanted: &str) -> bool {
        fs::read_to_string(self.stamp(what)).is_ok_and(|text| text == wanted)
    }

    fn write_stamp(&self, what: &str, text: &str) -> Result<()> {
        let path = self.stamp(what);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

/// Reads a package's files; of bundles only its own, so that one that was touched is made again.
fn collect(folder: &Path, own: bool, contents: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if name == "node_modules" || name == "test" || (name == "dist" && !own) {
            continue;
        }
        if path.is_dir() {
            collect(&path, own, contents)?;
        } else {
            contents.insert(path.clone(), fs::read(&path)?);
        }
    }
    Ok(())
}

fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
