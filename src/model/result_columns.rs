//! The columns that results have after those of the input: name, encoding and decoding of each.

use super::{Outcome, Status, Timestamp};

/// The value of a column, which files and JSON write in their own format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnValue<'a> {
    /// JSON omits the member.
    Empty,
    Number(u64),
    /// May come from any server, so every writer has to clean it.
    Text(&'a str),
    Time(Timestamp),
}

pub struct ResultColumn {
    pub name: &'static str,
    /// Whether every results file must have it. Others may have been added in a later version.
    pub is_required: bool,
    /// The value for a line and its outcome.
    pub value: for<'a> fn(u64, &'a Outcome) -> ColumnValue<'a>,
    /// Decodes a text; `None` if it is invalid for the column.
    pub read: fn(&str, &mut u64, &mut Outcome) -> Option<()>,
}

/// In the order in which they are written (contract.md, "Results").
pub const RESULT_COLUMNS: [ResultColumn; 10] = [
    ResultColumn {
        name: "line",
        is_required: true,
        value: |line, _| ColumnValue::Number(line),
        read: |text, line, _| {
            *line = text.parse().ok().filter(|line| *line > 0)?;
            Some(())
        },
    },
    ResultColumn {
        name: "status",
        is_required: true,
        value: |_, outcome| ColumnValue::Text(outcome.status.as_str()),
        read: |text, _, outcome| {
            outcome.status = Status::parse(text)?;
            Some(())
        },
    },
    ResultColumn {
        name: "error",
        is_required: false,
        value: |_, outcome| text_or_empty(outcome.error.as_deref()),
        read: |text, _, outcome| {
            outcome.error = (!text.is_empty()).then(|| text.into());
            Some(())
        },
    },
    ResultColumn {
        name: "detail",
        is_required: false,
        value: |_, outcome| ColumnValue::Text(&outcome.detail),
        read: |text, _, outcome| {
            outcome.detail = text.into();
            Some(())
        },
    },
    ResultColumn {
        name: "http_status",
        is_required: false,
        value: |_, outcome| outcome.http_status.map_or(ColumnValue::Empty, |code| ColumnValue::Number(code.into())),
        read: |text, _, outcome| {
            outcome.http_status = if text.is_empty() { None } else { Some(text.parse().ok()?) };
            Some(())
        },
    },
    ResultColumn {
        name: "attempts",
        is_required: false,
        value: |_, outcome| ColumnValue::Number(outcome.attempts.into()),
        read: |text, _, outcome| {
            outcome.attempts = text.parse().ok()?;
            Some(())
        },
    },
    ResultColumn {
        name: "rate_limited",
        is_required: false,
        value: |_, outcome| ColumnValue::Number(outcome.rate_limited.into()),
        read: |text, _, outcome| {
            outcome.rate_limited = text.parse().ok()?;
            Some(())
        },
    },
    ResultColumn {
        name: "first_sent_at",
        is_required: false,
        value: |_, outcome| outcome.first_sent_at.map_or(ColumnValue::Empty, ColumnValue::Time),
        read: |text, _, outcome| {
            outcome.first_sent_at = if text.is_empty() { None } else { Some(Timestamp::parse(text)?) };
            Some(())
        },
    },
    ResultColumn {
        name: "finished_at",
        is_required: true,
        value: |_, outcome| ColumnValue::Time(outcome.finished_at),
        read: |text, _, outcome| {
            outcome.finished_at = Timestamp::parse(text)?;
            Some(())
        },
    },
    ResultColumn {
        name: "request_id",
        is_required: false,
        value: |_, outcome| text_or_empty(outcome.request_id.as_deref()),
        read: |text, _, outcome| {
            outcome.request_id = (!text.is_empty()).then(|| text.into());
            Some(())
        },
    },
];

impl ResultColumn {
    /// In the order of the table.
    pub const NAMES: [&'static str; RESULT_COLUMNS.len()] = {
        let mut names = [""; RESULT_COLUMNS.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = RESULT_COLUMNS[index].name;
            index += 1;
        }
        names
    };
}

fn text_or_empty(text: Option<&str>) -> ColumnValue<'_> {
    text.map_or(ColumnValue::Empty, ColumnValue::Text)
}
