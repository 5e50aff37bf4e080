//! The verdict: whose sessions ended and how that is known, the sentence below it, and warnings.

use super::page_input::PageInput;
use super::times::{moment, stretch};
use crate::model::{Approval, Counts, Identity, Run, Status, StatusGroup, Timestamp};
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
    /// Incident, organization, actor and time window.
    pub subject: [(&'static str, String); 5],
    /// The sessions by outcome, and how to go on.
    pub summary: String,
    /// Warnings.
    pub notes: Vec<String>,
}

impl RunVerdict {
    #[must_use]
    pub fn of(input: &PageInput<'_>, counts: &Counts, window: Option<(Timestamp, Timestamp)>) -> Self {
        let (class, headline) = headline(input, counts);
        let rehearsal = if input.is_rehearsal() { "Rehearsal: " } else { "" };
        Self {
            class,
            headline: format!("{rehearsal}{headline}"),
            subject: subject(input, window),
            summary: summary(input, counts),
            notes: notes(input, counts),
        }
    }
}

fn headline(input: &PageInput<'_>, counts: &Counts) -> (&'static str, String) {
    let ended = counts.ended();
    let Some(manifest) = &input.manifest else {
        let text = format!("{} recorded; the manifest is missing, so there may be more", counted(ended, "row", "rows"));
        return (OPEN, if input.is_running { format!("Still running: {text}") } else { text });
    };
    let rows = manifest.input.rows;
    let reached = format!("{} of {} processed", thousands(ended), counted(rows, "row", "rows"));
    if input.is_running {
        return (OPEN, format!("Still running: {reached}"));
    }
    if ended < rows {
        let was_cut_off = input.runs.last().is_some_and(|run| run.ended.is_none());
        let how = if was_cut_off { "Ended unexpectedly" } else { "Stopped early" };
        return (ATTENTION, format!("{how}: {reached}"));
    }
    complete(input, counts, rows)
}

/// The headline once every row has a record.
fn complete(input: &PageInput<'_>, counts: &Counts, rows: u64) -> (&'static str, String) {
    let kept = counts.of(Status::Protected);
    let to_end = rows.saturating_sub(kept).saturating_sub(counts.of(Status::Duplicate));
    let verified = verified_gone(input, counts);
    let (gone, requested) = (StatusGroup::Gone.of(counts), StatusGroup::Requested.of(counts));
    let unproven = verified.map_or(0, |verified| (gone + requested).saturating_sub(verified));
    let problems = StatusGroup::ActionNeeded.of(counts);
    let need = if problems == 1 { "needs attention" } else { "need attention" };
    let others = [
        (unproven, "not verified as gone"),
        (problems, need),
        (counts.of(Status::NotFound), "not found"),
        (kept, "kept intentionally"),
    ];
    let others = others.into_iter().filter(|(rows, _)| *rows > 0);
    let others = others.map(|(rows, what)| format!("{} {what}", thousands(rows)));
    let parts: Vec<_> = std::iter::once(ended_sessions(counts, to_end, verified)).chain(others).collect();
    let verify = if input.is_rehearsal() { "verify --rehearse" } else { "verify" };
    let next = match verified {
        Some(_) => String::new(),
        None if gone + requested == 0 => String::new(),
        None if input.manifest.as_ref().is_some_and(|manifest| manifest.verified.is_some()) => {
            format!("; changed since it was verified: run {verify} again")
        }
        None => format!("; not verified yet: run {verify}"),
    };
    let is_doubtful = input.results_differ() || is_miscounted(input, counts);
    let class = if problems > 0 || unproven > 0 || is_doubtful {
        ATTENTION
    } else if requested > 0 && verified.is_none() {
        OPEN
    } else {
        GOOD
    };
    (class, format!("{}{next}", parts.join(", ")))
}

/// How many of the sessions to end have ended, as text.
fn ended_sessions(counts: &Counts, to_end: u64, verified: Option<u64>) -> String {
    let of = thousands(to_end);
    let (revoked, already) = (counts.of(Status::Revoked), counts.of(Status::AlreadyRevoked));
    let requested = counts.of(Status::Requested);
    match (verified, revoked + already, requested) {
        _ if to_end == 0 => "No session to revoke".to_owned(),
        (Some(verified), ..) => format!("{} of {of} verified gone", thousands(verified)),
        (None, 0, 1..) => format!("{} of {of} requested", thousands(requested)),
        (None, gone, _) => {
            let how = match (revoked, already) {
                (_, 0) => "revoked",
                (0, _) => "already gone",
                _ => "revoked or already gone",
            };
            let requested = (requested > 0).then(|| format!(", {} requested", thousands(requested)));
            format!("{} of {of} {how}{}", thousands(gone), requested.unwrap_or_default())
        }
    }
}

/// Records of ended sessions that `verify` confirmed; `None` if it wasn't run after the last run.
pub(super) fn verified_gone(input: &PageInput<'_>, counts: &Counts) -> Option<u64> {
    let (found, is_older) = input.manifest.as_ref()?.verified()?;
    let requested = StatusGroup::Requested.of(counts);
    let unproven = found.revoked_but_not_gone.saturating_add(found.requested_but_not_gone.unwrap_or(requested));
    (!is_older).then(|| (StatusGroup::Gone.of(counts) + requested).saturating_sub(unproven))
}

fn subject(input: &PageInput<'_>, window: Option<(Timestamp, Timestamp)>) -> [(&'static str, String); 5] {
    let records = || input.runs.iter().filter_map(|run| run.record);
    let identities = |run| std::iter::once(run).flat_map(|run: &Run| run.identity.iter().chain(&run.later_identities));
    let window = window.map(|(from, to)| stretch(from, to));
    [
        (
            "Incident",
            distinct(records().filter_map(|run| run.reason.clone())).unwrap_or_else(|| "no --reason given".into()),
        ),
        (
            "Approval",
            distinct(records().filter_map(|run| run.approval.as_ref()).map(Approval::sentence))
                .unwrap_or_else(|| "no --plan-id given".into()),
        ),
        ("Organization", distinct(records().flat_map(identities).map(organization)).unwrap_or_else(not_recorded)),
        ("Actor", distinct(records().flat_map(identities).map(actor)).unwrap_or_else(not_recorded)),
        ("Time window (UTC)", window.unwrap_or_else(not_recorded)),
    ]
}

