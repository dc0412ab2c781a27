use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{DOCS, FILES, SCRIPTS, files, libc_min, links, pack};
use crate::shell::{answer, command, root, target_folder};

/// A folder for one test's files, empty, which ends with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = target_folder().unwrap().join(format!("{name}-test-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Packs a stand-in for the program, twice, and looks at what came of it.
#[test]
fn what_is_packed_is_whole_and_the_same_each_time() {
    let Place(place) = &Place::new("dist");
    let program = place.join("program");
    fs::write(&program, "#!/bin/sh\n# GLIBC_2.36\nexit 3\n").unwrap();
    let sums = |name: &str| {
        let made = pack(&program, "texts", &place.join(name), "1700000000").unwrap();
        fs::read_to_string(made.last().unwrap()).unwrap()
    };
    let (first, second) = (sums("first"), sums("second"));
    assert_eq!(first, second, "the same sources make the same bytes");
    let folder = place.join("first");
    let checked = command(&folder, &["sha256sum", "--check", "--quiet", "SHA256SUMS"]).status();
    assert!(checked.unwrap().success());
    for line in first.lines().filter(|line| line.ends_with(".deb")) {
        let deb = folder.join(line.split_whitespace().last().unwrap()).display().to_string();
        let listed = command(&root(), &["dpkg-deb", "--contents", &deb]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        for (_, path, _) in FILES {
            assert!(listed.contains(&format!("./{path}\n")), "{path} is not in {listed}");
        }
        assert!(listed.lines().all(|line| line.contains("root/root")), "{listed}");
        let program = listed.lines().find(|line| line.ends_with("usr/bin/livehelp")).unwrap();
        assert!(program.starts_with("-rwxr-xr-x"), "{program}");
        let field = |name: &str| answer(&["dpkg-deb", "--field", &deb, name]).unwrap();
        assert!(field("Depends").starts_with("libc6 (>= 2.36)"));
        let about = command(&root(), &["dpkg-deb", "--info", &deb, "conffiles"]).output().unwrap();
        assert_eq!(about.stdout, b"/etc/livehelp/livehelp.toml\n");
        assert!(listed.contains("./usr/share/doc/livehelp/changelog.gz\n"), "{listed}");
        let about = command(&root(), &["dpkg-deb", "--info", &deb, "md5sums"]).output().unwrap();
        let about = String::from_utf8(about.stdout).unwrap();
        assert!(about.contains("  usr/bin/livehelp\n") && !about.contains(" etc/"), "{about}");
        let packed = listed.lines().filter(|line| line.starts_with('-')).count();
        assert_eq!(about.lines().count() + 1, packed, "all but the settings\n{about}\n{listed}");
    }
    for name in ["first", "second"] {
        links_lead_somewhere(&place.join(name).join("tree").join(DOCS));
    }
}

/// Every link of a shipped document that is not of the Web's is one to a shipped file.
fn links_lead_somewhere(docs: &Path) {
    let documents = files(docs).unwrap().into_iter();
    let documents: Vec<_> =
        documents.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    assert!(documents.contains(&PathBuf::from("production.md")), "{documents:?}");
    for document in documents {
        let document = docs.join(document);
        let text = fs::read_to_string(&document).unwrap();
        for behind in text.split("](").skip(1) {
            let target = behind.split([')', '#']).next().unwrap();
            // What is in brackets without being a link names no file.
            let is_path = target.contains(['/', '.']) && !target.contains([' ', '`', '"']);
            if is_path && !target.contains("://") {
                let there = document.parent().unwrap().join(target);
                assert!(there.exists(), "{}: {target}", document.display());
            }
        }
    }
}

#[test]
fn a_link_leads_to_where_the_file_is_shipped_and_one_to_a_file_that_is_not_becomes_words() {
    let moved =
        (Path::new("docs/production.md"), Path::new("usr/share/doc/livehelp/production.md"));
    let place = |path: &Path| {
        let file = |to: &str| Some(PathBuf::from(to));
        match path.to_str().unwrap() {
            "deploy/haproxy/haproxy.cfg" => {
                file("usr/share/doc/livehelp/examples/haproxy/haproxy.cfg")
            }
            "deploy/systemd" => file("usr/lib/systemd/system"),
            "docs/wire.md" => file("usr/share/doc/livehelp/wire.md"),
            _ => None,
        }
    };
    for (written, shipped) in [
        ("[HAProxy](../deploy/haproxy/haproxy.cfg).", "[HAProxy](examples/haproxy/haproxy.cfg)."),
        ("the [units](../deploy/systemd/)", "the [units](../../../lib/systemd/system)"),
        ("[one](wire.md#hello) [two](wire.md)", "[one](wire.md#hello) [two](wire.md)"),
        ("see [`main`](../xtask/src/main.rs), [x]", "see `main`, [x]"),
        (
            "[above](#here), [far](https://msgpack.org/a.md)",
            "[above](#here), [far](https://msgpack.org/a.md)",
        ),
        ("`table[at](no/file)` is code", "`table[at](no/file)` is code"),
        ("an end [without](one", "an end [without](one"),
    ] {
        assert_eq!(links::led_anew(written, moved, place), shipped);
    }
}

/// Runs the script on a root of its own, with stand-ins for what asks the system or changes it.
#[test]
fn the_folders_are_the_users_own_and_one_that_is_there_stays_as_it_is() {
    let Place(place) = &Place::new("postinst");
    let (bin, log) = (place.join("bin"), place.join("log"));
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(place.join("var/backups/livehelp/keys")).unwrap();
    for name in ["getent", "install", "chown", "chmod", "systemctl", "groupadd", "useradd"] {
        let stand_in = bin.join(name);
        fs::write(&stand_in, format!("#!/bin/sh\necho {name} \"$@\" >> {}\n", log.display()))
            .unwrap();
        fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = root().join("deploy/debian/postinst").display().to_string();
    let mut words = command(place, &["/bin/sh", &script, "configure", ""]);
    let done = words.env("PATH", &bin).env("DPKG_ROOT", place).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let said = fs::read_to_string(log).unwrap().replace(&place.display().to_string(), "");
    let made: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("install ")).collect();
    let livehelps = |path: &str| format!("-d -m 0700 -o livehelp -g livehelp {path}");
    assert_eq!(
        made,
        [
            // Here a restore moves what is there aside; that is the user's doing.
            livehelps("/var/lib/livehelp").replace("0700", "0755"),
            livehelps("/var/lib/livehelp/data"),
            livehelps("/var/lib/livehelp/keys"),
            livehelps("/var/backups/livehelp/data"),
        ]
    );
    assert!(said.contains("chown root:livehelp /etc/livehelp/livehelp.toml\n"), "{said}");
    let tmpfiles = fs::read_to_string(root().join("deploy/systemd/livehelp.tmpfiles")).unwrap();
    let mut lines = tmpfiles.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let wanted = ["d", "/var/lib/livehelp", "0755", "livehelp", "livehelp", "-"];
    assert!(lines.any(|line| line == wanted), "{tmpfiles}");
}

#[test]
fn scripts_of_the_package_are_well_formed_and_name_what_is_shipped() {
    let shipped: BTreeSet<String> = FILES.iter().map(|(_, to, _)| format!("/{to}")).collect();
    for script in SCRIPTS {
        let path = root().join("deploy/debian").join(script);
        let checked = command(&root(), &["sh", "-n", &path.display().to_string()]).status();
        assert!(checked.unwrap().success(), "{script}");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("\nset -e\n"), "{script}");
        let words = text.split(|c: char| c.is_whitespace() || "\"'".contains(c));
        for path in words.filter_map(|word| word.strip_prefix("$root")) {
            let known = path.starts_with("/var/")
                || path.starts_with("$folder")
                || shipped.iter().any(|file| file.starts_with(path));
            assert!(known, "{script}: {path}");
        }
    }
    let conffiles = fs::read_to_string(root().join("deploy/debian/conffiles")).unwrap();
    assert!(conffiles.lines().all(|line| shipped.contains(line)), "{conffiles}");
}

#[test]
fn the_c_library_that_is_needed_is_the_newest_that_is_named() {
    assert_eq!(libc_min(b"\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.17\0"), Some(34));
    assert_eq!(libc_min(b"static"), None);
}
