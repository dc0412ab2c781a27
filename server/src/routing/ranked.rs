//! A sorted set that knows at which position each of its items stands: for the queue, where
//! thousands may wait.
//!
//! Lives here: a binary tree in which each node counts what hangs on it and neither side of a node
//! grows to more than three times the other (Adams' weights), so that entering, leaving and asking
//! for a position take steps that grow with the logarithm of the length. Not here: what the items
//! mean. Called by `queue`.

use std::cmp::Ordering;

/// Neither side of a node has more than so many times what the other has.
const WEIGHT: usize = 3;

/// A side whose inner half is this many times its outer half is rotated twice.
const INNER: usize = 2;

#[derive(Debug)]
pub(super) struct Ranked<T>(Tree<T>);

type Tree<T> = Option<Box<Node<T>>>;

#[derive(Debug)]
struct Node<T> {
    item: T,
    len: usize,
    left: Tree<T>,
    right: Tree<T>,
}

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Ord> Ranked<T> {
    pub(super) fn len(&self) -> usize {
        len(&self.0)
    }

    /// Puts an item in its position; one that is there already stays.
    pub(super) fn insert(&mut self, item: T) {
        insert(&mut self.0, item);
    }

    pub(super) fn remove(&mut self, item: &T) {
        remove(&mut self.0, item);
    }

    /// How many stand before this one; `None` if it is not here.
    pub(super) fn rank(&self, item: &T) -> Option<usize> {
        let (mut before, mut tree) = (0, &self.0);
        while let Some(node) = tree {
            match item.cmp(&node.item) {
                Ordering::Less => tree = &node.left,
                Ordering::Equal => return Some(before + len(&node.left)),
                Ordering::Greater => {
                    before += len(&node.left) + 1;
                    tree = &node.right;
                }
            }
        }
        None
    }

    /// How many stand before where this one stands, or would.
    pub(super) fn before(&self, item: &T) -> usize {
        let (mut before, mut tree) = (0, &self.0);
        while let Some(node) = tree {
            if node.item < *item {
                before += len(&node.left) + 1;
                tree = &node.right;
            } else {
                tree = &node.left;
            }
        }
        before
    }

    /// The item before which so many stand.
    pub(super) fn nth(&self, mut at: usize) -> Option<&T> {
        let mut tree = &self.0;
        while let Some(node) = tree {
            let left = len(&node.left);
            match at.cmp(&left) {
                Ordering::Less => tree = &node.left,
                Ordering::Equal => return Some(&node.item),
                Ordering::Greater => {
                    at -= left + 1;
                    tree = &node.right;
                }
            }
        }
        None
    }

    /// Items in order, from the one on before which so many stand.
    pub(super) fn iter_from(&self, at: usize) -> impl Iterator<Item = &T> {
        (at..self.len()).map_while(|at| self.nth(at))
    }
}

fn len<T>(tree: &Tree<T>) -> usize {
    tree.as_ref().map_or(0, |node| node.len)
}

fn insert<T: Ord>(tree: &mut Tree<T>, item: T) {
    let Some(node) = tree else {
        *tree = Some(Box::new(Node { item, len: 1, left: None, right: None }));
        return;
    };
    match item.cmp(&node.item) {
        Ordering::Less => insert(&mut node.left, item),
        Ordering::Equal => return,
        Ordering::Greater => insert(&mut node.right, item),
    }
    balance(tree);
}

fn remove<T: Ord>(tree: &mut Tree<T>, item: &T) {
    let Some(node) = tree else { return };
    match item.cmp(&node.item) {
        Ordering::Less => remove(&mut node.left, item),
        Ordering::Greater => remove(&mut node.right, item),
        Ordering::Equal => match take_first(&mut node.right) {
            Some(next) => node.item = next,
            None => {
                *tree = node.left.take();
                return;
            }
        },
    }
    balance(tree);
}

fn take_first<T>(tree: &mut Tree<T>) -> Option<T> {
    let node = tree.as_mut()?;
    if node.left.is_some() {
        let first = take_first(&mut node.left);
        balance(tree);
        return first;
    }
    let node = tree.take()?;
    *tree = node.right;
    Some(node.item)
}

