//! Batches of rows for calls with whole users, and their bisection if a user makes a call fail. Pure.

use crate::model::{Outcome, Row, SessionTarget, Target, USERS_PER_CALL, UserId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Number of calls for `users` users if none of them is refused: the canary is one user alone.
#[must_use]
pub fn bulk_calls(users: u64, canary: bool) -> u64 {
    let alone = u64::from(canary && users > 0);
    alone + (users - alone).div_ceil(USERS_PER_CALL as u64)
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
        self.users_left.div_ceil(USERS_PER_CALL as u64)
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
mod tests;
