//! Command lines that contradict themselves: each error says what to type instead.

use crate::model::Rate;

/// Why a command line was refused. Nothing was read or sent; exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// `--dry-run` with `--rehearse`.
    #[error(
        "a plan sends nothing, and --rehearse sends everything to a stand-in: leave out --rehearse, or use run --rehearse without \
         planning"
    )]
    PlanAndRehearsal,
    /// A flag that a rehearsal has no use for.
    #[error("{flag} cannot be used with --rehearse: a rehearsal needs no token, reaches nobody, and starts afresh")]
    NotInRehearsal {
        /// The flag.
        flag: &'static str,
    },
    /// `--token-file` with `--token-command`.
    #[error("--token-file and --token-command exclude each other; give the one that holds the token")]
    TwoTokens,
    /// `--resume` with `--resume-or-start`.
    #[error("--resume and --resume-or-start exclude each other; --resume-or-start resumes too, so leave out --resume")]
    ResumeTwice,
    /// `--rate unlimited` to a host that is not this one.
    #[error(
        "--rate unlimited is for a rehearsal or an --api-url on the loopback address; \
         use --rate auto, which finds the limit, or a rate such as 20/min"
    )]
    UnlimitedAbroad,
    /// `--start-rate` or `--max-rate` beside a fixed rate.
    #[error("{flag} belongs to --rate auto; leave out either {flag} or --rate")]
    OnlyWithAuto {
        /// The flag.
        flag: &'static str,
    },
    /// `--start-rate` above `--max-rate`.
    #[error("--start-rate {start} is above --max-rate {max}; lower the one or raise the other")]
    StartAboveMax {
        /// Where `auto` would begin.
        start: Rate,
        /// The most that it may try.
        max: Rate,
    },
    /// Standard input has no name that the results could be named after.
    #[error(
        "rows from standard input, or from anything that isn't a regular file, need a name for the results: add -o FILE, as in \
         -o results.csv"
    )]
    NoOutputForStdin,
    /// No `--yes`, and no terminal.
    #[error(
        "there is no terminal to ask on before sending: add --yes to send without asking, or use plan to look first"
    )]
    NobodyToAsk,
    /// `--whole-users` with `--identify-by team`.
    #[error("--whole-users names users, so --identify-by team cannot be used with it; leave out one")]
    WholeUsersByTeam,
    /// `--confirm-users` where sessions are ended one by one.
    #[error("--confirm-users belongs to --whole-users; leave it out, or add --whole-users")]
    OnlyWithWholeUsers,
    /// `--whole-users`, and neither a terminal nor `--confirm-users`.
    #[error(
        "--whole-users wants a second confirmation, and there is no terminal to ask on: add --confirm-users N, \
         with the number of users that plan --whole-users tells"
    )]
    NobodyToConfirmUsers,
    /// Two headers for one id.
    #[error("--column names two headers for {column}; leave out one")]
    ColumnTwice {
        /// The id's name.
        column: &'static str,
    },
    /// `SLACK_REVOKE_LOG` cannot be read.
    #[error("{0}; correct or unset it")]
    LogFilter(String),
    /// `--quiet` with `--verbose`.
    #[error("--quiet and --verbose exclude each other; leave out one")]
    QuietAndVerbose,
}
