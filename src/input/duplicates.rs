//! Detects repeated sessions, so that each is sent once. Ids are compared exactly: a hash collision would leave a
//! session alive.

use super::id_interner::{IdInterner, PackedId};
use crate::model::{SessionTarget, Target};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// Maximum number of other rows that a row refers to. Without it, memory would grow with the square of the rows of
/// one session.
const MOST_OTHER_NAMES: usize = 8;

/// The first pass of the survey collects all session ids, the second resolves the repeated ones.
#[derive(Debug)]
pub(super) enum DuplicateTracker {
    /// All session ids so far.
    Collecting(Vec<u64>),
    /// Repeated ids with their first rows.
    Resolving(FirstLines),
}

impl DuplicateTracker {
    pub(super) fn collect_ids() -> Self {
        Self::Collecting(Vec::new())
    }

    /// Notes a row that can be sent. Returns the line of the first row for the same session, if that is another row.
    /// Rows for whole users are never duplicates: each gets the result of its user.
    pub(super) fn observe(&mut self, target: &Target, line: u64) -> Option<u64> {
        let target = target.named_session()?;
        match self {
            Self::Collecting(ids) => {
                ids.push(target.session().get());
                None
            }
            Self::Resolving(first_lines) => first_lines.observe(target, line),
        }
    }

    /// The first lines of repeated sessions, for the second pass and the second reading.
    pub(super) fn into_first_lines(self) -> FirstLines {
        match self {
            Self::Collecting(ids) => FirstLines::of_repeated(ids),
            Self::Resolving(first_lines) => first_lines,
        }
    }
}

/// For each session id that occurs in more than one row: the first row of each identifier that it would be sent with.
#[derive(Debug, Default)]
pub(super) struct FirstLines {
    /// In ascending order, parallel to `first`.
    repeated: Vec<u64>,
    first: Vec<Option<FirstLine>>,
    /// Session ids with several identifiers, which is rare.
    others: BTreeMap<(u64, PackedId), FirstLine>,
    interner: IdInterner,
}

#[derive(Debug, Clone, Copy)]
struct FirstLine {
    owner: Owner,
    line: NonZeroU64,
}

/// The owner of a session, according to a row.
#[derive(Debug, Clone, Copy)]
struct Owner {
    /// `None` if the row is sent by workspace.
    user: Option<PackedId>,
    team: Option<PackedId>,
}

impl Owner {
    fn identifier(self) -> Option<PackedId> {
        self.user.or(self.team)
    }

    /// Whether two rows, one by user and one by workspace, may mean the same session. Two different users or
    /// workspaces can't both be right.
    fn agrees_with(self, other: Self) -> bool {
        let is_contradicted = self.team.zip(other.team).is_some_and(|(team, other)| team != other);
        self.user.is_some() != other.user.is_some() && !is_contradicted
    }
}

impl FirstLines {
    /// Prepares the second pass from all session ids.
    fn of_repeated(mut ids: Vec<u64>) -> Self {
        ids.sort_unstable();
        let mut repeated: Vec<u64> = ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        repeated.dedup();
        Self { first: vec![None; repeated.len()], repeated, ..Self::default() }
    }

    /// Whether no session id is repeated.
    pub(super) fn is_empty(&self) -> bool {
        self.repeated.is_empty()
    }

    fn observe(&mut self, target: &SessionTarget, line: u64) -> Option<u64> {
        let id = target.session().get();
        let position = self.repeated.binary_search(&id).ok()?;
        let owner = owner(target, |id| Some(self.interner.intern(id)))?;
        let row = FirstLine { owner, line: NonZeroU64::new(line)? };
        let first = match &mut self.first[position] {
            Some(first) if first.owner.identifier() == owner.identifier() => first.line,
            Some(_) => self.others.entry((id, owner.identifier()?)).or_insert(row).line,
            none => none.insert(row).line,
        };
        (first != row.line).then_some(first.get())
    }

