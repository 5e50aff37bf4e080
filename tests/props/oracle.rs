//! What must hold after every run, told by what Slack knows and not by what the program thinks.

use crate::case::{Case, Fate};
use crate::round::{Concluded, Ended, Place, Round};
use crate::slack::{Answered, Seen, Slack};
use crate::weather::{Meaning, says_it_lives};
use slack_revoke::ledger::scan::{ResultRecord, Scan, records, scan};
use slack_revoke::model::PossiblySent;
use slack_revoke::model::{Answer, ColumnNames, ErrorCode, Outcome, Status};
use std::collections::BTreeMap;
use std::fs;

/// Whether a call of this run may have ended the session of this line, and no answer tells.
fn is_open(seen: &Seen, line: u64) -> bool {
    let mut answers = seen.answered.get(&line).into_iter().flatten();
    seen.dropped.contains(&line) || answers.any(|answered| Meaning::of(&answered.answer) == Meaning::Ambiguous)
}

pub struct Oracle<'a> {
    pub case: &'a Case,
    pub place: &'a Place,
    pub slack: &'a Slack,
    pub rows: usize,
    /// The records after the last run, as long as nothing was cut off.
    pub kept: BTreeMap<u64, ResultRecord>,
    pub faults: Vec<String>,
}

macro_rules! must {
    ($oracle:expr, $holds:expr, $($text:tt)+) => {
        if !$holds {
            $oracle.faults.push(format!($($text)+));
        }
    };
}

