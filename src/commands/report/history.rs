//! The runs on some results, from the manifest and from the events; where both tell of a run, the events tell more.

use super::facts::{exit, seconds, told};
use crate::ledger::manifest::{FIRST_RUNS, LAST_RUNS, Manifest};
use crate::output::counted;
use crate::output::page::{Events, Run, RunEvents, Spans, Steps};

/// The runs, the first one first.
pub fn runs(manifest: Option<&Manifest>, events: Option<&Events>) -> Vec<Run> {
    let of_events = events.map_or(&[][..], |events| &events.runs);
    let mut runs: Vec<Run> = match manifest {
        Some(manifest) => manifest.runs.iter().map(|run| from_manifest(run, of_events)).collect(),
        None => of_events.iter().filter_map(from_events).collect(),
    };
    // A clock may have been set back between two runs; the chart goes by time.
    runs.sort_by_key(|run| run.started);
    runs
}

fn from_manifest(run: &crate::model::Run, events: &[RunEvents]) -> Run {
    let (mut estimates, mut pauses) = (Steps::default(), Spans::default());
    // One bucket serves all, or the sum over the buckets is told: neither names a workspace.
    for estimate in run.pacing.estimate_history.entries.iter().filter(|estimate| estimate.team.is_none()) {
        estimates.push(estimate.at, estimate.per_minute);
    }
    for pause in &run.pacing.rate_limits.entries {
        pauses.add(pause.at, seconds(pause.pause_seconds));
    }
    let kept = Run {
        run_id: run.run_id.clone(),
        started: run.started_at,
        ended: run.ended_at,
        exit: exit(run.exit_code),
        stop_reason: run.stop_reason.clone(),
        is_rehearsal: run.rehearsal,
        told: Some(told(run)),
        estimates,
        pauses,
        outages: Spans::default(),
        is_history_cut: run.pacing.estimate_history.left_out + run.pacing.rate_limits.left_out > 0,
    };
    match events.iter().find(|events| events.run_id == run.run_id) {
        Some(events) => Run {
            estimates: events.estimates.clone(),
            pauses: events.pauses.clone(),
            outages: events.outages.clone(),
            is_history_cut: false,
            ..kept
        },
        None => kept,
    }
}

fn from_events(events: &RunEvents) -> Option<Run> {
    Some(Run {
        run_id: events.run_id.clone(),
        started: events.started?,
        ended: events.ended,
        exit: exit(events.exit_code),
        stop_reason: None,
        is_rehearsal: false,
        told: None,
        estimates: events.estimates.clone(),
        pauses: events.pauses.clone(),
        outages: events.outages.clone(),
        is_history_cut: false,
    })
}

/// Which runs the manifest no longer has, in a sentence.
pub fn left_out(manifest: &Manifest) -> Option<String> {
    let left_out = &manifest.runs_left_out;
    (left_out.runs > 0).then(|| {
        format!(
            "The manifest keeps the first {FIRST_RUNS} and the last {LAST_RUNS} runs; {} between them, with {}, left out here.",
            counted(left_out.runs, "run is", "runs are"),
            counted(left_out.counts.calls, "call", "calls")
        )
    })
}

/// What is wrong with the events, each in a sentence.
pub fn notes(events: &Events, manifest: Option<&Manifest>) -> Vec<String> {
    let is_other = |run: &&RunEvents| {
        let is_known = |manifest: &Manifest| manifest.runs.iter().any(|known| known.run_id == run.run_id);
        manifest.is_some_and(|manifest| manifest.runs_left_out.runs == 0 && !is_known(manifest))
    };
    let others = events.runs.iter().filter(is_other).count() as u64;
    let first = events.first_unreadable.map(|line| format!(", the first one in line {line}")).unwrap_or_default();
    let unreadable = counted(events.unreadable, "line is no event", "lines are no events");
    let is = if others == 1 { "is" } else { "are" };
    [
        (events.unreadable > 0, format!("In the log of events {unreadable}{first}; left out here.")),
        (
            events.left_out > 0,
            format!("The log of events lacks {} that could not be written.", counted(events.left_out, "line", "lines")),
        ),
        (
            others > 0,
            format!("In the log of events {} {is} of other results; left out here.", counted(others, "run", "runs")),
        ),
    ]
    .into_iter()
    .filter_map(|(applies, note)| applies.then_some(note))
    .collect()
}
