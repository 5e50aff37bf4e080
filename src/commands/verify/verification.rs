//! Compares the records of a run with a listing, and writes the verified file.

use super::sightings::{Concerned, ListingSnapshot, Verdict};
use crate::commands::listing::{ListError, ListProgress, Lister, Pages};
use crate::commands::outputs::unwritable;
use crate::error::RunError;
use crate::ledger::scan::{Records, ResultRecord, ScanError, records};
use crate::ledger::verified::VerifiedWriter;
use crate::model::{ColumnNames, IdColumns, SessionId, SessionKind, Status, Timestamp, UserId};
use crate::output::{self, Console, counted};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// Maximum time between two checks.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Verifies the results of one run, as often as needed.
pub struct Verification<'a> {
    pub results: &'a Path,
    /// The verified file.
    pub verified: &'a Path,
    pub names: &'a ColumnNames,
    pub concerned: Concerned,
    /// Whether sessions that are neither in the results nor in `--before` are new.
    pub is_compared: bool,
    /// The kind of sessions that the run ended for whole users, if not all.
    pub only: Option<SessionKind>,
    pub console: &'a Console,
}

/// What one listing shows of the records.
pub struct VerifyOutcome {
    seen: ListingSnapshot,
    calls: u64,
    totals: VerifyTotals,
    /// Calls for single sessions, by status; `None` if none were planned.
    singles: Option<BTreeMap<&'static str, u64>>,
    /// Lines of the `requested` records whose own session is still listed.
    pub alive: BTreeSet<u64>,
}