fn not_recorded() -> String {
    "not recorded".to_owned()
}

/// The distinct nonempty texts, in order of first appearance; `None` if there are none.
fn distinct(texts: impl Iterator<Item = String>) -> Option<String> {
    let mut seen: Vec<String> = Vec::new();
    for text in texts.map(|text| clean(&text).into_owned()) {
        if !text.is_empty() && !seen.contains(&text) {
            seen.push(text);
        }
    }
    (!seen.is_empty()).then(|| seen.join("; "))
}

/// `name (id)`, or the id if the name is empty.
fn named(id: &str, name: &str) -> String {
    if name.is_empty() { id.to_owned() } else { format!("{name} ({id})") }
}

fn actor(who: &Identity) -> String {
    named(&who.user_id, &who.user)
}

fn organization(who: &Identity) -> String {
    let name = named(who.enterprise_id.as_deref().unwrap_or(&who.team_id), &who.team);
    [name.as_str(), &who.url].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
}

/// The rows by outcome, and why the run stopped.
fn summary(input: &PageInput<'_>, counts: &Counts) -> String {
    let part = |status, one: &str, many: &str| {
        let rows = counts.of(status);
        (rows > 0).then(|| counted(rows, one, many))
    };
    let parts = [
        part(Status::Revoked, "session was revoked", "sessions were revoked"),
        part(Status::Requested, "row had a logout of its user requested", "rows had a logout of their user requested"),
        part(Status::AlreadyRevoked, "session had already ended", "sessions had already ended"),
        part(Status::NotFound, "session was not found", "sessions were not found"),
        part(Status::Protected, "session is protected and was kept", "sessions are protected and were kept"),
        part(Status::Duplicate, "row is a duplicate", "rows are duplicates"),
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
        text.push_str(" Continue it with --resume.");
    }
    text
}

fn notes(input: &PageInput<'_>, counts: &Counts) -> Vec<String> {
    let notes = notes_on_files(input).into_iter().chain(notes_on_rows(input, counts));
    let notes = notes.filter_map(|(applies, note)| applies.then_some(note));
    notes.chain(input.event_notes.iter().map(|note| clean(note).into_owned())).collect()
}

/// Pairs of a condition and the note to show if it is true.
fn notes_on_files(input: &PageInput<'_>) -> [(bool, String); 5] {
    let twice = counted(input.results.recorded_twice, "row has", "rows have");
    let made_at = moment(input.made_at);
    [
        (
            input.is_running,
            format!("A run was still writing these results at {made_at} UTC; all figures are from that moment."),
        ),
        (
            input.manifest.is_none(),
            "There is no manifest next to the results. Who ran this and why, the rows that were not reached, and the \
             hashes recorded at the time are unknown."
                .to_owned(),
        ),
        (
            input.results_differ() && !input.is_running,
            "The results changed after the run: their SHA-256 or length differs from the manifest.".to_owned(),
        ),
        (
            input.results.is_torn && !input.is_running,
            "The last record of the results is incomplete: the run ended while writing it. It isn’t counted."
                .to_owned(),
        ),
        (
            input.results.recorded_twice > 0,
            format!(
                "{twice} more than one record; only the first one counts. Two runs wrote here, or lines were copied."
            ),
        ),
    ]
}

/// Pairs of a condition and the note to show if it is true.
fn notes_on_rows(input: &PageInput<'_>, counts: &Counts) -> [(bool, String); 3] {
    let not_found = counts.of(Status::NotFound);
    let verified = input.manifest.as_ref().and_then(|manifest| manifest.verified.as_ref());
    let alive = verified.map_or(0, |verified| verified.revoked_but_not_gone);
    [
        (is_miscounted(input, counts), "The records don’t add up to the totals in the manifest.".to_owned()),
        (
            not_found.saturating_mul(2) > counts.ended(),
            format!(
                "{} of {} were not found: these sessions had already ended, or the ids don’t belong together. Nothing was \
                 revoked for these rows; check a few of them before you rely on it.",
                thousands(not_found),
                counted(counts.ended(), "row", "rows")
            ),
        ),
        (
            alive > 0,
            format!("{} recorded as revoked can’t be verified as gone.", counted(alive, "session", "sessions")),
        ),
    ]
}

/// Whether the manifest's totals differ from the records. They must agree once the last run has ended.
fn is_miscounted(input: &PageInput<'_>, counts: &Counts) -> bool {
    let over = input.runs.last().is_some_and(|run| run.ended.is_some());
    let Some(manifest) = input.manifest.as_ref().filter(|_| over && !input.is_running) else { return false };
    counts.iter().any(|(status, rows)| manifest.totals.by_status.of(status) != rows)
}
