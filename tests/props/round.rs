//! One run from its first look at the files to its last, in the order in which `run` does it, and the ways to die in it.

use crate::case::Case;
use crate::dice::Dice;
use crate::neighbours::{Blow, Keeper, Killed, Reader, Signals};
use crate::slack::{Moment, Slack};
use crate::weather::Weather;
use slack_revoke::engine::clock::{Clock, wall};
use slack_revoke::engine::policy::{BucketPolicy, MaxFailures, Policy};
use slack_revoke::engine::rate_gate::Pace;
use slack_revoke::engine::{self, RunEnd};
use slack_revoke::input::{Content, Continuation, Earlier, Input, InputSource, Survey, SurveyOptions};
use slack_revoke::ledger::journal::{Journal, Lock};
use slack_revoke::ledger::manifest::{self, At, Manifest, ManifestError, Run, RunCounts};
use slack_revoke::ledger::paths::RunFiles;
use slack_revoke::ledger::remaining;
use slack_revoke::ledger::results::{ResultsWriter, fingerprint};
use slack_revoke::ledger::resume::{self, Ask, Continuity, Found, MaybeSent, Start, Wants};
use slack_revoke::ledger::scan::{Recorded, ScanError, Seen, check_rows, scan};
use slack_revoke::ledger::seal::Seal;
use slack_revoke::model::{ColumnNames, Outcome, Rate};
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What befalls a run.
#[derive(Debug, Clone, Default)]
pub struct Fortune {
    /// A drain, and an abort.
    pub signals: Vec<Moment>,
    /// The process dies between two writes.
    pub killed: Option<Moment>,
    /// What befalls the write of this number.
    pub blow: Option<(u64, Blow)>,
    /// The process dies at this step before the first call.
    pub killed_early: Option<u8>,
    /// The process dies at this step after the last call.
    pub killed_late: Option<u8>,
}

impl Fortune {
    pub fn any(dice: &mut Dice) -> Self {
        let mut fortune = Self::default();
        let moment = |dice: &mut Dice| match dice.between(0, 2) {
            0 => Moment::At(dice.millis(600_000)),
            _ => Moment::Tick(dice.between(1, 60) as u64),
        };
        let write = |dice: &mut Dice| dice.between(1, 30) as u64;
        match dice.between(0, 15) {
            0..=2 => fortune.signals = vec![moment(dice)],
            3..=5 => fortune.signals = vec![moment(dice), moment(dice)],
            6..=8 => fortune.killed = Some(moment(dice)),
            9..=10 => fortune.blow = Some((write(dice), Blow::KilledBefore)),
            11..=12 => fortune.blow = Some((write(dice), Blow::KilledAfter)),
            13 => fortune.blow = Some((write(dice), Blow::Refused)),
            14 => fortune.killed_late = Some(dice.pick(&[0, 1, 2, 3])),
            _ => fortune.killed_early = Some(dice.pick(&[0, 1, 2, 3])),
        }
        fortune
    }
}

/// The settings of a run.
pub fn settings(dice: &mut Dice, calm: bool) -> Policy {
    let pace = match dice.between(0, 5) {
        0 => Pace::Every(Rate::TIER_2.interval()),
        1 => Pace::Every(Duration::from_millis(100)),
        2 => Pace::Unlimited,
        _ => Pace::Auto { start: dice.pick(&[2.0, 3.0, 20.0]), most: 300.0 },
    };
    let bucket = dice.pick(&[BucketPolicy::Auto, BucketPolicy::Auto, BucketPolicy::Org, BucketPolicy::Team]);
    let max_failures =
        dice.pick(&[MaxFailures::Rows(2), MaxFailures::Rows(1000), MaxFailures::Share(0.2), MaxFailures::Rows(1000)]);
    Policy {
        pace,
        bucket,
        workers: dice.pick(&[None, None, Some(1), Some(2), Some(4), Some(8)]),
        retries: dice.pick(&[0, 1, 2, 3, 4, 5]),
        max_failures: if calm { MaxFailures::Rows(1_000_000) } else { max_failures },
        deadline: (!calm && dice.chance(0.1)).then(|| dice.millis(300_000)),
        max_retry_after: Duration::from_secs(if calm { 86_400 } else { dice.pick(&[10, 900, 900, 86_400]) }),
        canary: dice.chance(0.7),
        strict: dice.chance(0.2),
        seed: dice.between(0, 1_000_000) as u64,
        workspaces: Vec::new(),
        rows: 0,
        to_send: 0,
        whole_users: None,
        is_one_workspace: false,
        earlier: slack_revoke::model::Counts::default(),
        earlier_teams: Vec::new(),
    }
}

