//! Instructions of the parts that every row passes: the input, the engine's step, the answer, the journal, the results.
//!
//! `benches/counts` runs it and compares with `benches/counts.tsv`. Each part works on [`ROWS`] rows. Counted is what the
//! calling thread does in user space: neither system calls nor the threads that read the input and sync the files.

#![allow(
    missing_docs,
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    reason = "gungraun's macros: they document nothing, give arguments by value, and exit themselves"
)]

use gungraun::prelude::*;
use slack_revoke::engine::clock::Now;
use slack_revoke::engine::policy::{BucketPolicy, MaxFailures, Policy};
use slack_revoke::engine::ports::Batch;
use slack_revoke::engine::rate_gate::Pace;
use slack_revoke::engine::state_machine::{Action, StateMachine};
use slack_revoke::input::{Content, Input, InputSource, SurveyOptions};
use slack_revoke::ledger::journal::{Journal, Lock};
use slack_revoke::ledger::results::ResultsWriter;
use slack_revoke::ledger::scan;
use slack_revoke::model::{
    Answer, ColumnNames, Counts, Fields, Outcome, Reply, Row, SessionId, Status, Target, TeamId, Timestamp, UserId,
};
use slack_revoke::slack::wire::{Headers, reply};
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// Rows that each part works on. A count divided by it is what a row costs.
const ROWS: u64 = 1_000;

/// A moment in November 2026.
fn wall() -> Timestamp {
    Timestamp::from_millis(1_795_459_320_000)
}

/// A file in a folder that goes with it.
struct Kept {
    path: PathBuf,
    folder: TempDir,
}

impl Kept {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        Self { path: folder.path().join(name), folder }
    }
}

// ---- the input ----

fn csv(duplicated: bool) -> Kept {
    let mut text = String::from("user_id,team_id,session_id,ip,created\n");
    for row in 0..ROWS {
        let session = 1_112_275_520_242 + if duplicated { row / 2 } else { row };
        let user = if duplicated { row / 2 } else { row };
        let team = row % 5;
        writeln!(text, "U{user:010},T{team:010},{session},10.0.{}.{},2026-11-20T09:15:00Z", row >> 8, row & 255)
            .expect("a String takes whatever is written to it");
    }
    let input = Kept::new("sessions.csv");
    fs::write(&input.path, text).expect("room for the input");
    input
}

fn surveyed(input: &Kept) -> Content {
    let opened = Input::open(InputSource::File(input.path.clone()), input.folder.path()).expect("an input");
    opened.survey(SurveyOptions::default(), None).expect("a sound input").0
}

fn surveyed_csv() -> (Content, Kept) {
    let input = csv(false);
    (surveyed(&input), input)
}

#[library_benchmark]
#[bench::distinct(args = (false), setup = csv)]
#[bench::every_session_twice(args = (true), setup = csv)]
fn first_reading(input: Kept) -> (Content, Kept) {
    (surveyed(&input), input)
}

#[library_benchmark]
#[bench::all_rows(setup = surveyed_csv)]
fn remaining_rows((content, input): (Content, Kept)) -> (Content, Kept) {
    let rows = content.copy_rows(|_, _| true, &mut std::io::sink()).expect("the input is still there");
    assert_eq!(black_box(rows), ROWS);
    (content, input)
}

library_benchmark_group!(name = input, benchmarks = [first_reading, remaining_rows]);

// ---- the answer ----

fn headers() -> Headers<'static> {
    Headers {
        request_id: Some("a1b2c3d4e5f60718293a4b5c6d7e8f90"),
        content_type: Some("application/json; charset=utf-8"),
        date: Some("Mon, 23 Nov 2026 18:42:00 GMT"),
        ..Headers::default()
    }
}

#[library_benchmark]
#[bench::ok(200, r#"{"ok":true}"#)]
#[bench::not_found(200, r#"{"ok":false,"error":"session_not_found"}"#)]
#[bench::limited(429, r#"{"ok":false,"error":"ratelimited"}"#)]
#[bench::missing_scope(
    200,
    r#"{"ok":false,"error":"missing_scope","needed":"admin.users:write","provided":"users:read","response_metadata":{"messages":["[ERROR] a"]}}"#
)]
#[bench::a_page_of_html(503, "<!DOCTYPE html><html><body>Service Unavailable</body></html>")]
fn answers(status: u16, body: &str) {
    let headers = Headers { retry_after: (status == 429).then(|| "30".into()), ..headers() };
    for _ in 0..ROWS {
        black_box(reply(black_box(status), &headers, black_box(body.as_bytes()), wall()));
    }
}

library_benchmark_group!(name = wire, benchmarks = answers);

// ---- the engine ----

fn fields(row: u64) -> Fields {
    let (user, team, session) = (format!("U{row:010}"), format!("T{:010}", row % 5), format!("{}", 1_000_000 + row));
    [user.as_str(), &team, &session, "10.0.0.1", "2026-11-20T09:15:00Z"].into_iter().collect()
}

fn row(number: u64) -> Row {
    let user = UserId::parse(&format!("U{number:010}")).expect("a user's id");
    let team = TeamId::parse(&format!("T{:010}", number % 5)).expect("a workspace's id");
    let target = Target::by_user(SessionId::from(1_000_000 + number), user, Some(team));
    Row { line: number + 2, fields: fields(number), target: Ok(target), may_have_been_sent: false }
}

