//! The origins of the pages that are connected: when an admin takes one off a site's list, its
//! connections end.
//!
//! Lives here: each origin once, under a number, of which a connection keeps two bytes. Not here:
//! who may connect (`gateway`), how origins compare (`origin`).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::fanout::PageNumber;

/// Origins that are known by a number. A page of a further one is asked to come back when the list
/// changes.
const NUMBERED_MAX: usize = 16_384;

/// The origins that were let in since the start.
#[derive(Debug, Default)]
pub(super) struct PageOrigins(RwLock<Numbered>);

#[derive(Debug, Default)]
struct Numbered {
    numbers: HashMap<Arc<str>, PageNumber>,
    origins: Vec<Arc<str>>,
}

impl PageOrigins {
    pub(super) fn number(&self, origin: &str) -> PageNumber {
        if let Some(number) = self.0.read().numbers.get(origin) {
            return *number;
        }
        let mut numbered = self.0.write();
        if let Some(number) = numbered.numbers.get(origin) {
            return *number;
        }
        if numbered.origins.len() >= NUMBERED_MAX {
            return 0;
        }
        let origin: Arc<str> = Arc::from(origin);
        numbered.origins.push(Arc::clone(&origin));
        let number = PageNumber::try_from(numbered.origins.len()).unwrap_or_default();
        numbered.numbers.insert(origin, number);
        number
    }

    pub(super) fn origin(&self, number: PageNumber) -> Option<Arc<str>> {
        let at = usize::from(number).checked_sub(1)?;
        self.0.read().origins.get(at).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_number_and_there_are_so_many() {
        let pages = PageOrigins::default();
        let shop = pages.number("https://shop.example");
        assert_eq!(pages.number("https://shop.example"), shop);
        assert_eq!(pages.origin(shop).as_deref(), Some("https://shop.example"));
        assert_eq!(pages.origin(0), None);
        for n in 1..NUMBERED_MAX {
            assert_ne!(pages.number(&format!("https://{n}.example")), 0);
        }
        assert_eq!(pages.number("https://one-more.example"), 0);
        assert_eq!(pages.number("https://shop.example"), shop);
    }
}
