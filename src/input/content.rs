//! A surveyed input. It can be read again, by any number of independent readers.

use super::SurveyOptions;
use super::batches::BatchReader;
use super::batches::Source;
use super::coverage::{Coverage, CoverageListing, CoverageMarks, Covers};
use super::error::{InputError, InputProblem};
use super::header::Header;
use super::index::IndexedInput;
use super::reader::InputReader;
use super::records::{Record, RecordReader};
use super::stored::CHUNK;
use super::survey::{InputSummary, Pass, RowContext};
use super::validation::Rules;
use crate::model::{Carried, Identify, InputSource, PossiblySent, Status, Target};
use roaring::RoaringTreemap;
use std::collections::{BTreeSet, HashSet};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

/// A surveyed input. Clones share the open file and the index.
#[derive(Debug, Clone)]
pub struct Content {
    input: InputSource,
    indexed: Arc<IndexedInput>,
}

impl Content {
    /// Reads, checks and counts every row.
    pub(super) fn survey(
        input: InputSource,
        reader: InputReader,
        options: SurveyOptions,
    ) -> Result<(Self, InputSummary), InputProblem> {
        let SurveyOptions { delimiter, columns, rules, done, most_bytes: _ } = options;
        let mut records = RecordReader::at_start(reader, CHUNK)?;
        let header = Header::read(&mut records, delimiter, &columns, rules.of_header())?;
        header.require(rules.identify)?;
        let rows_at = records.position();
        let context = RowContext { header: &header, rules: &rules, done: &done };
        let pass = Pass::first(context, &mut records)?;
        let reading = records.into_source().finish()?;
        let (summary, index, first_lines) = pass.finish(&reading, rows_at)?;
        let indexed = IndexedInput { reading, header, rows_at, index, done, rules, first_lines };
        Ok((Self { input, indexed: Arc::new(indexed) }, summary))
    }

    /// Surveys the same bytes again with other rules or other finished rows, for example once the token's own user is
    /// known. Delimiter, identity and continuation stay the same.
    ///
    /// # Errors
    /// As [`Input::survey`](super::Input::survey).
    pub fn survey_again(&self, rules: Rules, done: RoaringTreemap) -> Result<(Self, InputSummary), InputError> {
        self.resurvey(rules, done).map_err(|problem| problem.of(&self.input))
    }

    /// The rows of these lines, to be sent one by one, also if the survey's rules ask for whole users.
    ///
    /// # Errors
    /// As [`Input::survey`](super::Input::survey).
    pub fn one_by_one(&self, lines: &BTreeSet<u64>) -> Result<(Self, InputSummary), InputError> {
        let rules = Rules { covers: Covers::Nobody, ..self.indexed.rules.clone() };
        let (mut others, mut records) = (RoaringTreemap::new(), self.indexed.records());
        while let Some(record) = records.next().map_err(|problem| problem.of(&self.input))? {
            let line = record.position.line;
            if !lines.contains(&line) {
                others.insert(line);
            }
        }
        self.survey_again(rules, others)
    }

    fn resurvey(&self, rules: Rules, done: RoaringTreemap) -> Result<(Self, InputSummary), InputProblem> {
        let IndexedInput { reading, header, rows_at, .. } = &*self.indexed;
        header.require(rules.identify)?;
        let context = RowContext { header, rules: &rules, done: &done };
        let pass = Pass::first(context, &mut self.indexed.records())?;
        let (summary, index, first_lines) = pass.finish(reading, *rows_at)?;
        let (reading, header, rows_at) = (reading.clone(), header.clone(), *rows_at);
        let indexed = IndexedInput { reading, header, rows_at, index, done, rules, first_lines };
        Ok((Self { input: self.input.clone(), indexed: Arc::new(indexed) }, summary))
    }

    /// Adds the rows to a listing. Returns how many of them aren't a session with its user and workspace.
    ///
    /// # Errors
    /// If the input can't be read again.
    pub fn add_to(&self, listing: &mut CoverageListing) -> Result<u64, InputError> {
        let (rules, mut unclear) = (Rules { identify: Identify::User, ..Rules::default() }, 0);
        listing.expect(self.indexed.index.rows());
        self.each_record(|record| {
            let target = rules.validate(self.header(), record);
            match target.as_ref().map(|target| (target.session(), target.user(), target.team())) {
                Ok((Some(session), Some(user), Some(team))) => listing.add(session, user, team),
                Ok(_) | Err(_) => unclear += 1,
            }
        })?;
        Ok(unclear)
    }

