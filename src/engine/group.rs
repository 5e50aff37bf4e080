//! The rows of one call that asks for whole users, and how it is halved where one of them spoils it. Pure.

use crate::model::{Row, Target, UserId};
use std::collections::HashSet;
use std::sync::Arc;

/// Users in one `admin.users.session.resetBulk` at most (slack.md, "The sibling methods").
pub const MOST_USERS: usize = 1000;

/// Users, and all rows that ask for them: each row is of one of the users, and each user has a row.
#[derive(Debug)]
pub struct Group {
    users: Arc<[UserId]>,
    rows: Vec<Row>,
}

/// The user that a row asks for as a whole.
pub fn user_of(row: &Row) -> Option<&UserId> {
    match &row.target {
        Ok(Target::User(target)) => Some(target.user()),
        Ok(Target::Session(_)) | Err(_) => None,
    }
}

impl Group {
    /// The group of these rows; its users stand in the order in which the rows first name them.
    pub fn of(rows: Vec<Row>) -> Self {
        let mut seen = HashSet::new();
        let users = rows.iter().filter_map(user_of).filter(|user| seen.insert(*user)).cloned().collect();
        Self { users, rows }
    }

    /// Whom the call names.
    pub fn users(&self) -> &Arc<[UserId]> {
        &self.users
    }

    /// The rows, in the input's order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Gives up the rows.
    pub fn into_rows(self) -> Vec<Row> {
        self.rows
    }

    /// The users in two groups, the first of which is not smaller; back it comes where there is one user alone.
    pub fn halves(self) -> Result<(Self, Self), Self> {
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

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::model::Fields;

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
    pub fn shown(group: &Group) -> String {
        let users: Vec<_> = group.users().iter().map(UserId::as_str).collect();
        let lines: Vec<_> = group.rows().iter().map(|row| row.line.to_string()).collect();
        format!("{}: {}", users.join(" "), lines.join(" "))
    }

    #[test]
    fn halves_share_no_user_and_lose_no_row() {
        for (users, first, second) in [
            (&["U1", "U2"][..], "U1: 2", "U2: 3"),
            (&["U1", "U2", "U1", "U3"], "U1 U2: 2 3 4", "U3: 5"),
            (&["U3", "U1", "U2", "U4", "U3", "U4"], "U3 U1: 2 3 6", "U2 U4: 4 5 7"),
        ] {
            let (one, other) = Group::of(rows(users)).halves().unwrap();
            assert_eq!((shown(&one).as_str(), shown(&other).as_str()), (first, second));
        }
    }

    #[test]
    fn one_user_cannot_be_halved_whatever_the_rows_are() {
        let whole = Group::of(rows(&["U1", "U1", "U1"])).halves().unwrap_err();
        assert_eq!(shown(&whole), "U1: 2 3 4");
    }

    #[test]
    fn a_thousand_users_are_found_out_in_ten_halvings() {
        let names: Vec<String> = (0..MOST_USERS).map(|n| format!("U{n}")).collect();
        let mut group = Group::of(rows(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        let mut halvings = 0;
        while group.users().len() > 1 {
            (group, _) = group.halves().unwrap();
            halvings += 1;
        }
        assert_eq!(halvings, 10);
    }
}