    /// The line of the first row for the same session, if that isn't `line`.
    pub(super) fn earlier_line(&self, target: &SessionTarget, line: u64) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let identifier = self.interner.known(target.identifier().1)?;
        let of_identifier = |first: &&FirstLine| first.owner.identifier() == Some(identifier);
        let first = self.of_session(target).find(of_identifier)?.line.get();
        (first != line).then_some(first)
    }

    pub(super) fn other_names_of(&self, target: &SessionTarget) -> Box<[u64]> {
        if self.others.is_empty() {
            return Box::default();
        }
        let Some(owner) = owner(target, |id| self.interner.known(id)) else { return Box::default() };
        let others = self.of_session(target).filter(|first| first.owner.agrees_with(owner));
        others.take(MOST_OTHER_NAMES).map(|first| first.line.get()).collect()
    }

    fn of_session(&self, target: &SessionTarget) -> impl Iterator<Item = &FirstLine> {
        let id = target.session().get();
        let first = self.repeated.binary_search(&id).ok().and_then(|position| self.first[position].as_ref());
        first.into_iter().chain(self.others.range((id, PackedId::LEAST)..=(id, PackedId::MOST)).map(|(_, first)| first))
    }
}

/// `None` if `key` returns `None` for an id.
fn owner(target: &SessionTarget, mut key: impl FnMut(&str) -> Option<PackedId>) -> Option<Owner> {
    let user = if target.addressed_team().is_none() { Some(key(target.identifier().1)?) } else { None };
    let team = if let Some(team) = target.team() { Some(key(team.as_str())?) } else { None };
    Some(Owner { user, team })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SessionId, TeamId, UserId};
    use proptest::prelude::*;
    use std::collections::HashMap;

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
            let mut gathering = DuplicateTracker::collect_ids();
            for (target, line) in rows.iter().zip(2..) {
                prop_assert_eq!(gathering.observe(target, line), None);
            }
            let mut knowing = DuplicateTracker::Resolving(gathering.into_first_lines());
            let mut oracle: HashMap<(u64, String), u64> = HashMap::new();
            let mut want = Vec::new();
            for (target, line) in rows.iter().zip(2..) {
                let Target::Session(session) = target else { unreachable!("made above") };
                let first = *oracle.entry((session.session().get(), session.identifier().1.into())).or_insert(line);
                want.push((first != line).then_some(first));
                prop_assert_eq!(&knowing.observe(target, line), want.last().unwrap());
            }
            let first_lines = knowing.into_first_lines();
            for ((target, line), want) in rows.iter().zip(2..).zip(want) {
                let Target::Session(target) = target else { unreachable!("made above") };
                prop_assert_eq!(first_lines.earlier_line(target, line), want);
            }
        }
    }

    #[test]
    fn other_names_are_those_that_may_be_of_the_same_session() {
        let by_user = |session, user: &str, team: Option<&str>| {
            let team = team.map(|team| TeamId::parse(team).unwrap());
            Target::by_user(SessionId::from(session), UserId::parse(user).unwrap(), team)
        };
        let by_team =
            |session, team: &str| Target::by_team(SessionId::from(session), TeamId::parse(team).unwrap(), None);
        let long = "T000000000000000000";
        for (rows, want) in [
            (vec![by_user(1, "U1", None), by_team(1, "T1"), by_team(2, "T1")], vec!["3", "2", ""]),
            (vec![by_team(1, "T1"), by_user(1, "U1", Some("T1")), by_user(1, "U1", None)], vec!["3", "2", "2"]),
            (vec![by_user(1, "U1", Some("T2")), by_team(1, "T1")], vec!["", ""]),
            (vec![by_user(1, "U1", Some(long)), by_team(1, long), by_team(1, "T1")], vec!["3", "2", ""]),
            (vec![by_user(1, "U1", None), by_user(1, "U2", None)], vec!["", ""]),
            (vec![by_team(1, "T1"), by_team(1, "T2"), by_user(1, "U1", None)], vec!["4", "4", "2 3"]),
        ] {
            let mut gathering = DuplicateTracker::collect_ids();
            rows.iter().zip(2..).for_each(|(target, line)| assert_eq!(gathering.observe(target, line), None));
            let mut knowing = DuplicateTracker::Resolving(gathering.into_first_lines());
            rows.iter().zip(2..).for_each(|(target, line)| {
                knowing.observe(target, line);
            });
            let first_lines = knowing.into_first_lines();
            let shown = |target: &Target| {
                let Target::Session(target) = target else { unreachable!("made above") };
                let lines: Vec<_> = first_lines.other_names_of(target).iter().map(ToString::to_string).collect();
                lines.join(" ")
            };
            assert_eq!(rows.iter().map(shown).collect::<Vec<_>>(), want, "{rows:?}");
        }
    }
}