fn policy(pace: Pace) -> Policy {
    Policy {
        pace,
        bucket: BucketPolicy::Auto,
        shares_limit: false,
        workers: Some(50),
        retries: 5,
        max_failures: MaxFailures::Share(0.2),
        deadline: None,
        max_retry_after: Duration::from_mins(15),
        canary: true,
        strict: false,
        seed: 1,
        workspaces: Vec::new(),
        rows: ROWS,
        to_send: ROWS,
        bulk_users: 0,
        is_one_workspace: false,
        earlier: Counts::default(),
        earlier_teams: Vec::new(),
    }
}

/// A core that has not begun, and the batches that it will ask for.
fn begun(pace: Pace) -> (StateMachine, Vec<Vec<Row>>) {
    let rows: Vec<Row> = (0..ROWS).map(row).collect();
    let mut batches: Vec<Vec<Row>> = rows.chunks(64).map(<[Row]>::to_vec).collect();
    batches.reverse();
    (StateMachine::new(policy(pace), Now { at: Duration::ZERO, wall: wall() }), batches)
}

fn unlimited() -> (StateMachine, Vec<Vec<Row>>) {
    begun(Pace::Unlimited)
}

fn auto() -> (StateMachine, Vec<Vec<Row>>) {
    begun(Pace::Auto { start: 20.0, most: 300.0 })
}

/// Every call is answered with success at the next step, which is when the core says that something is due.
fn play(mut machine: StateMachine, mut batches: Vec<Vec<Row>>) -> Counts {
    let mut now = Now { at: Duration::ZERO, wall: wall() };
    while !machine.is_finished() {
        let wake = machine.step(now);
        let mut calls = Vec::new();
        let actions: Vec<Action> = machine.actions().collect();
        for action in actions {
            match action {
                Action::Send { id, .. } => calls.push(id),
                Action::RequestRows(want) => {
                    let rows = batches.pop().unwrap_or_default();
                    machine.on_batch(Batch { want, rows, exhausted: batches.is_empty() }, now);
                }
                Action::Emit(event) => drop(black_box(event)),
                Action::RefreshToken => unreachable!("no token expires here"),
                Action::Report { .. } => unreachable!("no limit is shared here"),
            }
        }
        now.at = wake.unwrap_or(now.at).max(now.at + Duration::from_millis(1));
        for id in calls {
            machine.on_reply(id, Reply::bare(Answer::Ok), now);
        }
    }
    machine.run_end(now.at).counts
}

#[library_benchmark]
#[bench::unlimited(setup = unlimited)]
#[bench::auto(setup = auto)]
fn steps((machine, batches): (StateMachine, Vec<Vec<Row>>)) {
    assert_eq!(black_box(play(machine, batches)).of(Status::Revoked), ROWS);
}

library_benchmark_group!(name = engine, benchmarks = steps);

// ---- what is kept ----

fn outcome() -> Outcome {
    Outcome {
        status: Status::Revoked,
        error: None,
        detail: Box::default(),
        http_status: Some(200),
        attempts: 1,
        rate_limited: 0,
        first_sent_at: Some(wall()),
        finished_at: wall(),
        request_id: Some("a1b2c3d4e5f60718293a4b5c6d7e8f90".into()),
    }
}

fn columns() -> Fields {
    ["user_id", "team_id", "session_id", "ip", "created"].into_iter().collect()
}

fn results() -> (ResultsWriter, Vec<Row>, Outcome, Kept) {
    let file = Kept::new("sessions.results.csv");
    let writer = ResultsWriter::create(&file.path, &columns()).expect("room for the results");
    (writer, (0..ROWS).map(row).collect(), outcome(), file)
}

fn written() -> Kept {
    let (mut writer, rows, outcome, file) = results();
    for row in &rows {
        writer.append([(row, &outcome)]).expect("room for the results");
    }
    writer.finish().expect("room for the results");
    file
}

fn journal() -> (Journal, Kept) {
    let file = Kept::new("sessions.results.csv.journal");
    let lock = Lock::acquire(&file.path, 1).expect("nobody else");
    (lock.begin().expect("room for the journal"), file)
}

#[library_benchmark]
#[bench::revoked(setup = results)]
fn records((mut writer, rows, outcome, file): (ResultsWriter, Vec<Row>, Outcome, Kept)) -> (ResultsWriter, Kept) {
    for row in &rows {
        writer.append([(row, &outcome)]).expect("room for the results");
    }
    (writer, file)
}

#[library_benchmark]
#[bench::revoked(setup = written)]
fn resumption(file: Kept) -> Kept {
    let scanned = scan::scan(&file.path, None, &ColumnNames::default()).expect("results of ours");
    assert_eq!(black_box(scanned.recorded.done().len()), ROWS);
    file
}

#[library_benchmark]
#[bench::lines(setup = journal)]
fn marks((mut journal, file): (Journal, Kept)) -> (Journal, Kept) {
    for line in 2..ROWS + 2 {
        journal.mark_sent([line]).expect("room for the journal");
    }
    (journal, file)
}

library_benchmark_group!(name = store, benchmarks = [records, resumption, marks]);

main!(library_benchmark_groups = [input, wire, engine, store]);
