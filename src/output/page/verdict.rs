//! How it ended, in plain words: the headline, the sentence below it, and what must not be overlooked.

use super::chart::moment;
use super::page_input::{HashCheck, PageInput};
use crate::model::{Counts, Status, StatusGroup};
use crate::output::text::{clean, counted, thousands};

/// The class of the page's head in its style sheet.
const GOOD: &str = "good";
const ATTENTION: &str = "attention";
/// Not known, or not over.
const OPEN: &str = "open";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunVerdict {
    pub class: &'static str,
    /// In one line.
    pub headline: String,
    /// What follows from it.
    pub summary: String,
    /// Warnings.
    pub notes: Vec<String>,
}

impl RunVerdict {
    #[must_use]
    pub fn of(input: &PageInput<'_>, counts: &Counts) -> Self {
        let (class, headline) = headline(input, counts);
        Self { class, headline, summary: summary(input, counts), notes: notes(input, counts) }
    }
}

fn headline(input: &PageInput<'_>, counts: &Counts) -> (&'static str, String) {
    let ended = counts.ended();
    let Some(manifest) = &input.manifest else {
        let text = format!("{} recorded; whether these are all is not known", counted(ended, "row is", "rows are"));
        return (OPEN, if input.is_running { format!("Still running: {text}") } else { text });
    };
    let rows = manifest.input.rows;
    let reached = format!("{} of {} ended", thousands(ended), counted(rows, "row has", "rows have"));
    if input.is_running {
        return (OPEN, format!("Still running: {reached}"));
    }
    if ended < rows {
        let was_cut_off = input.runs.last().is_some_and(|run| run.ended.is_none());
        let how = if was_cut_off { "Cut off" } else { "Stopped before its end" };
        return (ATTENTION, format!("{how}: {reached}"));
    }
    let problems = StatusGroup::ActionNeeded.of(counts);
    if problems > 0 {
        let verb = if problems == 1 { "needs" } else { "need" };
        let of = counted(rows, "row", "rows");
        return (ATTENTION, format!("Finished, and {} of {of} {verb} a hand", thousands(problems)));
    }
    let asked = StatusGroup::Requested.of(counts);
    if asked > 0 {
        let rows = counted(asked, "row", "rows");
        return (OPEN, format!("Finished: Slack is asked to end the sessions of {rows}, and nothing is proved yet"));
    }
    if StatusGroup::Skipped.of(counts) == 0 {
        let whole = counted(rows, "session is", "sessions are");
        return (GOOD, format!("Finished: all {whole} gone").replace("all 1 session", "the one session"));
    }
    (GOOD, format!("Finished: every one of {} is settled", counted(rows, "row", "rows")))
}

/// The rows by what became of their sessions, and why the run is not over.
fn summary(input: &PageInput<'_>, counts: &Counts) -> String {
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
    let reason = input.runs.last().and_then(|run| run.record?.stop_reason.as_deref());
    if let Some(reason) = reason.filter(|_| !input.is_running) {
        text = format!("{text} The last run stopped: {}.", clean(reason));
    }
    if input.not_reached(counts).is_some_and(|rows| rows > 0) && !input.is_running {
        text.push_str(" It can be continued with --resume.");
    }
    text
}

fn notes(input: &PageInput<'_>, counts: &Counts) -> Vec<String> {
    let notes = notes_on_files(input).into_iter().chain(notes_on_rows(input, counts));
    let notes = notes.filter_map(|(applies, note)| applies.then_some(note));
    notes.chain(input.event_notes.iter().map(|note| clean(note).into_owned())).collect()
}

/// Each with whether it applies.
fn notes_on_files(input: &PageInput<'_>) -> [(bool, String); 5] {
    let twice = counted(input.results.recorded_twice, "row has", "rows have");
    let made_at = moment(input.made_at);
    [
        (
            input.is_running,
            format!("A run was still writing these results at {made_at} UTC: all figures are of that moment."),
        ),
        (
            input.manifest.is_none(),
            "There is no manifest beside the results. Who ran this and why, the rows that were not reached, and the \
             hashes recorded at the time are not known."
                .to_owned(),
        ),
        (
            input.results_check() == HashCheck::Differs && !input.is_running,
            "The results are not what the run wrote: their SHA-256 differs from the one in the manifest.".to_owned(),
        ),
        (
            input.results.is_torn && !input.is_running,
            "The last record of the results is torn: the run died while it was written. It is not counted.".to_owned(),
        ),
        (
            input.results.recorded_twice > 0,
            format!(
                "{twice} more than one record; only the first is counted. Two runs wrote here, or lines were copied."
            ),
        ),
    ]
}

/// Each with whether it applies.
fn notes_on_rows(input: &PageInput<'_>, counts: &Counts) -> [(bool, String); 3] {
    let not_found = counts.of(Status::NotFound);
    let verified = input.manifest.as_ref().and_then(|manifest| manifest.verified.as_ref());
    let alive = verified.map_or(0, |verified| verified.revoked_but_not_gone);
    [
        (is_miscounted(input, counts), "The records do not add up to the totals in the manifest.".to_owned()),
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
            alive > 0,
            format!("{} recorded as revoked could not be shown to be gone.", counted(alive, "session", "sessions")),
        ),
    ]
}

/// Whether the manifest, which was written after the last record, counts otherwise.
fn is_miscounted(input: &PageInput<'_>, counts: &Counts) -> bool {
    let over = input.runs.last().is_some_and(|run| run.ended.is_some());
    let Some(manifest) = input.manifest.as_ref().filter(|_| over && !input.is_running) else { return false };
    counts.iter().any(|(status, rows)| manifest.totals.by_status.of(status) != rows)
}
