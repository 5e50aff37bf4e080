//! Which users have all their listed sessions in the input. Pure.
//!
//! First the listing is taken in, then the rows of the input are marked in it. A user with a listed session that no row
//! names isn't covered, and neither is one with a protected session: its row isn't sent, so it marks nothing.

use super::id_interner::{IdInterner, PackedId};
use crate::model::{SessionId, SessionTarget, TeamId, UserId};
use roaring::RoaringTreemap;
use std::collections::HashSet;
use std::sync::Arc;

/// A session of the listing, in 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct CoverageEntry {
    session: u64,
    user: PackedId,
    team: PackedId,
}

/// The listing, while it is read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CoverageListing {
    rows: Vec<CoverageEntry>,
    interner: IdInterner,
}

impl CoverageListing {
    /// Reserves memory for `rows` more rows.
    pub(super) fn expect(&mut self, rows: u64) {
        self.rows.reserve_exact(usize::try_from(rows).unwrap_or(0));
    }

    pub fn add(&mut self, session: SessionId, user: &UserId, team: &TeamId) {
        let (user, team) = (self.interner.intern(user.as_str()), self.interner.intern(team.as_str()));
        self.rows.push(CoverageEntry { session: session.get(), user, team });
    }

    /// The whole listing was read.
    #[must_use]
    pub fn finish(mut self) -> Arc<Self> {
        self.rows.sort_unstable();
        self.rows.dedup();
        self.rows.shrink_to_fit();
        Arc::new(self)
    }

    /// Whether the session is listed; only once it is finished.
    #[must_use]
    pub fn has(&self, session: SessionId) -> bool {
        self.rows.binary_search_by_key(&session.get(), |row| row.session).is_ok()
    }
}

/// The listing, while the rows of the input are looked up in it.
#[derive(Debug)]
pub(super) struct CoverageMarks {
    listed: Arc<CoverageListing>,
    /// The places of the sessions that a row names.
    named: RoaringTreemap,
}

impl CoverageMarks {
    pub(super) fn new(listed: Arc<CoverageListing>) -> Self {
        Self { listed, named: RoaringTreemap::new() }
    }

    /// Marks the session of a row that is sent, or was sent by an earlier run.
    pub(super) fn mark(&mut self, target: &SessionTarget) {
        let named = self.listed.places_of(target.session(), target.user(), target.team());
        self.named.extend(named.map(|place| place as u64));
    }

    /// The covered users, without those for whom `is_guarded` holds.
    pub(super) fn into_coverage(self, is_guarded: impl Fn(&UserId) -> bool) -> Coverage {
        let Self { listed, named } = self;
        // Those of the input only: a listing may have a hundred times as many.
        let at = |place: u64| usize::try_from(place).ok().and_then(|place| listed.rows.get(place));
        let mut users: HashSet<PackedId> = named.iter().filter_map(at).map(|row| row.user).collect();
        for (place, row) in listed.rows.iter().enumerate() {
            if !named.contains(place as u64) {
                users.remove(&row.user);
            }
        }
        users.retain(|user| listed.user(*user).is_some_and(|user| !is_guarded(&user)));
        Coverage { listed, users }
    }
}

/// Whose rows are sent together, as whole users.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Covers {
    #[default]
    Nobody,
    /// `--whole-users`: the user of every row, whose sessions needn't be named.
    Everybody,
    /// `--bulk`: users all of whose listed sessions are in the input.
    Listed(Arc<Coverage>),
}

impl Covers {
    /// The user of a session, as a listing has it.
    pub(super) fn listed_owner(&self, session: SessionId, team: Option<&TeamId>) -> Option<UserId> {
        match self {
            Self::Listed(coverage) => coverage.listed_owner(session, team),
            Self::Nobody | Self::Everybody => None,
        }
    }
}

/// The covered users, and the sessions of the listing.
#[derive(Debug, PartialEq, Eq)]
pub struct Coverage {
    listed: Arc<CoverageListing>,
    users: HashSet<PackedId>,
}

