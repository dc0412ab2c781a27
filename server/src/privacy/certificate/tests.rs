//! A certificate says what was signed, or it is found out.

use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;

struct TestSigner(Ed25519KeyPair);

impl TestSigner {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }
}

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
        rules: vec!["DSAR-05".to_owned(), "HOLD-02".to_owned()],
        tenant_id: TenantId::from_bytes([2; 16]),
        pseudonym: Bytes([3; 16]),
        stores: vec![
            StoreCount { store: "messages".to_owned(), found: 7, destroyed: 6, held: 1 },
            StoreCount { store: "visitors".to_owned(), found: 1, destroyed: 1, held: 0 },
        ],
        keys: DestroyedKeys { count: 1, hashed_ids: vec![Bytes([4; 32])] },
        exceptions: vec![Exception {
            what: "1 message".to_owned(),
            basis: "legal hold".to_owned(),
            review_at: UnixMillis(1_803_261_859_999),
        }],
        recipients: vec![
            Recipient { recipient: "CRM".to_owned(), told: Told::Acknowledged },
            Recipient { recipient: "Mailer".to_owned(), told: Told::Unconfirmed },
        ],
        nodes: vec![NodeId::from_bytes([5; 16])],
        backup_horizon_at: UnixMillis(1_798_077_960_000),
        audit: AuditHead { chain: "tenant".to_owned(), seq: 42, hash: Bytes([6; 32]) },
        software: "0.1.0".to_owned(),
        policy_hash: Bytes([7; 32]),
    }
}

fn worth(text: &str, expected: Option<&Bytes<32>>) -> Option<Worth> {
    let read = SignedCertificate::parse(text).ok()?;
    Some(read.worth(expected, &crate::keys::is_signed))
}

fn signed() -> Value {
    serde_json::to_value(certificate().sign(&TestSigner::new(9)).unwrap()).unwrap()
}

#[test]
fn a_certificate_holds_for_the_key_that_signed_it() {
    let text = signed().to_string();
    let own = Bytes(TestSigner::new(9).public_key());
    let other = Bytes(TestSigner::new(8).public_key());
    assert_eq!(worth(&text, None), Some(Worth::Unaltered));
    assert_eq!(worth(&text, Some(&own)), Some(Worth::Signed));
    assert_eq!(worth(&text, Some(&other)), Some(Worth::OtherKey));
    // Signed anew by another, who leaves the first one's key beside it.
    let mut forged = certificate();
    forged.stores[0].destroyed = 7;
    forged.stores[0].held = 0;
    let mut forged = serde_json::to_value(forged.sign(&TestSigner::new(8)).unwrap()).unwrap();
    assert_eq!(worth(&forged.to_string(), Some(&own)), Some(Worth::OtherKey));
    forged["signature"]["public_key"] = json!(own);
    forged["signature"]["key_id"] = json!(key_id(&own));
    assert_eq!(worth(&forged.to_string(), Some(&own)), Some(Worth::Forged));
}

#[test]
fn a_signature_of_something_else_holds_for_no_certificate() {
    let signer = TestSigner::new(9);
    let mut signed = certificate().sign(&signer).unwrap();
    let value = serde_json::to_value(&signed.certificate).unwrap();
    signed.signature.value = Bytes(signer.sign(canonical::write(&value).unwrap().as_bytes()));
    assert_eq!(signed.worth(None, &crate::keys::is_signed), Worth::Forged);
}

#[test]
fn what_cannot_be_is_not_signed() {
    let wrong: [fn(&mut Certificate); 6] = [
        |of| of.format = 2,
        |of| of.done_at = UnixMillis(0),
        |of| of.stores[0].destroyed = 7,
        |of| of.stores[0].destroyed = u64::MAX,
        |of| of.exceptions.clear(),
        |of| of.keys.count = 2,
    ];
    for wrong in wrong {
        let mut certificate = certificate();
        wrong(&mut certificate);
        assert!(certificate.sign(&TestSigner::new(9)).is_err());
    }
    let mut certificate = certificate();
    certificate.audit.seq = 1 << 53;
    assert!(certificate.sign(&TestSigner::new(9)).is_err());
}

