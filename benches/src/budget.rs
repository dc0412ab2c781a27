//! How many instructions each case may take: `budgets.toml`, and the verdict on what was counted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// What one thing of a case may cost.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// What it cost when the budget was set.
    pub measured: u64,
    /// What it may cost.
    pub allowed: u64,
    /// Where the instructions go, and why the margin is as it is.
    pub why: String,
}

/// All budgets, by group and case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Budgets(BTreeMap<String, BTreeMap<String, Budget>>);

/// A share of the budget below which it holds nothing any more, and should be lowered.
const IDLE_SHARE: (u64, u64) = (1, 2);

impl Budgets {
    /// Reads the file's text.
    ///
    /// # Errors
    /// If it is not what a budget is, with the line.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The budget of a case.
    pub fn of(&self, path: &str) -> Option<&Budget> {
        let (group, case) = path.split_once('/')?;
        self.0.get(group)?.get(case)
    }

    /// What is wrong with a count, in a sentence.
    pub fn complaint(&self, path: &str, counted: u64) -> Option<String> {
        let Some(Budget { measured, allowed, .. }) = self.of(path) else {
            return Some(format!("{path}: {counted} instructions, and no budget"));
        };
        (counted > *allowed).then(|| {
            format!(
                "{path}: {counted} instructions, {allowed} are allowed ({measured} when the budget was set)"
            )
        })
    }

    /// Whether a budget could be lowered.
    pub fn is_idle(&self, path: &str, counted: u64) -> bool {
        let (part, whole) = IDLE_SHARE;
        self.of(path).is_some_and(|budget| counted * whole < budget.allowed * part)
    }

    /// Budgets of cases that are not there.
    pub fn without_case(&self, paths: &[String]) -> Vec<String> {
        let there: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
        let all = self
            .0
            .iter()
            .flat_map(|(group, cases)| cases.keys().map(move |case| format!("{group}/{case}")));
        all.filter(|path| !there.contains(path.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets() -> Budgets {
        Budgets::parse("[seal]\nopen = { measured = 900, allowed = 1000, why = \"AES\" }\n")
            .unwrap()
    }

    #[test]
    fn a_count_above_its_budget_is_told_with_both_numbers() {
        assert_eq!(budgets().complaint("seal/open", 1_000), None);
        let told = budgets().complaint("seal/open", 1_001).unwrap();
        for part in ["seal/open", "1001", "1000", "900"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_case_without_a_budget_and_a_budget_without_a_case_are_told() {
        assert!(budgets().complaint("seal/shut", 1).unwrap().contains("no budget"));
        assert_eq!(budgets().without_case(&["seal/shut".to_owned()]), ["seal/open"]);
        assert!(budgets().without_case(&["seal/open".to_owned()]).is_empty());
    }

    #[test]
    fn a_budget_that_holds_nothing_any_more_is_idle() {
        assert!(!budgets().is_idle("seal/open", 500));
        assert!(budgets().is_idle("seal/open", 499));
    }

    #[test]
    fn every_case_has_a_budget_with_a_reason_and_a_margin() {
        let budgets = Budgets::parse(include_str!("../budgets.toml")).unwrap();
        let paths: Vec<_> = crate::counting::cases().iter().map(|named| named.path()).collect();
        assert!(budgets.without_case(&paths).is_empty());
        for path in &paths {
            let budget = budgets.of(path).unwrap_or_else(|| panic!("{path} has no budget"));
            assert!(budget.allowed > budget.measured && !budget.why.is_empty(), "{path}");
        }
    }
}
