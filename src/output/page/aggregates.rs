//! Totals for the page. Memory doesn't grow with the number of records.

use super::timeline::Timeline;
use super::times::moment;
use crate::model::{Counts, Outcome, Status, StatusGroup, TeamId, Timestamp};
use crate::output::text::{clean, thousands};
use std::collections::BTreeMap;
use std::fmt;

/// Maximum number of rows that are listed.
const MOST_SHOWN: usize = 200;

/// Maximum length of a displayed id, in characters; an invalid one may have any length.
const LONGEST_ID: usize = 64;

/// Maximum length of a displayed error or detail, in characters.
const LONGEST_TEXT: usize = 300;

/// Maximum number of distinct names, so that a file with a different name in every row doesn't fill the memory.
const MOST_NAMES: usize = 10_000;

/// Maximum length of a name, in characters.
const LONGEST_NAME: usize = 100;

impl StatusGroup {
    /// In the order of stacked bars, from the bottom.
    pub const ALL: [Self; 5] = [Self::Gone, Self::Requested, Self::Skipped, Self::Protected, Self::ActionNeeded];

    /// The class in the page's style sheet.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Requested => "requested",
            Self::Skipped => "skipped",
            Self::Protected => "protected",
            Self::ActionNeeded => "trouble",
        }
    }

    #[must_use]
    pub fn legend(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Requested => "logout requested",
            Self::Skipped => "not found or duplicate",
            Self::Protected => "kept intentionally",
            Self::ActionNeeded => "needs attention",
        }
    }

    #[must_use]
    pub fn of(self, counts: &Counts) -> u64 {
        counts.iter().filter(|(status, _)| status.group() == self).map(|(_, rows)| rows).sum()
    }
}

/// A record of the results. Ids are unchanged, and empty without such a column.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    pub line: u64,
    pub session: &'a str,
    pub team: &'a str,
    pub user: &'a str,
    pub outcome: &'a Outcome,
}

/// A row for a table: cleaned and shortened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownRow {
    pub line: Number,
    pub session: String,
    pub user: String,
    pub team: String,
    pub status: Status,
    pub error: String,
    pub detail: String,
    pub attempts: u32,
    pub at: String,
    pub request_id: String,
}

impl ShownRow {
    fn of(record: RecordView<'_>) -> Self {
        let RecordView { line, session, team, user, outcome } = record;
        let given = |text: &Option<Box<str>>, most| cut(text.as_deref().unwrap_or_default(), most);
        Self {
            line: Number(line),
            session: cut(session, LONGEST_ID),
            user: cut(user, LONGEST_ID),
            team: cut(team, LONGEST_ID),
            status: outcome.status,
            error: given(&outcome.error, LONGEST_TEXT),
            detail: cut(&outcome.detail, LONGEST_TEXT),
            attempts: outcome.attempts,
            at: moment(outcome.finished_at),
            request_id: given(&outcome.request_id, LONGEST_ID),
        }
    }
}

/// At most `most` characters, with `…` if it was longer.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", clean(&text[..end])),
        None => clean(text).into_owned(),
    }
}

/// Displayed with separators, and without them in `data-` attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&thousands(self.0))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Aggregates {
    pub counts: Counts,
    /// Records by workspace; the name is empty for records without one.
    pub workspaces: GroupCounts,
    /// Records with an error, by error.
    pub errors: GroupCounts,
    /// The first records that need attention.
    pub problems: Vec<ShownRow>,
    /// The first protected records.
    pub protected: Vec<ShownRow>,
    pub timeline: Timeline,
    /// From the first call, or the first end of an unsent row, to the last end; `None` without records.
    pub window: Option<(Timestamp, Timestamp)>,
    pub rate_limited: u64,
}

impl Aggregates {
    /// `starts` are the start times of the runs, in order.
    #[must_use]
    pub fn new(starts: &[Timestamp]) -> Self {
        Self {
            counts: Counts::default(),
            workspaces: GroupCounts::default(),
            errors: GroupCounts::default(),
            problems: Vec::new(),
            protected: Vec::new(),
            timeline: Timeline::new(starts),
            window: None,
            rate_limited: 0,
        }
    }

