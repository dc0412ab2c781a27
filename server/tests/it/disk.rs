//! A disk that can lose power, fill up or fail, put beneath a server's process.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The library that stands before the C library (`store/sqlite/tests/faults.c`), and what it knows
/// to be on disk: the content of each file at its last sync.
pub struct Disk {
    shadow: TempDir,
    shim: PathBuf,
}

impl Disk {
    pub fn new() -> Self {
        let shadow = TempDir::new().unwrap();
        let shim = shadow.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite/tests/faults.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&shim, &source])
            .arg("-ldl")
            .status()
            .expect("a C compiler, as SQLite needs one too");
        assert!(built.success());
        Self { shadow, shim }
    }

    /// Puts the disk beneath a process.
    pub fn beneath(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.shim).env("FAULTS_SHADOW", self.shadow.path());
    }

    /// From now on: `full`, writes find no room; `broken`, syncs fail.
    pub fn set(&self, flag: &str) {
        std::fs::write(self.shadow.path().join(flag), "").unwrap();
    }

    /// No longer.
    pub fn clear(&self, flag: &str) {
        std::fs::remove_file(self.shadow.path().join(flag)).unwrap();
    }

    fn shadow_of(&self, path: &Path) -> PathBuf {
        let name = path.canonicalize().unwrap().to_str().unwrap().replace('/', "%");
        self.shadow.path().join(name)
    }

    /// What the folders hold now counts as synced.
    pub fn take_in(&self, folder: &Path) {
        for path in files(folder) {
            std::fs::copy(&path, self.shadow_of(&path)).unwrap();
        }
    }

    /// Every file goes back to what it held at its last sync, data and keys each to its own; one
    /// that was never synced is empty.
    pub fn cut_power(&self, folder: &Path) {
        for path in files(folder) {
            if path.to_str().unwrap().ends_with("-shm") {
                std::fs::remove_file(&path).unwrap();
                continue;
            }
            let synced = std::fs::read(self.shadow_of(&path)).unwrap_or_default();
            std::fs::write(&path, synced).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let of = |part: &str| std::fs::read_dir(folder.join(part)).unwrap();
    let entries = of("data").chain(of("keys"));
    entries.map(|entry| entry.unwrap().path()).collect()
}
