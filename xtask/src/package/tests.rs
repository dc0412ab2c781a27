use std::collections::BTreeSet;

use super::{FILES, SCRIPTS, libc_min, pack};
use crate::shell::{answer, command, root, target_folder};

/// Packs a stand-in for the program, twice, and looks at what came of it.
#[test]
fn what_is_packed_is_whole_and_the_same_each_time() {
    let place = target_folder().unwrap().join(format!("dist-test-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let program = place.join("program");
    std::fs::write(&program, "#!/bin/sh\n# GLIBC_2.36\nexit 3\n").unwrap();
    let sums = |name: &str| {
        let made = pack(&program, "texts", &place.join(name), "1700000000").unwrap();
        std::fs::read_to_string(made.last().unwrap()).unwrap()
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
    }
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn scripts_of_the_package_are_well_formed_and_name_what_is_shipped() {
    let shipped: BTreeSet<String> = FILES.iter().map(|(_, to, _)| format!("/{to}")).collect();
    for script in SCRIPTS {
        let path = root().join("deploy/debian").join(script);
        let checked = command(&root(), &["sh", "-n", &path.display().to_string()]).status();
        assert!(checked.unwrap().success(), "{script}");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("\nset -e\n"), "{script}");
        let words = text.split(|c: char| c.is_whitespace() || "\"'".contains(c));
        for path in words.filter_map(|word| word.strip_prefix("$root")) {
            let known = path.starts_with("/var/")
                || path.starts_with("$folder")
                || shipped.iter().any(|file| file.starts_with(path));
            assert!(known, "{script}: {path}");
        }
    }
    let conffiles = std::fs::read_to_string(root().join("deploy/debian/conffiles")).unwrap();
    assert!(conffiles.lines().all(|line| shipped.contains(line)), "{conffiles}");
}

#[test]
fn the_c_library_that_is_needed_is_the_newest_that_is_named() {
    assert_eq!(libc_min(b"\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.17\0"), Some(34));
    assert_eq!(libc_min(b"static"), None);
}
