//! x
use crate::outcome::Outcome;
pub(crate) const NOISE: f64 = 0.1;
pub(crate) struct Comparison;
impl Comparison { pub fn words(&self) -> String { String::new() } pub fn worse(&self) -> bool { false } }
pub(crate) fn compare(_: &Outcome, _: &Outcome, _: f64) -> Comparison { Comparison }