impl Coverage {
    /// The covered user to whom the session of a row belongs.
    pub(super) fn owner(&self, target: &SessionTarget) -> Option<UserId> {
        let user = self.listed.owner(target.session(), target.user(), target.team())?;
        self.users.contains(&user).then(|| self.listed.user(user)).flatten()
    }

    /// The user of a session, of this workspace if it is given, covered or not.
    pub(super) fn listed_owner(&self, session: SessionId, team: Option<&TeamId>) -> Option<UserId> {
        self.listed.user(self.listed.owner(session, None, team)?)
    }
}

impl CoverageListing {
    /// The user under whom a session is listed; `None` if it isn't, or under several.
    fn owner(&self, session: SessionId, user: Option<&UserId>, team: Option<&TeamId>) -> Option<PackedId> {
        let mut users = self.places_of(session, user, team).map(|place| self.rows[place].user);
        let first = users.next()?;
        users.all(|other| other == first).then_some(first)
    }

    /// Where the session that a request would end is listed. A row whose columns contradict the listing has no place.
    fn places_of(
        &self,
        session: SessionId,
        user: Option<&UserId>,
        team: Option<&TeamId>,
    ) -> impl Iterator<Item = usize> {
        let session = session.get();
        let first = self.rows.partition_point(|row| row.session < session);
        let user = user.map(|user| self.interner.known(user.as_str()));
        let team = team.map(|team| self.interner.known(team.as_str()));
        let agrees = move |row: &CoverageEntry| {
            user.is_none_or(|user| user == Some(row.user)) && team.is_none_or(|team| team == Some(row.team))
        };
        let same = self.rows[first..].iter().take_while(move |row| row.session == session);
        same.enumerate().filter(move |(_, row)| agrees(row)).map(move |(place, _)| first + place)
    }

