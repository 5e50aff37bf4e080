//! Inputs for the tests of this room.

use super::batches::BatchReader;
use super::content::Content;
use super::reader::{InputLimits, InputReader, Raw};
use super::records::ByteSource;
use super::{EarlierInput, InputProblem, InputSource, InputSummary, PossiblySent, SurveyOptions};
use std::io::Cursor;

impl ByteSource for &[u8] {
    fn read_bytes(&mut self, into: &mut [u8]) -> Result<usize, InputProblem> {
        let (now, later) = self.split_at(self.len().min(into.len()));
        into[..now.len()].copy_from_slice(now);
        *self = later;
        Ok(now.len())
    }
}

/// A content in pieces of at most `step` bytes.
pub(super) struct SmallPieces<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) step: usize,
}

impl ByteSource for SmallPieces<'_> {
    fn read_bytes(&mut self, into: &mut [u8]) -> Result<usize, InputProblem> {
        let step = self.step.min(into.len());
        self.bytes.read_bytes(&mut into[..step])
    }
}

/// A survey of bytes that come like those of standard input.
pub(super) fn survey(
    bytes: &[u8],
    options: SurveyOptions,
    earlier: Option<EarlierInput>,
) -> Result<(Content, InputSummary), InputProblem> {
    let raw = Raw::Stream(Box::new(Cursor::new(bytes.to_vec())));
    let limits = InputLimits { most: options.most_bytes, free_space: super::stored::free_bytes };
    Content::survey(InputSource::Stdin, InputReader::begin(raw, &std::env::temp_dir(), earlier, limits)?, options)
}

/// A survey of an input that can be used.
pub(super) fn content(text: &str, options: SurveyOptions) -> (Content, InputSummary) {
    survey(text.as_bytes(), options, None).unwrap()
}

/// A survey, and the second reading without its thread.
pub(super) fn content_and_batches(
    text: &str,
    options: SurveyOptions,
    maybe_sent: PossiblySent,
) -> ((Content, InputSummary), BatchReader) {
    let (content, survey) = content(text, options);
    let batches = content.batches(maybe_sent);
    ((content, survey), batches)
}