/// Where a case lives.
pub struct Place {
    pub input: PathBuf,
    pub files: RunFiles,
}

impl Place {
    pub fn new(folder: &Path) -> Self {
        Self { input: folder.join("in.csv"), files: RunFiles::beside(folder.join("out.csv")) }
    }
}

/// How it ended.
#[expect(clippy::large_enum_variant, reason = "one at a time")]
pub enum Ended {
    /// The process died.
    Dead,
    /// It came to its own end.
    Alive { end: RunEnd, ended: BTreeMap<u64, (Outcome, bool)>, concluded: Option<Concluded> },
}

/// What the end of a run left.
pub struct Concluded {
    pub recorded: Recorded,
    pub remaining: u64,
    pub complete: bool,
}

pub struct Round {
    pub maybe_sent: Option<MaybeSent>,
    pub before: Recorded,
    pub policy: Policy,
    pub ended: Ended,
    /// The clock never came to an end: nothing was waited for.
    pub hung: bool,
}

struct Prepared {
    lock: Lock,
    manifest: Option<Manifest>,
    content: Content,
    survey: Survey,
    recorded: Recorded,
    seen: Option<Seen>,
    start: Start,
}

fn prepare(case: &Case, place: &Place, wants: Wants) -> Prepared {
    let files = &place.files;
    let lock = Lock::acquire(&files.journal, 1).expect("the output is free");
    let manifest = match Manifest::load(&files.manifest) {
        Ok(manifest) => Some(manifest),
        Err(ManifestError::Missing(_)) => None,
        Err(error) => panic!("{error}"),
    };
    let scanned = match scan(&files.results, None, &ColumnNames::default()) {
        Ok(scan) => Some(scan),
        Err(ScanError::Missing(_)) => None,
        Err(error) => panic!("{error}"),
    };
    let done = scanned.as_ref().map(|scan| scan.recorded.done().clone()).unwrap_or_default();
    let earlier = manifest.as_ref().map(|manifest| Earlier {
        content_bytes: manifest.input.content_bytes,
        content_sha256: manifest.input.content_sha256.clone(),
    });
    let options = SurveyOptions { rules: case.rules.clone(), done, ..SurveyOptions::default() };
    let input = Input::open(InputSource::File(place.input.clone()), Path::new(".")).expect("the input opens");
    let (content, survey) = input.survey(options, earlier).expect("the input is sound");
    if scanned.as_ref().is_some_and(|scan| scan.columns.as_ref() != Some(&survey.header)) {
        scan(&files.results, Some(&survey.header), &ColumnNames::default()).expect("the header is a beginning of ours");
    }
    let continuity = match survey.continuation {
        Some(Continuation::Same) => Continuity::Same,
        Some(Continuation::Appended) => Continuity::Appended,
        Some(Continuation::Other) | None => Continuity::Other { recorded: "".into(), given: "".into() },
    };
    let prior = manifest.as_ref().map(|manifest| {
        let seal = Seal::of(manifest, scanned.as_ref(), &files.results).expect("the results can be read");
        manifest.prior(continuity, seal)
    });
    let found = scanned.as_ref().map(|scan| Found { valid_len: scan.valid_len, done: scan.recorded.done().clone() });
    let listed = lock.listed().expect("the journal can be read");
    let start = resume::decide(Ask { wants, rehearsal: false }, prior, found, listed).expect("it may go on");
    if let (Start::Continue { .. }, Some(scan)) = (&start, &scanned) {
        check_rows(scan, &files.results, &content, &survey).expect("the records are of the input's rows");
    }
    let seen = scanned.as_ref().map(|scan| scan.seen);
    let (manifest, recorded) = match &start {
        Start::Fresh(_) => (None, Recorded::default()),
        Start::Continue { .. } => (manifest, scanned.map(|scan| scan.recorded).unwrap_or_default()),
    };
    Prepared { lock, manifest, content, survey, recorded, seen, start }
}

