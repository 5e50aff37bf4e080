use super::super::console::Console;
use super::super::console::tests::{Page, style};
use super::super::event_entry::tests::HOSTILE;
use super::super::logs::{dispatch, targets};
use super::super::progress_view::tests::snapshot;
use super::*;
use crate::model::stop_reason::tests::every_reason;
use crate::model::{LogFormat, ScreenMode, Verbosity};
use proptest::prelude::*;

/// The end of a finished run with these rows revoked, not found, failed and invalid.
pub(in crate::output) fn summary(rows: [u64; 4], total: u64) -> Summary {
    Summary {
        is_rehearsal: false,
        counts: snapshot(rows, total).counts,
        total,
        calls: CallCounts { calls: 1020, bulk_calls: 0, rate_limited: 4 },
        paused: Duration::from_secs(62),
        elapsed: Duration::from_mins(25),
        per_minute: Some(40.0),
        pacing: Pacing::default(),
        stop: None,
        advice: None,
        files: SummaryFiles {
            results: "s.results.csv".into(),
            remaining: None,
            manifest: "s.results.csv.manifest.json".into(),
        },
        run_id: "0193f1c2".to_owned(),
        window: Some((Timestamp::from_millis(1_700_000_000_000), Timestamp::from_millis(1_700_001_500_000))),
        actor: Some("W1 (alice)".to_owned()),
        heaviest_users: Vec::new(),
        verify_command: None,
        resume_command: None,
        failures: Vec::new(),
        retry_command: None,
        notes: Vec::new(),
        approval: None,
        manifest_sha256: None,
    }
}

fn plain(summary: &Summary) -> String {
    text(summary, Palette::new(false), None)
}

#[test]
fn a_finished_run_ends_with_its_totals_and_its_files() {
    assert_eq!(
        plain(&summary([1190, 8, 2, 0], 1200)),
        "\
Done: 1,200 rows in 25m
  revoked          1,190
  not_found            8
  failed               2
1,020 calls in 25m, 4 rate limited, 1m 2s spent waiting
results    s.results.csv
manifest   s.results.csv.manifest.json
run 0193f1c2, actor W1 (alice), window 2023-11-14T22:13:20Z to 2023-11-14T22:38:20Z
"
    );
}

#[test]
fn a_stopped_run_ends_with_the_command_that_continues_it() {
    let stopped = Summary {
        stop: Some(StopReason::Deadline),
        advice: Some("continue when you have time".to_owned()),
        resume_command: Some("slack-revoke run s.csv --resume".to_owned()),
        files: SummaryFiles { remaining: Some("s.remaining.csv".into()), ..summary([0; 4], 0).files },
        ..summary([10, 0, 0, 0], 30)
    };
    let text = plain(&stopped);
    assert!(text.starts_with("Stopped: --deadline has passed\n  continue when you have time\n  revoked"), "{text}");
    assert!(text.contains("  revoked          10\n  failed            0\n  not reached      20\n"), "{text}");
    assert!(text.ends_with("to continue:\n  slack-revoke run s.csv --resume\n"), "{text}");
    assert!(text.contains("remaining  s.remaining.csv\n"));
}

#[test]
fn a_rehearsal_says_so_first_and_last() {
    let rehearsed = Summary { is_rehearsal: true, ..summary([28, 0, 0, 2], 30) };
    let text = plain(&rehearsed);
    assert!(text.starts_with("REHEARSAL, nothing was revoked. Done: 30 rows in 25m\n"), "{text}");
    assert!(text.ends_with("\nREHEARSAL: nothing was revoked\n"), "{text}");
}