impl Oracle<'_> {
    /// Looks at a run that is over.
    pub fn look(&mut self, round: &Round) {
        self.slack.state().settle();
        must!(self, !round.hung, "the run waits for nothing");
        self.journal_was_exact(round);
        if let Some(scan) = self.results() {
            self.look_at_records(round);
            if let Ended::Alive { end, ended, concluded, .. } = &round.ended {
                let lost = ended.values().filter(|(_, kept)| !kept).count() as u64;
                let done = scan.recorded.done().len();
                must!(self, end.fault.is_none(), "a fault of the program: {:?}", end.fault);
                must!(self, end.counts.ended() == done + lost, "{} rows counted, {done} recorded", end.counts.ended());
                if lost == 0 {
                    must!(self, end.counts == *scan.recorded.tally().counts(), "the totals are not those of the file");
                }
                self.look_at_the_end(round, end, ended);
                if let Some(concluded) = concluded {
                    self.look_at_files(round, &scan, concluded);
                }
            }
        }
        let faults = std::mem::take(&mut self.slack.state().faults);
        self.faults.extend(faults);
    }

    fn results(&mut self) -> Option<Scan> {
        if !self.place.files.results.exists() {
            return None;
        }
        match scan(&self.place.files.results, None, &ColumnNames::default()) {
            Ok(scan) => Some(scan),
            Err(error) => {
                self.faults.push(error.to_string());
                None
            }
        }
    }

    /// What may have been sent and is in no record was in the journal.
    fn journal_was_exact(&mut self, round: &Round) {
        let state = self.slack.state();
        for (line, past) in &state.past {
            let listed = round.possibly_sent.as_ref().is_some_and(|listed| listed.contains(*line));
            let open = past.in_doubt && !past.mark_lost && !round.before.done().contains(*line);
            must!(self, listed || !open, "line {line} may have been sent, and the run did not know");
        }
    }

    fn look_at_records(&mut self, round: &Round) {
        let read = match records(&self.place.files.results) {
            Ok(records) => records.collect::<Result<Vec<_>, _>>(),
            // Nothing but a torn header.
            Err(_) => return,
        };
        let read = read.unwrap_or_default();
        let mut found = BTreeMap::new();
        for record in read {
            let line = record.line;
            match self.kept.get(&line) {
                Some(before) => must!(self, *before == record, "the record of line {line} has changed"),
                None => self.look_at_record(round, &record),
            }
            must!(self, found.insert(line, record).is_none(), "line {line} has two records");
        }
        for line in self.kept.keys().filter(|line| !found.contains_key(line)) {
            self.faults.push(format!("the record of line {line} is gone"));
        }
        self.kept = found;
    }

    fn look_at_record(&mut self, round: &Round, record: &ResultRecord) {
        let ResultRecord { fields, line, outcome } = record;
        let Some(row) = self.case.lines.get(line) else {
            self.faults.push(format!("there is no row on line {line}"));
            return;
        };
        let filled = |index| row.fields.get(index).map_or("", String::as_str);
        let same = fields.iter().enumerate().all(|(index, field)| field == filled(index));
        must!(self, same && fields.len() == self.case.columns.len(), "line {line}: the columns are not the input's");
        let times = outcome.first_sent_at.is_none_or(|sent| sent <= outcome.finished_at);
        must!(self, times, "line {line} ended before it was sent");
        let (answered, calls) = {
            let state = self.slack.state();
            let calls = state.past.get(line).map_or(0, |past| past.calls);
            (state.seen.answered.get(line).cloned().unwrap_or_default(), calls)
        };
        match &row.fate {
            Fate::Never(status) => {
                must!(self, outcome.status == *status, "line {line} is {:?}, not {status:?}", outcome.status);
                must!(self, calls == 0 && outcome.first_sent_at.is_none(), "line {line} was sent");
            }
            Fate::Sent { session, identifier } => {
                let names_workspace = !identifier.starts_with('U');
                self.look_at_the_answers(round, *line, outcome, &answered, names_workspace);
                let says_it_lives = answered.last().is_some_and(|last| says_it_lives(&last.answer));
                self.look_at_the_truth(*line, outcome.status, *session, identifier, says_it_lives);
            }
        }
    }

    /// The record is what the answers of this run come to.
    fn look_at_the_answers(
        &mut self,
        round: &Round,
        line: u64,
        outcome: &Outcome,
        answered: &[Answered],
        names_workspace: bool,
    ) {
        let listed = round.possibly_sent.as_ref().is_some_and(|listed| listed.contains(line));
        let meanings: Vec<Meaning> = answered.iter().map(|answered| Meaning::of(&answered.answer)).collect();
        let limited = meanings.iter().filter(|meaning| **meaning == Meaning::Limited).count();
        let attempts = meanings.len() - limited;
        let in_doubt = listed || meanings.contains(&Meaning::Ambiguous);
        let want = match meanings.last() {
            Some(Meaning::Revoked) => Some(Status::Revoked),
            Some(Meaning::Expired) => Some(Status::AlreadyRevoked),
            Some(Meaning::NotFound) if in_doubt => Some(Status::AlreadyRevoked),
            Some(Meaning::NotFound) => Some(Status::NotFound),
            // A request that names a user can be refused for that user's sake.
            Some(Meaning::Workspace) if names_workspace => None,
            Some(Meaning::Row) if answered.last().is_some_and(|last| says_it_lives(&last.answer)) => {
                Some(Status::Failed)
            }
            Some(Meaning::Workspace | Meaning::Row | Meaning::Suspect | Meaning::Ambiguous | Meaning::NotSent)
                if in_doubt =>
            {
                Some(Status::Unknown)
            }
            Some(Meaning::Workspace | Meaning::Row | Meaning::Suspect | Meaning::Ambiguous | Meaning::NotSent) => {
                Some(Status::Failed)
            }
            Some(Meaning::Limited | Meaning::TokenExpired | Meaning::Run) | None => None,
        };
        let got = outcome.status;
        must!(self, want == Some(got), "line {line} is {got:?}, after {meanings:?} (listed: {listed}) not {want:?}");
        let (tried, met) = (outcome.attempts as usize, outcome.rate_limited as usize);
        must!(self, tried == attempts, "line {line}: {tried} attempts recorded of {attempts}");
        must!(self, met == limited, "line {line}: {met} limits recorded of {limited}");
        must!(self, outcome.first_sent_at.is_some(), "line {line} was sent at no time");
        if let Some(last) = answered.last() {
            let same = outcome.http_status == last.http_status
                && outcome.request_id == last.request_id
                && outcome.detail == last.detail;
            must!(self, same, "line {line}: the record is not of the deciding answer");
            let named = match &last.answer {
                Answer::Ok => None,
                Answer::Refused(code) => Some(code.as_str().to_owned()),
                Answer::RateLimited { .. } => Some(ErrorCode::Ratelimited.as_str().to_owned()),
                Answer::Fault(fault) => Some(fault.name()),
            };
            must!(
                self,
                outcome.error.as_deref() == named.as_deref(),
                "line {line}: {:?} is no {named:?}",
                outcome.error
            );
            if matches!(meanings.last(), Some(Meaning::Ambiguous | Meaning::NotSent)) {
                let enough = attempts > round.policy.retries as usize;
                must!(self, enough, "line {line} was given up after {attempts} attempts");
            }
        }
    }

    /// The record is true. A power loss takes up to the last second's entries of the journal: of such a row it is not
    /// known that it was sent, so it can be called failed or not found, but never gone while it lives.
    fn look_at_the_truth(&mut self, line: u64, status: Status, session: u64, identifier: &str, says_it_lives: bool) {
        let state = self.slack.state();
        let past = state.past.get(&line).cloned().unwrap_or_default();
        let lives = state.lives(session, identifier);
        drop(state);
        match status {
            Status::Revoked | Status::AlreadyRevoked => must!(self, !lives, "line {line} is {status:?}, and lives"),
            Status::Failed if says_it_lives => must!(self, lives, "line {line} failed for good, and is gone"),
            Status::Failed => {
                let known = !past.gone_through_it && !past.in_doubt || past.mark_lost;
                must!(self, known, "line {line} failed, and may be gone: {past:?}");
            }
            Status::NotFound => {
                must!(self, !lives, "line {line} is not found, and lives");
                let known = !past.gone_through_it && !past.in_doubt || past.mark_lost;
                must!(self, known, "line {line} was not found, and was gone through us: {past:?}");
            }
            Status::Unknown => {}
            Status::Requested | Status::Invalid | Status::Duplicate | Status::Protected => {
                self.faults.push(format!("line {line} is {status:?}, and can be sent"));
            }
        }
    }

    fn look_at_the_end(
        &mut self,
        round: &Round,
        end: &slack_revoke::engine::RunEnd,
        ended: &BTreeMap<u64, (Outcome, bool)>,
    ) {
        let state = self.slack.state();
        let (calls, limited) = (state.seen.calls, state.seen.limited);
        let (sent, dropped) = (state.seen.sent.clone(), state.seen.dropped.clone());
        let stopped = state.seen.stopped;
        drop(state);
        must!(self, end.calls.counts.calls == calls, "{} calls counted of {calls}", end.calls.counts.calls);
        must!(
            self,
            end.aborted || end.calls.counts.rate_limited == limited,
            "{} limits of {limited}",
            end.calls.counts.rate_limited
        );
        // A stop that came when nothing was left to do is none: the run is complete.
        let is_complete = end.counts.ended() == round.policy.rows;
        let agrees = end.stop.is_some() == stopped || (stopped && is_complete);
        must!(self, agrees, "{:?} is the stop, and it was told: {stopped}", end.stop);
        must!(self, end.aborted || dropped.is_empty(), "{dropped:?} were not waited for");
        let mut want: Vec<u64> = ended.iter().filter(|(_, (_, kept))| !kept).map(|(line, _)| *line).collect();
        if end.aborted {
            want.clone_from(&end.unrecorded);
            let told = dropped.iter().all(|line| want.contains(line));
            let true_ = want.iter().all(|line| sent.contains_key(line) || ended.contains_key(line));
            must!(self, told && true_, "{want:?} are told as unrecorded, {dropped:?} were in flight");
        }
        must!(self, end.unrecorded == want, "{:?} are told as unrecorded, not {want:?}", end.unrecorded);
        must!(self, !end.unrecorded.iter().any(|line| self.kept.contains_key(line)), "recorded, and told as not");
        let rows = round.policy.rows;
        must!(self, end.counts.ended() <= rows, "{} rows ended of {rows}", end.counts.ended());
        let reached = end.stop.is_some() || end.aborted || end.any_parked || end.counts.ended() == rows;
        must!(self, reached, "the run ended, {} of {rows} rows did, and nothing says why", end.counts.ended());
    }

    fn look_at_files(&mut self, round: &Round, scan: &Scan, concluded: &Concluded) {
        let Concluded { recorded, remaining, complete } = concluded;
        must!(self, *recorded == scan.recorded, "what was counted is not what the file says");
        must!(self, *complete == (recorded.done().len() == self.rows as u64), "complete: {complete}");
        must!(self, *complete != self.place.files.journal.exists(), "a complete run leaves no journal, another does");
        let mut want = String::new();
        let mut many = 0;
        for (line, row) in self.case.lines.iter().take(self.rows) {
            let status = self.kept.get(line).map(|record| record.outcome.status);
            let gone = match status {
                Some(Status::Revoked | Status::Requested | Status::AlreadyRevoked | Status::Duplicate) => true,
                Some(Status::NotFound) => !round.policy.strict,
                Some(Status::Failed | Status::Unknown | Status::Invalid | Status::Protected) | None => false,
            };
            let needless = matches!(row.fate, Fate::Never(Status::Protected | Status::Duplicate));
            if !gone && !needless {
                want += if many == 0 { self.case.header.as_str() } else { "" };
                want += &row.raw;
                many += 1;
            }
        }
        must!(self, *remaining == many, "{remaining} rows remain, not {many}");
        let path = &self.place.files.remaining;
        let found = if path.exists() { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        must!(self, found == want, "--remaining holds {found:?}, not {want:?}");
    }

    /// Takes in what a run, or what was cut off after it, leaves open. One that has settled its list knows which rows it had no
    /// clear answer for.
    pub fn take_in(&mut self, round: &Round) {
        let done = self.results().map(|scan| scan.recorded.done().clone()).unwrap_or_default();
        let recorded = std::mem::take(&mut self.kept);
        let ended = match &round.ended {
            Ended::Alive { ended, is_settled: true, .. } => Some(ended),
            Ended::Alive { .. } | Ended::Dead => None,
        };
        let state = &mut *self.slack.state();
        for (line, past) in &mut state.past {
            let is_open = match ended {
                Some(ended) => recorded.contains_key(line) || ended.contains_key(line) || is_open(&state.seen, *line),
                None => recorded.contains_key(line) || state.seen.sent.contains_key(line),
            };
            past.in_doubt |= is_open && !done.contains(*line);
        }
        self.kept = recorded.into_iter().filter(|(line, _)| done.contains(*line)).collect();
    }

    /// A complete run has one record for each row.
    pub fn is_complete(&mut self) {
        let lines: Vec<u64> = self.case.lines.keys().take(self.rows).copied().collect();
        let recorded: Vec<u64> = self.kept.keys().copied().collect();
        must!(self, lines == recorded, "the rows are {lines:?}, and the records of {recorded:?}");
    }

    /// Whether every row was known to the last run as one that may have been sent.
    pub fn doubts_all(round: &Round) -> bool {
        matches!(round.possibly_sent, Some(PossiblySent::All))
    }
}
