//! The surveyed bytes, decompressed, for later readings. A small input is kept in memory. A large one is read again
//! in blocks, and each block is compared with its hash before its rows are used, so that rows changed after the
//! survey are never sent.

use super::error::InputProblem;
use super::records::{ByteSource, Dialect, Position, RecordReader};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes read at a time in sequential readings.
pub(super) const CHUNK: usize = 64 * 1024;

/// Size of a hashed block. Small, because rows of one workspace are looked up one by one, and each lookup reads one
/// or two blocks.
pub(super) const BLOCK: usize = 4 * 1024;

/// Half of a SHA-256, which is still infeasible to forge.
type BlockHash = [u8; 16];

fn end_of(block: Sha256) -> BlockHash {
    let digest = block.finalize();
    std::array::from_fn(|index| digest[index])
}

/// The hash of each block: 4 bytes per KiB of input.
#[derive(Default)]
pub(super) struct Hashes {
    ended: Vec<BlockHash>,
    block: Sha256,
    in_block: usize,
}

impl Hashes {
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.in_block));
            self.block.update(now);
            self.in_block += now.len();
            if self.in_block == BLOCK {
                self.end_block();
            }
            bytes = later;
        }
    }

    fn end_block(&mut self) {
        self.ended.push(end_of(std::mem::take(&mut self.block)));
        self.in_block = 0;
    }

    fn finish(mut self) -> Vec<BlockHash> {
        if self.in_block > 0 {
            self.end_block();
        }
        self.ended
    }
}

/// The bytes up to the end of the first reading, without bytes appended later. Clones share them.
#[derive(Debug, Clone)]
pub(super) enum SpooledInput {
    Memory(Arc<[u8]>),
    /// The file itself, which other programs may change.
    Original(Blocks),
    /// An unnamed copy on disk. It is compared as well.
    Copy(Blocks),
}

#[derive(Debug, Clone)]
pub(super) struct Blocks {
    file: Arc<File>,
    len: u64,
    hashes: Arc<[BlockHash]>,
}

impl SpooledInput {
    pub(super) fn is_original(&self) -> bool {
        match self {
            Self::Original(_) => true,
            Self::Memory(_) | Self::Copy(_) => false,
        }
    }

    /// A reader at `from` that reads about `chunk` bytes at a time.
    pub(super) fn range(&self, from: u64, chunk: usize) -> RangeReader {
        RangeReader { stored: self.clone(), at: from, chunk, window: Vec::new(), window_at: 0 }
    }

    pub(super) fn records(&self, position: Position, dialect: Dialect, chunk: usize) -> RecordReader<RangeReader> {
        RecordReader::at(position, dialect, self.range(position.offset, chunk), chunk)
    }
}

/// Reads by position, so that readers don't affect each other.
#[derive(Debug)]
pub(super) struct RangeReader {
    stored: SpooledInput,
    at: u64,
    chunk: usize,
    /// Compared blocks, starting at `window_at`.
    window: Vec<u8>,
    window_at: u64,
}

