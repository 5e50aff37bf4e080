//! Rows and outcomes for tests, including hostile texts.

use crate::model::{Fields, IdError, Outcome, Rejection, Row, Status, Timestamp};
use proptest::prelude::*;

/// Texts that need quoting or look like separators.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "",
        "a",
        "\"",
        "\"\"",
        ",",
        "\n",
        "\r",
        "\r\n",
        ";",
        "\u{feff}",
        "é",
        "💥",
        " ",
        "revoked",
        "line,status",
        "\0",
        "#",
    ]);
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

/// Texts of result columns, without control characters.
fn words() -> impl Strategy<Value = String> {
    nasty().prop_map(|text| text.replace(char::is_control, ""))
}

fn some_words() -> impl Strategy<Value = Option<Box<str>>> {
    prop::option::of(words().prop_filter("none is written as empty", |text| !text.is_empty()).prop_map(Into::into))
}

fn stamps() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_i64).prop_map(Timestamp::from_millis)
}

pub(super) fn outcomes() -> impl Strategy<Value = Outcome> {
    let calls = (prop::option::of(100..600_u16), 0..9_u32, 0..9_u32);
    let times = (prop::option::of(stamps()), stamps());
    (prop::sample::select(Status::ALL.to_vec()), some_words(), words(), calls, times, some_words()).prop_map(
        |(status, error, detail, (http_status, attempts, rate_limited), (first_sent_at, finished_at), request_id)| {
            let detail = detail.into();
            Outcome {
                status,
                error,
                detail,
                http_status,
                attempts,
                rate_limited,
                first_sent_at,
                finished_at,
                request_id,
            }
        },
    )
}

/// Columns, and rows with outcomes on ascending lines.
pub(super) fn inputs(most_rows: usize) -> impl Strategy<Value = (Fields, Vec<(Row, Outcome)>)> {
    (1..4_usize).prop_flat_map(move |columns| {
        let row = (1..4_u64, prop::collection::vec(nasty(), columns), outcomes());
        (prop::collection::vec(nasty(), columns), prop::collection::vec(row, 0..most_rows)).prop_map(
            |(header, rows)| {
                let mut line = 1;
                let rows = rows.into_iter().map(|(gap, texts, outcome)| {
                    line += gap;
                    (row_of(line, &texts), outcome)
                });
                (fields(&header), rows.collect())
            },
        )
    })
}

pub(super) fn fields<T: AsRef<str>>(texts: &[T]) -> Fields {
    texts.iter().map(AsRef::as_ref).collect()
}

pub(super) fn row_of<T: AsRef<str>>(line: u64, texts: &[T]) -> Row {
    let target = Err(Rejection::Id { column: "session_id", error: IdError::Missing, value: "".into() });
    Row { line, fields: fields(texts), target, may_have_been_sent: false }
}

pub(super) fn ended(status: Status) -> Outcome {
    Outcome::bare(status, Timestamp::from_millis(1_795_459_321_123))
}