#[test]
fn what_a_reader_could_take_two_ways_is_none() {
    let text = signed().to_string();
    for (is, wrong) in [
        ("{\"certificate\"", "{\"more\":1,\"certificate\""),
        ("\"found\":7", "\"found\":9,\"found\":7"),
        ("\"found\":7", "\"found\":7.0"),
        ("\"found\":7", "\"found\":7,\"held_back\":1"),
        ("\"format\":1", "\"format\":2"),
        ("\"acknowledged\"", "\"deleted\""),
        ("0404", "0G04"),
    ] {
        assert!(text.contains(is), "{is}");
        assert_eq!(worth(&text.replacen(is, wrong, 1), None), None, "{wrong}");
    }
    for wrong in ["", "{}", "null", "[]", "not JSON"] {
        assert_eq!(worth(wrong, None), None, "{wrong}");
    }
    assert_eq!(worth(&format!("{text} {text}"), None), None);
}

/// The places of all that is no list and no object.
fn leaves(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| leaves(value, &format!("{at}/{name}"), into));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(n, value)| leaves(value, &format!("{at}/{n}"), into));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            into.push(at.to_owned());
        }
    }
}

#[test]
fn no_value_of_it_can_be_another() {
    let whole = signed();
    let mut places = Vec::new();
    leaves(&whole, "", &mut places);
    assert!(places.len() > 30, "{places:?}");
    for place in places {
        let mut changed = whole.clone();
        let value = changed.pointer_mut(&place).unwrap();
        *value = match &*value {
            Value::Number(number) => json!(number.as_u64().unwrap() + 1),
            Value::String(text) if text == "acknowledged" => json!("unconfirmed"),
            Value::String(text) if text == "unconfirmed" => json!("acknowledged"),
            Value::String(text) => {
                let last = if text.ends_with('0') { '1' } else { '0' };
                let mut text = text.clone();
                text.pop();
                text.push(last);
                json!(text)
            }
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                panic!("{place} is no number and no text")
            }
        };
        let worth = worth(&changed.to_string(), None);
        assert!(matches!(worth, None | Some(Worth::Forged)), "{place}: {worth:?}");
    }
    for list in ["rules", "stores", "recipients", "exceptions", "nodes"] {
        let mut changed = whole.clone();
        changed["certificate"][list].as_array_mut().unwrap().pop();
        assert_eq!(worth(&changed.to_string(), None), Some(Worth::Forged), "{list}");
        let mut changed = whole.clone();
        let items = changed["certificate"][list].as_array_mut().unwrap();
        items.reverse();
        let is_alike = items.len() < 2;
        let expected = if is_alike { Worth::Unaltered } else { Worth::Forged };
        assert_eq!(worth(&changed.to_string(), None), Some(expected), "{list}");
    }
}

/// The same with its fields in another order, and blanks between.
fn rewritten(value: &Value, order: u64, blank: &str) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            let by = usize::try_from(order).unwrap() % fields.len().max(1);
            fields.rotate_left(by);
            if order % 2 == 1 {
                fields.reverse();
            }
            let field = |(name, value): (&String, &Value)| {
                format!("{blank}\"{name}\"{blank}:{}", rewritten(value, order / 2, blank))
            };
            format!("{{{}{blank}}}", fields.into_iter().map(field).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| rewritten(item, order / 2, blank));
            format!("[{blank}{}]", items.collect::<Vec<_>>().join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            format!("{blank}{value}{blank}")
        }
    }
}

proptest! {
    #[test]
    fn order_and_blanks_say_nothing(order in any::<u64>(), blank in "[ \n\r\t]{0,3}") {
        prop_assert_eq!(worth(&rewritten(&signed(), order, &blank), None), Some(Worth::Unaltered));
    }

    #[test]
    fn any_byte_of_its_meaning_is_found(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let whole = signed();
        let text = whole.to_string();
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(changed) = String::from_utf8(bytes) {
            let is_alike = serde_json::from_str::<Value>(&changed).is_ok_and(|value| value == whole);
            let worth = worth(&changed, None);
            prop_assert!(is_alike || matches!(worth, None | Some(Worth::Forged)), "{:?} {}", worth, changed);
        }
    }
}
