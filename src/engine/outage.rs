//! When nobody is answered: the difference between a row that fails and a Slack that is away.

use super::retry::backoff;
use std::time::Duration;

/// Transient answers for so many different rows, with no clear answer between them, are an outage and not the rows'
/// trouble. At a fault share of 16 % that comes about once in ten thousand calls, and costs a backoff.
const DECLARED_AT: usize = 5;

/// Follows the answers that were none. While an outage lasts, rows go one at a time, use up no attempts, and wait for each
/// other with a growing backoff.
#[derive(Debug, Default)]
pub struct Outage {
    witnesses: Vec<Witness>,
    since: Option<Duration>,
    declared: bool,
    tries: u32,
    hold_until: Duration,
}

/// Who met a transient answer. A row is one witness however often it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The row of this line.
    Row(u64),
    /// The call of this name, for many users.
    Call(u64),
}

/// What a transient answer led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The row's own trouble, as far as is known.
    RowOnly,
    /// The outage was just declared.
    Began,
    /// It goes on.
    GoesOn,
}

impl Outage {
    /// A call met a transient answer.
    pub fn transient(&mut self, witness: Witness, now: Duration, seed: u64) -> Turn {
        self.since.get_or_insert(now);
        if !self.witnesses.contains(&witness) && self.witnesses.len() < DECLARED_AT {
            self.witnesses.push(witness);
        }
        if self.witnesses.len() < DECLARED_AT {
            return Turn::RowOnly;
        }
        if now >= self.hold_until {
            self.tries += 1;
            self.hold_until = now + backoff(self.tries, seed);
        }
        if std::mem::replace(&mut self.declared, true) { Turn::GoesOn } else { Turn::Began }
    }

    /// A clear answer came. True where it ended a declared outage.
    pub fn clear(&mut self) -> bool {
        std::mem::take(self).declared
    }

    /// Whether Slack answers nobody.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        self.declared
    }

    /// No call before.
    #[must_use]
    pub fn hold_until(&self) -> Duration {
        self.hold_until
    }

    /// How long there has been no clear answer, where that is an outage.
    #[must_use]
    pub fn lasts(&self, now: Duration) -> Duration {
        self.since.filter(|_| self.declared).map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_in_trouble_is_no_outage() {
        let mut outage = Outage::default();
        for _ in 0..50 {
            assert_eq!(outage.transient(Witness::Row(7), Duration::ZERO, 1), Turn::RowOnly);
        }
        assert_eq!(outage.hold_until(), Duration::ZERO);
    }

    #[test]
    fn five_rows_without_an_answer_are_one_and_an_answer_ends_it() {
        let mut outage = Outage::default();
        let turns: Vec<_> =
            (1..=6).map(|line| outage.transient(Witness::Row(line), Duration::from_secs(line), 1)).collect();
        assert_eq!(turns, [[Turn::RowOnly; 4].as_slice(), &[Turn::Began, Turn::GoesOn]].concat());
        assert_eq!(outage.lasts(Duration::from_secs(11)), Duration::from_secs(10));
        assert!(outage.clear());
        assert!(!outage.is_declared());
        assert!(!outage.clear());
        assert_eq!(outage.transient(Witness::Row(1), Duration::ZERO, 1), Turn::RowOnly);
    }
}
