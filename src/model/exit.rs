//! The table of exit codes, and the exit code of a run.

use super::Counts;

/// See contract.md, "Exit codes".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// No row failed.
    Success,
    /// The run ended, and some rows failed.
    RowsFailed,
    /// Wrong usage, or an unusable input.
    Usage,
    /// Stopped by a configured limit.
    Stopped,
    /// Authentication or permission failure.
    Denied,
    /// Slack can't be reached.
    Unavailable,
    Locked,
    /// The results can't be written.
    Unwritable,
    Internal,
    /// SIGINT.
    Interrupted,
    /// SIGTERM or SIGHUP.
    Terminated,
}

impl ExitStatus {
    /// Every exit status with its code and meaning.
    pub const TABLE: [(Self, u8, &'static str); 11] = [
        (Self::Success, 0, "every session is gone, or was already gone"),
        (Self::RowsFailed, 1, "the run ended, but some rows are failed, unknown or invalid"),
        (Self::Usage, 2, "usage error or unusable input; nothing was sent"),
        (Self::Stopped, 3, "stopped by one of the run's own limits; continue with --resume"),
        (Self::Denied, 4, "authentication or permission failure"),
        (Self::Unavailable, 5, "Slack is unreachable or unavailable"),
        (Self::Locked, 6, "another run is using this output"),
        (Self::Unwritable, 7, "results can't be written (disk full, read-only, deleted)"),
        (Self::Internal, 70, "internal error"),
        (Self::Interrupted, 130, "interrupted (SIGINT) after calls in flight were finished; continue with --resume"),
        (Self::Terminated, 143, "terminated (SIGTERM) after calls in flight were finished; continue with --resume"),
    ];

    fn row(self) -> (Self, u8, &'static str) {
        Self::TABLE[self as usize]
    }

    #[must_use]
    pub fn code(self) -> u8 {
        self.row().1
    }

    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.row().2
    }

    /// A stable word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "complete",
            Self::RowsFailed => "rows_failed",
            Self::Usage => "usage",
            Self::Stopped => "stopped",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Locked => "locked",
            Self::Unwritable => "unwritable",
            Self::Internal => "fault",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }

    /// The exit status of a run that wasn't stopped. `not_reached` rows have no record: they belong to a suspended
    /// workspace if `any_parked`; otherwise there is an internal error.
    #[must_use]
    pub fn of_end(counts: &Counts, not_reached: u64, strict: bool, any_parked: bool) -> Self {
        if not_reached > 0 {
            return if any_parked { Self::Denied } else { Self::Internal };
        }
        if counts.iter().any(|(status, rows)| rows > 0 && status.remains(strict)) {
            Self::RowsFailed
        } else {
            Self::Success
        }
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Status;

    #[test]
    fn the_table_is_the_contracts() {
        assert_eq!(ExitStatus::TABLE.map(|(_, code, _)| code), [0, 1, 2, 3, 4, 5, 6, 7, 70, 130, 143]);
        for (status, code, meaning) in ExitStatus::TABLE {
            assert_eq!((status.code(), status.meaning()), (code, meaning), "{status:?} is not in its own place");
        }
    }

    #[test]
    fn an_end_is_as_good_as_its_worst_row() {
        for (status, lenient, strict) in [
            (Status::Revoked, 0, 0),
            (Status::AlreadyRevoked, 0, 0),
            (Status::NotFound, 0, 1),
            (Status::Failed, 1, 1),
            (Status::Unknown, 1, 1),
            (Status::Invalid, 1, 1),
            (Status::Duplicate, 0, 0),
            (Status::Protected, 0, 0),
        ] {
            let mut counts = Counts::default();
            counts.add(Status::Revoked);
            counts.add(status);
            assert_eq!(ExitStatus::of_end(&counts, 0, false, false).code(), lenient, "{status:?}");
            assert_eq!(ExitStatus::of_end(&counts, 0, true, true).code(), strict, "{status:?} under --strict");
            assert_eq!(ExitStatus::of_end(&counts, 1, false, true).code(), 4, "{status:?} and a parked workspace");
            assert_eq!(ExitStatus::of_end(&counts, 1, false, false).code(), 70, "{status:?} and a lost row");
        }
    }
}
