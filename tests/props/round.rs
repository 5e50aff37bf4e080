//! One run from its first look at the files to its last, with the product's preflight and ledger, and the ways to die in it.

use crate::case::Case;
use crate::dice::Dice;
use crate::neighbours::{CrashPoint, Killed, Reader, Recorder, Signals, die};
use crate::slack::{Moment, Slack};
use crate::weather::Weather;
use slack_revoke::engine::clock::{Clock, wall};
use slack_revoke::engine::policy::{BucketPolicy, MaxFailures, Policy};
use slack_revoke::engine::ports::NoStore;
use slack_revoke::engine::rate_gate::Pace;
use slack_revoke::engine::{self, RunEnd};
use slack_revoke::input::{
    Content, EarlierInput, Input, InputMatch, InputSource, InputSummary, Protection, SurveyOptions,
};
use slack_revoke::ledger::journal::Lock;
use slack_revoke::ledger::ledger::{Ending, Ledger, NewRun, Reports, Step};
use slack_revoke::ledger::manifest::Protections;
use slack_revoke::ledger::paths::RunFiles;
use slack_revoke::ledger::preflight::{InputFacts, Output, PreviousRun};
use slack_revoke::ledger::remaining::Keep;
use slack_revoke::ledger::resume::{OnExisting, ResumeRequest, Start};
use slack_revoke::ledger::scan::Recorded;
use slack_revoke::model::{
    Carried, ColumnNames, Columns, Extra, InputRecord, Outcome, Pacing, PossiblySent, Rate, Run, RunCounts,
};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

/// What befalls a run.
#[derive(Debug, Clone, Default)]
pub struct Fortune {
    /// A drain, and an abort.
    pub signals: Vec<Moment>,
    /// The process dies between two writes.
    pub killed: Option<Moment>,
    /// What happens to the turn of this number.
    pub crash: Option<(u64, CrashPoint)>,
    /// The process dies while it begins the files.
    pub killed_early: Option<Death>,
    /// The process dies while it finishes the files.
    pub killed_late: Option<Death>,
}

/// When a process dies in a sequence of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    BeforeAll,
    After(Step),
}

const EARLY_DEATHS: [Death; 4] = [
    Death::BeforeAll,
    Death::After(Step::ResultsBegun),
    Death::After(Step::JournalBegun),
    Death::After(Step::ManifestSaved),
];

const LATE_DEATHS: [Death; 5] = [
    Death::BeforeAll,
    Death::After(Step::ResultsFinished),
    Death::After(Step::RemainingWritten),
    Death::After(Step::ManifestSealed),
    Death::After(Step::ManifestPublished),
];

