//! Splits bytes into records. `csv_core` finds the ends of fields and records; this adds what `csv::Reader` doesn't
//! provide: the raw bytes, exact line and offset of each record, and a maximum record length.

use super::error::InputProblem;
use super::formats;
use super::header::Delimiter;
use crate::model::Carried;
use crate::model::{Fields, is_blank};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// Maximum length of a record in bytes, including its line end, so that an unclosed quote doesn't swallow the rest of
/// the file.
pub(super) const RECORD_CAP: usize = 1 << 20;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Like [`std::io::Read`], with [`InputProblem`] as error.
pub(super) trait ByteSource {
    /// Returns 0 only at the end.
    fn read_bytes(&mut self, into: &mut [u8]) -> Result<usize, InputProblem>;
}

/// The start of a line in the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// In bytes from the start of the content.
    pub(super) offset: u64,
    /// Counted from 1.
    pub(super) line: u64,
}

#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) position: Position,
    /// The raw bytes, including the line end if there is one.
    pub(super) raw: &'a [u8],
    text: &'a str,
    ends: &'a [usize],
}

impl Record<'_> {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The lines after the first one, if a quoted field has line breaks.
    pub(super) fn further_lines(&self) -> impl Iterator<Item = &[u8]> {
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        self.raw.trim_ascii_end().split(is_end).skip(1).filter(|line| !line.is_empty())
    }

    /// Field `index`, unquoted; empty if it doesn't exist.
    pub(super) fn field(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(self.text.len()) };
        let end = self.ends.get(index).copied().unwrap_or(self.text.len());
        &self.text[start..end]
    }

    /// The unquoted fields.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        (0..self.len()).map(|index| self.field(index))
    }

    /// The line and the first `columns` fields, as they are in the results.
    pub(super) fn carried(&self, columns: usize) -> Carried {
        Carried::row(self.position.line, (0..columns).map(|index| self.field(index)))
    }

    /// The first `columns` fields; missing ones are empty.
    pub(super) fn to_fields(&self, columns: usize) -> Fields {
        let kept = columns.min(self.ends.len());
        let text = if kept == 0 { "" } else { &self.text[..self.ends[kept - 1]] };
        let end = |index: usize| self.ends.get(index).map_or(text.len(), |&end| end.min(text.len()));
        let ends = (0..columns).map(|index| u32::try_from(end(index)).expect("a record is at most 1 MiB"));
        Fields::new(text.into(), ends.collect())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: Delimiter,
    /// Whether a quoted field may contain delimiters and line ends. If false, a quote is an ordinary character.
    pub(super) quotes: bool,
}

impl Dialect {
    pub(super) fn quoted(delimiter: Delimiter) -> Self {
        Self { delimiter, quotes: true }
    }

    /// Quotes are ordinary characters, so each line is a record.
    pub(super) fn literal(delimiter: Delimiter) -> Self {
        Self { delimiter, quotes: false }
    }
}

