//! The audit from outside: acts leave entries, and whatever is done to them afterwards is found.

use std::path::Path;

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

use super::command::{Serving, done, init, livehelp};

fn database(folder: &Path) -> Connection {
    Connection::open(folder.join("data/livehelp.sqlite")).unwrap()
}

fn verify(folder: &Path, more: &[&str]) -> (i32, String, String) {
    done(livehelp(folder, &[&["audit", "verify"], more].concat()))
}

/// An Organization whose site was given another plan and closed, on a server that has stopped. The
/// chain's last seq.
fn acted(folder: &Path, heads: &Path) -> (Value, i64) {
    let made = init(folder, &[]);
    let heads = ["--audit-heads-file", heads.to_str().unwrap()];
    let mut serving = Serving::start(folder, &heads);
    let site = made["site_id"].as_str().unwrap();
    for act in [&["sites", "close", site][..], &["sites", "reopen", site]] {
        let admin = ["operator", "--admin-listen", serving.address("admin")];
        let (code, _, err) = done(livehelp(folder, &[&admin[..], act].concat()));
        assert_eq!(code, 0, "{err}");
    }
    // What is running is verified as well.
    let (code, out, err) = verify(folder, &[]);
    assert!(code == 0 && out.contains("operator: whole: 2 entries"), "{out}{err}");
    assert_eq!(serving.stop(Signal::TERM), Some(0));
    let sql = "SELECT max(seq) FROM audit WHERE tenant <> zeroblob(16)";
    let last = database(folder).query_row(sql, [], |row| row.get(0)).unwrap();
    (made, last)
}

#[test]
fn a_changed_byte_is_named_and_an_end_that_was_cut_off_is_missed_by_its_head() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = folder.path();
    let heads = elsewhere.path().join("heads");
    let (made, last) = acted(path, &heads);
    let tenant = made["tenant_id"].as_str().unwrap();
    let with_heads = ["--heads", heads.to_str().unwrap()];
    let (code, out, err) = verify(path, &with_heads);
    assert!(code == 0 && out.contains(&format!("{tenant}: whole: {last} entries")), "{out}{err}");
    let (code, whole, err) = done(livehelp(path, &["audit", "export", "--tenant", tenant]));
    assert_eq!(code, 0, "{err}");
    assert!(whole.contains(r#""action":"site.closed""#), "{whole}");
    let file = elsewhere.path().join("export");
    std::fs::write(&file, &whole).unwrap();
    let exported = ["--file", file.to_str().unwrap()];
    assert_eq!(verify(path, &exported).0, 0);
    std::fs::write(&file, whole.replace("site.closed", "site.reopened")).unwrap();
    let (code, _, err) = verify(path, &exported);
    assert!(code == 1 && err.contains("was altered"), "{err}");

    // One byte of one column, and back again.
    for (column, other) in [
        ("at", "at + 1"),
        ("actor_kind", "actor_kind + 1"),
        ("actor", "zeroblob(16)"),
        ("action", "action + 1"),
        ("objects", "x'00'"),
        ("details", "x'00010000000000000001'"),
        ("policy", "policy + 1"),
        ("prev", "zeroblob(32)"),
        ("hash", "zeroblob(32)"),
    ] {
        let of = "tenant <> zeroblob(16) AND seq = 3";
        let database = database(path);
        database
            .execute_batch(&format!(
                "CREATE TABLE kept AS SELECT {column} AS x FROM audit WHERE {of};
                 UPDATE audit SET {column} = {other} WHERE {of};"
            ))
            .unwrap();
        drop(database);
        let (code, out, err) = verify(path, &[]);
        assert_eq!(code, 1, "{column}: {out}");
        assert!(err.contains(&format!("{tenant}: entry 3 was altered")), "{column}: {err}");
        self::database(path)
            .execute_batch(&format!(
                "UPDATE audit SET {column} = (SELECT x FROM kept) WHERE {of}; DROP TABLE kept;"
            ))
            .unwrap();
    }
    assert_eq!(verify(path, &with_heads).0, 0, "all is as it was");

    let cut = format!("DELETE FROM audit WHERE tenant <> zeroblob(16) AND seq = {last}");
    database(path).execute_batch(&cut).unwrap();
    assert_eq!(verify(path, &[]).0, 0, "by itself it does not show");
    let (code, _, err) = verify(path, &with_heads);
    let ends = format!("{tenant}: the chain ends at entry {}", last - 1);
    assert!(code == 1 && err.contains(&ends), "{err}");
    // A head that was changed to fit is none.
    let text = std::fs::read_to_string(&heads).unwrap();
    let fits = text.replace(&format!("\"seq\":{last}"), &format!("\"seq\":{}", last - 1));
    std::fs::write(&heads, fits).unwrap();
    let (code, _, err) = verify(path, &with_heads);
    assert!(code == 1 && err.contains("is no head whose signature holds"), "{err}");
    database(path).execute_batch("DELETE FROM audit WHERE seq = 2").unwrap();
    let (code, _, err) = verify(path, &[]);
    assert!(code == 1 && err.contains("entry 2 is missing"), "{err}");
}

#[test]
fn nothing_in_it_is_about_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (made, _) = acted(folder.path(), &elsewhere.path().join("heads"));
    let tenant = made["tenant_id"].as_str().unwrap();
    let export =
        |of: &[&str]| done(livehelp(folder.path(), &[&["audit", "export"], of].concat())).1;
    let all = export(&["--operator"]) + &export(&["--tenant", tenant]);
    assert!(all.lines().count() >= 6, "{all}");
    let heads = std::fs::read_to_string(elsewhere.path().join("heads")).unwrap();
    for canary in ["admin@example.test", "Demo", "Shop", "shop.example", "Admin"] {
        assert!(!all.contains(canary) && !heads.contains(canary), "{canary}: {all}");
        let sql = "SELECT count(*) FROM audit
                   WHERE instr(objects || details || actor || hash, CAST(?1 AS BLOB))";
        let found: i64 =
            database(folder.path()).query_row(sql, [canary], |row| row.get(0)).unwrap();
        assert_eq!(found, 0, "{canary}");
    }
}
