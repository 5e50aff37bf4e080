//! The identity of an input, by its bytes and not by name or date, and the check that a file still has the surveyed
//! content.

use super::error::InputProblem;
use crate::files::hex;
use crate::model::InputMatch;
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, PoisonError};

/// Recorded in the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputIdentity {
    /// SHA-256 of the file in lower-case hex, as `sha256sum` prints it.
    pub sha256: String,
    pub bytes: u64,
    /// SHA-256 after decompression; equal to `sha256` if the file isn't compressed.
    pub content_sha256: String,
    pub content_bytes: u64,
}

/// The input of an earlier run, from its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierInput {
    pub content_bytes: u64,
    pub content_sha256: String,
}

/// Hashes the content while it is read, and compares its beginning with the earlier input.
pub(super) struct ContentHasher {
    sha: Sha256,
    bytes: u64,
    last: Option<u8>,
    earlier: Option<EarlierInput>,
    prefix_check: Option<PrefixCheck>,
}

/// The comparison at the length of the earlier content.
struct PrefixCheck {
    same: bool,
    ends_line: bool,
}

impl ContentHasher {
    pub(super) fn new(earlier: Option<EarlierInput>) -> Self {
        Self { sha: Sha256::new(), bytes: 0, last: None, earlier, prefix_check: None }
    }

    pub(super) fn update(&mut self, chunk: &[u8]) {
        let Some(at) = self.prefix_end_within(chunk.len()) else { return self.absorb(chunk) };
        let (before, after) = chunk.split_at(at);
        self.absorb(before);
        let digest = hex(&self.sha.clone().finalize());
        let same = self.earlier.as_ref().is_some_and(|earlier| earlier.content_sha256 == digest);
        // If the last line had no line end, a line end must come first.
        let ends_line = self.last.is_some_and(is_line_end) || after.first().copied().is_some_and(is_line_end);
        self.prefix_check = Some(PrefixCheck { same, ends_line });
        self.absorb(after);
    }

    /// Where in the next `len` bytes the earlier content ends; `None` unless at least one byte follows it.
    fn prefix_end_within(&self, len: usize) -> Option<usize> {
        let earlier = self.earlier.as_ref().filter(|_| self.prefix_check.is_none())?;
        usize::try_from(earlier.content_bytes.checked_sub(self.bytes)?).ok().filter(|&at| at < len)
    }

    fn absorb(&mut self, chunk: &[u8]) {
        self.sha.update(chunk);
        self.bytes += chunk.len() as u64;
        self.last = chunk.last().copied().or(self.last);
    }

    /// How the content compares with the earlier one; `None` if there was none.
    pub(super) fn continuation(&self) -> Option<InputMatch> {
        let earlier = self.earlier.as_ref()?;
        let same =
            || self.bytes == earlier.content_bytes && hex(&self.sha.clone().finalize()) == earlier.content_sha256;
        Some(match &self.prefix_check {
            Some(PrefixCheck { same: true, ends_line: true }) => InputMatch::Appended,
            None if same() => InputMatch::Same,
            Some(_) | None => InputMatch::Other,
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 in hex, and the length in bytes.
    pub(super) fn finish(self) -> (String, u64) {
        (hex(&self.sha.finalize()), self.bytes)
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Hashes the compressed bytes on their way to the decoder.
pub(super) struct HashingReader<R> {
    inner: R,
    pub(super) hasher: ContentHasher,
}

impl<R: Read> HashingReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, hasher: ContentHasher::new(None) }
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.hasher.update(&buf[..read]);
        Ok(read)
    }
}

const CHUNK: usize = 64 * 1024;

/// Size and times of a file. `changed` (ctime) can't be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileTimes {
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileTimes {
    fn of(file: &Metadata) -> Self {
        Self {
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// A regular file, possibly compressed.
#[derive(Debug, Clone)]
pub(super) struct Original {
    pub(super) file: Arc<File>,
    /// Size and times when the content was last known to be unchanged.
    seen: Arc<Mutex<FileTimes>>,
}

impl Original {
    pub(super) fn new(file: Arc<File>) -> io::Result<Self> {
        let seen = FileTimes::of(&file.metadata()?);
        Ok(Self { file, seen: Arc::new(Mutex::new(seen)) })
    }

    /// Fails if the surveyed bytes were changed. Cheap if size and times are the same; otherwise the bytes are
    /// compared, so that appended rows or changed permissions don't stop a run.
    pub(super) fn check(&self, sha256: &str, bytes: u64) -> Result<(), InputProblem> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = FileTimes::of(&self.file.metadata().map_err(InputProblem::Unreadable)?);
        if *seen == now {
            return Ok(());
        }
        if now.bytes < bytes || self.sha256_of_first(bytes).map_err(InputProblem::Unreadable)? != sha256 {
            return Err(InputProblem::Changed);
        }
        *seen = now;
        Ok(())
    }

    fn sha256_of_first(&self, bytes: u64) -> io::Result<String> {
        let (mut hasher, mut at, mut chunk) = (ContentHasher::new(None), 0, vec![0; CHUNK]);
        while at < bytes {
            let most = usize::try_from(bytes - at).map_or(CHUNK, |left| left.min(CHUNK));
            match self.file.read_at(&mut chunk[..most], at) {
                Ok(0) => break,
                Ok(read) => {
                    hasher.update(&chunk[..read]);
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(hasher.finish().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earlier(content: &[u8]) -> EarlierInput {
        let mut hasher = ContentHasher::new(None);
        hasher.update(content);
        let (content_sha256, content_bytes) = hasher.finish();
        EarlierInput { content_bytes, content_sha256 }
    }

    #[test]
    fn the_hash_is_that_of_sha256sum() {
        assert_eq!(earlier(b"abc").content_sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn only_whole_lines_behind_the_same_content_continue_it() {
        for (old, new, want) in [
            ("a\nb\n", "a\nb\n", InputMatch::Same),
            ("a\nb\n", "a\nb\nc", InputMatch::Appended),
            ("a\nb", "a\nb\nc\n", InputMatch::Appended),
            ("a\nb", "a\nb\r\nc\n", InputMatch::Appended),
            ("a\nb\r", "a\nb\rc\n", InputMatch::Appended),
            ("a\nb", "a\nb1\n", InputMatch::Other),
            ("a\nb\n", "a\nb", InputMatch::Other),
            ("a\nb\n", "a\nX\nc\n", InputMatch::Other),
            ("a\nb\n", "a\nX\n", InputMatch::Other),
            ("", "a\n", InputMatch::Other),
        ] {
            for step in 1..=new.len() {
                let mut hasher = ContentHasher::new(Some(earlier(old.as_bytes())));
                new.as_bytes().chunks(step).for_each(|chunk| hasher.update(chunk));
                assert_eq!(hasher.continuation(), Some(want), "{old:?} then {new:?}, {step} at a time");
            }
        }
    }
}
