use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::keys::content_hash;

const CHAIN: ChainId = ChainId::from_bytes([7; 16]);

fn act(n: u8) -> Act {
    let actor = Actor::new(ActorKind::Agent, [n; 16]);
    Act::new(CHAIN, UnixMillis(1_790_000_000_000 + u64::from(n)), actor, Action::SitePlanChanged)
        .on(ObjectKind::Site, [n; 16])
        .with(Detail::OldPlan, i64::from(n))
        .with(Detail::NewPlan, -1)
        .because(Purpose::Support)
}

fn chain(len: u8) -> Vec<Entry> {
    let mut last = (0, [0; 32]);
    let entry = |n| {
        let entry = act(n).after(last, content_hash);
        last = (entry.seq, entry.hash);
        entry
    };
    (1..=len).map(entry).collect()
}

fn verified(entries: &[Entry], heads: &[Head]) -> Result<u64, Fault> {
    let mut verifier = Verifier::new(CHAIN, content_hash, heads);
    entries.iter().try_for_each(|entry| verifier.add(entry))?;
    verifier.end()
}

fn head_of(entry: &Entry) -> Head {
    Head { chain: entry.chain, seq: entry.seq, hash: entry.hash, at: UnixMillis(5) }
}

/// Every byte of an entry in turn: how many there are, and the entry with that one changed.
fn changed(entry: &Entry, at: usize, by: u8) -> Option<Entry> {
    fn flip<const N: usize>(bytes: [u8; N], at: &mut usize, by: u8) -> [u8; N] {
        let mut bytes = bytes;
        match bytes.get_mut(*at) {
            Some(byte) => {
                *byte ^= by;
                *at = usize::MAX;
            }
            None if *at == usize::MAX => {}
            None => *at -= N,
        }
        bytes
    }
    let (mut new, mut left) = (entry.clone(), at);
    new.chain = ChainId(flip(new.chain.0, &mut left, by));
    new.seq = u64::from_be_bytes(flip(new.seq.to_be_bytes(), &mut left, by));
    new.at = UnixMillis(u64::from_be_bytes(flip(new.at.0.to_be_bytes(), &mut left, by)));
    for code in [&mut new.actor_kind, &mut new.purpose, &mut new.action, &mut new.policy] {
        *code = u16::from_be_bytes(flip(code.to_be_bytes(), &mut left, by));
    }
    new.actor = flip(new.actor, &mut left, by);
    for (kind, id) in &mut new.objects {
        *kind = u16::from_be_bytes(flip(kind.to_be_bytes(), &mut left, by));
        *id = flip(*id, &mut left, by);
    }
    for (word, number) in &mut new.details {
        *word = u16::from_be_bytes(flip(word.to_be_bytes(), &mut left, by));
        *number = i64::from_be_bytes(flip(number.to_be_bytes(), &mut left, by));
    }
    new.prev = flip(new.prev, &mut left, by);
    new.hash = flip(new.hash, &mut left, by);
    (new != *entry).then_some(new)
}

#[test]
fn an_entry_is_encoded_so_for_ever() {
    let entry = act(3).after((8, [9; 32]), content_hash);
    let text: String = entry.encoded().iter().map(|byte| format!("{byte:02x}")).collect();
    let id = "03".repeat(16);
    let policy = PolicyVersion::CURRENT.0;
    let parts = [
        "01".to_owned(),
        format!("00000010{}", "07".repeat(16)),
        "000000080000000000000009".to_owned(),
        "00000008000001a0c4506c03".to_owned(),
        format!("000000120004{id}"),
        "000000020003".to_owned(),
        "00000002000c".to_owned(),
        format!("000000120002{id}"),
        "0000001400020000000000000003".to_owned() + "0003ffffffffffffffff",
        format!("00000002{policy:04x}"),
        format!("00000020{}", "09".repeat(32)),
    ];
    assert_eq!(text, parts.concat());
    assert_eq!(entry.hash, content_hash(&entry.encoded()));
}

