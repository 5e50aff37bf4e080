//! The first reading: everything is checked and counted before anything is sent.

use super::duplicates::{DuplicateTracker, FirstLines};
use super::error::InputProblem;
use super::header::{Delimiter, Header};
use super::id_interner::{DistinctIds, IdInterner, PackedId};
use super::identity::InputIdentity;
use super::index::Index;
use super::reader::FirstReading;
use super::records::{ByteSource, Position, Record, RecordReader};
use super::stored::CHUNK;
use super::validation::Rules;
use crate::model::{Carried, InputMatch, InvalidRow};
use crate::model::{Counts, Fields, IdColumns, IdentifyBy, Rejection, SessionId, Status, Target, TeamId, UserId};
use roaring::RoaringTreemap;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Invalid rows that are described one by one, unless all of them are.
const EXAMPLES: usize = 10;

/// What is known of an input before anything is sent.
/// `rows` = `sendable` + `invalid` + `duplicates` + `protected` + `already_done`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSummary {
    /// The header's columns as they stand in the input.
    pub header: Fields,
    pub columns: IdColumns,
    pub delimiter: Delimiter,
    pub identity: InputIdentity,
    /// How it compares with the input of an earlier run, if one was given.
    pub continuation: Option<InputMatch>,
    /// Records behind the header; blank lines are none.
    pub rows: u64,
    /// Rows that a run would send.
    pub sendable: u64,
    /// Rows that can't be sent.
    pub invalid: u64,
    /// Rows whose session stands on an earlier line under the same identifier.
    pub duplicates: u64,
    /// Rows that must not be sent.
    pub protected: u64,
    /// Rows that a guard is for, those that an earlier run has ended among them.
    pub guarded: u64,
    /// Rows that an earlier run has ended; they are counted here alone.
    pub already_done: u64,
    /// What stands on their lines, to be compared with their records.
    pub carried: Carried,
    /// Sendable rows by the workspace in their `team_id` column.
    pub workspaces: BTreeMap<TeamId, u64>,
    /// Sendable rows by the workspace that their request names ([`Target::addressed_team`]).
    pub addressed: BTreeMap<TeamId, u64>,
    /// Distinct users among the sendable rows.
    pub users: u64,
    /// Sendable rows without a `user_id`: whether they belong to a protected user isn't known.
    pub without_user: u64,
    /// Sendable rows whose request names the user.
    pub named_by_user: u64,
    /// Rows that a quoted cell has swallowed: lines inside of it that have the header's columns and an id.
    pub swallowed: u64,
    /// The line of the first row with such a cell.
    pub first_swallowing: Option<u64>,
    pub examples: Vec<InvalidRow>,
    /// The rows that ask for whole users; `None` for runs that ask for sessions alone.
    pub whole: Option<WholeUsers>,
}

/// Users that are asked for as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WholeUsers {
    /// Distinct users of their sendable rows.
    pub users: u64,
    /// The same, with those of rows that an earlier run has ended: the same number in every run of an input.
    pub all: u64,
    /// Their sendable rows.
    pub rows: u64,
    /// The protected sessions that stand in the input, each with its user.
    pub protected: BTreeSet<(SessionId, UserId)>,
}

/// What decides over each row of a reading.
#[derive(Clone, Copy)]
pub(super) struct RowContext<'a> {
    pub(super) header: &'a Header,
    pub(super) rules: &'a Rules,
    pub(super) done: &'a RoaringTreemap,
}

/// The counts of one pass over the rows.
pub(super) struct Pass<'a> {
    context: RowContext<'a>,
    duplicates: DuplicateTracker,
    index: Index,
    interner: IdInterner,
    users: DistinctIds,
    teams: HashMap<PackedId, TeamRows>,
    totals: SurveyCounts,
    whole: Option<WholeUserCount>,
}

/// For runs that ask for whole users.
struct WholeUserCount {
    users: DistinctIds,
    all: DistinctIds,
    protected: BTreeSet<(SessionId, UserId)>,
}

#[derive(Default)]
struct SurveyCounts {
    sendable: u64,
    rejected: Counts,
    guarded: u64,
    already_done: u64,
    carried: Carried,
    without_user: u64,
    named_by_user: u64,
    swallowed: u64,
    first_swallowing: Option<u64>,
    examples: Vec<InvalidRow>,
}

struct TeamRows {
    team: TeamId,
    rows: u64,
    addressed: RoaringTreemap,
}

impl<'a> Pass<'a> {
    /// Reads to the end as if no session stood there twice, and gathers the sessions.
    pub(super) fn first<S: ByteSource>(
        context: RowContext<'a>,
        records: &mut RecordReader<S>,
    ) -> Result<Self, InputProblem> {
        Self::run(context, DuplicateTracker::collect_ids(), records)
    }

    /// The final count: if sessions are repeated, over a second pass that knows which ones.
    pub(super) fn finish(
        mut self,
        reading: &FirstReading,
        rows_at: Position,
    ) -> Result<(InputSummary, Index, FirstLines), InputProblem> {
        let first_lines = std::mem::replace(&mut self.duplicates, DuplicateTracker::collect_ids()).into_first_lines();
        if first_lines.is_empty() {
            return Ok(self.summarize(reading));
        }
        let context = self.context;
        // Freed ahead of the second pass, which builds all of it anew.
        drop(self);
        let mut records = reading.stored.records(rows_at, context.header.dialect(), CHUNK);
        Ok(Self::run(context, DuplicateTracker::Resolving(first_lines), &mut records)?.summarize(reading))
    }

