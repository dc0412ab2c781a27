//! The two locks of a message: sealing under a key that is in memory, under one that must be
//! derived first, and opening.

use std::hint::black_box;

use livehelp::keys::KeyStore;
use livehelp::privacy::seal::{Bucket, Lock, RecordKind, Sealer as _, Subject};
use protocol::ids::ConversationId;
use protocol::retention::RetentionClass;
use tempfile::TempDir;

use crate::meter::{Case, Meter};
use crate::world::{CONVERSATION, NOW, SITE, TENANT, VISITOR, WORDS};

/// As long as what a message's body is bound to.
const BOUND: [u8; 89] = [b'b'; 89];

/// Measures a hundred bytes.
pub fn measure(meter: &mut impl Meter) {
    meter.repeat(Case::new("seal"), || {
        let cabinet = Cabinet::new();
        let lock = lock(CONVERSATION);
        move || {
            black_box(cabinet.seal(&lock));
        }
    });
    meter.repeat(Case::new("key-and-seal"), || {
        let cabinet = Cabinet::new();
        let mut number = 0;
        // Each conversation has a key of its own, whose two halves are in memory.
        move || {
            number += 1;
            black_box(cabinet.seal(&lock(ConversationId::from_bytes(u128::to_be_bytes(number)))));
        }
    });
    meter.repeat(Case::new("open"), || {
        let cabinet = Cabinet::new();
        let lock = lock(CONVERSATION);
        let sealed = cabinet.seal(&lock);
        move || {
            let opened = cabinet.keys.unseal(&lock, &BOUND, black_box(&sealed));
            black_box(opened.expect("it was sealed here"));
        }
    });
}

/// Keys in a folder that goes with them.
struct Cabinet {
    keys: KeyStore,
    _folder: TempDir,
}

impl Cabinet {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (keys, data) = (folder.path().join("keys"), folder.path().join("data"));
        let keys = KeyStore::open(&keys, &data, None).expect("keys can be made");
        keys.prepare(&[lock(CONVERSATION)]).expect("the locks' keys can be made");
        Self { keys, _folder: folder }
    }

    fn seal(&self, lock: &Lock) -> Vec<u8> {
        let sealed = self.keys.seal(black_box(lock), &BOUND, black_box(WORDS.as_bytes()));
        sealed.expect("its keys are there")
    }
}

fn lock(conversation: ConversationId) -> Lock {
    Lock {
        bucket: Bucket {
            tenant: TENANT,
            site: Some(SITE),
            class: RetentionClass::Transcript,
            day: NOW.day(),
        },
        subject: Subject::Visitor(VISITOR),
        kind: RecordKind::Messages(conversation),
    }
}
