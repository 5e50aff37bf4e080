//! Reads an input row by row, outside of a run.

use crate::engine::ports::{RowSource, Want};
use crate::error::RunError;
use crate::input::{Content, Delimiter, Input, InputError, InputProblem, PossiblySent, Rules, SurveyOptions};
use crate::ledger::listing::{Listing, REHEARSAL_HOST};
use crate::model::{ColumnNames, InputSource, Row};
use crate::output::{WEAKENED, counted};

/// Refuses an unfinished list, and one of a rehearsal if its rows would be sent to Slack. Warns about a list without
/// some unreadable sessions.
///
/// # Errors
/// If it isn't usable, or its description can't be read.
pub(super) fn check_listing(source: &InputSource, is_sent: bool) -> Result<(), RunError> {
    let InputSource::File(path) = source else { return Ok(()) };
    let noted = Listing::beside(path);
    let remove = format!("if {} is something else, remove {}", path.display(), noted.display());
    let listing = Listing::of(path).map_err(|error| RunError::input(error.to_string(), &*remove))?;
    let Some(listing) = listing else { return Ok(()) };
    if is_sent && listing.api_host == REHEARSAL_HOST {
        let what = format!("{} was listed in a rehearsal: its sessions don't exist", path.display());
        return Err(RunError::input(what, "add --rehearse, or list the sessions of your organization"));
    }
    if !listing.is_finished() {
        let what = format!(
            "{} is only a part of a list: slack-revoke list was interrupted after {}, or is still at it",
            path.display(),
            counted(listing.pages, "page", "pages")
        );
        let next =
            format!("continue it with slack-revoke list --resume -o {} and its filters; {remove}", path.display());
        return Err(RunError::input(what, next));
    }
    if !listing.complete {
        let sessions = counted(listing.unreadable, "session", "sessions");
        tracing::warn!(target: WEAKENED, "{} lacks {sessions} that couldn't be read when it was listed", path.display());
    }
    Ok(())
}

/// Surveys an input, so that its rows can be read.
///
/// # Errors
/// If it can't be used.
pub(super) fn read_input(
    source: &InputSource,
    delimiter: Option<Delimiter>,
    columns: ColumnNames,
    rules: Rules,
    rehearse: bool,
) -> Result<Content, RunError> {
    check_listing(source, !rehearse)?;
    let options = SurveyOptions { delimiter, columns, rules, ..SurveyOptions::default() };
    let input = Input::open(source.clone(), &std::env::temp_dir()).map_err(|error| unusable("", &error))?;
    input.survey(options, None).map(|(content, _)| content).map_err(|error| unusable("", &error))
}

/// `prefix` is put before a generic hint.
pub(super) fn unusable(prefix: &str, error: &InputError) -> RunError {
    let is_changed = matches!(error.problem, InputProblem::Changed);
    let hint = match error.hint() {
        Some(hint) if !is_changed => hint,
        hint => format!("{prefix}{}", hint.as_deref().unwrap_or("correct the input and run it again")),
    };
    let to_error = if is_changed { RunError::input_changed } else { RunError::input };
    to_error(error.problem.to_string(), hint).at(&error.input)
}

/// Calls `take` with every row, in input order.
///
/// # Errors
/// If the input can't be read again.
pub(super) async fn read_rows(content: &Content, mut take: impl FnMut(&Row)) -> Result<(), RunError> {
    let mut source = content.source(PossiblySent::default()).map_err(|error| unusable("", &error))?;
    loop {
        source.request(Want::Any);
        let batch = source
            .next()
            .await
            .map_err(|reason| RunError::input(reason.entry().why, "leave the input as it is until the end"))?;
        batch.rows.iter().for_each(&mut take);
        if batch.exhausted {
            return Ok(());
        }
    }
}