    fn run<S: ByteSource>(
        context: RowContext<'a>,
        duplicates: DuplicateTracker,
        records: &mut RecordReader<S>,
    ) -> Result<Self, InputProblem> {
        let mut pass = Self {
            context,
            duplicates,
            index: Index::default(),
            interner: IdInterner::default(),
            users: DistinctIds::new(),
            teams: HashMap::new(),
            totals: SurveyCounts::default(),
            whole: context.rules.ends_whole_users().then(|| WholeUserCount {
                users: DistinctIds::new(),
                all: DistinctIds::new(),
                protected: BTreeSet::new(),
            }),
        };
        while let Some(record) = records.next()? {
            pass.add(&record);
        }
        Ok(pass)
    }

    fn add(&mut self, record: &Record<'_>) {
        let line = record.position.line;
        let ordinal = self.index.push(record.position);
        let swallowed = self.context.header.rows_within(record);
        if swallowed > 0 {
            self.totals.swallowed += swallowed;
            self.totals.first_swallowing.get_or_insert(line);
        }
        let verdict = self.context.rules.validate(self.context.header, record).and_then(|target| {
            match self.duplicates.observe(&target, line) {
                Some(first) => Err(Rejection::Duplicate { first_line: Some(first) }),
                None => Ok(target),
            }
        });
        if verdict.as_ref().is_err_and(|rejection| rejection.status() == Status::Protected) {
            self.totals.guarded += 1;
        }
        if let Some(whole) = &mut self.whole {
            whole.protected.extend(self.context.rules.protected_session(self.context.header, record));
            if let Ok(Target::User(target)) = &verdict {
                whole.all.insert(self.interner.intern(target.user().as_str()));
            }
        }
        if self.context.done.contains(line) {
            self.totals.already_done += 1;
            self.totals.carried.add(record.carried(self.context.header.fields().len()));
            return;
        }
        match verdict {
            Ok(target) => self.send(&target, ordinal),
            Err(rejection) => self.totals.reject(&rejection, line, self.context.rules.lists_all_invalid),
        }
    }

    fn send(&mut self, target: &Target, ordinal: u64) {
        self.totals.sendable += 1;
        match target.named_by() {
            IdentifyBy::User => self.totals.named_by_user += 1,
            IdentifyBy::Team => {}
        }
        match target.user() {
            Some(user) => self.users.insert(self.interner.intern(user.as_str())),
            None => self.totals.without_user += 1,
        }
        if let (Target::User(target), Some(whole)) = (target, &mut self.whole) {
            self.index.of_users.insert(ordinal);
            whole.users.insert(self.interner.intern(target.user().as_str()));
        }
        if let Some(team) = target.team() {
            let fresh = || TeamRows { team: team.clone(), rows: 0, addressed: RoaringTreemap::new() };
            let rows = self.teams.entry(self.interner.intern(team.as_str())).or_insert_with(fresh);
            rows.rows += 1;
            if target.addressed_team().is_some() {
                rows.addressed.insert(ordinal);
            }
        }
    }

    /// The counts for people, and what the second reading needs.
    fn summarize(self, reading: &FirstReading) -> (InputSummary, Index, FirstLines) {
        let Self { context, duplicates, mut index, users, teams, totals, whole, .. } = self;
        let workspaces = teams.values().map(|rows| (rows.team.clone(), rows.rows)).collect();
        let addressed = teams.into_values().filter(|rows| !rows.addressed.is_empty());
        index.teams = addressed.map(|rows| (rows.team, rows.addressed)).collect();
        let summary = InputSummary {
            header: context.header.fields().clone(),
            columns: context.header.columns(),
            delimiter: context.header.delimiter(),
            identity: reading.identity.clone(),
            continuation: reading.continuation,
            rows: index.rows(),
            sendable: totals.sendable,
            invalid: totals.rejected.of(Status::Invalid),
            duplicates: totals.rejected.of(Status::Duplicate),
            protected: totals.rejected.of(Status::Protected),
            already_done: totals.already_done,
            carried: totals.carried,
            workspaces,
            addressed: index.teams.iter().map(|(team, rows)| (team.clone(), rows.len())).collect(),
            users: users.count(),
            without_user: totals.without_user,
            named_by_user: totals.named_by_user,
            guarded: totals.guarded,
            swallowed: totals.swallowed,
            first_swallowing: totals.first_swallowing,
            examples: totals.examples,
            whole: whole.map(|WholeUserCount { users, all, protected }| WholeUsers {
                users: users.count(),
                all: all.count(),
                rows: index.of_users.len(),
                protected,
            }),
        };
        (summary, index, duplicates.into_first_lines())
    }
}

impl SurveyCounts {
    fn reject(&mut self, rejection: &Rejection, line: u64, lists_all: bool) {
        self.rejected.add(rejection.status());
        if rejection.status() == Status::Invalid && (lists_all || self.examples.len() < EXAMPLES) {
            self.examples.push(InvalidRow { line, rule: rejection.rule(), text: rejection.to_string() });
        }
    }
}