/// Counts a node anew, of which one side was changed by one, and rotates it where that side has
/// become too heavy.
fn balance<T>(tree: &mut Tree<T>) {
    let Some(node) = tree else { return };
    let (left, right) = (len(&node.left), len(&node.right));
    node.len = left + right + 1;
    if left + right <= 1 {
        return;
    }
    if right > WEIGHT * left {
        if let Some(side) = &node.right
            && len(&side.left) >= INNER * len(&side.right)
        {
            rotate_right(&mut node.right);
        }
        rotate_left(tree);
    } else if left > WEIGHT * right {
        if let Some(side) = &node.left
            && len(&side.right) >= INNER * len(&side.left)
        {
            rotate_left(&mut node.left);
        }
        rotate_right(tree);
    }
}

/// The right side comes up.
fn rotate_left<T>(tree: &mut Tree<T>) {
    let Some(mut node) = tree.take() else { return };
    let Some(mut up) = node.right.take() else {
        *tree = Some(node);
        return;
    };
    node.right = up.left.take();
    recount(&mut node);
    up.left = Some(node);
    recount(&mut up);
    *tree = Some(up);
}

/// The left side comes up.
fn rotate_right<T>(tree: &mut Tree<T>) {
    let Some(mut node) = tree.take() else { return };
    let Some(mut up) = node.left.take() else {
        *tree = Some(node);
        return;
    };
    node.left = up.right.take();
    recount(&mut node);
    up.right = Some(node);
    recount(&mut up);
    *tree = Some(up);
}

fn recount<T>(node: &mut Node<T>) {
    node.len = len(&node.left) + len(&node.right) + 1;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn depth<T>(tree: &Tree<T>) -> usize {
        tree.as_ref().map_or(0, |node| 1 + depth(&node.left).max(depth(&node.right)))
    }

    proptest! {
        #[test]
        fn it_is_a_set_in_order_that_counts(steps in proptest::collection::vec((any::<bool>(), 0..200u32), 0..400)) {
            let (mut ranked, mut plain) = (Ranked::default(), BTreeSet::new());
            for (enter, item) in steps {
                if enter {
                    ranked.insert(item);
                    plain.insert(item);
                } else {
                    ranked.remove(&item);
                    plain.remove(&item);
                }
            }
            prop_assert_eq!(ranked.len(), plain.len());
            prop_assert!(ranked.iter_from(0).eq(plain.iter()));
            for (at, item) in plain.iter().enumerate() {
                prop_assert_eq!(ranked.rank(item), Some(at));
                prop_assert_eq!(ranked.nth(at), Some(item));
            }
            for item in 0..200 {
                prop_assert_eq!(ranked.before(&item), plain.range(..item).count());
            }
            prop_assert!(depth(&ranked.0) <= 3 * (plain.len() + 2).ilog2() as usize);
        }
    }

    thread_local! {
        static COMPARED: Cell<u32> = const { Cell::new(0) };
    }

    #[derive(PartialEq, Eq)]
    struct Counted(u32);

    impl PartialOrd for Counted {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl Ord for Counted {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARED.with(|compared| compared.set(compared.get() + 1));
            self.0.cmp(&other.0)
        }
    }

    /// The most comparisons that one act takes with so many in the queue, which all come and half
    /// of which go.
    fn most_compared(len: u32) -> u32 {
        let mut ranked = Ranked::default();
        let mut most = 0;
        let mut act = |act: &mut dyn FnMut()| {
            COMPARED.with(|compared| compared.set(0));
            act();
            most = most.max(COMPARED.with(Cell::get));
        };
        for item in 0..len {
            act(&mut || ranked.insert(Counted(item)));
        }
        for item in 0..len / 2 {
            act(&mut || ranked.remove(&Counted(item)));
            act(&mut || assert!(ranked.rank(&Counted(len / 2 + item)).is_some()));
        }
        most
    }

    #[test]
    fn twenty_times_as_many_cost_a_few_steps_more() {
        let (few, many) = (most_compared(500), most_compared(10_000));
        assert!(many <= few + 12, "{few} comparisons among 500, {many} among 10,000");
    }
}
