//! Detects that failures of single rows are really a problem of the whole run.

use crate::model::{ErrorCode, Outcome, Row};

/// The run stops after the same suspect code this many times in a row with no success so far (slack.md, "What each answer
/// means").
const TRIPS_AT: usize = 5;

/// A row that has ended and isn't recorded yet.
#[derive(Debug)]
pub struct EndedRow {
    pub row: Box<Row>,
    pub outcome: Outcome,
}

/// Holds rows that failed with a suspect code until the cause is known. If it is the rows, they are recorded as failed; if it
/// is the run, they haven't ended, and a resumed run sends them again.
#[derive(Debug, Default)]
pub struct Breaker {
    succeeded: bool,
    tripped: bool,
    running: Option<ErrorCode>,
    /// Answers of the streak. An answer for a user may be for several rows.
    answers: usize,
    held: Vec<EndedRow>,
}

#[derive(Debug)]
pub enum BreakerVerdict {
    /// These rows ended.
    Failed(Vec<EndedRow>),
    /// Undecided: the breaker keeps the rows.
    Held,
    /// The whole run is affected. Neither the held rows nor any later one have ended.
    Tripped(ErrorCode),
}

impl Breaker {
    /// `succeeded`: whether an earlier run with the same input has ended a session.
    pub fn new(succeeded: bool) -> Self {
        Self { succeeded, ..Self::default() }
    }

    /// Notes that a session was ended, so that a suspect code concerns only its row from now on. Returns the held rows.
    pub fn success(&mut self) -> Vec<EndedRow> {
        self.succeeded = true;
        self.settle()
    }

    /// Ends the streak after a clear answer that is neither success nor suspect. Returns the held rows.
    pub fn settle(&mut self) -> Vec<EndedRow> {
        if self.tripped {
            return Vec::new();
        }
        self.running = None;
        self.answers = 0;
        std::mem::take(&mut self.held)
    }

    pub fn held(&self) -> &[EndedRow] {
        &self.held
    }

    /// Handles a call whose rows failed with a suspect code.
    pub fn suspect(&mut self, code: &ErrorCode, ended: Vec<EndedRow>) -> BreakerVerdict {
        if self.tripped {
            self.held.extend(ended);
            return BreakerVerdict::Held;
        }
        if self.succeeded {
            return BreakerVerdict::Failed(ended);
        }
        let released = if self.running.as_ref() == Some(code) { Vec::new() } else { self.settle() };
        self.running = Some(code.clone());
        self.answers += 1;
        self.held.extend(ended);
        if self.answers == TRIPS_AT {
            self.tripped = true;
            return BreakerVerdict::Tripped(code.clone());
        }
        if released.is_empty() { BreakerVerdict::Held } else { BreakerVerdict::Failed(released) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fields, Rejection, Status, Timestamp};

    fn ended(line: u64) -> EndedRow {
        let row =
            Row { line, fields: Fields::default(), target: Err(Rejection::ProtectedUser), may_have_been_sent: false };
        let outcome = Outcome { attempts: 1, ..Outcome::bare(Status::Failed, Timestamp::from_millis(0)) };
        EndedRow { row: Box::new(row), outcome }
    }

    fn code(text: &str) -> ErrorCode {
        ErrorCode::from(text)
    }

    /// What each failure led to: the number of rows released, `.` for held, `!` for tripped.
    fn play(breaker: &mut Breaker, codes: &[&str]) -> String {
        let step = |text: &&str| match breaker.suspect(&code(text), vec![ended(1)]) {
            BreakerVerdict::Failed(rows) => rows.len().to_string(),
            BreakerVerdict::Held => ".".into(),
            BreakerVerdict::Tripped(_) => "!".into(),
        };
        codes.iter().map(step).collect()
    }

    #[test]
    fn five_equal_codes_trip_the_breaker() {
        assert_eq!(play(&mut Breaker::default(), &["a", "a", "a", "a", "a"]), "....!");
    }

    #[test]
    fn rows_in_flight_when_it_trips_are_kept_with_the_others() {
        let mut breaker = Breaker::default();
        assert_eq!(play(&mut breaker, &["a", "a", "a", "a", "a", "a", "b", "a"]), "....!...");
        assert!(breaker.success().is_empty() && breaker.settle().is_empty());
        assert_eq!(breaker.held().len(), 8);
    }

    #[test]
    fn a_success_of_an_earlier_run_counts() {
        assert_eq!(play(&mut Breaker::new(true), &["a", "a", "a", "a", "a", "a"]), "111111");
    }

    #[test]
    fn another_code_starts_the_count_again_and_settles_the_rows_before() {
        assert_eq!(play(&mut Breaker::default(), &["a", "a", "b", "a", "a", "a", "a", "a"]), "..21...!");
    }

    #[test]
    fn after_one_success_the_code_is_the_rows_own() {
        let mut breaker = Breaker::default();
        assert_eq!(play(&mut breaker, &["a", "a", "a", "a"]), "....");
        assert_eq!(breaker.success().len(), 4);
        assert_eq!(play(&mut breaker, &["a", "a", "a", "a", "a", "a"]), "111111");
    }

    #[test]
    fn a_clear_answer_between_breaks_the_streak() {
        let mut breaker = Breaker::default();
        assert_eq!(play(&mut breaker, &["a", "a", "a", "a"]), "....");
        assert_eq!(breaker.settle().len(), 4);
        assert_eq!(play(&mut breaker, &["a", "a", "a", "a", "a"]), "....!");
    }
}
