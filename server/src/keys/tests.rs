use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use protocol::ids::{AgentId, ConversationId, SiteId, VisitorId};
use protocol::retention::RetentionClass;
use protocol::time::Day;
use tempfile::TempDir;

use super::port::Stored;
use super::*;
use crate::privacy::seal::RecordKind;

fn lock(day: u16, visitor: u8) -> Lock {
    Lock {
        bucket: Bucket {
            tenant: TenantId::from_bytes([1; 16]),
            site: Some(SiteId::from_bytes([2; 16])),
            class: RetentionClass::Transcript,
            day: Day(day),
        },
        subject: Subject::Visitor(VisitorId::from_bytes([visitor; 16])),
        kind: RecordKind::Messages(ConversationId::from_bytes([3; 16])),
    }
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn open(&self) -> Result<KeyStore, KeysError> {
        KeyStore::open(&self.keys(), &self.folder.path().join("data"), None)
    }
}

#[test]
fn no_nonce_is_handed_out_twice() {
    let keys = KeyStore::in_memory().unwrap();
    let mine = lock(1, 1);
    keys.prepare(&[mine]).unwrap();
    let nonces = || -> Vec<Vec<u8>> {
        (0..1_000).map(|_| keys.seal(&mine, b"place", b"hello").unwrap()[..12].to_vec()).collect()
    };
    let mut all: Vec<_> = std::thread::scope(|threads| {
        let asking: Vec<_> = (0..3).map(|_| threads.spawn(nonces)).collect();
        asking.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 3_000);
}

#[test]
fn keys_in_memory_make_seal_and_destroy_as_those_in_a_folder_do() {
    let keys = KeyStore::in_memory().unwrap();
    let (mine, other) = (lock(1, 1), lock(2, 1));
    keys.prepare(&[mine, other]).unwrap();
    let sealed = keys.seal(&mine, b"place", b"hello").unwrap();
    assert_eq!(keys.unseal(&mine, b"place", &sealed), Ok(b"hello".to_vec()));
    let strangers = KeyStore::in_memory().unwrap();
    strangers.prepare(&[mine]).unwrap();
    assert_eq!(strangers.unseal(&mine, b"place", &sealed), Err(SealError::Tampered));
    let before = keys.generation();
    keys.destroy_buckets(&[mine.bucket]).unwrap();
    assert!(keys.generation() > before);
    assert_eq!(keys.unseal(&mine, b"place", &sealed), Err(SealError::Destroyed));
    assert_eq!(keys.prepare(&[mine]), Err(SealError::Destroyed), "and is never made again");
    keys.destroy_subject(mine.bucket.tenant, mine.subject).unwrap();
    assert_eq!(keys.seal(&other, b"place", b"hello"), Err(SealError::Destroyed));
}

#[test]
fn a_value_opens_under_its_own_lock_and_words_only() {
    let place = Place::new();
    let keys = place.open().unwrap();
    let mine = lock(1, 1);
    let mut others = vec![lock(2, 1), lock(1, 2), mine];
    others[2].kind = RecordKind::Conversation(ConversationId::from_bytes([3; 16]));
    keys.prepare(&[mine, lock(2, 1), lock(1, 2)]).unwrap();
    let sealed = keys.seal(&mine, b"place", b"hello").unwrap();
    assert_ne!(sealed, keys.seal(&mine, b"place", b"hello").unwrap(), "a nonce of its own");
    assert_eq!(sealed.len(), 5 + 28);
    assert_eq!(keys.unseal(&mine, b"place", &sealed), Ok(b"hello".to_vec()));
    assert_eq!(keys.unseal(&mine, b"other", &sealed), Err(SealError::Tampered));
    assert_eq!(keys.unseal(&mine, b"place", &sealed[..11]), Err(SealError::Tampered));
    for other in others {
        assert_eq!(keys.unseal(&other, b"place", &sealed), Err(SealError::Tampered));
    }
    drop(keys);
    let keys = place.open().unwrap();
    assert_eq!(keys.unseal(&mine, b"place", &sealed), Ok(b"hello".to_vec()));
}

#[test]
fn either_key_destroyed_is_the_value_gone_for_good() {
    let place = Place::new();
    let keys = place.open().unwrap();
    let (by_day, by_person, left) = (lock(1, 1), lock(2, 2), lock(2, 1));
    keys.prepare(&[by_day, by_person, left]).unwrap();
    let seal = |lock: &Lock| keys.seal(lock, b"", b"hello").unwrap();
    let (one, two, three) = (seal(&by_day), seal(&by_person), seal(&left));
    let before = keys.generation();
    keys.destroy_buckets(&[by_day.bucket]).unwrap();
    keys.destroy_subject(by_person.bucket.tenant, by_person.subject).unwrap();
    assert!(keys.generation() > before);
    let check = |keys: &KeyStore| {
        assert_eq!(keys.unseal(&by_day, b"", &one), Err(SealError::Destroyed));
        assert_eq!(keys.unseal(&by_person, b"", &two), Err(SealError::Destroyed));
        assert_eq!(keys.unseal(&left, b"", &three), Ok(b"hello".to_vec()));
        assert_eq!(keys.prepare(&[by_day]), Err(SealError::Destroyed));
        assert_eq!(keys.seal(&by_person, b"", b"again"), Err(SealError::Destroyed));
    };
    check(&keys);
    let fresh = lock(9, 9);
    assert_eq!(keys.prepare(&[by_day, fresh]), Err(SealError::Destroyed));
    assert!(keys.seal(&fresh, b"", b"made all the same").is_ok());
    drop(keys);
    check(&place.open().unwrap());
}

#[test]
fn no_byte_of_a_destroyed_key_is_left_in_the_folder() {
    let place = Place::new();
    let keys = place.open().unwrap();
    let locks: Vec<Lock> = (0..200).map(|day| lock(day, 1)).collect();
    keys.prepare(&locks).unwrap();
    let path = place.keys().join("keys.sqlite");
    let wrapped: Vec<Vec<u8>> = {
        let look = rusqlite::Connection::open(&path).unwrap();
        let mut all = look.prepare("SELECT wrapped FROM bucket_keys WHERE day % 2 = 0").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(wrapped.len(), 100);
    let due: Vec<Bucket> = locks.iter().step_by(2).map(|lock| lock.bucket).collect();
    keys.destroy_buckets(&due).unwrap();
    for entry in fs::read_dir(place.keys()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for key in &wrapped {
            assert!(!bytes.windows(16).any(|window| window == &key[20..36]));
        }
    }
    assert!(keys.seal(&locks[1], b"", b"the others live").is_ok());
}

#[test]
fn a_rotated_master_key_opens_everything_and_the_old_one_nothing() {
    let place = Place::new();
    let keys = place.open().unwrap();
    let (live, dead) = (lock(1, 1), lock(2, 2));
    let mut of_no_site = lock(3, 3);
    of_no_site.bucket.site = None;
    keys.prepare(&[live, dead, of_no_site]).unwrap();
    let (kept, own) =
        (keys.seal(&live, b"", b"hello").unwrap(), keys.seal(&of_no_site, b"", b"own").unwrap());
    let hash = keys.find_hash(live.bucket.tenant, "email", "ada").unwrap();
    keys.destroy_buckets(&[dead.bucket]).unwrap();
    let master = place.keys().join("master.key");
    let (old_master, before) = (fs::read(&master).unwrap(), keys.generation());
    let wrapped: Vec<u8> = {
        let look = rusqlite::Connection::open(place.keys().join("keys.sqlite")).unwrap();
        let sql = "SELECT wrapped FROM bucket_keys WHERE day = 1";
        look.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(keys.rotate_master().unwrap(), 2 + 3, "but for the one that is destroyed");
    assert!(keys.generation() > before, "older copies of the folder are refused");
    let check = |keys: &KeyStore| {
        assert_eq!(keys.unseal(&live, b"", &kept), Ok(b"hello".to_vec()));
        assert_eq!(keys.unseal(&of_no_site, b"", &own), Ok(b"own".to_vec()));
        assert_eq!(keys.find_hash(live.bucket.tenant, "email", "ada").unwrap(), hash);
        assert_eq!(keys.prepare(&[dead]), Err(SealError::Destroyed));
        assert_eq!(keys.prepare(&[lock(9, 9)]), Ok(()), "it goes on");
    };
    check(&keys);
    drop(keys);
    check(&place.open().unwrap());
    assert_ne!(fs::read(&master).unwrap(), old_master);
    for entry in fs::read_dir(place.keys()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for gone in [&old_master[..16], &wrapped[20..36]] {
            assert!(!bytes.windows(16).any(|window| window == gone), "{}", path.display());
        }
    }
}

#[test]
fn a_rotation_that_is_cut_off_leaves_a_folder_that_opens() {
    let place = Place::new();
    let keys = place.open().unwrap();
    let mine = lock(1, 1);
    keys.prepare(&[mine]).unwrap();
    let sealed = keys.seal(&mine, b"", b"hello").unwrap();
    let (master, next) = (place.keys().join("master.key"), place.keys().join("master.key.next"));
    let opens = |place: &Place| {
        let keys = place.open().unwrap();
        assert_eq!(keys.unseal(&mine, b"", &sealed), Ok(b"hello".to_vec()));
        keys
    };
    drop(keys);
    // Before anything was wrapped: the next one opens nothing and is replaced by the next rotation.
    fs::write(&next, [7; 32]).unwrap();
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
    let old = fs::read(&master).unwrap();
    opens(&place).rotate_master().unwrap();
    assert!(!next.exists());
    // After everything was wrapped and before the new one had its name.
    fs::rename(&master, &next).unwrap();
    fs::write(&master, &old).unwrap();
    fs::set_permissions(&master, fs::Permissions::from_mode(0o600)).unwrap();
    let new = fs::read(&next).unwrap();
    opens(&place);
    assert!(!next.exists() && fs::read(&master).unwrap() == new);
    opens(&place);
}

#[test]
fn a_keyed_hash_finds_within_its_tenant_and_field_only() {
    let place = Place::new();
    let keys = place.open().unwrap();
    let (one, two) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
    let hash = keys.find_hash(one, "email", "ada").unwrap();
    assert_eq!(keys.find_hash(one, "email", "ada").unwrap(), hash);
    assert_ne!(keys.find_hash(two, "email", "ada").unwrap(), hash);
    assert_ne!(keys.find_hash(one, "emaila", "da").unwrap(), hash);
    drop(keys);
    assert_eq!(place.open().unwrap().find_hash(one, "email", "ada").unwrap(), hash);
}

#[test]
fn keys_inside_the_data_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&data, &link).unwrap();
    for keys in [data.join("keys"), data.clone(), link.join("deeper/keys"), data.join("../data/k")]
    {
        let refused = KeyStore::open(&keys, &data, None);
        assert!(matches!(refused, Err(KeysError::InsideData { .. })), "{keys:?} {refused:?}");
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "and nothing was made");
    }
    assert!(KeyStore::open(&folder.path().join("data-keys"), &data, None).is_ok());
}

