//! The first reading: everything is checked and counted before anything is sent.

use super::duplicates::{Firsts, Sightings};
use super::error::Trouble;
use super::framing::{Feed, Frames, Place, Record};
use super::header::{Delimiter, Header};
use super::identity::InputIdentity;
use super::index::Index;
use super::keys::{Distinct, Key, Keys};
use super::rules::{Identify, Rules};
use super::stored::{CHUNK, Stored};
use crate::model::{Carried, InputMatch};
use crate::model::{Counts, Fields, IdColumns, IdentifyBy, Rejection, SessionId, Status, Target, TeamId, UserId};
use roaring::RoaringTreemap;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Invalid rows that are told one by one.
const EXAMPLES: usize = 5;

/// What is known of an input before anything is sent.
/// `rows` = `sendable` + `invalid` + `duplicates` + `protected` + `already_done`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The header's columns as they stand in the input.
    pub header: Fields,
    /// Where the ids stand in it.
    pub columns: IdColumns,
    /// What stands between the columns.
    pub delimiter: Delimiter,
    /// Which input it is.
    pub identity: InputIdentity,
    /// How it compares with the input of an earlier run, where one was named.
    pub continuation: Option<InputMatch>,
    /// Records behind the header; blank lines are none.
    pub rows: u64,
    /// Rows that a run would send.
    pub sendable: u64,
    /// Rows that cannot be sent.
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
    /// Sendable rows without a `user_id`: whether they belong to a protected user cannot be told.
    pub without_user: u64,
    /// Sendable rows whose request names the user.
    pub named_by_user: u64,
    /// Rows that a quoted cell has swallowed: lines inside of it that have the header's columns and an id.
    pub swallowed: u64,
    /// The line of the first row with such a cell.
    pub first_swallowing: Option<u64>,
    /// The first few invalid rows.
    pub examples: Vec<InvalidRow>,
    /// What matters of an input whose users are asked for as a whole; none where its sessions are.
    pub whole: Option<WholeUsers>,
}

/// Users that are asked for as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WholeUsers {
    /// Distinct users of the sendable rows and of those that an earlier run has ended: the same in every run of an input.
    pub all: u64,
    /// The protected sessions that stand in the input, each with its user.
    pub protected: BTreeSet<(SessionId, UserId)>,
}

/// An invalid row, to be shown in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRow {
    /// Its line.
    pub line: u64,
    /// The rule that it broke ([`Rejection::rule`]).
    pub rule: &'static str,
    /// What is wrong, in words.
    pub text: String,
}

/// What decides over each row of a reading.
#[derive(Clone, Copy)]
pub(super) struct Judges<'a> {
    pub(super) header: &'a Header,
    pub(super) rules: &'a Rules,
    pub(super) done: &'a RoaringTreemap,
}

/// Counts over one pass.
pub(super) struct Count<'a> {
    judges: Judges<'a>,
    sightings: Sightings,
    index: Index,
    keys: Keys,
    users: Distinct,
    teams: HashMap<Key, TeamRows>,
    totals: Totals,
    whole: Option<Whole>,
}

/// Where whole users are asked for.
struct Whole {
    users: Distinct,
    protected: BTreeSet<(SessionId, UserId)>,
}

#[derive(Default)]
struct Totals {
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

/// What one pass, or two, have found; an [`InputIdentity`] makes a [`Survey`] of it.
pub(super) struct Found {
    pub(super) index: Index,
    pub(super) firsts: Firsts,
    totals: Totals,
    workspaces: BTreeMap<TeamId, u64>,
    users: u64,
    whole: Option<WholeUsers>,
}

impl<'a> Count<'a> {
    /// Reads to the end as if no session stood there twice, and gathers the sessions.
    pub(super) fn first<F: Feed>(judges: Judges<'a>, frames: &mut Frames<F>) -> Result<Self, Trouble> {
        Self::pass(judges, Sightings::gather(), frames)
    }

    /// The final count: where sessions are repeated, over a second pass that knows which ones.
    pub(super) fn settle(mut self, stored: &Stored, rows_at: Place) -> Result<Found, Trouble> {
        let firsts = std::mem::replace(&mut self.sightings, Sightings::gather()).firsts();
        if firsts.is_empty() {
            return Ok(self.found());
        }
        let judges = self.judges;
        // Freed ahead of the second pass, which builds all of it anew.
        drop(self);
        let mut frames = stored.frames(rows_at, judges.header.dialect(), CHUNK);
        Ok(Self::pass(judges, Sightings::Knowing(firsts), &mut frames)?.found())
    }

