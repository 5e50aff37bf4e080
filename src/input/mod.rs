//! The input: a CSV of sessions, read twice.
//!
//! The first reading ([`Input::survey`]) checks and counts everything before anything is sent, and keeps positions
//! instead of rows. The second ([`Content::source`]) returns each row once, in input order or by workspace. It never
//! returns anything that the first didn't read: small inputs are kept in memory, and large files are read again
//! through the same handle and compared block by block. A large input from standard input or a FIFO, or a compressed
//! one, is copied to an unnamed file during the first reading.

pub mod audit;
mod batches;
mod content;
mod coverage;
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
pub use coverage::{Coverage, CoverageListing, Covers};
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

/// An input that is open but not read yet.
pub struct Input {
    path: InputSource,
    raw: Raw,
    spool_dir: PathBuf,
}

#[derive(Debug, Clone, Default)]
pub struct SurveyOptions {
    /// `--delimiter`; `None` detects it from the header.
    pub delimiter: Option<Delimiter>,
    /// Maximum size of the content in bytes; `None` for no limit.
    pub most_bytes: Option<u64>,
    /// `--column`; without it, id columns are found by name.
    pub columns: ColumnNames,
    pub rules: Rules,
    /// Lines of the rows that an earlier run has ended.
    pub done: RoaringTreemap,
}

impl Input {
    /// Opens an input without reading it. A copy, if one is needed, is made in `spool_dir`. Opening a FIFO waits for
    /// its writer.
    ///
    /// # Errors
    /// If the file doesn't exist, is a directory, or can't be opened.
    pub fn open(path: InputSource, spool_dir: &Path) -> Result<Self, InputError> {
        let raw = open_raw(&path).map_err(|problem| problem.of(&path))?;
        Ok(Self { path, raw, spool_dir: spool_dir.into() })
    }

    /// Reads the input to its end, blocking. `earlier` describes the input of the run to be resumed, if there is one.
    ///
    /// # Errors
    /// If the input can't be used; [`InputProblem`] has the reasons.
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
