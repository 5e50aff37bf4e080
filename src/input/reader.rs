//! The first reading: decompresses and hashes the bytes, and copies them if they can't be read twice.

use super::error::InputProblem;
use super::identity::Original;
use super::identity::{ContentHasher, EarlierInput, HashingReader, InputIdentity};
use super::records::ByteSource;
use super::stored::{Blocks, Hashes, SpooledInput};
use super::stored::{FreeSpace, Spool};
use crate::model::InputMatch;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Windows up to 128 MiB, the default limit of `zstd -d`. With larger ones, a file could use too much memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const BUFFER: usize = 64 * 1024;
/// Larger inputs aren't kept in memory; this is about 20,000 rows.
pub(super) const MOST_IN_MEMORY: usize = 1 << 20;

pub(super) enum Raw {
    /// A regular file and the read position. The handle is shared with the second reading.
    File(Arc<File>, u64),
    /// Standard input, a FIFO or a device, which can be read once.
    Stream(Box<dyn Read + Send>),
}

impl Read for Raw {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file, at) => {
                let read = file.read_at(buf, *at)?;
                *at += read as u64;
                Ok(read)
            }
            Self::Stream(stream) => stream.read(buf),
        }
    }
}

/// The bytes that were read to detect the format, then the rest.
type PeekedStream = io::Chain<Cursor<Vec<u8>>, Raw>;
type Compressed = BufReader<HashingReader<PeekedStream>>;

enum Decoder {
    Plain(PeekedStream),
    Gzip(Box<MultiGzDecoder<Compressed>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Compressed>>),
}

impl Decoder {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.read(buf),
            Self::Gzip(inner) => inner.read(buf),
            Self::Zstd(inner) => inner.read(buf),
        }
    }

    fn format(&self) -> Option<&'static str> {
        match self {
            Self::Plain(_) => None,
            Self::Gzip(_) => Some("gzip"),
            Self::Zstd(_) => Some("zstd"),
        }
    }

    /// An error with an OS code comes from reading, one without it from the decoder.
    fn problem(&self, cause: io::Error) -> InputProblem {
        match self.format() {
            Some(format) if cause.raw_os_error().is_none() => InputProblem::Damaged { format, cause },
            Some(_) | None => InputProblem::Unreadable(cause),
        }
    }

    /// Hash and length of the compressed bytes, including any after the last frame; `None` if the input isn't
    /// compressed.
    fn finish(self) -> io::Result<Option<(String, u64)>> {
        let mut compressed = match self {
            Self::Plain(_) => return Ok(None),
            Self::Gzip(inner) => inner.into_inner(),
            Self::Zstd(inner) => inner.finish(),
        };
        io::copy(&mut compressed, &mut io::sink())?;
        Ok(Some(compressed.into_inner().hasher.finish()))
    }
}

/// The decompressed content of a file.
pub(super) struct Decompressed(Decoder);

impl Decompressed {
    pub(super) fn of(mut raw: Raw) -> Result<Self, InputProblem> {
        let head = packing_head(&mut raw)?;
        decoder_for(head, raw).map(Self)
    }

    /// Converts an error of a read.
    pub(super) fn problem(&self, cause: io::Error) -> InputProblem {
        self.0.problem(cause)
    }
}

impl Read for Decompressed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

/// The first reading of an input. Data is copied while it is parsed, so an input that is refused early doesn't fill
/// the disk.
pub(super) struct InputReader {
    decoder: Decoder,
    hasher: ContentHasher,
    original: Option<Original>,
    spool_dir: PathBuf,
    second_read: SecondRead,
    limits: InputLimits,
}

#[derive(Clone, Copy)]
pub(super) struct InputLimits {
    /// Maximum size of the content in bytes; `None` for no limit.
    pub(super) most: Option<u64>,
    /// Returns the free bytes for a copy; replaced in tests.
    pub(super) free_space: FreeSpace,
}

/// The source of the second reading.
enum SecondRead {
    /// The whole content, if it is small.
    Memory(Vec<u8>),
    Original(Hashes, Arc<File>),
    Copy(Hashes, Spool),
}

/// The result of the first reading, independent of the rules.
#[derive(Debug, Clone)]
pub(super) struct FirstReading {
    pub(super) stored: SpooledInput,
    /// `None` for a stream.
    pub(super) original: Option<Original>,
    pub(super) identity: InputIdentity,
    pub(super) continuation: Option<InputMatch>,
}

impl InputReader {
    /// Detects the format from the first bytes.
    pub(super) fn begin(
        mut raw: Raw,
        spool_dir: &Path,
        earlier: Option<EarlierInput>,
        limits: InputLimits,
    ) -> Result<Self, InputProblem> {
        let original = match &raw {
            Raw::File(file, _) => Some(Original::new(Arc::clone(file)).map_err(InputProblem::Unreadable)?),
            Raw::Stream(_) => None,
        };
        let head = packing_head(&mut raw)?;
        let decoder = decoder_for(head, raw)?;
        let second_read = SecondRead::Memory(Vec::new());
        Ok(Self {
            decoder,
            hasher: ContentHasher::new(earlier),
            original,
            spool_dir: spool_dir.into(),
            second_read,
            limits,
        })
    }