fn input_of(survey: &Survey, path: &Path) -> manifest::Input {
    manifest::Input {
        path: path.display().to_string(),
        sha256: survey.identity.sha256.clone(),
        bytes: survey.identity.bytes,
        content_sha256: survey.identity.content_sha256.clone(),
        content_bytes: survey.identity.content_bytes,
        rows: survey.rows,
        columns: manifest::Columns::of(survey.columns, &survey.header),
        extra: manifest::Extra::new(),
    }
}

fn run_of(number: usize) -> Run {
    Run {
        run_id: format!("run-{number}"),
        started_at: At(wall()),
        ended_at: None,
        host: String::new(),
        pid: 1,
        exit_code: None,
        stop_reason: None,
        api_host: String::new(),
        rate: "auto".into(),
        max_rate: None,
        workers: None,
        identify_by: "auto".into(),
        whole_users: false,
        reason: None,
        rehearsal: false,
        identity: None,
        later_identities: Vec::new(),
        checks: Vec::new(),
        recorded_before: 0,
        counts: RunCounts::default(),
        bucket: None,
        learnt_per_minute: None,
        estimate_history: manifest::History::default(),
        rate_limits: manifest::History::default(),
        extra: manifest::Extra::new(),
    }
}

/// Plays one run.
pub fn play(
    case: &Case,
    place: &Place,
    slack: &Slack,
    number: usize,
    (weather, fortune, mut policy): (Weather, &Fortune, Policy),
) -> Round {
    slack.prepare();
    let wants = if number == 0 { Wants::Fresh } else { Wants::Resume };
    let mut prepared = prepare(case, place, wants);
    let (survey, recorded) = (&prepared.survey, std::mem::take(&mut prepared.recorded));
    policy.workspaces = survey.addressed.iter().map(|(team, rows)| (team.clone(), *rows)).collect();
    (policy.rows, policy.to_send) = (survey.rows, survey.sendable);
    policy.is_one_workspace =
        survey.workspaces.len() == 1 && survey.workspaces.values().sum::<u64>() == survey.sendable;
    policy.earlier = *recorded.tally().counts();
    let teams = recorded.tally().teams().iter().filter(|(_, rows)| rows.successes() > 0);
    policy.earlier_teams = teams.map(|(team, _)| team.clone()).collect();
    let maybe_sent = match &prepared.start {
        Start::Fresh(_) => None,
        Start::Continue { maybe_sent, .. } => Some(maybe_sent.clone()),
    };
    let mut round = Round {
        maybe_sent: maybe_sent.clone(),
        before: recorded.clone(),
        policy: policy.clone(),
        ended: Ended::Dead,
        hung: false,
    };
    let owners = survey.columns;
    let content = prepared.content.clone();
    let Some(Begun { manifest, journal, results }) = begin(place, prepared, &recorded, number, fortune) else {
        return round;
    };
    let mut keeper = Keeper {
        slack: slack.clone(),
        results,
        journal,
        recorded,
        owners,
        ended: BTreeMap::new(),
        writes: 0,
        blow: fortune.blow,
        workers: policy.workers.unwrap_or(16),
    };
    let source = content.source(maybe_sent.unwrap_or_default()).expect("a thread");
    let mut reader = Reader { source, asked: 0 };
    match fly(slack, weather, fortune, policy, &mut reader, &mut keeper) {
        Flight::Landed(end) => {
            round.ended = conclude(place, &content, keeper, manifest, &round.policy, end, fortune.killed_late);
        }
        Flight::Killed => {}
        Flight::Hung => round.hung = true,
    }
    round
}

/// What a run writes while it goes on.
struct Begun {
    manifest: Manifest,
    journal: Journal,
    results: ResultsWriter,
}

