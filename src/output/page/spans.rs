//! Stretches of time, and values that change over it; both stay short however long the run.

use crate::model::Stamp;
use std::time::Duration;

/// More than this are not told apart in a chart.
const MOST: usize = 1_000;

/// Stretches of time that do not overlap, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spans {
    spans: Vec<(i64, i64)>,
    /// Stretches closer than this are one, in milliseconds.
    nearest: i64,
}

impl Spans {
    /// Adds a stretch that begins no earlier than those before it; one that does begins with the last of them.
    pub fn add(&mut self, from: Stamp, length: Duration) {
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let from = from.as_millis();
        let to = from.saturating_add(length);
        match self.spans.last_mut() {
            Some(last) if from.saturating_sub(last.1) <= self.nearest => last.1 = last.1.max(to),
            Some(_) | None => self.spans.push((from, to)),
        }
        while self.spans.len() > MOST {
            self.nearest = self.nearest.saturating_mul(2).max(1_000);
            let nearest = self.nearest;
            self.spans.dedup_by(|next, kept| {
                let joins = next.0.saturating_sub(kept.1) <= nearest;
                kept.1 = if joins { kept.1.max(next.1) } else { kept.1 };
                joins
            });
        }
    }

    /// The stretches, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Stamp, Stamp)> {
        self.spans.iter().map(|(from, to)| (Stamp::from_millis(*from), Stamp::from_millis(*to)))
    }
}

/// A value that changes; where it changes too often, every other change is left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Steps {
    kept: Vec<(Stamp, f64)>,
    /// The last change, which is never left out.
    last: Option<(Stamp, f64)>,
    /// Of so many changes one is kept; 0 counts as 1.
    every: usize,
    seen: usize,
}

impl Steps {
    /// The value from `at` on.
    pub fn push(&mut self, at: Stamp, value: f64) {
        self.last = Some((at, value));
        if self.seen.is_multiple_of(self.every.max(1)) {
            self.kept.push((at, value));
        }
        self.seen += 1;
        if self.kept.len() > MOST {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.every = self.every.max(1) * 2;
        }
    }

    /// The changes, in order; the last one is the very last.
    pub fn iter(&self) -> impl Iterator<Item = (Stamp, f64)> {
        let last = self.last.filter(|last| self.kept.last() != Some(last));
        self.kept.iter().copied().chain(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(list: &[(i64, u64)]) -> Vec<(i64, i64)> {
        let mut spans = Spans::default();
        for (from, length) in list {
            spans.add(Stamp::from_millis(*from), Duration::from_millis(*length));
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
        assert!(few.len() <= MOST);
        let covered = |at: i64| few.iter().any(|(from, to)| (*from..=*to).contains(&at));
        assert!(list.iter().all(|(from, _)| covered(*from) && covered(from + 1_000)));
    }

    #[test]
    fn many_changes_are_thinned_and_the_last_one_stays() {
        let mut steps = Steps::default();
        for minute in 0..50_000_u32 {
            steps.push(Stamp::from_millis(i64::from(minute)), f64::from(minute));
        }
        let kept: Vec<_> = steps.iter().map(|(at, _)| at.as_millis()).collect();
        assert!((MOST / 2..=MOST + 1).contains(&kept.len()), "{}", kept.len());
        assert_eq!((kept[0], kept[kept.len() - 1]), (0, 49_999));
        assert!(kept.is_sorted());
    }
}
