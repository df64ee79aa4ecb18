//! Sets of byte ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges that neither touch nor overlap, by where they begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        if let Some((&before, &its_end)) = self.0.range(..=start).next_back()
            && its_end >= start
        {
            (start, end) = (before, end.max(its_end));
        }
        while let Some((&after, &its_end)) = self.0.range(start..=end).next() {
            end = end.max(its_end);
            self.0.remove(&after);
        }
        self.0.insert(start, end);
    }

    /// Leaves nothing at or behind `end`.
    pub(crate) fn cut(&mut self, end: u64) {
        drop(self.0.split_off(&end));
        if let Some((_, last)) = self.0.iter_mut().next_back() {
            *last = (*last).min(end);
        }
    }

    /// What of `range` is in the set.
    pub(crate) fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.0.range(..=range.start).next_back().map_or(range.start, |(&start, _)| start);
        let parts = self.0.range(first..range.end.max(first));
        parts.map(move |(&start, &end)| start.max(range.start)..end.min(range.end)).filter(|part| !part.is_empty())
    }

    pub(crate) fn touches(&self, range: Range<u64>) -> bool {
        self.within(range).next().is_some()
    }

    pub(crate) fn covers(&self, range: Range<u64>) -> bool {
        range.is_empty() || self.within(range.clone()).next() == Some(range)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_a_set_of_numbers(steps in prop::collection::vec((0_u64..60, 0_u64..20, any::<bool>()), 0..40), from in 0_u64..60, length in 0_u64..20) {
            let mut ranges = Ranges::default();
            let mut model = [false; 100];
            for (start, length, insert) in steps {
                if insert {
                    ranges.insert(start..start + length);
                    model[start as usize..(start + length) as usize].fill(true);
                } else {
                    ranges.cut(start);
                    model[start as usize..].fill(false);
                }
            }
            let window = from..from + length;
            let mut found = [false; 100];
            for part in ranges.within(window.clone()) {
                found[part.start as usize..part.end as usize].fill(true);
            }
            for at in 0..100_u64 {
                prop_assert_eq!(found[at as usize], model[at as usize] && window.contains(&at), "{}", at);
            }
            let all = window.clone().all(|at| model[at as usize]);
            prop_assert_eq!(ranges.covers(window.clone()), all);
            prop_assert_eq!(ranges.touches(window.clone()), window.clone().any(|at| model[at as usize]));
        }
    }
}
