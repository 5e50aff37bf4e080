//! The first reading: bytes as they come, decompressed, hashed, and copied where they could not be read twice.

use super::error::Trouble;
use super::framing::Feed;
use super::identity::{Earlier, InputIdentity, Meter, Metered};
use super::original::Original;
use super::spool::{Look, Spool};
use super::stored::{Blocks, Hashes, Stored};
use crate::model::InputMatch;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Windows up to 128 MiB, as `zstd -d` takes them without being told; more would let a file decide over our memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const BUFFER: usize = 64 * 1024;
/// The most bytes that are kept in memory: some 20,000 rows.
pub(super) const MOST_IN_MEMORY: usize = 1 << 20;

/// Where bytes come from.
pub(super) enum Raw {
    /// A regular file: read by position, so that it can be read again through the same handle.
    File(Arc<File>, u64),
    /// Standard input, a FIFO or a device: gone once read.
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

/// The bytes that were looked at to know the format, then the rest.
type Whole = io::Chain<Cursor<Vec<u8>>, Raw>;
type Compressed = BufReader<Metered<Whole>>;

enum Decoder {
    Plain(Whole),
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

    /// A decoder's complaint has no number of the system's; a failing disk has.
    fn trouble(&self, cause: io::Error) -> Trouble {
        match self.format() {
            Some(format) if cause.raw_os_error().is_none() => Trouble::Damaged { format, cause },
            Some(_) | None => Trouble::Unreadable(cause),
        }
    }

    /// Hash and length of the compressed bytes, those behind the last frame included; none where nothing is compressed.
    fn finish(self) -> io::Result<Option<(String, u64)>> {
        let mut compressed = match self {
            Self::Plain(_) => return Ok(None),
            Self::Gzip(inner) => inner.into_inner(),
            Self::Zstd(inner) => inner.finish(),
        };
        io::copy(&mut compressed, &mut io::sink())?;
        Ok(Some(compressed.into_inner().meter.finish()))
    }
}

/// The first reading of an input. The copy grows with the parsing, so an input that is refused early fills no disk.
pub(super) struct Intake {
    decoder: Decoder,
    meter: Meter,
    original: Option<Original>,
    spool_dir: PathBuf,
    keep: Keep,
    limits: Limits,
}

/// What an input may take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of the content; `None` if any number will do.
    pub(super) most: Option<u64>,
    /// Tells the room for a copy.
    pub(super) look: Look,
}

/// What the second reading will read.
enum Keep {
    /// All of it, while it is small.
    Memory(Vec<u8>),
    Original(Hashes, Arc<File>),
    Copy(Hashes, Spool),
}

/// What the first reading found.
pub(super) struct FirstReading {
    pub(super) stored: Stored,
    pub(super) original: Option<Original>,
    pub(super) identity: InputIdentity,
    pub(super) continuation: Option<InputMatch>,
}

impl Intake {
    /// Looks at the first bytes and prepares to read all of them.
    pub(super) fn begin(
        mut raw: Raw,
        spool_dir: &Path,
        earlier: Option<Earlier>,
        limits: Limits,
    ) -> Result<Self, Trouble> {
        let original = match &raw {
            Raw::File(file, _) => Some(Original::new(Arc::clone(file)).map_err(Trouble::Unreadable)?),
            Raw::Stream(_) => None,
        };
        let mut head = Vec::new();
        (&mut raw).take(6).read_to_end(&mut head).map_err(Trouble::Unreadable)?;
        let decoder = decoder_for(head, raw)?;
        let keep = Keep::Memory(Vec::new());
        Ok(Self { decoder, meter: Meter::new(earlier), original, spool_dir: spool_dir.into(), keep, limits })
    }

    fn keep(&mut self, chunk: &[u8]) -> Result<(), Trouble> {
        if let Keep::Memory(bytes) = &mut self.keep {
            if bytes.len() + chunk.len() <= MOST_IN_MEMORY {
                bytes.extend_from_slice(chunk);
                return Ok(());
            }
            let bytes = std::mem::take(bytes);
            self.keep = match (&self.original, self.decoder.format()) {
                (Some(original), None) => Keep::Original(Hashes::default(), Arc::clone(&original.file)),
                (Some(_) | None, _) => Keep::Copy(Hashes::default(), Spool::create(&self.spool_dir, self.limits.look)?),
            };
            self.keep(&bytes)?;
        }
        match &mut self.keep {
            Keep::Memory(_) => {}
            Keep::Original(hashes, _) => hashes.update(chunk),
            Keep::Copy(hashes, spool) => {
                hashes.update(chunk);
                spool.write(chunk)?;
            }
        }
        Ok(())
    }

    /// The bytes that are left, read to say what a copy would take.
    fn count_rest(&mut self, buffer: &mut [u8]) -> Result<u64, Trouble> {
        let mut rest = 0;
        loop {
            match self.decoder.read(buffer) {
                Ok(0) => return Ok(rest),
                Ok(read) => rest += read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.decoder.trouble(error)),
            }
            if let Some(most) = self.limits.most.filter(|most| self.meter.bytes() + rest > *most) {
                return Err(Trouble::TooLarge { most });
            }
        }
    }

    /// What was read, once it has been read to its end.
    pub(super) fn finish(self) -> Result<FirstReading, Trouble> {
        let Self { decoder, meter, original, keep, .. } = self;
        let continuation = meter.continuation();
        let (content_sha256, content_bytes) = meter.finish();
        let compressed = decoder.finish().map_err(Trouble::Unreadable)?;
        let (sha256, bytes) = compressed.unwrap_or_else(|| (content_sha256.clone(), content_bytes));
        let stored = match keep {
            Keep::Memory(bytes) => Stored::Memory(bytes.into()),
            Keep::Original(hashes, file) => Stored::Original(Blocks::new(file, content_bytes, hashes)),
            Keep::Copy(hashes, spool) => Stored::Copy(Blocks::new(Arc::new(spool.file), content_bytes, hashes)),
        };
        let identity = InputIdentity { sha256, bytes, content_sha256, content_bytes };
        Ok(FirstReading { stored, original, identity, continuation })
    }
}

impl Feed for Intake {
    fn feed(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        let read = loop {
            match self.decoder.read(into) {
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.decoder.trouble(error)),
            }
        };
        self.meter.update(&into[..read]);
        if let Some(most) = self.limits.most.filter(|most| self.meter.bytes() > *most) {
            return Err(Trouble::TooLarge { most });
        }
        match self.keep(&into[..read]) {
            Ok(()) => Ok(read),
            Err(Trouble::NoRoom { dir, available, .. }) => {
                let needed = self.meter.bytes() + self.count_rest(into)?;
                Err(Trouble::NoRoom { dir, needed, available })
            }
            Err(trouble) => Err(trouble),
        }
    }
}

/// The packings that are read, known by their first bytes. What other formats are is seen in what they hold.
fn decoder_for(head: Vec<u8>, raw: Raw) -> Result<Decoder, Trouble> {
    let compressed = |head, raw| BufReader::with_capacity(BUFFER, Metered::new(Cursor::new(head).chain(raw)));
    match head.as_slice() {
        [0x1f, 0x8b, ..] => Ok(Decoder::Gzip(Box::new(MultiGzDecoder::new(compressed(head, raw))))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(compressed(head, raw)).map_err(Trouble::Unreadable)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(Trouble::Unreadable)?;
            Ok(Decoder::Zstd(Box::new(decoder)))
        }
        _ => Ok(Decoder::Plain(Cursor::new(head).chain(raw))),
    }
}
