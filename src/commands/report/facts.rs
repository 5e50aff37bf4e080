//! What the page says of a manifest.

use super::files::Files;
use crate::exit::ExitStatus;
use crate::ledger::manifest::Manifest;
use crate::output::page::{ManifestFacts, Told, Verified};
use std::time::Duration;

/// What the manifest says of all runs.
pub fn of(manifest: &Manifest, files: &Files) -> ManifestFacts {
    let counts = manifest.totals.by_status.iter().map(|(status, rows)| (status.as_str(), rows)).collect();
    ManifestFacts {
        tool_version: manifest.tool_version.clone(),
        input_path: manifest.input.path.clone(),
        input_sha256: manifest.input.sha256.clone(),
        input_now: files.check_input(&manifest.input),
        input_rows: manifest.input.rows,
        results_sha256: manifest.results.sha256.clone(),
        counts,
        verified: manifest.verified().map(|found| verified(found, manifest)),
    }
}

fn verified(found: crate::model::Verified, manifest: &Manifest) -> Verified {
    let last = manifest.runs.last();
    let is_older = last.is_some_and(|run| run.ended_at.is_none_or(|ended| ended > found.at));
    Verified {
        at: found.at,
        file: found.file,
        is_older_than_the_run: is_older,
        gone: found.gone,
        user_back: found.user_back,
        still_there: found.still_there,
        unproven: found.unproven,
        not_asked: found.not_asked,
        revoked_but_not_gone: found.revoked_but_not_gone,
        new_sessions: found.new_sessions,
    }
}

/// What only a manifest tells of a run.
pub fn told(run: &crate::model::Run) -> Told {
    let named = |id: &str, name: &str| if name.is_empty() { id.to_owned() } else { format!("{name} ({id})") };
    let actor = run.identity.as_ref().map(|who| named(&who.user_id, &who.user));
    let organisation = run.identity.as_ref().map(|who| {
        let id = who.enterprise_id.as_deref().unwrap_or(&who.team_id);
        format!("{}, {}", named(id, &who.team), who.url)
    });
    let most = run.max_rate.map(|most| format!(", at most {} calls a minute", crate::output::rate(most)));
    Told {
        actor,
        organisation,
        machine: format!("{}, process {}", run.host, run.pid),
        api_host: run.api_host.clone(),
        rate: format!("{}{}", run.rate, most.unwrap_or_default()),
        reason: run.reason.clone(),
        calls: run.counts.calls,
        rate_limited: run.counts.rate_limited,
        paused: seconds(run.counts.paused_seconds),
        learnt_per_minute: run.pacing.learnt_per_minute,
    }
}

/// A manifest may have been edited: what is no length of time is none.
pub fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// What a number that a run ended with means; none for a number that no run ends with.
pub fn exit(code: Option<u8>) -> Option<(u8, &'static str)> {
    let known = ExitStatus::TABLE.into_iter().find(|(_, number, _)| Some(*number) == code);
    known.map(|(_, number, meaning)| (number, meaning))
}
