//! An entry as a line of JSON, with all that its hash is made of.

use protocol::time::UnixMillis;
use serde_json::{Value, json};

use super::{chain_name, chain_of, from_hex, hex};
use crate::privacy::audit::{Action, ActorKind, Detail, Entry, ObjectKind, Purpose};

/// An entry in one line, without its end.
pub fn entry_line(entry: &Entry) -> String {
    let objects: Vec<Value> = entry
        .objects
        .iter()
        .map(|(kind, id)| json!({ "kind": ObjectKind::word_of(*kind), "id": hex(id) }))
        .collect();
    let details: Vec<Value> = entry
        .details
        .iter()
        .map(|(word, number)| json!({ "word": Detail::word_of(*word), "number": number }))
        .collect();
    let purpose = (entry.purpose != 0).then(|| Purpose::word_of(entry.purpose));
    json!({
        "chain": chain_name(entry.chain),
        "seq": entry.seq,
        "at": entry.at.0,
        "actor": { "kind": ActorKind::word_of(entry.actor_kind), "id": hex(&entry.actor) },
        "purpose": purpose,
        "action": Action::word_of(entry.action),
        "objects": objects,
        "details": details,
        "policy": entry.policy,
        "prev": hex(&entry.prev),
        "hash": hex(&entry.hash),
    })
    .to_string()
}

/// The reverse; `None` where the line is no entry.
pub fn entry_from(line: &str) -> Option<Entry> {
    let value: Value = serde_json::from_str(line).ok()?;
    let objects = value["objects"].as_array()?.iter();
    let objects = objects.map(|object| {
        Some((ObjectKind::code_of(object["kind"].as_str()?)?, from_hex(object["id"].as_str()?)?))
    });
    let details = value["details"].as_array()?.iter();
    let details = details.map(|detail| {
        Some((Detail::code_of(detail["word"].as_str()?)?, detail["number"].as_i64()?))
    });
    let purpose = &value["purpose"];
    let purpose = if purpose.is_null() { 0 } else { Purpose::code_of(purpose.as_str()?)? };
    Some(Entry {
        chain: chain_of(value["chain"].as_str()?)?,
        seq: value["seq"].as_u64()?,
        at: UnixMillis(value["at"].as_u64()?),
        actor_kind: ActorKind::code_of(value["actor"]["kind"].as_str()?)?,
        actor: from_hex(value["actor"]["id"].as_str()?)?,
        purpose,
        action: Action::code_of(value["action"].as_str()?)?,
        objects: objects.collect::<Option<_>>()?,
        details: details.collect::<Option<_>>()?,
        policy: u16::try_from(value["policy"].as_u64()?).ok()?,
        prev: from_hex(value["prev"].as_str()?)?,
        hash: from_hex(value["hash"].as_str()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::content_hash;
    use crate::privacy::audit::{Act, Actor, ChainId};

    #[test]
    fn a_line_has_all_of_an_entry() {
        for chain in [ChainId::OPERATOR, ChainId::from_bytes([9; 16])] {
            let act = Act::new(chain, UnixMillis(7), Actor::PROGRAM, Action::SitePlanChanged)
                .on(ObjectKind::Site, [1; 16])
                .with(Detail::OldPlan, -4)
                .because(Purpose::Law);
            let mut entry = act.after((3, [5; 32]), content_hash);
            assert_eq!(entry_from(&entry_line(&entry)), Some(entry.clone()));
            // What a later version writes.
            (entry.action, entry.purpose) = (9_999, 0);
            assert_eq!(entry_from(&entry_line(&entry)), Some(entry));
        }
        assert_eq!(entry_from("{}"), None);
    }
}
