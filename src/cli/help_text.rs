//! Examples and exit codes of every command, and the topics of `help`.

use super::variables;
use crate::model::ExitStatus;
use clap::CommandFactory as _;
use std::fmt::Write as _;

/// A task, and the command line that does it.
pub type Example = (&'static str, &'static str);

/// The end of a command's help.
#[derive(Debug)]
pub struct Guide {
    /// The most common task first.
    pub examples: &'static [Example],
    /// Exit codes with their meanings, in the order of the table.
    pub exits: Vec<(u8, &'static str)>,
}

impl Guide {
    /// The end of `-h`: the most common tasks.
    #[must_use]
    pub fn short(&self) -> String {
        self.first_examples(4)
    }

    /// The end of `--help`.
    #[must_use]
    pub fn long(&self) -> String {
        format!("{}\n\n{SEE_TOPICS}", self.first_examples(usize::MAX))
    }

    fn first_examples(&self, most: usize) -> String {
        let mut text = String::from("Examples:");
        for (task, line) in self.examples.iter().take(most) {
            // Writing to a `String` can't fail.
            let _ = write!(text, "\n  # {task}\n  {line}");
        }
        text
    }

    fn exit_codes(&self) -> String {
        self.exits.iter().fold(String::new(), |text, (code, meaning)| format!("{text}{code:>5}  {meaning}\n"))
    }
}

const SEE_TOPICS: &str = "See also:\n  slack-revoke help environment   environment variables\n  \
                          slack-revoke help exit-codes    exit codes";

/// What `help` explains besides commands.
pub const TOPICS: [&str; 2] = ["environment", "exit-codes"];

/// The text of a topic, or `None` if there is no such topic.
#[must_use]
pub fn topic(name: &str) -> Option<String> {
    match name {
        "environment" => Some(environment()),
        "exit-codes" => Some(exit_codes()),
        _ => None,
    }
}

/// Variables that are not a flag's, with their meanings.
pub const VARIABLES: [(&str, &str); 7] = [
    ("SLACK_TOKEN", "the token, if neither --token-file nor --token-command is given"),
    ("SLACK_REVOKE_*", "every flag, for example SLACK_REVOKE_MAX_FAILURES; the command line overrides it"),
    ("SLACK_REVOKE_LOG", "filter for log lines, for example debug; replaces -q and -v"),
    ("SLACK_REVOKE_QUOTA_PASSWORD", "password for --quota redis://…; replaces the one in the URL"),
    ("CREDENTIALS_DIRECTORY", "directory in which systemd stores the credential slack-token"),
    ("HTTPS_PROXY, ALL_PROXY, NO_PROXY", "proxy for calls, and hosts that are called directly"),
    ("NO_COLOR", "no color, unless --color asks for it"),
];

fn environment() -> String {
    let mut text = String::from(
        "Every flag has an environment variable: SLACK_REVOKE_ and the flag's name in upper case, for example\n\
         SLACK_REVOKE_MAX_FAILURES=10 or SLACK_REVOKE_YES=1. Command-line flags override environment variables.\n\
         An empty variable counts as unset. Separate the values of a repeatable flag with commas.\n\
         A name that is almost a flag's (PROTCET for PROTECT) is refused.\n\n\
         SLACK_REVOKE_OUTPUT and SLACK_REVOKE_RESUME apply to run and plan; other commands have their own.\n\n\
         Other variables:\n",
    );
    for (name, meaning) in VARIABLES.iter().filter(|(name, _)| !name.ends_with('*')) {
        let _ = writeln!(text, "  {name:<34}{meaning}");
    }
    text.push_str("\nVariables of flags:\n");
    for name in variables::names_in(&super::Cli::command()) {
        let _ = writeln!(text, "  {name}");
    }
    text
}

fn exit_codes() -> String {
    let mut text = format!("run:\n{}", of_program().exit_codes());
    for command in super::Cli::command().get_subcommands().map(clap::Command::get_name) {
        if let Some(guide) = of_command(command).filter(|_| command != "run") {
            let _ = write!(text, "\n{command}:\n{}", guide.exit_codes());
        }
    }
    text
}

#[must_use]
pub fn of_program() -> Guide {
    Guide { examples: PROGRAM, exits: every_exit() }
}

/// Help text for a command, or `None` if the name is unknown.
#[must_use]
pub fn of_command(name: &str) -> Option<Guide> {
    use ExitStatus::{Denied, Internal, Interrupted, Locked, RowsFailed, Stopped, Success, Terminated};
    use ExitStatus::{Unavailable, Unwritable, Usage};
    let again = "stopped by one of its own limits; run the same command again later";
    let (interrupted, terminated) = ("interrupted (SIGINT)", "terminated (SIGTERM)");
    let remote = |success, stopped, own: &[_]| {
        let common = [
            (Success, success),
            (Usage, "usage error or unusable file"),
            (Stopped, stopped),
            (Denied, Denied.meaning()),
            (Unavailable, Unavailable.meaning()),
            (Unwritable, UNWRITTEN),
            (Internal, Internal.meaning()),
            (Interrupted, interrupted),
            (Terminated, terminated),
        ];
        exits(&[&common, own].concat())
    };
    let (examples, exits) = match name {
        "run" => (RUN, every_exit()),
        "plan" => (
            PLAN,
            exits(&[
                (Success, "there are rows to send; others may be invalid"),
                (RowsFailed, "there is nothing to send"),
                (Usage, "usage error or unusable input"),
                (Unwritable, UNPRINTED),
                (Internal, Internal.meaning()),
            ]),
        ),
        "doctor" => (
            DOCTOR,
            exits(&[
                (Success, "no check failed"),
                (Usage, "usage error or unusable input"),
                (Denied, Denied.meaning()),
                (Unavailable, Unavailable.meaning()),
                (Unwritable, UNPRINTED),
                (Internal, Internal.meaning()),
            ]),
        ),
        "list" => (
            LIST,
            remote(
                "the list is complete",
                Stopped.meaning(),
                &[
                    (RowsFailed, "the list is incomplete: sessions couldn't be read, or Slack's pages didn't end"),
                    (Locked, "another listing is using this output"),
                ],
            ),
        ),
        "from-audit" => (
            FROM_AUDIT,
            exits(&[
                (Success, "the sessions were written; entries left out were meant to be"),
                (RowsFailed, "the sessions were written, but some entries couldn't be read"),
                (Usage, "usage error, or a file that can't be used"),
                (Unwritable, UNWRITTEN),
                (Internal, Internal.meaning()),
            ]),
        ),
        "resolve" => {
            let own = [(RowsFailed, "every row was written, but some aren't resolved")];
            (RESOLVE, remote("every row was resolved", again, &own))
        }
        "verify" => {
            let own = [(RowsFailed, "a revoked session isn't verified as gone"), (Locked, Locked.meaning())];
            (VERIFY, remote("every revoked session is gone", again, &own))
        }
        "report" => (
            REPORT,
            exits(&[
                (Success, "the report was written; with --check, everything is as recorded"),
                (RowsFailed, "with --check: something isn't as recorded"),
                (Usage, "usage error or unusable file"),
                (Unwritable, "the report can't be written (disk full, read-only, deleted)"),
                (Internal, Internal.meaning()),
            ]),
        ),
        "completions" => (COMPLETIONS, printing()),
        "man" => (MAN, printing()),
        _ => return None,
    };
    Some(Guide { examples, exits })
}

fn every_exit() -> Vec<(u8, &'static str)> {
    exits(&ExitStatus::TABLE.map(|(status, _, meaning)| (status, meaning)))
}

fn printing() -> Vec<(u8, &'static str)> {
    exits(&[(ExitStatus::Success, "printed"), (ExitStatus::Usage, "usage error"), (ExitStatus::Unwritable, UNPRINTED)])
}

const UNWRITTEN: &str = "the output can't be written (disk full, read-only, deleted)";
const UNPRINTED: &str = "standard output can't be written";

/// In the order of their numbers.
fn exits(told: &[(ExitStatus, &'static str)]) -> Vec<(u8, &'static str)> {
    let mut exits: Vec<(u8, &'static str)> = told.iter().map(|(status, meaning)| (status.code(), *meaning)).collect();
    exits.sort_unstable();
    exits
}

const PROGRAM: &[Example] = &[
    ("Try it: no token needed, nothing is revoked", "slack-revoke run --rehearse sessions.csv"),
    ("Show what would be sent and how long it would take", "slack-revoke plan sessions.csv"),
    ("Revoke, after asking once", "slack-revoke run sessions.csv"),
    ("Continue an interrupted run", "slack-revoke run sessions.csv --resume"),
];

const RUN: &[Example] = &[
    ("Try it: no token needed, nothing is revoked", "slack-revoke run --rehearse sessions.csv"),
    (
        "Revoke after asking once, with a token from a password manager; protect some users",
        "slack-revoke run sessions.csv --token-command \"pass slack/admin\" --protect keep.txt",
    ),
    ("Continue an interrupted run", "slack-revoke run sessions.csv --resume"),
    ("Retry failed rows", "slack-revoke run sessions.results.remaining.csv"),
    (
        "Nightly: no questions, print only problems, continue an interrupted run",
        "slack-revoke run sessions.csv --resume-or-start --yes --quiet --token-file /etc/slack-revoke/token",
    ),
    (
        "The sessions outside the office in minutes, with the list of all others",
        "slack-revoke run suspects.csv --bulk others.csv",
    ),
    ("End every session of 250 users, in one call", "slack-revoke run users.csv --whole-users --confirm-users 250"),
    ("From a pipe", "zcat sessions.csv.gz | slack-revoke run - -o results.csv --yes"),
];

const PLAN: &[Example] = &[
    ("Rows, workspaces, users, problems in the list, and the duration", "slack-revoke plan sessions.csv"),
    ("The same at a given rate, as JSON", "slack-revoke plan sessions.csv --rate 40/min --json"),
    ("What is left of an interrupted run", "slack-revoke plan sessions.csv --resume"),
];

const DOCTOR: &[Example] = &[
    ("Is the token valid, and is Slack reachable?", "slack-revoke doctor"),
    (
        "Will the token outlive a run of this list?",
        "slack-revoke doctor sessions.csv --token-file /etc/slack-revoke/token",
    ),
    ("Only warnings and failures, as JSON", "slack-revoke doctor --json | jq '.checks[] | select(.mark != \"ok\")'"),
];

const LIST: &[Example] = &[
    ("Every session of the organization, as input of a run", "slack-revoke list -o sessions.csv"),
    (
        "Sessions from two suspicious networks, except those of some users",
        "slack-revoke list -o suspects.csv --ip 203.0.113.0/24 --ip 2001:db8::/32 --exclude-user staff.txt",
    ),
    ("All sessions of users who left", "slack-revoke list -o sessions.csv --users offboarded.txt"),
    (
        "Android sessions of one user in one workspace",
        "slack-revoke list --team T0123 --user U0456 --os android > phone.csv",
    ),
    ("Continue an interrupted listing", "slack-revoke list -o sessions.csv --resume"),
];

const FROM_AUDIT: &[Example] = &[
    (
        "Sessions that acted from a suspicious network since Friday",
        "slack-revoke from-audit audit.json -o sessions.csv --ip 203.0.113.0/24 --since 2026-11-27",
    ),
    (
        "Entries nested in the records of a SIEM",
        "zcat export.ndjson.gz | slack-revoke from-audit - --path event.original -o sessions.csv",
    ),
    (
        "An export as CSV, with a header that isn't recognized",
        "slack-revoke from-audit logs.csv -o sessions.csv --column session_id=Session",
    ),
    (
        "All that one user did, and the users of entries without a session",
        "slack-revoke from-audit a.json b.json -o s.csv --user jane@example.com --users-output users.csv",
    ),
];

const RESOLVE: &[Example] = &[
    ("Add the owners, so that --protect can recognize their rows", "slack-revoke resolve sessions.csv -o resolved.csv"),
    ("Read from a pipe", "zcat sessions.csv.gz | slack-revoke resolve - > resolved.csv"),
];

const VERIFY: &[Example] = &[
    ("Verify; writes sessions.results.verified.csv", "slack-revoke verify sessions.results.csv"),
    (
        "In a script: exit code 1 if a revoked session still exists",
        "slack-revoke verify sessions.results.csv -o proof.csv --quiet",
    ),
];

const REPORT: &[Example] = &[
    ("Report next to the results", "slack-revoke report sessions.results.csv"),
    (
        "Under another name, with all pauses and estimates from the events file",
        "slack-revoke report sessions.results.csv -o INC-1234.html --events events.ndjson",
    ),
    ("Check that nothing was changed since", "slack-revoke report sessions.results.csv --check"),
];

const COMPLETIONS: &[Example] = &[
    ("bash", "slack-revoke completions bash > ~/.local/share/bash-completion/completions/slack-revoke"),
    ("zsh, in a directory of your fpath", "slack-revoke completions zsh > ~/.zfunc/_slack-revoke"),
    ("fish", "slack-revoke completions fish > ~/.config/fish/completions/slack-revoke.fish"),
    ("PowerShell and elvish, for their startup files", "slack-revoke completions powershell"),
];

const MAN: &[Example] = &[
    ("The page of the program", "slack-revoke man > ~/.local/share/man/man1/slack-revoke.1"),
    ("The page of one command", "slack-revoke man run > ~/.local/share/man/man1/slack-revoke-run.1"),
    ("Read it without installing it", "slack-revoke man run | man -l -"),
];