    fn user(&self, key: PackedId) -> Option<UserId> {
        UserId::parse(&self.interner.text(key)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Target;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn user(number: u8) -> UserId {
        // Some ids are too long to be packed.
        let id = if number.is_multiple_of(2) { format!("U{number}") } else { format!("W0123456789ABC{number}") };
        UserId::parse(&id).unwrap()
    }

    fn team(number: u8) -> TeamId {
        TeamId::parse(&format!("T{number}")).unwrap()
    }

    /// A row of the input: the session, and the user and the workspace if it names them.
    type InputRow = (u64, Option<u8>, Option<u8>);

    fn target((session, of, at): InputRow) -> Option<SessionTarget> {
        let session = SessionId::from(session);
        let target = match (of, at) {
            (Some(of), at) => Target::by_user(session, user(of), at.map(team)),
            (None, Some(at)) => Target::by_team(session, team(at), None),
            (None, None) => return None,
        };
        let Target::Session(target) = target else { unreachable!("made above") };
        Some(target)
    }

    fn coverage(listing: &[(u64, u8, u8)], rows: &[InputRow], guarded: &[u8]) -> Coverage {
        let mut listed = CoverageListing::default();
        for (session, of, at) in listing {
            listed.add(SessionId::from(*session), &user(*of), &team(*at));
        }
        let mut marks = CoverageMarks::new(listed.finish());
        rows.iter().filter_map(|row| target(*row)).for_each(|target| marks.mark(&target));
        marks.into_coverage(|other| guarded.iter().any(|of| user(*of) == *other))
    }

    /// The covered owners of the rows.
    fn owners(listing: &[(u64, u8, u8)], rows: &[InputRow], guarded: &[u8]) -> Vec<Option<UserId>> {
        let coverage = coverage(listing, rows, guarded);
        rows.iter().map(|row| target(*row).and_then(|target| coverage.owner(&target))).collect()
    }

    #[test]
    fn a_user_is_covered_if_every_listed_session_is_a_row() {
        let listing = [(1, 1, 1), (2, 1, 2), (3, 2, 1)];
        for (rows, guarded, want) in [
            (vec![(1, Some(1), None), (2, Some(1), Some(2)), (3, Some(2), None)], vec![], vec![1, 1, 2]),
            (vec![(1, Some(1), None), (3, Some(2), None)], vec![], vec![0, 2]),
            // Rows without a user have the listing's.
            (vec![(1, None, Some(1)), (2, None, Some(2))], vec![], vec![1, 1]),
            // Rows that contradict the listing are rows of another session.
            (vec![(1, None, Some(1)), (2, None, Some(1))], vec![], vec![0, 0]),
            (vec![(3, Some(1), None), (3, Some(2), Some(2))], vec![], vec![0, 0]),
            // Sessions that aren't listed have ended or begun since.
            (vec![(3, Some(2), None), (4, Some(2), None)], vec![], vec![2, 0]),
            (vec![(1, None, Some(1)), (2, None, Some(2)), (3, Some(2), None)], vec![1], vec![0, 0, 2]),
        ] {
            let want: Vec<_> = want.into_iter().map(|of| (of > 0).then(|| user(of))).collect();
            assert_eq!(owners(&listing, &rows, &guarded), want, "{rows:?} {guarded:?}");
        }
        assert_eq!(coverage(&listing, &[(3, Some(2), None)], &[]).users.len(), 1);
    }

    /// Slack has one owner for a session; if a listing has two, the row doesn't say whose it is.
    #[test]
    fn a_session_that_is_listed_under_two_users_has_no_owner() {
        let listing = [(1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 1, 2)];
        let rows = [(1, None, Some(1)), (1, Some(1), None), (2, None, Some(1)), (2, Some(1), None)];
        assert_eq!(owners(&listing, &rows, &[]), [None, Some(user(1)), Some(user(1)), Some(user(1))]);
        let coverage = coverage(&listing, &[], &[]);
        let owner = |session: u64, at: u8| coverage.listed_owner(SessionId::from(session), Some(&team(at)));
        assert_eq!([owner(1, 1), owner(1, 2), owner(2, 2), owner(3, 1)], [None, None, Some(user(1)), None]);
    }

    proptest! {
        #[test]
        fn the_sessions_of_covered_users_are_all_rows_and_none_is_a_guarded_ones(
            listing in prop::collection::vec((0_u64..30, 0_u8..8, 0_u8..3), 0..40),
            rows in prop::collection::vec((0_u64..30, prop::option::of(0_u8..8), prop::option::of(0_u8..3)), 0..60),
            guarded in prop::collection::vec(0_u8..8, 0..3),
        ) {
            // Every session has one owner.
            let mut seen = BTreeSet::new();
            let listing: Vec<_> = listing.into_iter().filter(|(session, ..)| seen.insert(*session)).collect();
            let ends = |(session, of, at): &(u64, u8, u8)| rows.iter().any(|(named, user, team)| {
                let names_somebody = user.is_some() || team.is_some();
                named == session && names_somebody && user.is_none_or(|user| user == *of) && team.is_none_or(|team| team == *at)
            });
            let is_covered = |of: u8| {
                let mut sessions = listing.iter().filter(|(_, user, _)| *user == of).peekable();
                sessions.peek().is_some() && !guarded.contains(&of) && sessions.all(ends)
            };
            let covered: BTreeSet<u8> = (0..8).filter(|of| is_covered(*of)).collect();
            prop_assert_eq!(coverage(&listing, &rows, &guarded).users.len(), covered.len());
            for ((session, of, at), owner) in rows.iter().zip(owners(&listing, &rows, &guarded)) {
                let listed = listing.iter().find(|(other, user, team)| {
                    other == session && of.is_none_or(|of| of == *user) && at.is_none_or(|at| at == *team)
                });
                let listed = listed.filter(|_| of.is_some() || at.is_some());
                prop_assert_eq!(owner, listed.filter(|(_, of, _)| covered.contains(of)).map(|(_, of, _)| user(*of)));
            }
        }
    }
}
