//! What is said before a run about the one before it: that there is none, that nothing is left of it, or that it makes room.

use super::Prepared;
use crate::report::{counted, quoted};
use crate::store::aside::Aside;
use crate::store::resume::{Fresh, Start};
use std::ffi::OsStr;

/// Tells it, where there is something to tell.
pub(super) fn tell(prepared: &Prepared) {
    match (&prepared.start, &prepared.aside) {
        (Start::Fresh(Fresh::NothingToResume), _) => {
            tracing::warn!("there is nothing to resume: the run begins with the first row");
        }
        (Start::Fresh(Fresh::PutsAside), Some(aside)) => tell_aside(aside),
        (Start::Continue { done, .. }, _) if done.len() >= prepared.survey.rows => {
            tracing::info!("nothing to do: every row of this input has ended");
        }
        (
            Start::Fresh(Fresh::FirstRun | Fresh::NothingWritten | Fresh::ReplacesRehearsal | Fresh::PutsAside)
            | Start::Continue { .. },
            _,
        ) => {}
    }
}

/// Rows that never ended are worth a mail, so they are told under `-q` too.
fn tell_aside(aside: &Aside) {
    let Aside { files, run_id, input, not_reached } = aside;
    let results = files.results.display();
    if *not_reached == 0 {
        tracing::info!("run {run_id} was for another input and makes room: its results become {results}");
        return;
    }
    let rows = counted(*not_reached, "row of it has", "rows of it have");
    let (input, output) = (quoted(OsStr::new(input)), quoted(files.results.as_os_str()));
    tracing::error!(
        "run {run_id} was for another input and did not end: {rows} no record. It makes room, and its results become \
         {results}; to finish it, give the input that it had: slack-revoke run {input} -o {output} --resume"
    );
}