#[test]
fn codes_and_words_are_each_given_once() {
    fn check(all: &[(u16, &str)]) {
        let codes: BTreeSet<_> = all.iter().map(|(code, _)| *code).collect();
        let words: BTreeSet<_> = all.iter().map(|(_, word)| *word).collect();
        assert_eq!((codes.len(), words.len()), (all.len(), all.len()));
        assert!(!codes.contains(&0), "0 is none");
    }
    check(&Action::ALL.iter().map(|a| (a.code(), a.word())).collect::<Vec<_>>());
    check(&ActorKind::ALL.iter().map(|a| (a.code(), a.word())).collect::<Vec<_>>());
    check(&ObjectKind::ALL.iter().map(|a| (a.code(), a.word())).collect::<Vec<_>>());
    check(&Detail::ALL.iter().map(|a| (a.code(), a.word())).collect::<Vec<_>>());
    check(&Purpose::ALL.iter().map(|a| (a.code(), a.word())).collect::<Vec<_>>());
    assert_eq!(Action::word_of(9_999), "9999");
    assert_eq!(Action::code_of("9999"), Some(9_999));
    assert_eq!(Action::code_of("site.closed"), Some(Action::SiteClosed.code()));
    assert_eq!(Action::code_of("site.closing"), None);
}

#[test]
fn objects_beyond_the_bound_are_counted_and_the_bytes_come_back() {
    let many = (0..20).fold(act(1), |act, n| act.on(ObjectKind::Agent, [n; 16]));
    let entry = many.after((0, [0; 32]), content_hash);
    assert_eq!(entry.objects.len(), OBJECTS_MAX);
    assert!(entry.details.contains(&(Detail::FurtherObjects.code(), 5)));
    assert_eq!(objects_from(&objects_bytes(&entry.objects)), Some(entry.objects));
    assert_eq!(details_from(&details_bytes(&entry.details)), Some(entry.details));
    assert_eq!((objects_from(&[0; 17]), details_from(&[0; 11])), (None, None));
}

#[test]
fn a_whole_chain_is_whole_and_another_one_is_foreign() {
    let entries = chain(5);
    assert_eq!(verified(&entries, &[]), Ok(5));
    assert_eq!(verified(&entries, &[head_of(&entries[2]), head_of(&entries[4])]), Ok(5));
    let mut verifier = Verifier::new(ChainId::OPERATOR, content_hash, &[]);
    assert_eq!(verifier.add(&entries[0]), Err(Fault::Foreign { seq: 1 }));
    assert_eq!(verified(&[], &[]), Ok(0));
}

#[test]
fn a_chain_that_was_made_anew_is_not_the_one_that_was_signed() {
    let entries = chain(4);
    let head = head_of(&entries[2]);
    let mut last = (0, [0; 32]);
    let anew: Vec<_> = [1, 9, 3, 4]
        .map(|n| {
            let entry = act(n).after(last, content_hash);
            last = (entry.seq, entry.hash);
            entry
        })
        .into();
    assert_eq!(verified(&anew, &[]), Ok(4));
    assert_eq!(verified(&anew, &[head]), Err(Fault::NotAsSigned { seq: 3 }));
    assert_eq!(verified(&entries, &[head, head_of(&anew[2])]), Err(Fault::NotAsSigned { seq: 3 }));
}

#[test]
fn every_changed_byte_is_found() {
    let entries = chain(3);
    for place in 0..entries.len() {
        let mut bytes = 0;
        while let Some(new) = changed(&entries[place], bytes, 1) {
            let mut tampered = entries.clone();
            tampered[place] = new;
            assert!(verified(&tampered, &[]).is_err(), "byte {bytes} of entry {place}");
            bytes += 1;
        }
        assert!(bytes > 140, "all fields were looked at: {bytes}");
    }
}

proptest! {
    #[test]
    fn any_change_removal_swap_and_truncation_is_found(
        len in 2_u8..12, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(), by in 1_u8..=255,
    ) {
        let entries = chain(len);
        let (a, b) = (a.index(entries.len()), b.index(entries.len()));
        let head = [head_of(entries.last().unwrap())];
        let mut tampered = entries.clone();
        tampered[a] = changed(&entries[a], byte.index(130), by).unwrap();
        prop_assert!(verified(&tampered, &[]).is_err());
        let mut removed = entries.clone();
        removed.remove(a);
        prop_assert!(verified(&removed, &head).is_err());
        prop_assert_eq!(verified(&removed, &[]).is_err(), a + 1 < entries.len());
        let mut swapped = entries.clone();
        swapped.swap(a, b);
        prop_assert_eq!(verified(&swapped, &[]).is_err(), a != b);
        let mut twice = entries.clone();
        twice.insert(a, entries[a].clone());
        prop_assert!(verified(&twice, &[]).is_err());
        prop_assert!(verified(&entries[..a], &head).is_err());
    }
}