#[derive(Debug)]
pub(super) struct RecordReader<S> {
    source: S,
    core: Reader,
    dialect: Dialect,
    /// `buf[start..pos]` is the last record, `buf[pos..end]` is unread.
    buf: Vec<u8>,
    start: usize,
    pos: usize,
    end: usize,
    drained: bool,
    bom: bool,
    /// Offset of `buf[0]` in the content.
    base: u64,
    /// Line number at `start`; `line` is that at `pos`.
    record_line: u64,
    line: u64,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl<S: ByteSource> RecordReader<S> {
    /// Starts at a position where a record may start. Reads at least `chunk` bytes at a time.
    pub(super) fn at(position: Position, dialect: Dialect, source: S, chunk: usize) -> Self {
        Self {
            source,
            core: core(dialect),
            dialect,
            buf: vec![0; chunk],
            start: 0,
            pos: 0,
            end: 0,
            drained: false,
            bom: false,
            base: position.offset,
            record_line: position.line,
            line: position.line,
            text: Vec::new(),
            ends: vec![0; 16],
        }
    }

    /// Starts at the beginning of the content. Skips a UTF-8 BOM, and refuses UTF-16 and other formats.
    pub(super) fn at_start(source: S, chunk: usize) -> Result<Self, InputProblem> {
        // The dialect of a first line `sep=;`, which is looked for first.
        let dialect = Dialect::literal(Delimiter::COMMA);
        let mut records = Self::at(Position { offset: 0, line: 1 }, dialect, source, chunk);
        while records.end < formats::HEAD && records.refill()? {}
        let head = &records.buf[..records.end];
        if is_utf16(head) {
            return Err(InputProblem::Utf16);
        }
        if let Some((kind, advice)) = formats::other_than_csv(head.strip_prefix(BOM).unwrap_or(head)) {
            return Err(InputProblem::OtherFormat { kind, advice });
        }
        if head.starts_with(BOM) {
            records.bom = true;
            (records.start, records.pos) = (BOM.len(), BOM.len());
        }
        Ok(records)
    }

    /// Continues at another position, and reuses the buffers.
    pub(super) fn move_to(&mut self, position: Position, source: S) {
        self.source = source;
        (self.start, self.pos, self.end, self.drained) = (0, 0, 0, false);
        (self.base, self.record_line, self.line) = (position.offset, position.line, position.line);
    }

    /// Goes back to the start of the last record, or of the one that failed, to read it in another dialect.
    pub(super) fn retry_with(&mut self, dialect: Dialect) {
        self.pos = self.start;
        self.line = self.record_line;
        // Building the tables costs as much as reading a few hundred rows.
        if self.dialect == dialect {
            reset(&mut self.core);
        } else {
            self.dialect = dialect;
            self.core = core(dialect);
        }
    }

    /// Makes [`Self::retry_with`] start after the last record.
    pub(super) fn accept(&mut self) {
        self.begin_line();
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The start of the next line.
    pub(super) fn position(&self) -> Position {
        Position { offset: self.base + self.pos as u64, line: self.line }
    }

    /// The BOM of the content, or nothing.
    pub(super) fn bom(&self) -> &'static [u8] {
        if self.bom { BOM } else { b"" }
    }

    pub(super) fn into_source(self) -> S {
        self.source
    }

    /// The next record that isn't blank. A record of empty fields, as spreadsheets write them, is blank too.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, InputProblem> {
        let (position, text, fields) = loop {
            if !self.skip_blank_lines()? {
                return Ok(None);
            }
            let position = self.position();
            let (text, fields) = self.parse()?;
            let raw = &self.buf[self.start..self.pos];
            if raw.len() > RECORD_CAP {
                return Err(InputProblem::RecordTooLong { line: position.line });
            }
            if !is_nothing(&self.text[..text]) {
                break (position, text, fields);
            }
            self.line += line_ends(raw);
        };
        let raw = &self.buf[self.start..self.pos];
        // The raw bytes are checked, because without the delimiters two invalid halves could form a valid character.
        if !self.text[..text].is_ascii()
            && let Err(error) = std::str::from_utf8(raw)
        {
            return Err(not_utf8(position, &raw[..error.valid_up_to()]));
        }
        self.line += line_ends(raw);
        let text = std::str::from_utf8(&self.text[..text]).map_err(|_| not_utf8(position, &[]))?;
        Ok(Some(Record { position, raw, text, ends: &self.ends[..fields] }))
    }

    /// Skips empty lines and those with only blanks. Returns false at the end of the content.
    fn skip_blank_lines(&mut self) -> Result<bool, InputProblem> {
        self.begin_line();
        let mut seen = 0;
        loop {
            match self.buf[self.pos + seen..self.end].first().copied() {
                Some(b'\n' | b'\r') => {
                    self.pos += seen + 1;
                    self.finish_line_end()?;
                    self.line += 1;
                    self.begin_line();
                    seen = 0;
                }
                Some(byte) if self.is_blank(byte) => seen += 1,
                Some(_) => return Ok(true),
                None if self.refill()? => {}
                None => return Ok(false),
            }
        }
    }

    fn begin_line(&mut self) {
        self.start = self.pos;
        self.record_line = self.line;
    }

    fn is_blank(&self, byte: u8) -> bool {
        matches!(byte, b' ' | b'\t' | 0x0b | 0x0c) && byte != self.dialect.delimiter.byte()
    }

    /// Skips the LF after a CR.
    fn finish_line_end(&mut self) -> Result<(), InputProblem> {
        if self.buf[self.pos - 1] != b'\r' || (self.pos == self.end && !self.refill()?) {
            return Ok(());
        }
        if self.buf[self.pos] == b'\n' {
            self.pos += 1;
        }
        Ok(())
    }

