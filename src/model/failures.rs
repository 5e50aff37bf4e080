//! Counts rows by error.

use super::Status;
use std::collections::BTreeMap;

/// Maximum number of distinct errors. Errors are texts from outside, and memory must not grow with the input.
const MOST: usize = 100;

/// Rows by status and error, for the statuses that can be in `--remaining`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failures {
    by_error: BTreeMap<(Status, Box<str>), u64>,
    others: u64,
}

impl Failures {
    pub fn add(&mut self, status: Status, error: &str) {
        if error.is_empty() || !status.remains(true) {
            return;
        }
        let (room, key) = (self.by_error.len() < MOST, (status, error.into()));
        match self.by_error.get_mut(&key) {
            Some(rows) => *rows += 1,
            None if room => drop(self.by_error.insert(key, 1)),
            None => self.others += 1,
        }
    }

    /// Status, error and number of rows; largest number first.
    #[must_use]
    pub fn most_first(&self, strict: bool) -> Vec<(Status, &str, u64)> {
        let all = self.by_error.iter().map(|((status, error), rows)| (*status, &**error, *rows));
        let mut failures: Vec<_> = all.filter(|(status, ..)| status.remains(strict)).collect();
        failures.sort_by_key(|(.., rows)| std::cmp::Reverse(*rows));
        failures
    }

    /// Rows with other errors than the first 100.
    #[must_use]
    pub fn others(&self) -> u64 {
        self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_by_status_and_error_and_good_ones_are_not() {
        let mut failures = Failures::default();
        for (status, error, rows) in [
            (Status::Failed, "user_not_found", 2),
            (Status::Unknown, "timeout", 3),
            (Status::NotFound, "session_not_found", 4),
            (Status::AlreadyRevoked, "session_expired", 5),
            (Status::Duplicate, "duplicate_session", 6),
            (Status::Revoked, "", 7),
        ] {
            (0..rows).for_each(|_| failures.add(status, error));
        }
        let common = [(Status::Unknown, "timeout", 3), (Status::Failed, "user_not_found", 2)];
        assert_eq!(failures.most_first(false), common);
        assert_eq!(failures.most_first(true)[0], (Status::NotFound, "session_not_found", 4));
    }

    #[test]
    fn no_number_of_errors_fills_memory() {
        let mut failures = Failures::default();
        (0..MOST + 7).for_each(|number| failures.add(Status::Failed, &format!("code_{number}")));
        failures.add(Status::Failed, "code_0");
        assert_eq!((failures.most_first(false).len(), failures.others()), (MOST, 7));
        assert_eq!(failures.most_first(false)[0], (Status::Failed, "code_0", 2));
    }
}
