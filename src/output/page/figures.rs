//! The figures of a page, gathered record by record in memory that does not grow with them.

use super::bars::Timeline;
use super::ends::End;
use super::groups::Groups;
use crate::model::{Counts, Outcome, Stamp, TeamId};

/// Rows that are shown one by one.
const MOST_SHOWN: usize = 200;

/// Characters of an id of the input that are shown: one that is no id may be of any length.
const LONGEST_ID: usize = 64;

/// Characters of an error or its detail that are shown.
const LONGEST_TEXT: usize = 300;

/// One record, as the results have it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The row's line in the input.
    pub line: u64,
    /// `session_id`, as it was given; empty where there is no such column.
    pub session: &'a str,
    /// `team_id`, as for `session`.
    pub team: &'a str,
    /// `user_id`, as for `session`.
    pub user: &'a str,
    /// How it ended.
    pub outcome: &'a Outcome,
}

/// A row that needs a hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The row's line in the input.
    pub line: u64,
    /// `session_id`, `user_id` and `team_id`, as they were given.
    pub ids: [String; 3],
    /// How it ended.
    pub outcome: Outcome,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Records by status.
    pub counts: Counts,
    /// Records by workspace; those that name none are under the empty name.
    pub workspaces: Groups,
    /// Records by error, those without one left out.
    pub errors: Groups,
    /// The first records that need a hand.
    pub trouble: Vec<Trouble>,
    /// When rows ended.
    pub timeline: Timeline,
    /// From the first call, or the first end of a row that was not sent, to the last end; none without a record.
    pub window: Option<(Stamp, Stamp)>,
    /// Calls made for the rows, those answered 429 left out.
    pub attempts: u64,
    /// 429s met by the rows.
    pub rate_limited: u64,
}

impl Figures {
    /// Nothing yet; `starts` are the moments at which the runs began, in order.
    #[must_use]
    pub fn new(starts: &[Stamp]) -> Self {
        Self {
            counts: Counts::default(),
            workspaces: Groups::default(),
            errors: Groups::default(),
            trouble: Vec::new(),
            timeline: Timeline::new(starts),
            window: None,
            attempts: 0,
            rate_limited: 0,
        }
    }

    /// Takes in a record.
    pub fn add(&mut self, seen: Seen<'_>) {
        let Outcome { status, error, attempts, rate_limited, first_sent_at, finished_at, .. } = seen.outcome;
        let end = status.group();
        self.counts.add(*status);
        self.workspaces.add(TeamId::parse(seen.team).as_ref().map_or("", TeamId::as_str), *status);
        if let Some(error) = error {
            self.errors.add(error, *status);
        }
        if end == End::Trouble && self.trouble.len() < MOST_SHOWN {
            self.trouble.push(Trouble::of(seen));
        }
        self.timeline.add(*finished_at, end);
        self.attempts += u64::from(*attempts);
        self.rate_limited += u64::from(*rate_limited);
        let (from, to) = (first_sent_at.unwrap_or(*finished_at), *finished_at);
        self.window = Some(self.window.map_or((from, to), |window| (window.0.min(from), window.1.max(to))));
    }

    /// Records that need a hand and are not in [`Self::trouble`].
    #[must_use]
    pub fn more_trouble(&self) -> u64 {
        End::Trouble.of(&self.counts).saturating_sub(self.trouble.len() as u64)
    }
}

impl Trouble {
    fn of(seen: Seen<'_>) -> Self {
        let outcome = Outcome {
            error: seen.outcome.error.as_deref().map(|error| cut(error, LONGEST_TEXT).into()),
            detail: cut(&seen.outcome.detail, LONGEST_TEXT).into(),
            request_id: seen.outcome.request_id.as_deref().map(|id| cut(id, LONGEST_ID).into()),
            ..seen.outcome.clone()
        };
        Self { line: seen.line, ids: [seen.session, seen.user, seen.team].map(|id| cut(id, LONGEST_ID)), outcome }
    }
}

/// At most so many characters, and a sign that there were more.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::Status;

    /// A record that ended a second after it was sent.
    pub(in crate::output::page) fn outcome(status: Status, error: Option<&str>, at: i64) -> Outcome {
        Outcome {
            status,
            error: error.map(Into::into),
            detail: "".into(),
            http_status: Some(200),
            attempts: 1,
            rate_limited: 1,
            first_sent_at: Some(Stamp::from_millis(at - 1_000)),
            finished_at: Stamp::from_millis(at),
            request_id: None,
        }
    }

    fn add(figures: &mut Figures, line: u64, team: &str, outcome: &Outcome) {
        figures.add(Seen { line, session: "1", team, user: "U1", outcome });
    }

    #[test]
    fn figures_add_up() {
        let mut figures = Figures::new(&[]);
        for (line, status, error, team) in [
            (2, Status::Revoked, None, "T1"),
            (3, Status::Revoked, None, " T2 "),
            (4, Status::NotFound, Some("session_not_found"), "T1"),
            (5, Status::Failed, Some("user_not_found"), "T1"),
            (6, Status::Invalid, Some("bad_team_id"), "<script>"),
            (7, Status::Protected, Some("protected_user"), ""),
        ] {
            let at = 1_000_000 + i64::try_from(line).unwrap() * 1_000;
            add(&mut figures, line, team, &outcome(status, error, at));
        }
        assert_eq!((figures.counts.ended(), figures.counts.of(Status::Revoked)), (6, 2));
        let (workspaces, _) = figures.workspaces.top(9);
        let names: Vec<_> = workspaces.iter().map(|(name, counts)| (*name, counts.ended())).collect();
        assert_eq!(names, [("T1", 3), ("", 2), ("T2", 1)]);
        assert_eq!(figures.errors.top(9).0.len(), 4);
        assert_eq!(figures.trouble.iter().map(|row| row.line).collect::<Vec<_>>(), [5, 6]);
        assert_eq!((figures.attempts, figures.rate_limited, figures.more_trouble()), (6, 6, 0));
        assert_eq!(figures.window.unwrap(), (Stamp::from_millis(1_001_000), Stamp::from_millis(1_007_000)));
    }

    #[test]
    fn of_many_rows_in_trouble_the_first_are_kept_and_cut_short() {
        let mut figures = Figures::new(&[]);
        let long = "é".repeat(100_000);
        let failed = Outcome { detail: long.clone().into(), ..outcome(Status::Failed, Some(&long), 1_000) };
        for line in 0..300 {
            figures.add(Seen { line, session: &long, team: &long, user: &long, outcome: &failed });
        }
        assert_eq!((figures.trouble.len(), figures.more_trouble()), (MOST_SHOWN, 100));
        let row = &figures.trouble[0];
        assert!(row.ids.iter().all(|id| id.chars().count() == LONGEST_ID + 1 && id.ends_with('…')));
        assert_eq!(row.outcome.detail.chars().count(), LONGEST_TEXT + 1);
        assert_eq!(row.outcome.error.as_deref().unwrap().chars().count(), LONGEST_TEXT + 1);
    }
}
