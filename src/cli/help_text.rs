//! The end of the help and the manual page of every command: examples and exit codes.

use crate::exit::ExitStatus;
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
    /// What `-h` ends with.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = String::from("Examples:");
        for (task, line) in self.examples {
            // A string takes everything.
            let _ = write!(text, "\n  # {task}\n  {line}");
        }
        text
    }

    /// What `--help` ends with.
    #[must_use]
    pub fn long(&self) -> String {
        let codes: Vec<String> = self.exits.iter().map(|(code, meaning)| format!("{code:>5}  {meaning}")).collect();
        format!("{}\n\nExit codes:\n{}", self.short(), codes.join("\n"))
    }
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
    let again = "stopped by a limit of its own: give the same command again, later";
    let (interrupted, terminated) = ("stopped by SIGINT", "stopped by SIGTERM");
    let remote = |success, stopped, own: &[_]| {
        let common = [
            (Success, success),
            (Usage, "wrong usage, or a file that cannot be used"),
            (Stopped, stopped),
            (Denied, Denied.meaning()),
            (Unavailable, Unavailable.meaning()),
            (Unwritable, "what was found cannot be written: disk full, read-only, gone"),
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
                (Usage, "wrong usage, or an input that cannot be used"),
                (Unwritable, UNPRINTED),
                (Internal, Internal.meaning()),
            ]),
        ),
        "doctor" => (
            DOCTOR,
            exits(&[
                (Success, "no check failed"),
                (Usage, "wrong usage, or an input that cannot be used"),
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
                    (RowsFailed, "the list is not complete: sessions could not be read, or Slack's pages did not end"),
                    (Locked, "another listing holds this output"),
                ],
            ),
        ),
        "resolve" => {
            let own = [(RowsFailed, "every row was written, and some are not resolved")];
            (RESOLVE, remote("every row was resolved", again, &own))
        }
        "verify" => {
            let own = [(RowsFailed, "a session that was revoked is not proved gone"), (Locked, Locked.meaning())];
            (VERIFY, remote("every session that was revoked is gone", again, &own))
        }
        "report" => (
            REPORT,
            exits(&[
                (Success, "the page is written"),
                (Usage, "wrong usage, or a file that cannot be used"),
                (Unwritable, "the page cannot be written: disk full, read-only, gone"),
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
    exits(&[
        (ExitStatus::Success, "it was printed"),
        (ExitStatus::Usage, "wrong usage"),
        (ExitStatus::Unwritable, UNPRINTED),
    ])
}

const UNPRINTED: &str = "standard output cannot be written";

/// In the order of their numbers.
fn exits(told: &[(ExitStatus, &'static str)]) -> Vec<(u8, &'static str)> {
    let mut exits: Vec<(u8, &'static str)> = told.iter().map(|(status, meaning)| (status.code(), *meaning)).collect();
    exits.sort_unstable();
    exits
}

const PROGRAM: &[Example] = &[
    ("See the whole job work against a stand-in for Slack, with no token", "slack-revoke run --rehearse sessions.csv"),
    ("What would be sent, and how long it would take", "slack-revoke plan sessions.csv"),
    ("Send, after asking once", "slack-revoke run sessions.csv"),
    ("Continue a run that was stopped", "slack-revoke run sessions.csv --resume"),
];

const RUN: &[Example] = &[
    (
        "The whole job against a stand-in for Slack; needs no token, revokes nothing",
        "slack-revoke run --rehearse sessions.csv",
    ),
    (
        "Send after asking once, with the token of a password manager, and spare some users",
        "slack-revoke run sessions.csv --token-command \"pass slack/admin\" --protect keep.txt",
    ),
    ("Continue a run that was stopped, by whatever", "slack-revoke run sessions.csv --resume"),
    ("Try the rows again that failed", "slack-revoke run sessions.results.remaining.csv"),
    (
        "Every night: no question, errors alone are told, and what was cut off is continued",
        "slack-revoke run sessions.csv --resume-or-start --yes --quiet --token-file /etc/slack-revoke/token",
    ),
    ("Every session of 250 users, in one call", "slack-revoke run users.csv --whole-users --confirm-users 250"),
    ("From a pipe", "zcat sessions.csv.gz | slack-revoke run - -o results.csv --yes"),
];

const PLAN: &[Example] = &[
    (
        "Rows, workspaces, users, what is wrong with the list, and the time that it will take",
        "slack-revoke plan sessions.csv",
    ),
    ("The same at a given pace, for a program to read", "slack-revoke plan sessions.csv --rate 40/min --json"),
    ("What is left of a run that was stopped", "slack-revoke plan sessions.csv --resume"),
];

const DOCTOR: &[Example] = &[
    ("Is the token fit, and can Slack be reached from here?", "slack-revoke doctor"),
    (
        "And will the token live as long as this list takes?",
        "slack-revoke doctor sessions.csv --token-file /etc/slack-revoke/token",
    ),
    (
        "Only what is not good, for a program to read",
        "slack-revoke doctor --json | jq '.checks[] | select(.mark != \"ok\")'",
    ),
];

const LIST: &[Example] = &[
    ("Every session of the organisation, as the input of a run", "slack-revoke list -o sessions.csv"),
    (
        "Sessions from two suspicious networks, but none of these users",
        "slack-revoke list -o suspects.csv --ip 203.0.113.0/24 --ip 2001:db8::/32 --exclude-user staff.txt",
    ),
    ("All sessions of the users who left", "slack-revoke list -o sessions.csv --users offboarded.txt"),
    (
        "Android sessions of one user in one workspace",
        "slack-revoke list --team T0123 --user U0456 --os android > phone.csv",
    ),
    ("Continue a listing that was interrupted", "slack-revoke list -o sessions.csv --resume"),
];

const RESOLVE: &[Example] = &[
    (
        "Add the owners, so that --protect and your own user's protection can see them",
        "slack-revoke resolve sessions.csv -o resolved.csv",
    ),
    ("In a pipe", "zcat sessions.csv.gz | slack-revoke resolve - > resolved.csv"),
];

const VERIFY: &[Example] = &[
    ("Prove what is gone; the answers go to sessions.results.verified.csv", "slack-revoke verify sessions.results.csv"),
    (
        "In a script: exit code 1 where a revoked session still lives",
        "slack-revoke verify sessions.results.csv -o proof.csv --quiet",
    ),
];

const REPORT: &[Example] = &[
    ("The page of a run, beside its results", "slack-revoke report sessions.results.csv"),
    (
        "Under another name, with every pause and estimate from the events",
        "slack-revoke report sessions.results.csv -o INC-1234.html --events events.ndjson",
    ),
];

const COMPLETIONS: &[Example] = &[
    ("bash", "slack-revoke completions bash > ~/.local/share/bash-completion/completions/slack-revoke"),
    ("zsh, in a directory of your fpath", "slack-revoke completions zsh > ~/.zfunc/_slack-revoke"),
    ("fish", "slack-revoke completions fish > ~/.config/fish/completions/slack-revoke.fish"),
    ("PowerShell and elvish, for their start-up files", "slack-revoke completions powershell"),
];

const MAN: &[Example] = &[
    ("One page with every command", "slack-revoke man > ~/.local/share/man/man1/slack-revoke.1"),
    ("The page of one command", "slack-revoke man run > ~/.local/share/man/man1/slack-revoke-run.1"),
    ("Read it without installing it", "slack-revoke man run | man -l -"),
];
