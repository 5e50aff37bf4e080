//! Which rows go together into one call, where whole users are asked for. Pure.

use super::group::{Group, MOST_USERS, user_of};
use crate::model::{Outcome, Row, UserId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Rows of one call at most: users with very many rows each must not decide over our memory. What is over ends with the
/// answer to its user all the same.
const MOST_ROWS: usize = 32_768;

/// The rows that were read and not sent yet, and the answers that were given for good: a user is asked for once.
#[derive(Debug)]
pub struct Gathering {
    unread: VecDeque<Row>,
    /// Rows that were passed over.
    passed: VecDeque<Row>,
    rows: Vec<Row>,
    users: HashSet<UserId>,
    answered: HashMap<UserId, Arc<Outcome>>,
    users_left: u64,
}

/// A row whose user was answered before; the record of that call's rows.
pub type Answered = (Row, Arc<Outcome>);

impl Gathering {
    /// Nothing gathered, of an input with so many users.
    pub fn new(users: u64) -> Self {
        Self {
            unread: VecDeque::new(),
            passed: VecDeque::new(),
            rows: Vec::new(),
            users: HashSet::new(),
            answered: HashMap::new(),
            users_left: users,
        }
    }

    /// Takes in a row, in the input's order.
    pub fn take(&mut self, row: Row) {
        self.unread.push_back(row);
    }

    /// Whether a row has neither been sent nor answered.
    pub fn has_rows(&self) -> bool {
        !self.passed.is_empty() || self.has_other_rows()
    }

    /// Whether one of them was not passed over.
    pub fn has_other_rows(&self) -> bool {
        !self.unread.is_empty() || !self.rows.is_empty()
    }

    /// Whether no more rows can be passed over: there is no memory for them.
    pub fn has_passed_enough(&self) -> bool {
        self.passed.len() >= MOST_ROWS
    }

    /// Passes over the next rows, as far as `is_in_doubt` says of their users, until [`Self::take_back`].
    pub fn pass_over(&mut self, is_in_doubt: impl Fn(&UserId) -> bool) {
        while let Some(row) = self.unread.pop_front_if(|row| user_of(row).is_some_and(&is_in_doubt)) {
            self.passed.push_back(row);
        }
    }

    /// Those rows are next.
    pub fn take_back(&mut self) {
        while let Some(row) = self.passed.pop_back() {
            self.unread.push_front(row);
        }
    }

    /// Whether more rows are of use now.
    pub fn wants_rows(&self) -> bool {
        self.unread.is_empty()
    }

    /// Gathers rows of up to `most` users, in the input's order. Gives them once the next row would be of one user more,
    /// or the input has `ended`. Rows whose user was answered are put into `answered`.
    pub fn gather(&mut self, most: usize, ended: bool, answered: &mut Vec<Answered>) -> Option<Group> {
        while let Some(row) = self.unread.pop_front() {
            let Some(user) = user_of(&row) else { continue };
            if let Some(outcome) = self.answered.get(user) {
                answered.push((row, Arc::clone(outcome)));
                continue;
            }
            let is_new = !self.users.contains(user);
            if (is_new && self.users.len() >= most) || self.rows.len() >= MOST_ROWS {
                self.unread.push_front(row);
                return Some(self.close());
            }
            if is_new {
                self.users.insert(user.clone());
            }
            self.rows.push(row);
        }
        (ended && !self.rows.is_empty()).then(|| self.close())
    }

    fn close(&mut self) -> Group {
        self.users_left = self.users_left.saturating_sub(self.users.len() as u64);
        self.users.clear();
        Group::of(std::mem::take(&mut self.rows))
    }

    /// Calls that the users who were not gathered yet will take.
    pub fn calls_left(&self) -> u64 {
        self.users_left.div_ceil(MOST_USERS as u64)
    }

    /// These users were answered for good, as `outcome` says.
    pub fn answer(&mut self, users: &[UserId], outcome: Outcome) {
        let outcome = Arc::new(outcome);
        self.answered.extend(users.iter().map(|user| (user.clone(), Arc::clone(&outcome))));
    }
}

#[cfg(test)]
mod tests {
    use super::super::group::tests::{row, rows, shown};
    use super::*;
    use crate::model::{Stamp, Status};

    fn gathering(users: &[&str]) -> Gathering {
        let mut gathering = Gathering::new(users.len() as u64);
        for row in rows(users) {
            gathering.take(row);
        }
        gathering
    }

    /// The groups of at most `most` users, each of them answered where `answers` says so; a row that was answered by an
    /// earlier call as `=line`.
    fn groups(users: &[&str], most: usize, answers: bool) -> Vec<String> {
        let (mut gathering, mut all) = (gathering(users), Vec::new());
        loop {
            let mut answered = Vec::new();
            let group = gathering.gather(most, true, &mut answered);
            all.extend(answered.iter().map(|(row, _)| format!("={}", row.line)));
            let Some(group) = group else { return all };
            all.push(shown(&group));
            if answers {
                gathering.answer(group.users(), outcome());
            }
        }
    }

    fn outcome() -> Outcome {
        Outcome {
            status: Status::Requested,
            error: None,
            detail: Box::default(),
            http_status: Some(200),
            attempts: 1,
            rate_limited: 0,
            first_sent_at: None,
            finished_at: Stamp::from_millis(0),
            request_id: None,
        }
    }

    #[test]
    fn rows_are_gathered_in_the_inputs_order_until_the_users_are_enough() {
        for (users, most, want) in [
            (&["U1"][..], 2, &["U1: 2"][..]),
            (&["U1", "U2", "U3"], 2, &["U1 U2: 2 3", "U3: 4"]),
            (&["U1", "U1", "U2", "U1", "U3"], 2, &["U1 U2: 2 3 4 5", "U3: 6"]),
            (&["U1", "U2", "U1", "U2", "U3", "U1"], 2, &["U1 U2: 2 3 4 5", "=7", "U3: 6"]),
            (&["U1", "U2", "U1"], 1, &["U1: 2", "=4", "U2: 3"]),
            (&[], 2, &[]),
        ] {
            assert_eq!(groups(users, most, true), want, "{users:?} by {most}");
        }
    }

    #[test]
    fn a_user_without_an_answer_is_gathered_again() {
        assert_eq!(groups(&["U1", "U2", "U1"], 1, false), ["U1: 2", "U2: 3", "U1: 4"]);
    }

    #[test]
    fn nothing_is_given_before_it_is_known_to_be_all() {
        let mut gathering = gathering(&["U1", "U2"]);
        assert!(gathering.gather(2, false, &mut Vec::new()).is_none());
        assert!(gathering.wants_rows() && gathering.has_rows());
        gathering.take(row(4, "U1"));
        gathering.take(row(5, "U3"));
        let group = gathering.gather(2, false, &mut Vec::new()).unwrap();
        assert_eq!(shown(&group), "U1 U2: 2 3 4");
        assert!(!gathering.wants_rows());
    }

    #[test]
    fn one_user_with_many_rows_is_asked_for_once() {
        let mut gathering = Gathering::new(1);
        (0..MOST_ROWS as u64 + 5).for_each(|n| gathering.take(row(n + 2, "U1")));
        let group = gathering.gather(MOST_USERS, true, &mut Vec::new()).unwrap();
        assert_eq!((group.rows().len(), gathering.calls_left()), (MOST_ROWS, 0));
        gathering.answer(group.users(), outcome());
        let mut answered = Vec::new();
        assert!(gathering.gather(MOST_USERS, true, &mut answered).is_none());
        assert_eq!(answered.len(), 5);
        assert!(!gathering.has_rows());
    }
}
