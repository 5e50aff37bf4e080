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
    let user_batch = batcher.gather(USERS_PER_CALL, true, &mut Vec::new()).unwrap();
    assert_eq!((user_batch.rows().len(), batcher.calls_left()), (MOST_ROWS, 0));
    batcher.answer(user_batch.users(), outcome());
    let mut answered = Vec::new();
    assert!(batcher.gather(USERS_PER_CALL, true, &mut answered).is_none());
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
    let names: Vec<String> = (0..USERS_PER_CALL).map(|n| format!("U{n}")).collect();
    let mut user_batch = UserBatch::of(rows(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    let mut halvings = 0;
    while user_batch.users().len() > 1 {
        (user_batch, _) = user_batch.split().unwrap();
        halvings += 1;
    }
    assert_eq!(halvings, 10);
}
