//! The same session twice is sent once. Exact: a hash alone would now and then leave a session alive.

use super::keys::{Key, Keys};
use crate::domain::{SessionTarget, Target};
use std::collections::HashMap;
use std::num::NonZeroU64;

/// What the survey sees of the sessions: its first pass gathers them all, its second knows the repeated ones.
#[derive(Debug)]
pub(super) enum Sightings {
    /// Every session id so far.
    Gathering(Vec<u64>),
    /// Ids known to be repeated, with who came first.
    Knowing(Firsts),
}

impl Sightings {
    pub(super) fn gather() -> Self {
        Self::Gathering(Vec::new())
    }

    /// Takes in a row that could be sent. Gives the line of the first row for the same session, where it is another.
    /// Rows that ask for a whole user are no duplicates: each ends with the answer to that user.
    pub(super) fn see(&mut self, target: &Target, line: u64) -> Option<u64> {
        let Target::Session(target) = target else { return None };
        match self {
            Self::Gathering(ids) => {
                ids.push(target.session().get());
                None
            }
            Self::Knowing(firsts) => firsts.see(target, line),
        }
    }

    /// What the second reading needs.
    pub(super) fn firsts(self) -> Firsts {
        match self {
            Self::Gathering(ids) => Firsts::of_repeated(ids),
            Self::Knowing(firsts) => firsts,
        }
    }
}

/// For each session id that stands in more than one row: the first row of each identifier it would be sent under.
#[derive(Debug, Default)]
pub(super) struct Firsts {
    /// Ascending; `first` has the same positions.
    repeated: Vec<u64>,
    first: Vec<Option<First>>,
    /// The rare case of one session id under several identifiers.
    others: HashMap<(u64, Key), NonZeroU64>,
    keys: Keys,
}

#[derive(Debug, Clone, Copy)]
struct First {
    identifier: Key,
    line: NonZeroU64,
}

impl Firsts {
    /// From all session ids; none of them has been seen yet.
    fn of_repeated(mut ids: Vec<u64>) -> Self {
        ids.sort_unstable();
        let mut repeated: Vec<u64> = ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        repeated.dedup();
        Self { first: vec![None; repeated.len()], repeated, ..Self::default() }
    }

    /// Whether every session id stands in one row only.
    pub(super) fn is_empty(&self) -> bool {
        self.repeated.is_empty()
    }

    fn see(&mut self, target: &SessionTarget, line: u64) -> Option<u64> {
        let id = target.session().get();
        let position = self.repeated.binary_search(&id).ok()?;
        let identifier = self.keys.key(target.identifier().1);
        let line = NonZeroU64::new(line)?;
        let first = match &mut self.first[position] {
            Some(first) if first.identifier == identifier => first.line,
            Some(_) => *self.others.entry((id, identifier)).or_insert(line),
            none => none.insert(First { identifier, line }).line,
        };
        (first != line).then_some(first.get())
    }

    /// The line of the first row for the same session, where `line` is another.
    pub(super) fn ahead_of(&self, target: &Target, line: u64) -> Option<u64> {
        let Target::Session(target) = target else { return None };
        let id = target.session().get();
        let position = self.repeated.binary_search(&id).ok()?;
        let identifier = self.keys.known(target.identifier().1)?;
        let first = self.first[position]?;
        let first = if first.identifier == identifier { first.line } else { *self.others.get(&(id, identifier))? };
        (first.get() != line).then_some(first.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SessionId, TeamId, UserId};
    use proptest::prelude::*;

    fn target(session: u64, owner: u8) -> Target {
        let session = SessionId::from(session);
        match owner {
            0 => Target::by_team(session, TeamId::parse("T1").unwrap(), UserId::parse("U1").ok()),
            1 => Target::by_team(session, TeamId::parse("T000000000000000000").unwrap(), None),
            2 => Target::by_user(session, UserId::parse("U1").unwrap(), TeamId::parse("T1").ok()),
            _ => Target::by_user(session, UserId::parse("U000000000000000000").unwrap(), None),
        }
    }

    proptest! {
        #[test]
        fn duplicates_are_those_of_a_plain_map(rows in prop::collection::vec((0_u64..12, 0_u8..4), 0..60)) {
            let rows: Vec<Target> = rows.into_iter().map(|(session, owner)| target(session, owner)).collect();
            let mut gathering = Sightings::gather();
            for (target, line) in rows.iter().zip(2..) {
                prop_assert_eq!(gathering.see(target, line), None);
            }
            let mut knowing = Sightings::Knowing(gathering.firsts());
            let mut oracle: HashMap<(u64, String), u64> = HashMap::new();
            let mut want = Vec::new();
            for (target, line) in rows.iter().zip(2..) {
                let Target::Session(session) = target else { unreachable!("made above") };
                let first = *oracle.entry((session.session().get(), session.identifier().1.into())).or_insert(line);
                want.push((first != line).then_some(first));
                prop_assert_eq!(&knowing.see(target, line), want.last().unwrap());
            }
            let firsts = knowing.firsts();
            for ((target, line), want) in rows.iter().zip(2..).zip(want) {
                prop_assert_eq!(firsts.ahead_of(target, line), want);
            }
        }
    }
}