    /// Reads one record at `pos`. Returns the length of its text and the number of its fields.
    fn parse(&mut self) -> Result<(usize, usize), InputProblem> {
        let (mut text, mut fields) = (0, 0);
        loop {
            let at_end = self.pos == self.end && !self.refill()?;
            // A line end completes the last record, unless a quote is unclosed.
            let input = if at_end { b"\n".as_slice() } else { &self.buf[self.pos..self.end] };
            self.text.resize(self.text.len().max(text + input.len()), 0);
            let (result, read, wrote, ended) =
                self.core.read_record(input, &mut self.text[text..], &mut self.ends[fields..]);
            self.pos += if at_end { 0 } else { read };
            text += wrote;
            fields += ended;
            if fields == self.ends.len() {
                self.ends.resize(2 * fields, 0);
            }
            match result {
                ReadRecordResult::Record if at_end => return Ok((text, fields)),
                ReadRecordResult::Record => {
                    self.finish_line_end()?;
                    return Ok((text, fields));
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::End if at_end => {
                    return Err(InputProblem::OpenQuote { line: self.record_line });
                }
                ReadRecordResult::InputEmpty
                | ReadRecordResult::End
                | ReadRecordResult::OutputFull
                | ReadRecordResult::OutputEndsFull => {}
            }
        }
    }

    /// Reads more bytes after `end`. Returns false at the end of the content. Keeps the record at `start` in the
    /// buffer.
    fn refill(&mut self) -> Result<bool, InputProblem> {
        if self.drained {
            return Ok(false);
        }
        if self.end - self.start > RECORD_CAP {
            return Err(InputProblem::RecordTooLong { line: self.record_line });
        }
        if self.end == self.buf.len() {
            self.make_room();
        }
        let read = self.source.read_bytes(&mut self.buf[self.end..])?;
        self.end += read;
        self.drained = read == 0;
        Ok(read > 0)
    }

    fn make_room(&mut self) {
        self.buf.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        (self.pos, self.end, self.start) = (self.pos - self.start, self.end - self.start, 0);
        if self.end > self.buf.len() / 2 {
            self.buf.resize(2 * self.buf.len(), 0);
        }
    }
}

/// Whether all fields are blank. Invalid UTF-8 isn't blank.
fn is_nothing(text: &[u8]) -> bool {
    !text.first().is_some_and(u8::is_ascii_graphic) && std::str::from_utf8(text).is_ok_and(is_blank)
}

fn core(dialect: Dialect) -> Reader {
    let mut core = ReaderBuilder::new().delimiter(dialect.delimiter.byte()).quoting(dialect.quotes).build();
    reset(&mut core);
    core
}

/// To the start of a record. A reader skips a BOM if it comes first, so that a record read after a seek would differ from the
/// same record read in sequence. The line end is read to prevent that.
fn reset(core: &mut Reader) {
    core.reset();
    core.read_record(b"\n", &mut [0], &mut [0]);
}

/// Counts LF, CR LF, and lone CR.
#[expect(clippy::naive_bytecount, reason = "a record is short")]
fn line_ends(raw: &[u8]) -> u64 {
    let lf = raw.iter().filter(|byte| **byte == b'\n').count();
    if !raw.contains(&b'\r') {
        return lf as u64;
    }
    let lone_cr = |(index, byte): (usize, &u8)| *byte == b'\r' && raw.get(index + 1) != Some(&b'\n');
    (lf + raw.iter().enumerate().filter(|pair| lone_cr(*pair)).count()) as u64
}

fn not_utf8(record: Position, valid: &[u8]) -> InputProblem {
    InputProblem::NotUtf8 { line: record.line + line_ends(valid), offset: record.offset + valid.len() as u64 }
}

/// Detected by its BOM, or by a NUL in every other byte, because headers are ASCII.
fn is_utf16(head: &[u8]) -> bool {
    let pairs = || head.chunks_exact(2).take(32);
    let every = |high: usize| head.len() >= 4 && pairs().all(|pair| pair[high] == 0 && pair[1 - high] != 0);
    head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || every(0) || every(1)
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
