//! A bounded memory of what was used lately.
//!
//! Lives here: a map that forgets what nobody asked for. Not here: what is remembered. Called by
//! `keys`, `store` and `auth`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use foldhash::fast::RandomState;

/// Two halves: what is used moves to the young one; when that is full it becomes the old one, and
/// what nobody asked for since is gone. Holds at most twice `half_len`.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
    half_len: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Recent<K, V> {
    pub(crate) fn new(half_len: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), half_len: half_len.max(1) }
    }

    /// The value, if it is still remembered.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        self.get_mut(key).map(|value| value.clone())
    }

    /// The same, to be changed where it lies.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.young.entry(key.clone()) {
            Entry::Occupied(known) => Some(known.into_mut()),
            // What moves makes neither half larger than both were.
            Entry::Vacant(place) => self.old.remove(key).map(|value| place.insert(value)),
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half_len && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Forgets everything that does not pass.
    pub(crate) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.young.retain(|key, _| keep(key));
        self.old.retain(|key, _| keep(key));
    }

    /// Forgets every value that does not pass.
    pub(crate) fn retain_values(&mut self, keep: impl Fn(&V) -> bool) {
        self.young.retain(|_, value| keep(value));
        self.old.retain(|_, value| keep(value));
    }

    /// Values that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_forgotten() {
        let mut recent = Recent::new(4);
        for n in 0..1_000 {
            recent.insert(n, n);
            assert_eq!(recent.get(&0), Some(0), "asked for each time");
            assert!(recent.young.len() + recent.old.len() <= 8);
        }
        assert_eq!((recent.get(&500), recent.get_mut(&500)), (None, None));
        *recent.get_mut(&0).unwrap() += 7;
        assert_eq!(recent.get(&0), Some(7), "changed where it lies");
        recent.remove(&0);
        assert_eq!(recent.get(&0), None);
    }
}