impl ByteSource for RangeReader {
    fn read_bytes(&mut self, into: &mut [u8]) -> Result<usize, InputProblem> {
        let here = match &self.stored {
            SpooledInput::Memory(bytes) => behind(bytes, self.at),
            SpooledInput::Original(blocks) | SpooledInput::Copy(blocks) => {
                if self.at < self.window_at || behind(&self.window, self.at - self.window_at).is_empty() {
                    self.window_at = self.at - self.at % BLOCK as u64;
                    blocks.read(self.window_at, self.chunk, &mut self.window)?;
                }
                behind(&self.window, self.at - self.window_at)
            }
        };
        let count = here.len().min(into.len());
        into[..count].copy_from_slice(&here[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

/// The bytes from `at` to the end.
fn behind(bytes: &[u8], at: u64) -> &[u8] {
    usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default()
}

impl Blocks {
    pub(super) fn new(file: Arc<File>, len: u64, hashes: Hashes) -> Self {
        Self { file, len, hashes: hashes.finish().into() }
    }

    /// Reads whole blocks from the block boundary `from`: at least one, and about `chunk` bytes. `into` is empty only
    /// at the end.
    fn read(&self, from: u64, chunk: usize, into: &mut Vec<u8>) -> Result<(), InputProblem> {
        let left = usize::try_from(self.len.saturating_sub(from)).unwrap_or(usize::MAX);
        into.resize(left.min(chunk.next_multiple_of(BLOCK)), 0);
        // A reader that continues after an error must not see unverified bytes.
        self.fill(into, from).and_then(|()| self.compare(into, from)).inspect_err(|_| into.clear())
    }

    fn fill(&self, into: &mut [u8], from: u64) -> Result<(), InputProblem> {
        self.file.read_exact_at(into, from).map_err(|error| match error.kind() {
            // The file is shorter than at the survey.
            io::ErrorKind::UnexpectedEof => InputProblem::Changed,
            _ => InputProblem::Unreadable(error),
        })
    }

    fn compare(&self, bytes: &[u8], from: u64) -> Result<(), InputProblem> {
        let first = usize::try_from(from / BLOCK as u64).unwrap_or(usize::MAX);
        let known = self.hashes.get(first..).unwrap_or_default();
        let same = bytes.chunks(BLOCK).zip(known).all(|(block, hash)| end_of(Sha256::new_with_prefix(block)) == *hash);
        if same && known.len() >= bytes.len().div_ceil(BLOCK) { Ok(()) } else { Err(InputProblem::Changed) }
    }
}

/// Bytes written to a copy between two checks of the free space.
const STEP: u64 = 1 << 20;

/// Minimum space to leave free, because a small file may decompress to more than the disk holds.
const LEAST_FREE: u64 = 16 << 20;

/// Returns the free bytes of a directory's file system; `None` if unknown.
pub(super) type FreeSpace = fn(&Path) -> Option<u64>;

/// A copy of an input that can be read only once, in an unnamed file that is deleted with its last handle.
pub(super) struct Spool {
    pub(super) file: File,
    dir: PathBuf,
    written: u64,
    free_space: FreeSpace,
}

impl Spool {
    pub(super) fn create(dir: &Path, free_space: FreeSpace) -> Result<Self, InputProblem> {
        let file = tempfile::tempfile_in(dir).map_err(|cause| InputProblem::Spool { dir: dir.into(), cause })?;
        Ok(Self { file, dir: dir.into(), written: 0, free_space })
    }

    /// # Errors
    /// [`InputProblem::NoRoom`], whose `needed` has only the bytes so far; [`InputProblem::Spool`] if it can't be
    /// written.
    pub(super) fn write(&mut self, chunk: &[u8]) -> Result<(), InputProblem> {
        let before = self.written;
        self.written += chunk.len() as u64;
        if self.written / STEP > before / STEP
            && let Some(free) = (self.free_space)(&self.dir).filter(|free| *free < LEAST_FREE)
        {
            return Err(InputProblem::NoRoom { dir: self.dir.clone(), needed: self.written, available: before + free });
        }
        self.file.write_all(chunk).map_err(|cause| InputProblem::Spool { dir: self.dir.clone(), cause })
    }
}

pub(super) fn free_bytes(dir: &Path) -> Option<u64> {
    rustix::fs::statvfs(dir).ok().map(|found| found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn on_disk(content: &[u8], step: usize) -> (SpooledInput, File) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let mut hashes = Hashes::default();
        content.chunks(step.max(1)).for_each(|chunk| hashes.update(chunk));
        let blocks = Blocks::new(Arc::new(file.try_clone().unwrap()), content.len() as u64, hashes);
        (SpooledInput::Original(blocks), file)
    }

    /// All bytes that a reader returns, and whether it failed.
    fn read(mut span: RangeReader, step: usize) -> (Vec<u8>, bool) {
        let (mut all, mut some) = (Vec::new(), vec![0; step]);
        loop {
            match span.read_bytes(&mut some) {
                Ok(0) => return (all, false),
                Ok(count) => all.extend_from_slice(&some[..count]),
                Err(InputProblem::Changed) => return (all, true),
                Err(problem) => panic!("{problem}"),
            }
        }
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|index| u8::try_from(index * 7 % 251).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn a_reader_gives_what_was_stored(
            len in 0..5 * BLOCK, from in 0..5 * BLOCK, step in 1..2 * BLOCK, chunk in 1..3 * BLOCK,
        ) {
            let (content, from) = (content(len), from.min(len));
            let on_disk = on_disk(&content, step).0;
            for stored in [SpooledInput::Memory(content.clone().into()), on_disk] {
                prop_assert_eq!(read(stored.range(from as u64, chunk), step), (content[from..].to_vec(), false));
            }
        }

        #[test]
        fn a_changed_byte_is_never_given(
            len in 1..5 * BLOCK, from in 0..5 * BLOCK, changed in 0..5 * BLOCK, step in 1..2 * BLOCK, cut in any::<bool>(),
        ) {
            let (content, changed, from) = (content(len), changed % len, from % len);
            let (stored, file) = on_disk(&content, 1000);
            let mut other = content.clone();
            if cut { other.truncate(changed) } else { other[changed] ^= 1 }
            file.set_len(0).unwrap();
            file.write_all_at(&other, 0).unwrap();
            let (given, stopped) = read(stored.range(from as u64, BLOCK), step);
            prop_assert_eq!(&given, &content[from..from + given.len()]);
            prop_assert_eq!(stopped, cut || from - from % BLOCK <= changed);
        }
    }

    #[test]
    fn a_copy_leaves_room_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(folder.path(), |_| Some(LEAST_FREE - 1)).unwrap();
        spool.write(&vec![0; 1 << 19]).unwrap();
        let problem = spool.write(&vec![0; 1 << 20]).unwrap_err();
        assert!(matches!(problem, InputProblem::NoRoom { needed: 1_572_864, available: 17_301_503, .. }), "{problem}");
        let mut spool = Spool::create(folder.path(), free_bytes).unwrap();
        spool.write(&vec![0; 2 << 20]).unwrap();
        assert!(free_bytes(folder.path()).is_some_and(|free| free > 0));
    }
}