    pub fn add(&mut self, record: RecordView<'_>) {
        let Outcome { status, error, rate_limited, first_sent_at, finished_at, .. } = record.outcome;
        let group = status.group();
        self.counts.add(*status);
        self.workspaces.add(TeamId::parse(record.team).as_ref().map_or("", TeamId::as_str), *status);
        if let Some(error) = error {
            self.errors.add(error, *status);
        }
        let shown = match group {
            StatusGroup::ActionNeeded => Some(&mut self.problems),
            StatusGroup::Protected => Some(&mut self.protected),
            StatusGroup::Gone | StatusGroup::Requested | StatusGroup::Skipped => None,
        };
        if let Some(shown) = shown.filter(|shown| shown.len() < MOST_SHOWN) {
            shown.push(ShownRow::of(record));
        }
        self.timeline.add(*finished_at, group);
        self.rate_limited += u64::from(*rate_limited);
        let (from, to) = (first_sent_at.unwrap_or(*finished_at), *finished_at);
        self.window = Some(self.window.map_or((from, to), |window| (window.0.min(from), window.1.max(to))));
    }

    /// Number of records that need attention and aren't in [`Self::problems`].
    #[must_use]
    pub fn more_problems(&self) -> u64 {
        StatusGroup::ActionNeeded.of(&self.counts).saturating_sub(self.problems.len() as u64)
    }

    /// Number of protected records that aren't in [`Self::protected`].
    #[must_use]
    pub fn more_protected(&self) -> u64 {
        StatusGroup::Protected.of(&self.counts).saturating_sub(self.protected.len() as u64)
    }
}

/// Rows by name (a workspace or an error) and status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupCounts {
    by_name: BTreeMap<Box<str>, Counts>,
    /// Rows with names beyond [`MOST_NAMES`].
    unnamed: Counts,
}

/// The groups that aren't listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OtherGroups {
    /// Their number; at least this many if [`Self::uncounted`].
    pub groups: u64,
    pub counts: Counts,
    /// Whether there were more than [`MOST_NAMES`] names.
    pub uncounted: bool,
}

impl GroupCounts {
    pub fn add(&mut self, name: &str, status: Status) {
        let end = name.char_indices().nth(LONGEST_NAME).map_or(name.len(), |(end, _)| end);
        let name = &name[..end];
        let is_full = self.by_name.len() >= MOST_NAMES;
        match self.by_name.get_mut(name) {
            Some(counts) => counts.add(status),
            None if is_full => self.unnamed.add(status),
            None => self.by_name.entry(name.into()).or_default().add(status),
        }
    }