    fn retain(&mut self, chunk: &[u8]) -> Result<(), InputProblem> {
        if let SecondRead::Memory(bytes) = &mut self.second_read {
            if bytes.len() + chunk.len() <= MOST_IN_MEMORY {
                bytes.extend_from_slice(chunk);
                return Ok(());
            }
            let bytes = std::mem::take(bytes);
            self.second_read = match (&self.original, self.decoder.format()) {
                (Some(original), None) => SecondRead::Original(Hashes::default(), Arc::clone(&original.file)),
                (Some(_) | None, _) => {
                    SecondRead::Copy(Hashes::default(), Spool::create(&self.spool_dir, self.limits.free_space)?)
                }
            };
            self.retain(&bytes)?;
        }
        match &mut self.second_read {
            SecondRead::Memory(_) => {}
            SecondRead::Original(hashes, _) => hashes.update(chunk),
            SecondRead::Copy(hashes, spool) => {
                hashes.update(chunk);
                spool.write(chunk)?;
            }
        }
        Ok(())
    }

    /// Counts the remaining bytes, to report how much space a copy needs.
    fn count_rest(&mut self, buffer: &mut [u8]) -> Result<u64, InputProblem> {
        let mut rest = 0;
        loop {
            match self.decoder.read(buffer) {
                Ok(0) => return Ok(rest),
                Ok(read) => rest += read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.decoder.problem(error)),
            }
            if let Some(most) = self.limits.most.filter(|most| self.hasher.bytes() + rest > *most) {
                return Err(InputProblem::TooLarge { most });
            }
        }
    }

    /// To be called after the end was reached.
    pub(super) fn finish(self) -> Result<FirstReading, InputProblem> {
        let Self { decoder, hasher, original, second_read, .. } = self;
        let continuation = hasher.continuation();
        let (content_sha256, content_bytes) = hasher.finish();
        let compressed = decoder.finish().map_err(InputProblem::Unreadable)?;
        let (sha256, bytes) = compressed.unwrap_or_else(|| (content_sha256.clone(), content_bytes));
        let stored = match second_read {
            SecondRead::Memory(bytes) => SpooledInput::Memory(bytes.into()),
            SecondRead::Original(hashes, file) => SpooledInput::Original(Blocks::new(file, content_bytes, hashes)),
            SecondRead::Copy(hashes, spool) => {
                SpooledInput::Copy(Blocks::new(Arc::new(spool.file), content_bytes, hashes))
            }
        };
        let identity = InputIdentity { sha256, bytes, content_sha256, content_bytes };
        Ok(FirstReading { stored, original, identity, continuation })
    }
}

impl ByteSource for InputReader {
    fn read_bytes(&mut self, into: &mut [u8]) -> Result<usize, InputProblem> {
        let read = loop {
            match self.decoder.read(into) {
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.decoder.problem(error)),
            }
        };
        self.hasher.update(&into[..read]);
        if let Some(most) = self.limits.most.filter(|most| self.hasher.bytes() > *most) {
            return Err(InputProblem::TooLarge { most });
        }
        match self.retain(&into[..read]) {
            Ok(()) => Ok(read),
            Err(InputProblem::NoRoom { dir, available, .. }) => {
                let needed = self.hasher.bytes() + self.count_rest(into)?;
                Err(InputProblem::NoRoom { dir, needed, available })
            }
            Err(problem) => Err(problem),
        }
    }
}

/// The first bytes, which show the compression.
fn packing_head(raw: &mut Raw) -> Result<Vec<u8>, InputProblem> {
    let mut head = Vec::new();
    raw.take(6).read_to_end(&mut head).map_err(InputProblem::Unreadable)?;
    Ok(head)
}

/// Detects gzip and zstd. Other formats are detected in the content ([`super::formats`]).
fn decoder_for(head: Vec<u8>, raw: Raw) -> Result<Decoder, InputProblem> {
    let compressed = |head, raw| BufReader::with_capacity(BUFFER, HashingReader::new(Cursor::new(head).chain(raw)));
    match head.as_slice() {
        [0x1f, 0x8b, ..] => Ok(Decoder::Gzip(Box::new(MultiGzDecoder::new(compressed(head, raw))))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(compressed(head, raw)).map_err(InputProblem::Unreadable)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(InputProblem::Unreadable)?;
            Ok(Decoder::Zstd(Box::new(decoder)))
        }
        _ => Ok(Decoder::Plain(Cursor::new(head).chain(raw))),
    }
}
