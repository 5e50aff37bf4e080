//! Inputs for the tests of this room.

use super::content::Content;
use super::deal::Dealer;
use super::framing::Feed;
use super::intake::{Intake, Limits, Raw};
use super::{Earlier, InputSource, PossiblySent, Survey, SurveyOptions, Trouble};
use std::io::Cursor;

impl Feed for &[u8] {
    fn feed(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        let (now, later) = self.split_at(self.len().min(into.len()));
        into[..now.len()].copy_from_slice(now);
        *self = later;
        Ok(now.len())
    }
}

/// A content in pieces of at most `step` bytes.
pub(super) struct Drip<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) step: usize,
}

impl Feed for Drip<'_> {
    fn feed(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        let step = self.step.min(into.len());
        self.bytes.feed(&mut into[..step])
    }
}

/// A survey of bytes that come like those of standard input.
pub(super) fn survey(
    bytes: &[u8],
    options: SurveyOptions,
    earlier: Option<Earlier>,
) -> Result<(Content, Survey), Trouble> {
    let raw = Raw::Stream(Box::new(Cursor::new(bytes.to_vec())));
    let limits = Limits { most: options.most_bytes, look: super::spool::free };
    Content::survey(InputSource::Stdin, Intake::begin(raw, &std::env::temp_dir(), earlier, limits)?, options)
}

/// A survey of an input that can be used.
pub(super) fn content(text: &str, options: SurveyOptions) -> (Content, Survey) {
    survey(text.as_bytes(), options, None).unwrap()
}

/// A survey, and the second reading without its thread.
pub(super) fn content_and_dealer(
    text: &str,
    options: SurveyOptions,
    maybe_sent: PossiblySent,
) -> ((Content, Survey), Dealer) {
    let (content, survey) = content(text, options);
    let dealer = content.dealer(maybe_sent);
    ((content, survey), dealer)
}
