//! How much a figure differs from run to run where nothing was changed, and by how much two sides
//! must differ to be two.

use crate::number::{float, long, ratio};

/// One figure in several runs of one side.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sample(Vec<f64>);

/// Student's t at 99 % on both sides together, by degrees of freedom from 1 on: a difference that
/// noise alone makes once in two hundred comparisons towards the worse.
const T: [f64; 30] = [
    63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012,
    2.977, 2.947, 2.921, 2.898, 2.878, 2.861, 2.845, 2.831, 2.819, 2.807, 2.797, 2.787, 2.779,
    2.771, 2.763, 2.756, 2.750,
];
/// The same beyond them.
const T_MANY: f64 = 2.576;

/// Fewer say too little of their own noise: with one degree of freedom it would be 64 deviations
/// wide.
const FREEDOM_MIN: usize = 2;

impl Sample {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        Self(values.into_iter().collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn mean(&self) -> f64 {
        ratio(self.0.iter().sum(), float(long(self.0.len())))
    }

    /// Sum of the squares of what each differs from the mean.
    fn squares(&self) -> f64 {
        let mean = self.mean();
        self.0.iter().map(|value| (value - mean).powi(2)).sum()
    }

    /// Standard deviation; none of a single run.
    pub(crate) fn deviation(&self) -> Option<f64> {
        let freedom = self.0.len().checked_sub(1).filter(|freedom| *freedom > 0)?;
        Some((self.squares() / float(long(freedom))).sqrt())
    }

    /// By how much the means of two sides may differ by noise alone, as their own runs show it;
    /// none where there are too few.
    pub(crate) fn own_noise(&self, other: &Self) -> Option<f64> {
        let freedom = (self.0.len() + other.0.len()).checked_sub(2)?;
        if freedom < FREEDOM_MIN || self.is_empty() || other.is_empty() {
            return None;
        }
        let t = T.get(freedom - 1).copied().unwrap_or(T_MANY);
        let deviation = ((self.squares() + other.squares()) / float(long(freedom))).sqrt();
        let runs = |sample: &Self| 1.0 / float(long(sample.0.len()));
        Some(t * deviation * (runs(self) + runs(other)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_what_runs_of_one_side_show_among_themselves() {
        let (old, new) = (Sample::of([10.0, 12.0, 14.0]), Sample::of([20.0, 22.0, 24.0]));
        assert_eq!((old.mean(), old.deviation()), (12.0, Some(2.0)));
        // t of 4 degrees of freedom, the deviation, the root of two thirds.
        let noise = old.own_noise(&new).unwrap();
        assert!((noise - 4.604 * 2.0 * (2.0_f64 / 3.0).sqrt()).abs() < 1e-9, "{noise}");
        assert_eq!(old.own_noise(&new), new.own_noise(&old));
    }

    #[test]
    fn more_runs_make_it_less_and_too_few_say_nothing() {
        let sample = |count: usize| Sample::of([1.0, 3.0].into_iter().cycle().take(count));
        let noise = |old, new| sample(old).own_noise(&sample(new));
        assert!(noise(20, 20).unwrap() < noise(4, 4).unwrap());
        assert!(noise(40, 40).unwrap() < noise(20, 20).unwrap());
        assert!(noise(3, 1).is_some() && noise(2, 2).is_some());
        for (old, new) in [(1, 1), (2, 1), (0, 0), (0, 9), (9, 0)] {
            assert_eq!(noise(old, new), None, "{old} {new}");
        }
        assert_eq!(sample(1).deviation(), None);
    }
}