    /// The users all of whose listed sessions are rows that these rules send.
    ///
    /// # Errors
    /// If the input can't be read again.
    pub fn coverage(&self, listed: &Arc<CoverageListing>, rules: &Rules) -> Result<Coverage, InputError> {
        let (mut marks, mut guarded) = (CoverageMarks::new(Arc::clone(listed)), HashSet::new());
        self.each_record(|record| {
            guarded.extend(rules.protected_session(self.header(), record).map(|(_, user)| user));
            if let Some(session) = rules.validate(self.header(), record).as_ref().ok().and_then(Target::named_session) {
                marks.mark(session);
            }
        })?;
        Ok(marks.into_coverage(|user| guarded.contains(user) || rules.protection.is_never_covered(user)))
    }

    /// Calls `take` with the line and the content of every row, in order.
    ///
    /// # Errors
    /// If the input can't be read again.
    pub fn each_carried(&self, take: &mut dyn FnMut(u64, Carried)) -> Result<(), InputError> {
        let columns = self.indexed.header.fields().len();
        self.each_record(|record| take(record.position.line, record.carried(columns)))
    }

    fn each_record(&self, mut take: impl FnMut(&Record<'_>)) -> Result<(), InputError> {
        let mut records = self.indexed.records();
        while let Some(record) = records.next().map_err(|problem| problem.of(&self.input))? {
            take(&record);
        }
        Ok(())
    }

    #[must_use]
    pub fn path(&self) -> &InputSource {
        &self.input
    }

    #[must_use]
    pub fn header(&self) -> &Header {
        &self.indexed.header
    }

    /// Checks that the input wasn't changed since the survey; appended rows are allowed.
    ///
    /// # Errors
    /// [`InputProblem::Changed`], or if the file can't be read.
    pub fn check_unchanged(&self) -> Result<(), InputError> {
        self.indexed.compare_original().map_err(|problem| problem.of(&self.input))
    }

    /// Starts the second reading on its own thread. Rows that the survey's options list as done are left out.
    ///
    /// # Errors
    /// If the thread can't be started.
    pub fn source(&self, maybe_sent: PossiblySent) -> Result<Source, InputError> {
        Source::start(self.input.clone(), self.batches(maybe_sent))
            .map_err(|cause| InputProblem::Thread(cause).of(&self.input))
    }

    pub(super) fn batches(&self, maybe_sent: PossiblySent) -> BatchReader {
        BatchReader::new(Arc::clone(&self.indexed), maybe_sent)
    }

    /// Copies the header and selected rows byte for byte, so that the copy is usable as input. `keep` gets a row's
    /// line, and a function that returns its status if a run wouldn't send it. Nothing is written if no row is kept.
    /// Returns the number of rows.
    ///
    /// # Errors
    /// If the input can't be read again, or `out` can't be written. Rows written before that stay.
    pub fn copy_rows(
        &self,
        mut keep: impl FnMut(u64, &dyn Fn() -> Option<Status>) -> bool,
        out: &mut dyn Write,
    ) -> Result<u64, CopyError> {
        let unreadable = |problem: InputProblem| CopyError::Input(problem.of(&self.input));
        let (mut out, mut rows) = (BufWriter::with_capacity(CHUNK, out), 0);
        let mut records = self.indexed.records();
        while let Some(record) = records.next().map_err(unreadable)? {
            let rejected = || self.indexed.validate(&record).err().map(|rejection| rejection.status());
            if !keep(record.position.line, &rejected) {
                continue;
            }
            if rows == 0 {
                out.write_all(self.indexed.header.raw()).map_err(CopyError::Output)?;
            }
            out.write_all(record.raw).map_err(CopyError::Output)?;
            if !record.raw.ends_with(b"\n") && !record.raw.ends_with(b"\r") {
                out.write_all(self.indexed.header.line_end()).map_err(CopyError::Output)?;
            }
            rows += 1;
        }
        out.flush().map_err(CopyError::Output)?;
        Ok(rows)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("{0}")]
    Input(InputError),
    #[error("{0}")]
    Output(io::Error),
}