#[test]
fn totals_come_before_failures_before_warnings_before_files_before_commands() {
    let failed = Summary {
        failures: vec![failure(12)],
        notes: vec!["a note".to_owned()],
        stop: Some(StopReason::Deadline),
        resume_command: Some("slack-revoke run s.csv --resume".to_owned()),
        ..summary([7, 0, 12, 0], 30)
    };
    let text = plain(&failed);
    let parts = [
        "Stopped: ",
        "  revoked",
        "calls in",
        "user_not_found",
        "warning: a note",
        "results ",
        "run 0193f1c2",
        "--resume",
    ];
    let places: Vec<_> = parts.iter().map(|part| text.find(part).expect(part)).collect();
    assert!(places.is_sorted(), "{text}");
    let narrow = super::text(&failed, Palette::new(false), Some(60));
    assert!(narrow.lines().all(|line| line.len() <= 60), "{narrow}");
    assert_eq!(narrow.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
}

fn failure(rows: u64) -> FailureGroup {
    let (error, hint) = ("user_not_found".to_owned(), "no such user: list again".to_owned());
    FailureGroup { status: Status::Failed, error, rows, hint }
}

#[test]
fn failed_rows_are_explained_by_error_and_the_last_line_runs_them_again() {
    let failed = Summary {
        failures: vec![failure(2), FailureGroup { status: Status::Unknown, error: "timeout".to_owned(), ..failure(1) }],
        retry_command: Some("slack-revoke run s.remaining.csv".to_owned()),
        ..summary([7, 0, 2, 0], 10)
    };
    let text = plain(&failed);
    let groups = "2 rows failed with user_not_found: no such user: list again\n\
                  1 row unknown with timeout: no such user: list again\n";
    assert!(text.contains(groups), "{text}");
    assert!(text.ends_with("to run the remaining rows again:\n  slack-revoke run s.remaining.csv\n"), "{text}");
    let many = Summary { failures: (0..13).map(|_| failure(3)).collect(), ..summary([0, 0, 39, 0], 39) };
    assert_eq!(many.failure_sentences().len(), 11);
    assert!(plain(&many).contains("9 rows with 3 other errors: see the error column"), "{}", plain(&many));
}

#[test]
fn a_warning_appears_if_more_than_half_is_not_found() {
    for (rows, warned) in [([5, 5, 0, 0], false), ([5, 6, 0, 0], true), ([0, 0, 0, 0], false), ([2, 3, 0, 1], false)] {
        let text = plain(&summary(rows, 20));
        assert_eq!(text.contains("not found: gone before"), warned, "{rows:?}");
        assert_eq!(text.contains("\nwarning: "), warned, "{rows:?}");
    }
}

#[test]
fn sixty_revocations_of_a_user_add_a_line_for_the_soc() {
    let users = [("U1", 75), ("U2", 60), ("U3", 59)];
    let heaviest_users = users.map(|(user, rows)| (UserId::parse(user).unwrap(), rows)).to_vec();
    let warnings = Summary { heaviest_users, ..summary([194, 0, 0, 0], 194) }.warnings();
    assert_eq!(warnings.len(), 2);
    assert!(
        warnings[0].ends_with(
            "For the SOC: run 0193f1c2, actor W1 (alice), window 2023-11-14T22:13:20Z to 2023-11-14T22:38:20Z, \
             U1, 75 revocations"
        ),
        "{}",
        warnings[0]
    );
}

#[test]
fn nothing_hostile_reaches_the_last_lines() {
    for reason in every_reason(HOSTILE) {
        let hostile = Summary {
            stop: Some(reason),
            actor: Some(HOSTILE.to_owned()),
            notes: vec![HOSTILE.to_owned()],
            failures: vec![FailureGroup { error: HOSTILE.to_owned(), ..failure(1) }],
            retry_command: Some(HOSTILE.to_owned()),
            resume_command: Some(HOSTILE.to_owned()),
            files: SummaryFiles { results: HOSTILE.into(), ..summary([0; 4], 0).files },
            ..summary([1, 0, 0, 0], 2)
        };
        for line in plain(&hostile).lines() {
            assert_eq!(clean(line), line);
        }
    }
}

fn shown(verbosity: Verbosity, format: LogFormat) -> String {
    let page = Page::default();
    let console = Console::on(Box::new(page.clone()), style(ScreenMode::Plain, verbosity, format));
    let targets = targets(console.style(), None).unwrap();
    tracing::dispatcher::with_default(&dispatch(&console, targets), || show(&console, &summary([1, 0, 1, 0], 3)));
    page.text()
}

#[test]
fn totals_follow_the_format_and_are_hidden_by_quiet() {
    assert_eq!(shown(Verbosity::Quiet, LogFormat::Text), "");
    assert_eq!(shown(Verbosity::Quiet, LogFormat::Json), "");
    assert_eq!(shown(Verbosity::Normal, LogFormat::Text), plain(&summary([1, 0, 1, 0], 3)));
    let object: serde_json::Value = serde_json::from_str(&shown(Verbosity::Normal, LogFormat::Json)).unwrap();
    assert_eq!((&object["revoked"], &object["failed"], &object["not_reached"]), (&1.into(), &1.into(), &1.into()));
}

proptest! {
    #[test]
    fn the_table_adds_up_to_the_rows(rows in any::<[u8; 4]>(), total in 0_u64..2000) {
        let summary = summary(rows.map(|rows| u64::from(rows % 50)), total);
        let text = plain(&summary).replace(',', "");
        let table = text.lines().filter_map(|line| line.strip_prefix("  ")?.rsplit_once(' '));
        let sum: u64 = table.map(|(_, rows)| rows.parse::<u64>().unwrap()).sum();
        prop_assert_eq!(sum, summary.rows());
        prop_assert!(sum >= total);
    }
}