    /// The `most` largest groups, and the others combined. A single other group is listed too.
    #[must_use]
    pub fn top(&self, most: usize) -> (Vec<(&str, &Counts)>, OtherGroups) {
        let mut all: Vec<_> = self.by_name.iter().map(|(name, counts)| (&**name, counts)).collect();
        // Groups of the same size stay in the order of their names.
        all.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.ended()));
        let uncounted = self.unnamed.ended() > 0;
        let shown = if all.len() == most + 1 && !uncounted { all.len() } else { most.min(all.len()) };
        let mut others = OtherGroups { counts: self.unnamed, uncounted, ..OtherGroups::default() };
        for (_, counts) in all.split_off(shown) {
            others.groups += 1;
            others.counts.merge(counts);
        }
        (all, others)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A row that ended one second after it was sent.
    pub(in crate::output::page) fn outcome(status: Status, error: Option<&str>, at: i64) -> Outcome {
        Outcome {
            status,
            error: error.map(Into::into),
            detail: "".into(),
            http_status: Some(200),
            attempts: 1,
            rate_limited: 1,
            first_sent_at: Some(Timestamp::from_millis(at - 1_000)),
            finished_at: Timestamp::from_millis(at),
            request_id: None,
        }
    }

    fn add(aggregates: &mut Aggregates, line: u64, team: &str, outcome: &Outcome) {
        aggregates.add(RecordView { line, session: "1", team, user: "U1", outcome });
    }

    #[test]
    fn records_add_up() {
        let mut aggregates = Aggregates::new(&[]);
        for (line, status, error, team) in [
            (2, Status::Revoked, None, "T1"),
            (3, Status::Revoked, None, " T2 "),
            (4, Status::NotFound, Some("session_not_found"), "T1"),
            (5, Status::Failed, Some("user_not_found"), "T1"),
            (6, Status::Invalid, Some("bad_team_id"), "<script>"),
            (7, Status::Protected, Some("protected_user"), ""),
        ] {
            let at = 1_000_000 + i64::try_from(line).unwrap() * 1_000;
            add(&mut aggregates, line, team, &outcome(status, error, at));
        }
        assert_eq!((aggregates.counts.ended(), aggregates.counts.of(Status::Revoked)), (6, 2));
        let (workspaces, _) = aggregates.workspaces.top(9);
        let names: Vec<_> = workspaces.iter().map(|(name, counts)| (*name, counts.ended())).collect();
        assert_eq!(names, [("T1", 3), ("", 2), ("T2", 1)]);
        assert_eq!(aggregates.errors.top(9).0.len(), 4);
        assert_eq!(aggregates.problems.iter().map(|row| row.line.0).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(aggregates.protected.iter().map(|row| row.line.0).collect::<Vec<_>>(), [7]);
        assert_eq!(aggregates.more_protected(), 0);
        assert_eq!((aggregates.rate_limited, aggregates.more_problems()), (6, 0));
        assert_eq!(aggregates.window.unwrap(), (Timestamp::from_millis(1_001_000), Timestamp::from_millis(1_007_000)));
    }

    #[test]
    fn only_the_first_problems_are_kept_and_their_text_is_cut() {
        let mut aggregates = Aggregates::new(&[]);
        let long = "é".repeat(100_000);
        let failed = Outcome { detail: long.clone().into(), ..outcome(Status::Failed, Some(&long), 1_000) };
        for line in 0..300 {
            aggregates.add(RecordView { line, session: &long, team: &long, user: &long, outcome: &failed });
        }
        assert_eq!((aggregates.problems.len(), aggregates.more_problems()), (MOST_SHOWN, 100));
        let row = &aggregates.problems[0];
        assert!(
            [&row.session, &row.user, &row.team]
                .iter()
                .all(|id| id.chars().count() == LONGEST_ID + 1 && id.ends_with('…'))
        );
        assert_eq!(row.detail.chars().count(), LONGEST_TEXT + 1);
        assert_eq!(row.error.chars().count(), LONGEST_TEXT + 1);
    }

    fn groups(rows: &[(&str, u64)]) -> GroupCounts {
        let mut groups = GroupCounts::default();
        for (name, count) in rows {
            (0..*count).for_each(|_| groups.add(name, Status::Revoked));
        }
        groups
    }

    #[test]
    fn the_largest_come_first_and_the_rest_together() {
        let groups = groups(&[("T1", 1), ("T2", 5), ("T3", 2), ("T4", 2), ("T5", 1)]);
        let (shown, others) = groups.top(3);
        let shown: Vec<_> = shown.into_iter().map(|(name, counts)| (name, counts.ended())).collect();
        assert_eq!(shown, [("T2", 5), ("T3", 2), ("T4", 2)]);
        assert_eq!((others.groups, others.counts.ended(), others.uncounted), (2, 2, false));
        assert_eq!(groups.top(4).0.len(), 5, "one other is shown");
        assert_eq!(groups.top(9), (groups.top(4).0, OtherGroups::default()));
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let mut groups = GroupCounts::default();
        for row in 0..MOST_NAMES + 50 {
            groups.add(&format!("T{row}"), Status::Failed);
        }
        let (shown, others) = groups.top(20);
        let sum = shown.iter().map(|(_, counts)| counts.ended()).sum::<u64>() + others.counts.ended();
        assert_eq!((sum, others.uncounted), (MOST_NAMES as u64 + 50, true));
        groups.add(&"é".repeat(5_000), Status::Failed);
        assert!(groups.by_name.keys().all(|name| name.chars().count() <= LONGEST_NAME));
    }

    #[test]
    fn every_status_has_its_label_and_counts_in_one_group() {
        let labels: BTreeSet<_> = Status::ALL.map(Status::label).into();
        assert_eq!(labels.len(), Status::ALL.len());
        let mut counts = Counts::default();
        for status in Status::ALL {
            counts.add(status);
        }
        assert_eq!(StatusGroup::ALL.map(|end| end.of(&counts)).iter().sum::<u64>(), counts.ended());
    }

    #[test]
    fn rows_that_need_attention_remain() {
        for status in Status::ALL.into_iter().filter(|status| status.group() == StatusGroup::ActionNeeded) {
            assert!(status.remains(false), "{status:?}");
        }
    }
}
