//! Data of the charts: rows per bar, periods, and values over time. Memory doesn't grow with the length of a run: bars are
//! widened, periods merged, and values thinned out.

use crate::model::{StatusGroup, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// Maximum number of bars in a chart.
const MOST_BARS: i64 = 240;

/// Maximum number of bars if they are narrower than a second; with more, most would be empty.
const MOST_SHORT_BARS: i64 = 60;

/// Possible bar widths in milliseconds, each a multiple of the previous one. Beyond a day, widths double.
const WIDTHS: [i64; 15] = [
    100, 200, 1_000, 2_000, 10_000, 30_000, 60_000, 120_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000,
    43_200_000, 86_400_000,
];

/// Rows by [`StatusGroup`], in the order of [`StatusGroup::ALL`].
pub type ByGroup = [u64; StatusGroup::ALL.len()];

/// The bars of one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bars {
    width: i64,
    /// By the number of bar widths since 1970.
    bars: BTreeMap<i64, ByGroup>,
}

impl Default for Bars {
    fn default() -> Self {
        Self { width: WIDTHS[0], bars: BTreeMap::new() }
    }
}

impl Bars {
    /// Counts a row that ended at this moment.
    pub fn add(&mut self, at: Timestamp, group: StatusGroup) {
        self.bars.entry(at.as_millis().div_euclid(self.width)).or_default()[group as usize] += 1;
        while self.span() > if self.width < 1_000 { MOST_SHORT_BARS } else { MOST_BARS } {
            self.widen();
        }
    }

    /// The width of a bar, in milliseconds.
    #[must_use]
    pub fn width(&self) -> i64 {
        self.width
    }

    /// The nonempty bars with their start times.
    pub fn iter(&self) -> impl Iterator<Item = (Timestamp, ByGroup)> {
        self.bars.iter().map(|(number, rows)| (Timestamp::from_millis(number * self.width), *rows))
    }

    /// From the start of the first bar to the end of the last; `None` if no row was counted.
    #[must_use]
    pub fn extent(&self) -> Option<(Timestamp, Timestamp)> {
        let (first, last) = (self.bars.keys().next()?, self.bars.keys().next_back()?);
        Some((Timestamp::from_millis(first * self.width), Timestamp::from_millis((last + 1) * self.width)))
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

/// Bars for each run. Runs may be days apart, and one axis for all of them would show mostly empty time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Start times of all runs except the first; earlier rows belong to the first run.
    later: Vec<Timestamp>,
    runs: Vec<Bars>,
}

impl Timeline {
    /// `starts` are the start times of the runs, in order. If it is empty, all rows are in one period.
    #[must_use]
    pub fn new(starts: &[Timestamp]) -> Self {
        let later = starts.get(1..).unwrap_or_default().to_vec();
        Self { runs: vec![Bars::default(); later.len() + 1], later }
    }

    /// Counts a row that ended at this moment.
    pub fn add(&mut self, at: Timestamp, group: StatusGroup) {
        let run = self.later.partition_point(|start| *start <= at);
        if let Some(bars) = self.runs.get_mut(run) {
            bars.add(at, group);
        }
    }

    /// The bars of each run, in order.
    #[must_use]
    pub fn runs(&self) -> &[Bars] {
        &self.runs
    }
}

/// Maximum number of periods or changes in a chart.
const MOST_POINTS: usize = 1_000;

/// Periods in order, without overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spans {
    spans: Vec<(i64, i64)>,
    /// Periods with a gap of at most this many milliseconds are merged.
    nearest: i64,
}

impl Spans {
    /// Adds a period. Periods are expected in order of their start; one that starts too early is merged into the last.
    pub fn add(&mut self, from: Timestamp, length: Duration) {
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let from = from.as_millis();
        let to = from.saturating_add(length);
        match self.spans.last_mut() {
            Some(last) if from.saturating_sub(last.1) <= self.nearest => last.1 = last.1.max(to),
            Some(_) | None => self.spans.push((from, to)),
        }
        while self.spans.len() > MOST_POINTS {
            self.nearest = self.nearest.saturating_mul(2).max(1_000);
            let nearest = self.nearest;
            self.spans.dedup_by(|next, kept| {
                let joins = next.0.saturating_sub(kept.1) <= nearest;
                kept.1 = if joins { kept.1.max(next.1) } else { kept.1 };
                joins
            });
        }
    }

    /// The periods, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        self.spans.iter().map(|(from, to)| (Timestamp::from_millis(*from), Timestamp::from_millis(*to)))
    }
}

/// A value over time. If it changes too often, every other change is dropped.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Steps {
    kept: Vec<(Timestamp, f64)>,
    /// The last change, which is never dropped.
    last: Option<(Timestamp, f64)>,
    /// One of this many changes is kept; 0 counts as 1.
    every: usize,
    seen: usize,
}