#[test]
fn lost_halves_and_foreign_masters_are_refused_and_never_replaced() {
    let place = Place::new();
    drop(place.open().unwrap());
    assert!(matches!(
        KeyStore::create(&place.keys(), &place.folder.path().join("data")),
        Err(KeysError::Exists(_))
    ));
    let (master, file) = (place.keys().join("master.key"), place.keys().join("keys.sqlite"));
    let (master_bytes, file_bytes) = (fs::read(&master).unwrap(), fs::read(&file).unwrap());
    for path in [&master, &file] {
        fs::remove_file(path).unwrap();
        assert!(matches!(place.open(), Err(KeysError::Incomplete(gone)) if gone == *path));
        assert!(!path.exists());
        let bytes = if *path == master { &master_bytes } else { &file_bytes };
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    drop(place.open().unwrap());
    fs::write(&master, [7; 32]).unwrap();
    assert!(matches!(place.open(), Err(KeysError::WrongMaster(_))));
    fs::write(&master, [7; 31]).unwrap();
    assert!(matches!(place.open(), Err(KeysError::NotAMaster(_))));
    assert_eq!(fs::read(&file).unwrap(), file_bytes);
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let place = Place::new();
    drop(place.open().unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.keys()), 0o700);
    for entry in fs::read_dir(place.keys()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    for path in [place.keys(), place.keys().join("master.key"), place.keys().join("keys.sqlite")] {
        let right = mode(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(right | 0o040)).unwrap();
        assert!(matches!(place.open(), Err(KeysError::Permissions { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(right)).unwrap();
    }
    assert!(place.open().is_ok());
}

#[test]
fn a_creation_that_was_interrupted_begins_again() {
    let place = Place::new();
    drop(place.open().unwrap());
    let (master, new) = (place.keys().join("master.key"), place.keys().join("master.key.new"));
    fs::rename(&master, &new).unwrap();
    assert!(place.open().is_ok(), "nothing can have been sealed yet");
    assert!(master.exists() && !new.exists());
}

#[test]
fn as_many_conversations_as_a_busy_server_has_keep_their_derived_keys() {
    let keys = KeyStore::in_memory().unwrap();
    let first = lock(1, 1);
    keys.prepare(&[first]).unwrap();
    let lock_of = |n: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        Lock { kind: RecordKind::Messages(ConversationId::from_bytes(id)), ..first }
    };
    for _ in 0..2 {
        for n in 0..20_000 {
            keys.value_key(&lock_of(n)).unwrap();
        }
    }
    let kept = |n| keys.values.lock().get(&lock_of(n)).is_some();
    assert!((0..20_000).all(kept));
}

#[test]
fn a_uuid_of_version_7_carries_its_moment() {
    let id = uuid_v7(UnixMillis(1_700_000_000_000));
    assert_eq!(id.get_version_num(), 7);
    assert!(uuid_v7(UnixMillis(1_700_000_000_001)) > id);
}

/// What every place of keys must do.
fn holds_keys(keys: &mut dyn port::WrappedKeys) {
    let tenant = TenantId::from_bytes([1; 16]);
    let bucket =
        |day| Bucket { tenant, site: None, class: RetentionClass::UserAccount, day: Day(day) };
    let subject = |n| Subject::Agent(AgentId::from_bytes([n; 16]));
    let key = |stored: Stored| match stored {
        Stored::Key(key) => Some(key.to_vec()),
        Stored::Destroyed | Stored::None => None,
    };
    assert!(matches!(keys.bucket(&bucket(1)).unwrap(), Stored::None));
    assert!(matches!(keys.subject(tenant, subject(1)).unwrap(), Stored::None));
    let begun = keys.generation().unwrap();
    let made = keys.make(&[bucket(1), bucket(2)], &[(tenant, subject(1))]).unwrap();
    assert!(made > begun && keys.generation().unwrap() == made);
    let first = key(keys.bucket(&bucket(1)).unwrap()).unwrap();
    let second = key(keys.bucket(&bucket(2)).unwrap());
    assert_eq!(key(keys.bucket(&bucket(1)).unwrap()), Some(first.clone()), "the same each time");
    assert_ne!(second, Some(first));
    assert!(keys.make(&[bucket(2)], &[]).is_err(), "no key is made in the place of another");
    let destroyed = keys.destroy_buckets(&[bucket(1), bucket(9)]).unwrap();
    let destroyed_too = keys.destroy_subject(tenant, subject(1)).unwrap();
    assert!(made < destroyed && destroyed < destroyed_too);
    for gone in [bucket(1), bucket(9)] {
        assert!(matches!(keys.bucket(&gone).unwrap(), Stored::Destroyed));
        assert!(keys.make(&[gone], &[]).is_err(), "nor of one that is destroyed");
    }
    assert!(matches!(keys.subject(tenant, subject(1)).unwrap(), Stored::Destroyed));
    assert!(keys.make(&[], &[(tenant, subject(1))]).is_err());
    let other = TenantId::from_bytes([2; 16]);
    assert!(matches!(keys.subject(other, subject(1)).unwrap(), Stored::None));
    assert_eq!(key(keys.bucket(&bucket(2)).unwrap()), second, "the others stay");
    assert_eq!(keys.generation().unwrap(), destroyed_too);
}

#[test]
fn a_file_of_keys_does_what_every_place_of_keys_must() {
    holds_keys(&mut KeyFile::in_memory().unwrap());
}
