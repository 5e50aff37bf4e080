//! How it ended, in plain words: the headline, the sentence below it, and what must not be overlooked.

use super::ends::End;
use super::facts::{Check, Facts};
use super::scale::moment;
use crate::model::{Counts, Status};
use crate::output::text::{clean, counted, thousands};

/// How good the news is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Nothing is left to do.
    Good,
    /// Somebody has to look.
    Attention,
    /// Not known, or not over.
    Open,
}

impl Mood {
    /// The class in the page's style sheet.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Attention => "attention",
            Self::Open => "open",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// How good the news is.
    pub mood: Mood,
    /// In one line.
    pub headline: String,
    /// What follows from it.
    pub lead: String,
    /// What must not be overlooked.
    pub notes: Vec<String>,
}

/// Tells it.
#[must_use]
pub fn tell(facts: &Facts, counts: &Counts) -> Story {
    let (mood, headline) = headline(facts, counts);
    Story { mood, headline, lead: lead(facts, counts), notes: notes(facts, counts) }
}

fn headline(facts: &Facts, counts: &Counts) -> (Mood, String) {
    let ended = counts.ended();
    let Some(manifest) = &facts.manifest else {
        let text = format!("{} recorded; whether these are all is not known", counted(ended, "row is", "rows are"));
        return (Mood::Open, if facts.is_running { format!("Still running: {text}") } else { text });
    };
    let rows = manifest.input_rows;
    let reached = format!("{} of {} ended", thousands(ended), counted(rows, "row has", "rows have"));
    if facts.is_running {
        return (Mood::Open, format!("Still running: {reached}"));
    }
    if ended < rows {
        let was_cut_off = facts.runs.last().is_some_and(|run| run.ended.is_none());
        let how = if was_cut_off { "Cut off" } else { "Stopped before its end" };
        return (Mood::Attention, format!("{how}: {reached}"));
    }
    let trouble = End::Trouble.of(counts);
    if trouble > 0 {
        let verb = if trouble == 1 { "needs" } else { "need" };
        let of = counted(rows, "row", "rows");
        return (Mood::Attention, format!("Finished, and {} of {of} {verb} a hand", thousands(trouble)));
    }
    let asked = End::Asked.of(counts);
    if asked > 0 {
        let rows = counted(asked, "row", "rows");
        return (
            Mood::Open,
            format!("Finished: Slack is asked to end the sessions of {rows}, and nothing is proved yet"),
        );
    }
    if End::Aside.of(counts) == 0 {
        let whole = counted(rows, "session is", "sessions are");
        return (Mood::Good, format!("Finished: all {whole} gone").replace("all 1 session", "the one session"));
    }
    (Mood::Good, format!("Finished: every one of {} is settled", counted(rows, "row", "rows")))
}

/// The rows by what became of their sessions, and why the run is not over.
fn lead(facts: &Facts, counts: &Counts) -> String {
    let part = |status, one: &str, many: &str| {
        let rows = counts.of(status);
        (rows > 0).then(|| counted(rows, one, many))
    };
    let parts = [
        part(Status::Revoked, "session was revoked", "sessions were revoked"),
        part(Status::AlreadyRevoked, "was gone already", "were gone already"),
        part(Status::NotFound, "is not known to Slack", "are not known to Slack"),
        part(Status::Protected, "is protected and was left alone", "are protected and were left alone"),
        part(Status::Duplicate, "row repeats an earlier one", "rows repeat an earlier one"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let mut text = match &parts[..] {
        [] => "No session was revoked.".to_owned(),
        [one] => format!("{one}."),
        [firsts @ .., last] => format!("{}, and {last}.", firsts.join(", ")),
    };
    let reason = facts.runs.last().and_then(|run| run.stop_reason.as_deref());
    if let Some(reason) = reason.filter(|_| !facts.is_running) {
        text = format!("{text} The last run stopped: {}.", clean(reason));
    }
    if facts.not_reached(counts).is_some_and(|rows| rows > 0) && !facts.is_running {
        text.push_str(" It can be continued with --resume.");
    }
    text
}

fn notes(facts: &Facts, counts: &Counts) -> Vec<String> {
    let told = of_files(facts).into_iter().chain(of_rows(facts, counts));
    let told = told.filter_map(|(applies, note)| applies.then_some(note));
    told.chain(facts.event_notes.iter().map(|note| clean(note).into_owned())).collect()
}

/// What is the matter with the files, each with whether it applies.
fn of_files(facts: &Facts) -> [(bool, String); 5] {
    let twice = counted(facts.results.recorded_twice, "row has", "rows have");
    let made_at = moment(facts.made_at);
    [
        (
            facts.is_running,
            format!("A run was still writing these results at {made_at} UTC: all figures are of that moment."),
        ),
        (
            facts.manifest.is_none(),
            "There is no manifest beside the results. Who ran this and why, the rows that were not reached, and the \
             hashes recorded at the time are not known."
                .to_owned(),
        ),
        (
            facts.results_check() == Check::Differs && !facts.is_running,
            "The results are not what the run wrote: their SHA-256 differs from the one in the manifest.".to_owned(),
        ),
        (
            facts.results.is_torn && !facts.is_running,
            "The last record of the results is torn: the run died while it was written. It is not counted.".to_owned(),
        ),
        (
            facts.results.recorded_twice > 0,
            format!(
                "{twice} more than one record; only the first is counted. Two runs wrote here, or lines were copied."
            ),
        ),
    ]
}

/// What the figures give to think about, each with whether it applies.
fn of_rows(facts: &Facts, counts: &Counts) -> [(bool, String); 3] {
    let not_found = counts.of(Status::NotFound);
    let verified = facts.manifest.as_ref().and_then(|manifest| manifest.verified.as_ref());
    let living = verified.map_or(0, |verified| verified.revoked_but_not_gone);
    [
        (is_miscounted(facts, counts), "The records do not add up to the totals in the manifest.".to_owned()),
        (
            not_found.saturating_mul(2) > counts.ended(),
            format!(
                "{} of {} were not found: gone before, or the ids do not belong together. Nothing was revoked for these \
                 rows; check a few of them before you count on it.",
                thousands(not_found),
                counted(counts.ended(), "row", "rows")
            ),
        ),
        (
            living > 0,
            format!("{} recorded as revoked could not be shown to be gone.", counted(living, "session", "sessions")),
        ),
    ]
}

/// Whether the manifest, which was written after the last record, counts otherwise.
fn is_miscounted(facts: &Facts, counts: &Counts) -> bool {
    let over = facts.runs.last().is_some_and(|run| run.ended.is_some());
    let Some(manifest) = facts.manifest.as_ref().filter(|_| over && !facts.is_running) else { return false };
    let told =
        |status: Status| manifest.counts.iter().find(|(word, _)| *word == status.as_str()).map_or(0, |told| told.1);
    counts.iter().any(|(status, rows)| told(status) != rows)
}
