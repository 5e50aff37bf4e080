//! Batches of rows for calls with whole users, and their bisection if a user makes a call fail. Pure.

use crate::model::{Outcome, Row, SessionTarget, Target, UserId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Maximum number of users in one `admin.users.session.resetBulk` (slack.md, "The sibling methods").
pub const MOST_USERS: usize = 1000;

/// The calls for so many users, if none of them is refused: the canary is one user alone.
#[must_use]
pub fn bulk_calls(users: u64, canary: bool) -> u64 {
    let alone = u64::from(canary && users > 0);
    alone + (users - alone).div_ceil(MOST_USERS as u64)
}

/// Users and all rows that ask for them: each row belongs to one of the users, and each user has a row.
#[derive(Debug)]
pub struct UserBatch {
    users: Arc<[UserId]>,
    rows: Vec<Row>,
}

/// The user of a row for a whole user.
pub fn user_of(row: &Row) -> Option<&UserId> {
    match &row.target {
        Ok(Target::User(target)) => Some(target.user()),
        Ok(Target::Session(_)) | Err(_) => None,
    }
}

/// The session that a row of a whole user can be sent as.
pub fn instead_of(row: &Row) -> Option<&SessionTarget> {
    match &row.target {
        Ok(Target::User(target)) => target.instead(),
        Ok(Target::Session(_)) | Err(_) => None,
    }
}

impl UserBatch {
    /// Users are in the order of their first rows.
    pub fn of(rows: Vec<Row>) -> Self {
        let mut seen = HashSet::new();
        let users = rows.iter().filter_map(user_of).filter(|user| seen.insert(*user)).cloned().collect();
        Self { users, rows }
    }

    pub fn users(&self) -> &Arc<[UserId]> {
        &self.users
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn into_rows(self) -> Vec<Row> {
        self.rows
    }

    /// Splits the batch in half, the first half having one user more if necessary. Returns the batch itself if it has
    /// one user.
    pub fn split(self) -> Result<(Self, Self), Self> {
        if self.users.len() < 2 {
            return Err(self);
        }
        let (first, _) = self.users.split_at(self.users.len().div_ceil(2));
        let first: HashSet<&UserId> = first.iter().collect();
        let (ahead, behind) =
            self.rows.into_iter().partition(|row| user_of(row).is_some_and(|user| first.contains(user)));
        Ok((Self::of(ahead), Self::of(behind)))
    }
}

/// Maximum number of rows of a call, which bounds the memory if users have very many rows. Their further rows end
/// with the answer to the user without a call.
const MOST_ROWS: usize = 32_768;

/// Collects rows into batches, and keeps final answers so that each user is sent once.
#[derive(Debug)]
pub struct UserBatcher {
    unread: VecDeque<Row>,
    /// Rows skipped because their users wait for a clear answer.
    passed: VecDeque<Row>,
    rows: Vec<Row>,
    users: HashSet<UserId>,
    answered: HashMap<UserId, UserAnswer>,
    users_left: u64,
    /// Whether any call had a clear answer.
    is_answered: bool,
    /// Calls that failed since the last one that was accepted.
    failures: u32,
}

/// What was decided about a user.
#[derive(Debug, Clone)]
pub enum UserAnswer {
    /// The record of the call's rows.
    Ended(Arc<Outcome>),
    /// The rows are sent by themselves; whether a call for the user may have taken effect.
    Singly { may_be_gone: bool },
}

/// A row whose user was answered before.
pub type Answered = (Row, UserAnswer);

/// So many calls in a row that fail are not one user's trouble: one of a thousand is found with ten.
const MOST_FAILURES: u32 = 12;

impl UserBatcher {
    /// `users`: the number of users of the input.
    pub fn new(users: u64) -> Self {
        Self {
            unread: VecDeque::new(),
            passed: VecDeque::new(),
            rows: Vec::new(),
            users: HashSet::new(),
            answered: HashMap::new(),
            users_left: users,
            is_answered: false,
            failures: 0,
        }
    }

    /// Rows have to come in the input's order.
    pub fn take(&mut self, row: Row) {
        self.unread.push_back(row);
    }

    /// Whether there are rows that were neither sent nor answered.
    pub fn has_rows(&self) -> bool {
        !self.passed.is_empty() || self.has_other_rows()
    }

    /// The same without skipped rows.
    pub fn has_other_rows(&self) -> bool {
        !self.unread.is_empty() || !self.rows.is_empty()
    }

    /// Whether no more rows may be skipped, which bounds the memory.
    pub fn has_passed_enough(&self) -> bool {
        self.passed.len() >= MOST_ROWS
    }

    /// Skips the next rows whose users are in doubt, until [`Self::take_back`].
    pub fn pass_over(&mut self, is_in_doubt: impl Fn(&UserId) -> bool) {
        while let Some(row) = self.unread.pop_front_if(|row| user_of(row).is_some_and(&is_in_doubt)) {
            self.passed.push_back(row);
        }
    }

    /// Puts the skipped rows back in front.
    pub fn take_back(&mut self) {
        while let Some(row) = self.passed.pop_back() {
            self.unread.push_front(row);
        }
    }

    /// Whether more rows are needed.
    pub fn wants_rows(&self) -> bool {
        self.unread.is_empty()
    }

    /// Collects rows of up to `most` users, in the input's order. Returns them once the next row belongs to one user more,
    /// or the input has `ended`. Rows whose user was answered go into `answered`.
    pub fn gather(&mut self, most: usize, ended: bool, answered: &mut Vec<Answered>) -> Option<UserBatch> {
        while let Some(row) = self.unread.pop_front() {
            let Some(user) = user_of(&row) else { continue };
            if let Some(outcome) = self.answered.get(user) {
                answered.push((row, outcome.clone()));
                continue;
            }
            if self.has_failed() && instead_of(&row).is_some() {
                answered.push((row, UserAnswer::Singly { may_be_gone: false }));
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

    fn close(&mut self) -> UserBatch {
        self.users_left = self.users_left.saturating_sub(self.users.len() as u64);
        self.users.clear();
        UserBatch::of(std::mem::take(&mut self.rows))
    }

    /// Calls still needed for users who are in no batch so far.
    pub fn calls_left(&self) -> u64 {
        self.users_left.div_ceil(MOST_USERS as u64)
    }

    /// Notes the final answer for these users.
    pub fn answer(&mut self, users: &[UserId], outcome: Outcome) {
        let outcome = Arc::new(outcome);
        self.answered.extend(users.iter().map(|user| (user.clone(), UserAnswer::Ended(Arc::clone(&outcome)))));
    }

    /// The rows of these users are sent by themselves from now on.
    pub fn send_singly(&mut self, users: &[UserId], may_be_gone: bool) {
        self.answered.extend(users.iter().map(|user| (user.clone(), UserAnswer::Singly { may_be_gone })));
    }

    /// A call had a clear answer.
    pub fn on_clear_answer(&mut self, is_accepted: bool) {
        self.is_answered = true;
        if is_accepted {
            self.failures = 0;
        }
    }

    /// A call was refused, or its attempts are used up.
    pub fn on_failure(&mut self) {
        self.failures += 1;
    }

    /// The method may not be used.
    pub fn on_refused_method(&mut self) {
        self.failures = MOST_FAILURES;
    }

    /// Number of users who are in no call so far.
    pub fn users_left(&self) -> u64 {
        self.users_left
    }

    /// Whether any call had a clear answer.
    pub fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// Whether so many calls in a row failed that no more are made for rows that can be sent by themselves.
    pub fn has_failed(&self) -> bool {
        self.failures >= MOST_FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fields, Status, Timestamp};

    fn batcher(users: &[&str]) -> UserBatcher {
        let mut batcher = UserBatcher::new(users.len() as u64);
        for row in rows(users) {
            batcher.take(row);
        }
        batcher
    }

    /// The groups of at most `most` users, each of them answered where `answers` says so; a row that was answered by an
    /// earlier call as `=line`.
    fn groups(users: &[&str], most: usize, answers: bool) -> Vec<String> {
        let (mut batcher, mut all) = (batcher(users), Vec::new());
        loop {
            let mut answered = Vec::new();
            let user_batch = batcher.gather(most, true, &mut answered);
            all.extend(answered.iter().map(|(row, _)| format!("={}", row.line)));
            let Some(user_batch) = user_batch else { return all };
            all.push(shown(&user_batch));
            if answers {
                batcher.answer(user_batch.users(), outcome());
            }
        }
    }

    fn outcome() -> Outcome {
        let sent = Outcome::bare(Status::Requested, Timestamp::from_millis(0));
        Outcome { http_status: Some(200), attempts: 1, ..sent }
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
        let mut batcher = batcher(&["U1", "U2"]);
        assert!(batcher.gather(2, false, &mut Vec::new()).is_none());
        assert!(batcher.wants_rows() && batcher.has_rows());
        batcher.take(row(4, "U1"));
        batcher.take(row(5, "U3"));
        let user_batch = batcher.gather(2, false, &mut Vec::new()).unwrap();
        assert_eq!(shown(&user_batch), "U1 U2: 2 3 4");
        assert!(!batcher.wants_rows());
    }

    #[test]
    fn one_user_with_many_rows_is_asked_for_once() {
        let mut batcher = UserBatcher::new(1);
        (0..MOST_ROWS as u64 + 5).for_each(|n| batcher.take(row(n + 2, "U1")));
        let user_batch = batcher.gather(MOST_USERS, true, &mut Vec::new()).unwrap();
        assert_eq!((user_batch.rows().len(), batcher.calls_left()), (MOST_ROWS, 0));
        batcher.answer(user_batch.users(), outcome());
        let mut answered = Vec::new();
        assert!(batcher.gather(MOST_USERS, true, &mut answered).is_none());
        assert_eq!(answered.len(), 5);
        assert!(!batcher.has_rows());
    }

    /// A row on `line` that asks for this user.
    pub fn row(line: u64, user: &str) -> Row {
        let target = Ok(Target::whole_user(UserId::parse(user).unwrap(), None, None));
        Row { line, fields: Fields::default(), target, may_have_been_sent: false }
    }

    /// A row for each of these users, from line 2 on.
    pub fn rows(users: &[&str]) -> Vec<Row> {
        users.iter().zip(2..).map(|(user, line)| row(line, user)).collect()
    }

    /// `U1 U2: 2 3 5`: users and lines.
    pub fn shown(user_batch: &UserBatch) -> String {
        let users: Vec<_> = user_batch.users().iter().map(UserId::as_str).collect();
        let lines: Vec<_> = user_batch.rows().iter().map(|row| row.line.to_string()).collect();
        format!("{}: {}", users.join(" "), lines.join(" "))
    }

    #[test]
    fn split_batches_share_no_user_and_lose_no_row() {
        for (users, first, second) in [
            (&["U1", "U2"][..], "U1: 2", "U2: 3"),
            (&["U1", "U2", "U1", "U3"], "U1 U2: 2 3 4", "U3: 5"),
            (&["U3", "U1", "U2", "U4", "U3", "U4"], "U3 U1: 2 3 6", "U2 U4: 4 5 7"),
        ] {
            let (one, other) = UserBatch::of(rows(users)).split().unwrap();
            assert_eq!((shown(&one).as_str(), shown(&other).as_str()), (first, second));
        }
    }

    #[test]
    fn a_batch_of_one_user_cannot_be_split() {
        let whole = UserBatch::of(rows(&["U1", "U1", "U1"])).split().unwrap_err();
        assert_eq!(shown(&whole), "U1: 2 3 4");
    }

    #[test]
    fn one_user_of_a_thousand_is_isolated_in_ten_splits() {
        let names: Vec<String> = (0..MOST_USERS).map(|n| format!("U{n}")).collect();
        let mut user_batch = UserBatch::of(rows(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        let mut halvings = 0;
        while user_batch.users().len() > 1 {
            (user_batch, _) = user_batch.split().unwrap();
            halvings += 1;
        }
        assert_eq!(halvings, 10);
    }
}