impl Verification<'_> {
    /// Checks until nothing is left alive, or `wait` has passed. `singles` are the answers to the calls for single sessions
    /// of `requested` records, by line; `None` if no such calls were planned. A listing that can't be completed is the inner error.
    ///
    /// # Errors
    /// If the results can't be read or the verified file can't be written.
    pub async fn until_gone(
        &self,
        lister: &mut Lister,
        wait: Duration,
        singles: Option<&BTreeMap<u64, Status>>,
    ) -> Result<Result<VerifyOutcome, ListError>, RunError> {
        let (clock, mut pause) = (lister.clock(), Duration::from_secs(1));
        let end = clock.elapsed() + wait;
        loop {
            let seen = ListingSnapshot::new(self.is_compared);
            let seen = match survey(lister, seen, &self.concerned, &mut ListProgress::new(self.console, clock)).await {
                Ok(seen) => seen,
                Err(halt) => return Ok(Err(halt)),
            };
            let found = self.compare(seen, lister.calls(), singles)?;
            let left = end.saturating_sub(clock.elapsed());
            if found.is_proved() || left.is_zero() {
                return Ok(Ok(found));
            }
            let now = pause.min(left);
            self.console.note(&format!(
                "{} not gone yet; checking again in {}",
                counted(found.totals.living + found.totals.waiting, "record is", "records are"),
                output::format_duration(now)
            ));
            if let Err(halt) = lister.pause(now).await {
                return Ok(Err(halt));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Reads the results again, and writes every record with its verdict.
    fn compare(
        &self,
        seen: ListingSnapshot,
        calls: u64,
        singles: Option<&BTreeMap<u64, Status>>,
    ) -> Result<VerifyOutcome, RunError> {
        let (records, ids) = open(self.results, self.names)?;
        let started = VerifiedWriter::start(self.verified, records.columns(), singles.is_some());
        let mut out = started.map_err(|error| unwritable(&error))?;
        let mut totals = VerifyTotals { new_sessions: seen.new_sessions(), ..VerifyTotals::default() };
        let mut alive = BTreeSet::new();
        for record in records {
            let record = record.map_err(|error| unreadable(&error))?;
            let (session, user) = (ids.session(&record), ids.user(&record));
            let verdict = self.verdict(&seen, record.outcome.status, session, user.as_ref());
            let back = user.as_ref().and_then(|user| seen.back(user)).filter(|_| verdict != Verdict::NotAsked);
            let count = back.map(|back| back.sessions.len().to_string()).unwrap_or_default();
            let ips = back.map(|back| back.ips.iter().map(|ip| &**ip).collect::<Vec<_>>().join(" "));
            let single = singles.and_then(|singles| singles.get(&record.line)).map_or("", |status| status.as_str());
            let answer = [verdict.as_str(), &count, &ips.unwrap_or_default(), single];
            out.append(&record, answer).map_err(|error| unwritable(&error))?;
            totals.add(record.outcome.status, verdict);
            let is_requested = record.outcome.status == Status::Requested;
            if is_requested && verdict == Verdict::StillThere && session.is_some_and(|session| seen.is_alive(session)) {
                alive.insert(record.line);
            }
        }
        out.finish().map_err(|error| unwritable(&error))?;
        let singles = singles.map(|singles| {
            singles.values().fold(BTreeMap::new(), |mut counts, status| {
                *counts.entry(status.as_str()).or_default() += 1;
                counts
            })
        });
        Ok(VerifyOutcome { seen, calls, totals, singles, alive })
    }

    fn verdict(
        &self,
        seen: &ListingSnapshot,
        status: Status,
        session: Option<SessionId>,
        user: Option<&UserId>,
    ) -> Verdict {
        match (status, user) {
            (Status::Requested, Some(user)) => match (seen.verdict_of_user(session, user), self.only) {
                // The session may be of the other kind.
                (Verdict::StillThere, Some(_)) => Verdict::Unproven,
                (verdict, _) => verdict,
            },
            _ => seen.verdict(session, user),
        }
    }
}

impl VerifyOutcome {
    /// Whether every session that should be gone is.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.totals.living + self.totals.waiting == 0 && !self.seen.is_incomplete
    }

    /// Number of `requested` records that aren't verified as gone.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.totals.waiting
    }

    /// For the member `verified` of the manifest.
    #[must_use]
    pub fn to_json(&self, file: &Path, at: Timestamp) -> serde_json::Value {
        serde_json::json!({
            "at": at.rfc3339(),
            "file": file.to_string_lossy(),
            "calls": self.calls,
            "complete": !self.seen.is_incomplete,
            "gone": self.totals.of(Verdict::Gone),
            "user_back": self.totals.of(Verdict::UserBack),
            "still_there": self.totals.of(Verdict::StillThere),
            "unproven": self.totals.of(Verdict::Unproven),
            "not_asked": self.totals.of(Verdict::NotAsked),
            "revoked_but_not_gone": self.totals.living,
            "requested_but_not_gone": self.totals.waiting,
            "new_sessions": self.totals.new_sessions,
            "unreadable_sessions": self.seen.unreadable(),
            "single_calls": self.singles,
            "compared_with_before": self.seen.is_compared,
        })
    }

    /// Prints the totals, and what isn't gone.
    pub fn tell(&self, file: &Path, console: &Console) {
        if self.seen.unreadable() > 0 {
            let sessions = counted(self.seen.unreadable(), "listed session", "listed sessions");
            tracing::warn!(
                target: output::WEAKENED,
                "{sessions} could not be read, because the user or the session id is missing or malformed; records that may \
                 mean one of them are unproven"
            );
        }
        for verdict in Verdict::ALL {
            let (word, rows) = (verdict.as_str(), self.totals.of(verdict));
            let word = if word.is_empty() { "no session named" } else { word };
            if rows > 0 {
                console.note(&format!("{word:>16}  {}", counted(rows, "record", "records")));
            }
        }
        if self.totals.new_sessions > 0 {
            let new = self.totals.new_sessions;
            let sessions = if self.seen.is_compared {
                counted(new, "new session", "new sessions")
            } else {
                format!("{} that the results do not name", counted(new, "session", "sessions"))
            };
            console.note(&format!("users of these records have {sessions}: {}", self.seen.back_again()));
        }
        console.note(&format!("written: {}", file.display()));
        if self.totals.waiting > 0 {
            tracing::error!(
                "{} requested for whole users can't be verified as gone; Slack may still be working on them: verify again in a \
                 few minutes",
                counted(self.totals.waiting, "row", "rows")
            );
        }
        if self.totals.living > 0 {
            let sessions = counted(self.totals.living, "session", "sessions");
            tracing::error!(
                "{sessions} recorded as revoked can't be verified as gone; look at the column verified, and run those \
                 rows again with a new output"
            );
        }
    }
}

