//! An erasure certificate, looked at by whoever has the program and nothing else.

use std::process::Command;

use livehelp::privacy::certificate::{
    AuditHead, Bytes, Certificate, DestroyedKeys, Exception, FORMAT, Recipient, Signer, StoreCount,
    Told,
};
use protocol::ids::{NodeId, PrivacyRequestId, TenantId};
use protocol::time::UnixMillis;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::command::done;

struct TestSigner(Ed25519KeyPair);

impl Signer for TestSigner {
    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).as_ref().try_into().unwrap()
    }

    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }
}

fn certificate() -> Certificate {
    Certificate {
        format: FORMAT,
        request_id: PrivacyRequestId::from_bytes([1; 16]),
        received_at: UnixMillis(1_795_485_859_999),
        done_at: UnixMillis(1_795_485_960_000),
        rules: vec![String::from("DSAR-05")],
        tenant_id: TenantId::from_bytes([2; 16]),
        pseudonym: Bytes([3; 16]),
        stores: vec![StoreCount {
            store: String::from("messages"),
            found: 7,
            destroyed: 6,
            held: 1,
        }],
        keys: DestroyedKeys { count: 1, hashed_ids: vec![Bytes([4; 32])] },
        exceptions: vec![Exception {
            what: String::from("1 message"),
            basis: String::from("legal hold\u{1b}[2J"),
            review_at: UnixMillis(1_803_261_859_999),
        }],
        recipients: vec![
            Recipient { recipient: String::from("CRM"), told: Told::Acknowledged },
            Recipient { recipient: String::from("Mailer"), told: Told::Unconfirmed },
        ],
        nodes: vec![NodeId::from_bytes([5; 16])],
        backup_horizon_at: UnixMillis(1_798_077_960_000),
        audit: AuditHead { chain: String::from("tenant"), seq: 42, hash: Bytes([6; 32]) },
        software: String::from("0.1.0"),
        policy_hash: Bytes([7; 32]),
    }
}

/// The program in a folder that has nothing else.
fn verify(folder: &std::path::Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_livehelp"));
    command.env_clear().current_dir(folder).args(["certificate", "verify"]).args(arguments);
    done(command)
}

#[test]
fn a_certificate_is_judged_without_a_server_or_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let signer = |seed: u8| TestSigner(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap());
    let signed = certificate().sign(&signer(9)).unwrap();
    let text = serde_json::to_string_pretty(&signed).unwrap();
    std::fs::write(at("whole.json"), &text).unwrap();
    std::fs::write(at("forged.json"), text.replace("\"destroyed\": 6", "\"destroyed\": 5"))
        .unwrap();
    std::fs::write(at("not.json"), b"\xff\xfe").unwrap();
    let own = Bytes(signer(9).public_key()).to_string();
    let other = Bytes(signer(8).public_key()).to_string();
    std::fs::write(at("key.hex"), format!("{own}\n")).unwrap();

    let (code, out, err) = verify(folder.path(), &["whole.json"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for words in [
        "By whom it was signed this does not show",
        "Asked for 2026-11-24T02:04:19.999Z",
        "messages: 6 of 7, 1 held",
        "1 message: legal hold[2J, looked at again 2027-02-",
        "CRM: acknowledged that it was told",
        "Mailer: unconfirmed",
        "cannot be verified",
        "until 2026-12-24",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(!out.contains('\u{1b}'), "{out}");
    for key in [own.as_str(), "key.hex"] {
        let (code, out, _) = verify(folder.path(), &["whole.json", "--public-key", key]);
        assert!(code == 0 && out.contains("signed with this key"), "{out}");
    }
    let (code, out, _) = verify(folder.path(), &["whole.json", "--public-key", &other]);
    assert!(code == 4 && out.contains("NOT SIGNED WITH THIS KEY"), "{code}: {out}");
    let (code, out, _) = verify(folder.path(), &["forged.json", "--public-key", &own]);
    assert!(code == 1 && out.starts_with("FORGED"), "{code}: {out}");
    let (code, out, err) = verify(folder.path(), &["not.json"]);
    assert!(code == 3 && out.is_empty() && err.contains("not.json"), "{code}: {out}{err}");
    let (code, _, err) = verify(folder.path(), &["missing.json"]);
    assert!(code == 1 && err.contains("missing.json"), "{code}: {err}");
    let (code, _, _) = verify(folder.path(), &[]);
    assert_eq!(code, 2);
    let (_, json, _) = verify(folder.path(), &["forged.json", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["signature"], &json["says"]["format"]), (&"forged".into(), &1.into()));
}