impl Steps {
    /// The value from `at` on.
    pub fn push(&mut self, at: Timestamp, value: f64) {
        self.last = Some((at, value));
        if self.seen.is_multiple_of(self.every.max(1)) {
            self.kept.push((at, value));
        }
        self.seen += 1;
        if self.kept.len() > MOST_POINTS {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.every = self.every.max(1) * 2;
        }
    }

    /// The changes, in order, always including the last one.
    pub fn iter(&self) -> impl Iterator<Item = (Timestamp, f64)> {
        let last = self.last.filter(|last| self.kept.last() != Some(last));
        self.kept.iter().copied().chain(last)
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
    fn bars_get_wider_with_time() {
        for (step, rows, width) in [
            (0, 5, 100),
            (30, 60, 100),
            (120, 60, 200),
            (1_000, 240, 1_000),
            (1_000, 241, 2_000),
            (500, 480, 1_000),
            (3_000, 1_200, 30_000),
            (86_400_000, 300, 172_800_000),
        ] {
            let mut bars = Bars::default();
            (0..rows)
                .for_each(|row| bars.add(Timestamp::from_millis(1_700_006_400_000 + row * step), StatusGroup::Gone));
            assert_eq!((bars.width(), sum(&bars)), (width, rows.unsigned_abs()), "{rows} rows, {step} ms apart");
        }
    }

    #[test]
    fn every_width_is_a_multiple_of_the_one_before() {
        assert!(WIDTHS.windows(2).all(|pair| pair[1] % pair[0] == 0 && pair[1] > pair[0]));
    }

    #[test]
    fn a_row_belongs_to_the_last_run_that_started_before_it() {
        let starts = [1_000, 5_000, 9_000].map(Timestamp::from_millis);
        let mut timeline = Timeline::new(&starts);
        for at in [500, 1_000, 4_999, 5_000, 20_000] {
            timeline.add(Timestamp::from_millis(at), StatusGroup::ActionNeeded);
        }
        assert_eq!(timeline.runs().iter().map(sum).collect::<Vec<_>>(), [3, 1, 1]);
        assert_eq!(Timeline::new(&[]).runs().len(), 1);
    }

    proptest! {
        #[test]
        fn no_row_is_lost_and_the_bars_stay_few(stamps in proptest::collection::vec(-300_000_000_000_000_i64..300_000_000_000_000, 1..60)) {
            let mut bars = Bars::default();
            for at in &stamps {
                bars.add(Timestamp::from_millis(*at), StatusGroup::Skipped);
            }
            prop_assert_eq!(sum(&bars), stamps.len() as u64);
            prop_assert!(bars.span() <= MOST_BARS);
            let (from, to) = bars.extent().unwrap();
            prop_assert!(stamps.iter().all(|at| (from.as_millis()..to.as_millis()).contains(at)));
        }
    }

    fn spans(list: &[(i64, u64)]) -> Vec<(i64, i64)> {
        let mut spans = Spans::default();
        for (from, length) in list {
            spans.add(Timestamp::from_millis(*from), Duration::from_millis(*length));
        }
        spans.iter().map(|(from, to)| (from.as_millis(), to.as_millis())).collect()
    }

    #[test]
    fn pauses_that_touch_are_one() {
        for (list, want) in [
            (&[][..], &[][..]),
            (&[(0, 10), (10, 5)], &[(0, 15)]),
            (&[(0, 30), (5, 10)], &[(0, 30)]),
            (&[(0, 10), (11, 5)], &[(0, 10), (11, 16)]),
            (&[(50, 10), (0, 100)], &[(50, 100)]),
            (&[(0, u64::MAX)], &[(0, i64::MAX)]),
        ] {
            assert_eq!(spans(list), want);
        }
    }

    #[test]
    fn many_pauses_stay_few_and_cover_what_they_covered() {
        let list: Vec<_> = (0..50_000).map(|pause| (pause * 3_000, 1_000)).collect();
        let few = spans(&list);
        assert!(few.len() <= MOST_POINTS);
        let covered = |at: i64| few.iter().any(|(from, to)| (*from..=*to).contains(&at));
        assert!(list.iter().all(|(from, _)| covered(*from) && covered(from + 1_000)));
    }

    #[test]
    fn many_changes_are_thinned_and_the_last_one_stays() {
        let mut steps = Steps::default();
        for minute in 0..50_000_u32 {
            steps.push(Timestamp::from_millis(i64::from(minute)), f64::from(minute));
        }
        let kept: Vec<_> = steps.iter().map(|(at, _)| at.as_millis()).collect();
        assert!((MOST_POINTS / 2..=MOST_POINTS + 1).contains(&kept.len()), "{}", kept.len());
        assert_eq!((kept[0], kept[kept.len() - 1]), (0, 49_999));
        assert!(kept.is_sorted());
    }
}