#[derive(Debug, Default)]
struct VerifyTotals {
    by_verdict: BTreeMap<Verdict, u64>,
    /// Sessions of `revoked` and `already_revoked` records that aren't verified as gone.
    living: u64,
    /// `requested` records that aren't verified as gone.
    waiting: u64,
    new_sessions: u64,
}

impl VerifyTotals {
    fn add(&mut self, status: Status, verdict: Verdict) {
        *self.by_verdict.entry(verdict).or_default() += 1;
        let claimed = matches!(status, Status::Revoked | Status::AlreadyRevoked);
        self.living += u64::from(claimed && !verdict.is_gone());
        self.waiting += u64::from(status == Status::Requested && !verdict.is_gone());
    }

    fn of(&self, verdict: Verdict) -> u64 {
        self.by_verdict.get(&verdict).copied().unwrap_or(0)
    }
}

/// Lists the whole organization, because a user's sessions may be in any workspace.
async fn survey(
    lister: &mut Lister,
    mut seen: ListingSnapshot,
    concerned: &Concerned,
    progress: &mut ListProgress<'_>,
) -> Result<ListingSnapshot, ListError> {
    if concerned.sessions.is_empty() && concerned.users.is_empty() {
        return Ok(seen);
    }
    let mut pages = Pages::new(None, None);
    let (mut read, mut sessions) = (0, 0);
    loop {
        let page = match pages.next(lister).await {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(seen),
            Err(halt @ ListError::Incomplete(_)) => {
                halt.print(Some("what wasn't seen is unproven"));
                seen.is_incomplete = true;
                return Ok(seen);
            }
            Err(halt) => return Err(halt),
        };
        read += 1;
        sessions += page.sessions.len() as u64;
        seen.take(page, concerned);
        progress.update(read, sessions);
    }
}

/// The error about results that can't be read.
#[must_use]
pub fn unreadable(error: &ScanError) -> RunError {
    RunError::input(error.to_string(), "give the results of a run, as it wrote them")
}

struct Ids(IdColumns);

impl Ids {
    fn session(&self, record: &ResultRecord) -> Option<SessionId> {
        SessionId::parse(record.fields.get(self.0.session?)?).ok()
    }

    fn user(&self, record: &ResultRecord) -> Option<UserId> {
        UserId::parse(record.fields.get(self.0.user?)?).ok()
    }
}

fn open(results: &Path, names: &ColumnNames) -> Result<(Records, Ids), RunError> {
    let records = records(results).map_err(|error| unreadable(&error))?;
    let ids = records.id_columns(names).map_err(|error| unreadable(&error))?;
    Ok((records, Ids(ids)))
}

/// Collects what to look for: the sessions and users of the records.
///
/// # Errors
/// If the results can't be read.
pub fn concerned(results: &Path, names: &ColumnNames) -> Result<Concerned, RunError> {
    let (records, ids) = open(results, names)?;
    let mut concerned = Concerned::default();
    for record in records {
        let record = record.map_err(|error| unreadable(&error))?;
        let (session, user) = (ids.session(&record), ids.user(&record));
        // A requested user is looked for even without a session id.
        if session.is_none() && record.outcome.status != Status::Requested {
            continue;
        }
        concerned.sessions.extend(session);
        concerned.users.extend(user);
    }
    Ok(concerned)
}
