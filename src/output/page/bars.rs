//! Rows over time, in bars that grow wider as the time grows longer: memory is the same for an hour and for a year.

use super::ends::End;
use crate::model::Stamp;
use std::collections::BTreeMap;

/// More bars than this are not told apart on a page.
const MOST: i64 = 240;

/// Widths of a bar in milliseconds, each a multiple of the one before. Beyond a day they double.
const WIDTHS: [i64; 13] = [
    1_000, 2_000, 10_000, 30_000, 60_000, 120_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000,
    86_400_000,
];

/// Rows by [`End`], in the order of [`End::ALL`].
pub type ByEnd = [u64; End::ALL.len()];

/// The bars of one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bars {
    width: i64,
    /// By their number since 1970.
    bars: BTreeMap<i64, ByEnd>,
}

impl Default for Bars {
    fn default() -> Self {
        Self { width: WIDTHS[0], bars: BTreeMap::new() }
    }
}

impl Bars {
    /// Counts a row that ended at this moment.
    pub fn add(&mut self, at: Stamp, end: End) {
        self.bars.entry(at.as_millis().div_euclid(self.width)).or_default()[end as usize] += 1;
        while self.span() > MOST {
            self.widen();
        }
    }

    /// The width of a bar, in milliseconds.
    #[must_use]
    pub fn width(&self) -> i64 {
        self.width
    }

    /// The bars that are not empty, each with its beginning.
    pub fn iter(&self) -> impl Iterator<Item = (Stamp, ByEnd)> {
        self.bars.iter().map(|(number, rows)| (Stamp::from_millis(number * self.width), *rows))
    }

    /// From the beginning of the first bar to the end of the last; none where no row was counted.
    #[must_use]
    pub fn extent(&self) -> Option<(Stamp, Stamp)> {
        let (first, last) = (self.bars.keys().next()?, self.bars.keys().next_back()?);
        Some((Stamp::from_millis(first * self.width), Stamp::from_millis((last + 1) * self.width)))
    }

    fn span(&self) -> i64 {
        let ends = self.bars.keys().next().zip(self.bars.keys().next_back());
        ends.map_or(0, |(first, last)| last - first + 1)
    }

    fn widen(&mut self) {
        let wider = WIDTHS.into_iter().find(|width| *width > self.width).unwrap_or(self.width * 2);
        let factor = wider / self.width;
        for (number, rows) in std::mem::take(&mut self.bars) {
            let together = self.bars.entry(number.div_euclid(factor)).or_default();
            together.iter_mut().zip(rows).for_each(|(sum, rows)| *sum += rows);
        }
        self.width = wider;
    }
}

/// Bars for each run: runs may lie days apart, and one axis for all would show nothing but the days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// When each run but the first began; what comes before belongs to the first.
    later: Vec<Stamp>,
    runs: Vec<Bars>,
}

impl Timeline {
    /// For runs that began at these moments, in order; without one, for a single stretch.
    #[must_use]
    pub fn new(starts: &[Stamp]) -> Self {
        let later = starts.get(1..).unwrap_or_default().to_vec();
        Self { runs: vec![Bars::default(); later.len() + 1], later }
    }

    /// Counts a row that ended at this moment.
    pub fn add(&mut self, at: Stamp, end: End) {
        let run = self.later.partition_point(|start| *start <= at);
        if let Some(bars) = self.runs.get_mut(run) {
            bars.add(at, end);
        }
    }

    /// The bars of each run, in order.
    #[must_use]
    pub fn runs(&self) -> &[Bars] {
        &self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(bars: &Bars) -> u64 {
        bars.iter().map(|(_, rows)| rows.iter().sum::<u64>()).sum()
    }

    #[test]
    fn bars_grow_with_the_time_that_they_show() {
        for (step, rows, width) in [
            (0, 5, 1_000),
            (1_000, 240, 1_000),
            (1_000, 241, 2_000),
            (500, 480, 1_000),
            (3_000, 1_200, 30_000),
            (86_400_000, 300, 172_800_000),
        ] {
            let mut bars = Bars::default();
            (0..rows).for_each(|row| bars.add(Stamp::from_millis(1_700_006_400_000 + row * step), End::Gone));
            assert_eq!((bars.width(), sum(&bars)), (width, rows.unsigned_abs()), "{rows} rows, {step} ms apart");
        }
    }

    #[test]
    fn every_width_is_a_multiple_of_the_one_before() {
        assert!(WIDTHS.windows(2).all(|pair| pair[1] % pair[0] == 0 && pair[1] > pair[0]));
    }

    #[test]
    fn a_row_belongs_to_the_run_that_had_begun() {
        let starts = [1_000, 5_000, 9_000].map(Stamp::from_millis);
        let mut timeline = Timeline::new(&starts);
        for at in [500, 1_000, 4_999, 5_000, 20_000] {
            timeline.add(Stamp::from_millis(at), End::Trouble);
        }
        assert_eq!(timeline.runs().iter().map(sum).collect::<Vec<_>>(), [3, 1, 1]);
        assert_eq!(Timeline::new(&[]).runs().len(), 1);
    }

    proptest! {
        #[test]
        fn no_row_is_lost_and_the_bars_stay_few(stamps in proptest::collection::vec(-300_000_000_000_000_i64..300_000_000_000_000, 1..60)) {
            let mut bars = Bars::default();
            for at in &stamps {
                bars.add(Stamp::from_millis(*at), End::Aside);
            }
            prop_assert_eq!(sum(&bars), stamps.len() as u64);
            prop_assert!(bars.span() <= MOST);
            let (from, to) = bars.extent().unwrap();
            prop_assert!(stamps.iter().all(|at| (from.as_millis()..to.as_millis()).contains(at)));
        }
    }
}
