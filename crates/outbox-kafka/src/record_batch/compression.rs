use std::io::{self, BufRead, BufReader, Write};

use bytes::{BufMut, BytesMut};

use super::snappy;

/// The way in which the records of a batch are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy, in xerial's framing.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// Returns the number in a batch's attributes.
    pub(super) const fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    pub(super) const fn of_attributes(attributes: i16) -> Option<Self> {
        match attributes & 0x7 {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Appends the compressed form to a buffer.
    pub(super) fn compress(self, plain: &[u8], into: &mut BytesMut) -> io::Result<()> {
        match self {
            Self::None => {
                into.put_slice(plain);
                Ok(())
            }
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(into.writer(), flate2::Compression::default());
                encoder.write_all(plain)?;
                encoder.finish().map(drop)
            }
            Self::Snappy => snappy::compress(plain, into),
            Self::Lz4 => {
                // The format of Java's client: independent blocks of 64 KiB. Brokers reject others.
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_mode(lz4_flex::frame::BlockMode::Independent)
                    .block_size(lz4_flex::frame::BlockSize::Max64KB);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, into.writer());
                encoder.write_all(plain)?;
                encoder.finish().map(drop).map_err(io::Error::other)
            }
            Self::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(into.writer(), 0)?;
                encoder.write_all(plain)?;
                encoder.finish().map(drop)
            }
        }
    }

    /// Decompresses piece by piece, because a small batch may decompress to a very large one.
    pub(crate) fn decompress<'a>(self, compressed: &'a [u8]) -> io::Result<Box<dyn BufRead + Send + 'a>> {
        Ok(match self {
            Self::None => Box::new(compressed),
            Self::Gzip => Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(compressed))),
            Self::Snappy => Box::new(BufReader::new(snappy::Decoder::new(compressed))),
            Self::Lz4 => Box::new(BufReader::new(lz4_flex::frame::FrameDecoder::new(compressed))),
            Self::Zstd => Box::new(BufReader::new(zstd::stream::read::Decoder::with_buffer(compressed)?)),
        })
    }
}