    fn pass<F: Feed>(judges: Judges<'a>, sightings: Sightings, frames: &mut Frames<F>) -> Result<Self, Trouble> {
        let mut count = Self {
            judges,
            sightings,
            index: Index::default(),
            keys: Keys::default(),
            users: Distinct::new(),
            teams: HashMap::new(),
            totals: Totals::default(),
            whole: (judges.rules.identify == Identify::WholeUsers)
                .then(|| Whole { users: Distinct::new(), protected: BTreeSet::new() }),
        };
        while let Some(record) = frames.next()? {
            count.take(&record);
        }
        Ok(count)
    }

    fn take(&mut self, record: &Record<'_>) {
        let line = record.place.line;
        let ordinal = self.index.push(record.place);
        let swallowed = self.judges.header.rows_within(record);
        if swallowed > 0 {
            self.totals.swallowed += swallowed;
            self.totals.first_swallowing.get_or_insert(line);
        }
        let verdict = self.judges.rules.judge(self.judges.header, record).and_then(|target| {
            match self.sightings.see(&target, line) {
                Some(first) => Err(Rejection::Duplicate { first_line: Some(first) }),
                None => Ok(target),
            }
        });
        if verdict.as_ref().is_err_and(|rejection| rejection.status() == Status::Protected) {
            self.totals.guarded += 1;
        }
        if let Some(whole) = &mut self.whole {
            whole.protected.extend(self.judges.rules.protected_session(self.judges.header, record));
            if let Some(user) = verdict.as_ref().ok().and_then(Target::user) {
                whole.users.insert(self.keys.key(user.as_str()));
            }
        }
        if self.judges.done.contains(line) {
            self.totals.already_done += 1;
            self.totals.carried.add(record.carried(self.judges.header.fields().len()));
            return;
        }
        match verdict {
            Ok(target) => self.send(&target, ordinal),
            Err(rejection) => self.totals.reject(&rejection, line),
        }
    }

    fn send(&mut self, target: &Target, ordinal: u64) {
        self.totals.sendable += 1;
        match target.named_by() {
            IdentifyBy::User => self.totals.named_by_user += 1,
            IdentifyBy::Team => {}
        }
        match target.user() {
            Some(user) => self.users.insert(self.keys.key(user.as_str())),
            None => self.totals.without_user += 1,
        }
        if let Some(team) = target.team() {
            let fresh = || TeamRows { team: team.clone(), rows: 0, addressed: RoaringTreemap::new() };
            let rows = self.teams.entry(self.keys.key(team.as_str())).or_insert_with(fresh);
            rows.rows += 1;
            if target.addressed_team().is_some() {
                rows.addressed.insert(ordinal);
            }
        }
    }

    fn found(self) -> Found {
        let Self { sightings, mut index, users, teams, totals, whole, .. } = self;
        let workspaces = teams.values().map(|rows| (rows.team.clone(), rows.rows)).collect();
        let addressed = teams.into_values().filter(|rows| !rows.addressed.is_empty());
        index.teams = addressed.map(|rows| (rows.team, rows.addressed)).collect();
        let whole = whole.map(|whole| WholeUsers { all: whole.users.count(), protected: whole.protected });
        Found { index, firsts: sightings.firsts(), totals, workspaces, users: users.count(), whole }
    }
}

impl Totals {
    fn reject(&mut self, rejection: &Rejection, line: u64) {
        self.rejected.add(rejection.status());
        if rejection.status() == Status::Invalid && self.examples.len() < EXAMPLES {
            self.examples.push(InvalidRow { line, rule: rejection.rule(), text: rejection.to_string() });
        }
    }
}

impl Found {
    /// Splits into what people are told and what the second reading needs.
    pub(super) fn into_survey(
        self,
        header: &Header,
        identity: InputIdentity,
        continuation: Option<InputMatch>,
    ) -> (Survey, Index, Firsts) {
        let Self { index, firsts, totals, workspaces, users, whole } = self;
        let survey = Survey {
            header: header.fields().clone(),
            columns: header.columns(),
            delimiter: header.delimiter(),
            identity,
            continuation,
            rows: index.rows(),
            sendable: totals.sendable,
            invalid: totals.rejected.of(Status::Invalid),
            duplicates: totals.rejected.of(Status::Duplicate),
            protected: totals.rejected.of(Status::Protected),
            already_done: totals.already_done,
            carried: totals.carried,
            workspaces,
            addressed: index.teams.iter().map(|(team, rows)| (team.clone(), rows.len())).collect(),
            users,
            without_user: totals.without_user,
            named_by_user: totals.named_by_user,
            guarded: totals.guarded,
            swallowed: totals.swallowed,
            first_swallowing: totals.first_swallowing,
            examples: totals.examples,
            whole,
        };
        (survey, index, firsts)
    }
}
