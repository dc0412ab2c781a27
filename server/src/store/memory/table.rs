//! Rows in the order in which they were made, found by id, by owner and by one unique value.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crate::store::Page;

/// What a table must know of its rows.
pub(super) trait Record {
    type Id: Copy + Eq + Hash;
    /// Whose it is: lists are asked for by it.
    type Owner: Copy + Ord;
    /// No two rows have the same.
    type Unique: Eq + Hash;
    fn id(&self) -> Self::Id;
    fn owner(&self) -> Self::Owner;
    fn unique(&self) -> Self::Unique;
}

/// Whether a row would break a rule of uniqueness.
pub(super) struct Taken;

pub(super) struct Table<R: Record> {
    rows: HashMap<R::Id, (u64, R)>,
    of_owner: BTreeMap<(R::Owner, u64), R::Id>,
    unique: HashMap<R::Unique, R::Id>,
    /// Counts what was made; a row keeps its number.
    made: u64,
}

impl<R: Record> Default for Table<R> {
    fn default() -> Self {
        Self { rows: HashMap::new(), of_owner: BTreeMap::new(), unique: HashMap::new(), made: 0 }
    }
}

impl<R: Record> Table<R> {
    pub(super) fn insert(&mut self, row: R) -> Result<(), Taken> {
        let id = row.id();
        if self.rows.contains_key(&id) || self.unique.contains_key(&row.unique()) {
            return Err(Taken);
        }
        self.made += 1;
        self.of_owner.insert((row.owner(), self.made), id);
        self.unique.insert(row.unique(), id);
        self.rows.insert(id, (self.made, row));
        Ok(())
    }

    /// Puts another row in the place of the one with its id and owner; `false` if there is none.
    pub(super) fn replace(&mut self, row: R) -> Result<bool, Taken> {
        let id = row.id();
        let Some((number, before)) = self.rows.get(&id) else { return Ok(false) };
        if before.owner() != row.owner() {
            return Ok(false);
        }
        if self.unique.get(&row.unique()).is_some_and(|other| *other != id) {
            return Err(Taken);
        }
        let number = *number;
        self.unique.remove(&before.unique());
        self.unique.insert(row.unique(), id);
        self.rows.insert(id, (number, row));
        Ok(true)
    }

    /// Removes it if it passes; it, if it did.
    pub(super) fn remove_if(&mut self, id: R::Id, passes: impl Fn(&R) -> bool) -> Option<R> {
        if !self.rows.get(&id).is_some_and(|(_, row)| passes(row)) {
            return None;
        }
        let (number, row) = self.rows.remove(&id)?;
        self.of_owner.remove(&(row.owner(), number));
        self.unique.remove(&row.unique());
        Some(row)
    }

    /// Removes every row that passes.
    pub(super) fn remove_all(&mut self, passes: impl Fn(&R) -> bool) {
        let gone: Vec<_> =
            self.rows.values().filter(|(_, row)| passes(row)).map(|(_, row)| row.id()).collect();
        for id in gone {
            self.remove_if(id, |_| true);
        }
    }

    pub(super) fn get(&self, id: R::Id) -> Option<&R> {
        self.rows.get(&id).map(|(_, row)| row)
    }

    pub(super) fn by_unique(&self, unique: &R::Unique) -> Option<&R> {
        self.unique.get(unique).and_then(|id| self.get(*id))
    }

    /// All of one owner, oldest first.
    pub(super) fn of(&self, owner: R::Owner) -> impl Iterator<Item = &R> {
        self.after(owner, 0)
    }

    /// A page of one owner's, oldest first; a row to go on after that is unknown or another's means the
    /// beginning.
    pub(super) fn page(&self, owner: R::Owner, page: Page<R::Id>) -> impl Iterator<Item = &R> {
        let last = page.after.and_then(|id| self.rows.get(&id));
        let own = last.filter(|(_, row)| row.owner() == owner);
        let number = own.map_or(0, |(number, _)| *number);
        self.after(owner, number).take(usize::from(page.limit))
    }

    /// All of every owner.
    pub(super) fn all(&self) -> impl Iterator<Item = &R> {
        self.rows.values().map(|(_, row)| row)
    }

    fn after(&self, owner: R::Owner, number: u64) -> impl Iterator<Item = &R> {
        let from = (owner, number.saturating_add(1));
        self.of_owner.range(from..=(owner, u64::MAX)).filter_map(|(_, id)| self.get(*id))
    }
}
