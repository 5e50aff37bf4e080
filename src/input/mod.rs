//! The input: a CSV of sessions, read twice.
//!
//! The first reading ([`Input::survey`]) checks and counts everything before anything is sent, and keeps positions, not
//! rows. The second ([`Content::source`]) gives the rows to the engine, in the input's order or by workspace, each once.
//! What the first didn't read, the second never gives: small inputs are copied to memory, and large files are compared block
//! by block as they are read again, through the same handle. Large inputs from standard input or a FIFO, or that are
//! compressed, are copied to a file without a name while the first reading parses them.

pub mod audit;
mod batches;
mod content;
mod duplicates;
mod error;
mod formats;
mod header;
mod id_interner;
mod identity;
mod index;
mod protection;
mod reader;
mod records;
mod stored;
mod survey;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod validation;

pub use crate::model::{Identify, InputMatch, InputSource, PossiblySent};
pub use batches::Source;
pub use content::{Content, CopyError};
pub use error::{InputError, InputProblem};
pub use header::{Delimiter, Header};
pub use identity::{EarlierInput, InputIdentity};
pub use protection::{ProtectError, Protection};
pub use survey::{InputSummary, WholeUsers};
pub use validation::Rules;

use crate::model::ColumnNames;
use reader::{InputLimits, InputReader, Raw};
use roaring::RoaringTreemap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An input that has been opened and not read yet.
pub struct Input {
    path: InputSource,
    raw: Raw,
    spool_dir: PathBuf,
}

/// How an input is read and which of its rows are sent.
#[derive(Debug, Clone, Default)]
pub struct SurveyOptions {
    /// `--delimiter`; `None` detects it from the header.
    pub delimiter: Option<Delimiter>,
    /// The most bytes of the content; `None` if any number will do.
    pub most_bytes: Option<u64>,
    /// `--column`; without it, ids are found by the names of their columns.
    pub columns: ColumnNames,
    /// Which rows are sent, and by which id.
    pub rules: Rules,
    /// Lines whose rows an earlier run has ended.
    pub done: RoaringTreemap,
}

impl Input {
    /// Opens an input; nothing of it is read. Should it have to be copied, the copy goes into `spool_dir`. Opening a
    /// FIFO waits for its writer.
    ///
    /// # Errors
    /// If there is no such file, it is a directory, or it cannot be opened.
    pub fn open(path: InputSource, spool_dir: &Path) -> Result<Self, InputError> {
        let raw = open_raw(&path).map_err(|problem| problem.of(&path))?;
        Ok(Self { path, raw, spool_dir: spool_dir.into() })
    }

    /// The first reading: to the end of the input, blocking. `earlier` names the input of the run that is to be
    /// continued, if there is one.
    ///
    /// # Errors
    /// If the input cannot be used: [`InputProblem`] lists why.
    pub fn survey(
        self,
        options: SurveyOptions,
        earlier: Option<EarlierInput>,
    ) -> Result<(Content, InputSummary), InputError> {
        let Self { path, raw, spool_dir } = self;
        let limits = InputLimits { most: options.most_bytes, free_space: stored::free_bytes };
        InputReader::begin(raw, &spool_dir, earlier, limits)
            .and_then(|reader| Content::survey(path.clone(), reader, options))
            .map_err(|problem| problem.of(&path))
    }
}

fn open_raw(source: &InputSource) -> Result<Raw, InputProblem> {
    match source {
        InputSource::File(file) | InputSource::Stream(file) => open(file),
        InputSource::Stdin => Ok(Raw::Stream(Box::new(io::stdin()))),
    }
}

fn open(path: &Path) -> Result<Raw, InputProblem> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => InputProblem::NotFound,
        ErrorKind::IsADirectory => InputProblem::Directory,
        _ => InputProblem::Unreadable(error),
    })?;
    let kind = file.metadata().map_err(InputProblem::Unreadable)?;
    if kind.is_dir() {
        return Err(InputProblem::Directory);
    }
    Ok(if kind.is_file() { Raw::File(Arc::new(file), 0) } else { Raw::Stream(Box::new(file)) })
}