impl Fortune {
    pub fn any(dice: &mut Dice) -> Self {
        let mut fortune = Self::default();
        let moment = |dice: &mut Dice| match dice.between(0, 2) {
            0 => Moment::At(dice.millis(600_000)),
            _ => Moment::Tick(dice.between(1, 60) as u64),
        };
        let turn = |dice: &mut Dice| dice.between(1, 30) as u64;
        match dice.between(0, 15) {
            0..=2 => fortune.signals = vec![moment(dice)],
            3..=5 => fortune.signals = vec![moment(dice), moment(dice)],
            6..=8 => fortune.killed = Some(moment(dice)),
            9 => fortune.crash = Some((turn(dice), CrashPoint::Before)),
            10..=11 => fortune.crash = Some((turn(dice), CrashPoint::InRecords(dice.share()))),
            12 => fortune.crash = Some((turn(dice), CrashPoint::After)),
            13 => fortune.crash = Some((turn(dice), CrashPoint::Refused)),
            14 => fortune.killed_late = Some(dice.pick(&LATE_DEATHS)),
            _ => fortune.killed_early = Some(dice.pick(&EARLY_DEATHS)),
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
        shares_limit: false,
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
        bulk_users: 0,
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
    /// It came to its own end. The list of what was sent is settled then, unless it died before that step of its conclusion.
    Alive { end: RunEnd, ended: BTreeMap<u64, (Outcome, bool)>, is_settled: bool, concluded: Option<Concluded> },
}

/// What the end of a run left.
pub struct Concluded {
    pub recorded: Recorded,
    pub remaining: u64,
    pub complete: bool,
}

pub struct Round {
    pub possibly_sent: Option<PossiblySent>,
    pub before: Recorded,
    pub policy: Policy,
    pub ended: Ended,
    /// The clock never came to an end: nothing was waited for.
    pub hung: bool,
}

struct Prepared {
    lock: Lock,
    content: Content,
    survey: InputSummary,
    output: Output,
}

fn prepare(case: &Case, place: &Place, wants: OnExisting) -> Prepared {
    let lock = Lock::acquire(&place.files.journal, 1).expect("the output is free");
    let journal = lock.listed().expect("the journal can be read");
    let names = ColumnNames::default();
    let ask = ResumeRequest { wants, rehearsal: false };
    let previous = PreviousRun::read(Some(&place.files), ask, &names).unwrap_or_else(|error| panic!("{error}"));
    let earlier = previous.manifest().map(|manifest| EarlierInput {
        content_bytes: manifest.input.content_bytes,
        content_sha256: manifest.input.content_sha256.clone(),
    });
    let options = SurveyOptions { rules: case.rules.clone(), done: previous.done(), ..SurveyOptions::default() };
    let input = Input::open(InputSource::File(place.input.clone()), Path::new(".")).expect("the input opens");
    let (content, survey) = input.survey(options, earlier).expect("the input is sound");
    let each_row = |take: &mut dyn FnMut(u64, Carried)| content.each_carried(take).map_err(io::Error::other);
    let facts = InputFacts {
        header: &survey.header,
        columns: survey.columns,
        sha256: &survey.identity.sha256,
        matches: survey.continuation.unwrap_or(InputMatch::Other),
        carried: survey.carried,
        each_row: &each_row,
    };
    let output = previous.prepare(&facts, journal).unwrap_or_else(|error| panic!("{error}"));
    Prepared { lock, content, survey, output }
}

fn input_of(survey: &InputSummary, path: &Path) -> InputRecord {
    InputRecord {
        path: path.display().to_string(),
        sha256: survey.identity.sha256.clone(),
        bytes: survey.identity.bytes,
        content_sha256: survey.identity.content_sha256.clone(),
        content_bytes: survey.identity.content_bytes,
        rows: survey.rows,
        columns: Columns::of(survey.columns, &survey.header),
        extra: Extra::new(),
    }
}

fn run_of(number: usize) -> Run {
    Run {
        run_id: format!("run-{number}"),
        started_at: wall(),
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
        only: None,
        bulk: None,
        reason: None,
        approval: None,
        rehearsal: false,
        identity: None,
        later_identities: Vec::new(),
        checks: Vec::new(),
        recorded_before: 0,
        counts: RunCounts::default(),
        pacing: Pacing::default(),
        extra: Extra::new(),
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
    let wants = if number == 0 { OnExisting::Fresh } else { OnExisting::Resume };
    let prepared = prepare(case, place, wants);
    let (survey, before) = (&prepared.survey, prepared.output.recorded.clone());
    policy.workspaces = survey.addressed.iter().map(|(team, rows)| (team.clone(), *rows)).collect();
    (policy.rows, policy.to_send) = (survey.rows, survey.sendable);
    policy.is_one_workspace =
        survey.workspaces.len() == 1 && survey.workspaces.values().sum::<u64>() == survey.sendable;
    policy.earlier = *before.tally().counts();
    let teams = before.tally().teams().iter().filter(|(_, rows)| rows.successes() > 0);
    policy.earlier_teams = teams.map(|(team, _)| team.clone()).collect();
    let possibly_sent = match &prepared.output.start {
        Start::Fresh(_) => None,
        Start::Continue { .. } => Some(prepared.output.possibly_sent()),
    };
    let mut round =
        Round { possibly_sent: possibly_sent.clone(), before, policy: policy.clone(), ended: Ended::Dead, hung: false };
    let content = prepared.content.clone();
    let Some(ledger) = begin(case, place, prepared, number, fortune.killed_early) else { return round };
    let mut recorder = Recorder {
        slack: slack.clone(),
        ledger,
        files: place.files.clone(),
        ended: BTreeMap::new(),
        turns: 0,
        crash: fortune.crash,
        workers: policy.workers.unwrap_or(16),
    };
    let source = content.source(possibly_sent.unwrap_or_default()).expect("a thread");
    let mut reader = Reader { source, asked: 0 };
    match fly(slack, weather, fortune, policy, &mut reader, &mut recorder) {
        Flight::Landed(end) => {
            round.ended = finish(&content, recorder, &round.policy, end, fortune.killed_late);
        }
        Flight::Killed => {}
        Flight::Hung => round.hung = true,
    }
    round
}

/// Begins the files; `None` if the process dies in it.
fn begin(case: &Case, place: &Place, prepared: Prepared, number: usize, killed: Option<Death>) -> Option<Ledger> {
    let Prepared { lock, survey, output, .. } = prepared;
    let Protection { users, sessions, own_users, .. } = &case.rules.protection;
    let new = NewRun {
        tool_version: "1",
        run: run_of(number),
        started: wall(),
        input: input_of(&survey, &place.input),
        header: survey.header.clone(),
        columns: survey.columns,
        users: survey.users,
        protections: Protections {
            users: users.iter().cloned().collect(),
            sessions: sessions.iter().copied().collect(),
            own_users: own_users.iter().cloned().collect(),
            ..Protections::default()
        },
    };
    until_death(&place.files.journal, killed, |passed| {
        let (ledger, changed) =
            Ledger::begin(place.files.clone(), lock, output, new, passed).expect("the files are begun");
        assert_eq!(changed, None, "nobody has changed the remaining file");
        ledger
    })
}

/// Runs `steps`, and dies after one of them. A process that dies leaves the journal as it is, although a lock that is given back
/// removes it.
fn until_death<T>(journal: &Path, killed: Option<Death>, steps: impl FnOnce(&mut dyn FnMut(Step)) -> T) -> Option<T> {
    let mut left = None;
    let done = catch_unwind(AssertUnwindSafe(|| {
        let mut dies = |death: Death| {
            if killed == Some(death) {
                left = fs::read(journal).ok();
                die();
            }
        };
        dies(Death::BeforeAll);
        steps(&mut |step| dies(Death::After(step)))
    }));
    match done {
        Ok(done) => Some(done),
        Err(payload) if payload.is::<Killed>() => {
            if let Some(left) = left {
                fs::write(journal, left).expect("the journal stays");
            }
            None
        }
        Err(payload) => resume_unwind(payload),
    }
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
    recorder: &mut Recorder,
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
            let mut quota = NoStore;
            let run = engine::run(policy, slack, &mut quota, reader, recorder, &mut signals, clock);
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

/// Finishes the files.
fn finish(content: &Content, recorder: Recorder, policy: &Policy, end: RunEnd, killed: Option<Death>) -> Ended {
    let Recorder { ledger, files, ended, .. } = recorder;
    let in_doubt: Vec<u64> = end.in_doubt.iter().chain(&end.unrecorded).copied().collect();
    let ending = Ending {
        is_fault: end.fault.is_some(),
        in_doubt: &in_doubt,
        ended_at: wall(),
        stop_reason: None,
        is_input_lost: false,
        counts: RunCounts::default(),
        bucket: None,
        learnt_per_minute: None,
        strict: policy.strict,
    };
    let finished = until_death(&files.journal, killed, |passed| {
        let copy_rows =
            |keep: Keep<'_>, out: &mut dyn io::Write| content.copy_rows(keep, out).map_err(io::Error::other);
        let mut finished = ledger.finish(ending, copy_rows, |_| 0, passed);
        finished.publish(&Reports::default(), passed).expect("the manifest is written");
        finished
    });
    let concluded = finished.map(|finished| {
        assert!(finished.errors.is_empty() && finished.not_copied.is_none(), "{:?}", finished.errors);
        let remaining = finished.remaining.expect("it was written");
        let concluded =
            Concluded { recorded: finished.recorded.clone(), remaining, complete: finished.manifest.complete };
        finished.close().expect("the journal goes");
        concluded
    });
    // The list is settled before the manifest is published.
    let is_settled = concluded.is_some() || killed == Some(Death::After(Step::ManifestPublished));
    Ended::Alive { end, ended, is_settled, concluded }
}