/// As `Recorder::begin`; none where the process dies in it.
fn begin(place: &Place, prepared: Prepared, recorded: &Recorded, number: usize, fortune: &Fortune) -> Option<Begun> {
    let Prepared { lock, manifest, survey, seen, start, .. } = prepared;
    let files = &place.files;
    let dies = |step: u8| fortune.killed_early == Some(step);
    if dies(0) {
        leave(lock, &files.journal);
        return None;
    }
    let results = ResultsWriter::start(&files.results, &survey.header, &start, seen).expect("the results are begun");
    if dies(1) {
        leave(lock, &files.journal);
        return None;
    }
    let journal = match &start {
        Start::Fresh(_) => lock.begin(),
        Start::Continue { maybe_sent, .. } => lock.resume(maybe_sent),
    };
    let journal = journal.expect("the journal is begun");
    if dies(2) {
        return None;
    }
    let input = input_of(&survey, &place.input);
    let mut manifest = manifest.unwrap_or_else(|| Manifest::new("1", input.clone(), &files.results));
    manifest.begin("1", run_of(number), input, recorded);
    manifest.save(&files.manifest).expect("the manifest is saved");
    if let Some(known) = &manifest.remaining {
        remaining::remove_stale(files, known).expect("it can be removed");
    }
    (!dies(3)).then_some(Begun { manifest, journal, results })
}

/// How the engine's part of a run went.
#[expect(clippy::large_enum_variant, reason = "one at a time")]
enum Flight {
    Landed(RunEnd),
    Killed,
    Hung,
}

/// Runs the engine in virtual time, until it ends, the process dies, or nothing happens for a season.
fn fly(
    slack: &Slack,
    weather: Weather,
    fortune: &Fortune,
    policy: Policy,
    reader: &mut Reader,
    keeper: &mut Keeper,
) -> Flight {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let flown = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let clock = Clock::start();
            slack.begin(weather, &policy, clock);
            let mut signals = Signals { slack: slack.clone(), clock, due: fortune.signals.clone(), given: 0 };
            let killed = async {
                match fortune.killed {
                    Some(moment) => slack.wait(moment, clock).await,
                    None => std::future::pending().await,
                }
            };
            let run = engine::run(policy, slack, reader, keeper, &mut signals, clock);
            tokio::select! {
                biased;
                () = killed => Flight::Killed,
                end = run => Flight::Landed(end),
                () = clock.sleep_until(Duration::from_hours(90 * 24)) => Flight::Hung,
            }
        })
    }));
    match flown {
        Ok(flight) => flight,
        Err(payload) if payload.is::<Killed>() => Flight::Killed,
        Err(payload) => resume_unwind(payload),
    }
}

/// A process that dies leaves the file as it is, where a lock that is given back clears up.
fn leave(lock: Lock, path: &Path) {
    let left = fs::read(path).expect("the journal is there");
    drop(lock);
    fs::write(path, left).expect("and stays");
}

/// As `Conclusion::conclude`.
fn conclude(
    place: &Place,
    content: &Content,
    keeper: Keeper,
    mut manifest: Manifest,
    policy: &Policy,
    end: RunEnd,
    killed: Option<u8>,
) -> Ended {
    let files = &place.files;
    let Keeper { results, journal, recorded, ended, .. } = keeper;
    let dead = |ended, end| Ended::Alive { end, ended, concluded: None };
    if killed == Some(0) {
        return dead(ended, end);
    }
    results.finish().expect("the results are finished");
    let remaining = remaining::write(content, &recorded, policy.strict, &mut manifest, files);
    let remaining = remaining.expect("what remains is written");
    if killed == Some(1) {
        return dead(ended, end);
    }
    manifest.complete = recorded.done().len() >= policy.rows && end.fault.is_none();
    let print = fingerprint(&files.results).expect("the results can be read");
    (manifest.results.sha256, manifest.results.bytes) = (Some(print.sha256), Some(print.bytes));
    manifest.save_counted(&recorded, &files.manifest).expect("the manifest is saved");
    if killed == Some(2) {
        return dead(ended, end);
    }
    let complete = manifest.complete;
    let in_doubt: Vec<u64> = end.in_doubt.iter().chain(&end.unrecorded).copied().collect();
    if complete { journal.remove() } else { journal.settle(recorded.done(), &in_doubt) }.expect("the journal is ended");
    Ended::Alive { end, ended, concluded: Some(Concluded { recorded, remaining, complete }) }
}
