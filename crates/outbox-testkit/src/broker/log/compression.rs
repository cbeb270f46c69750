//! The codecs of record batches, with a limit on the decompressed size.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{FrameDecoder, FrameEncoder};

/// The most bytes of a batch; Kafka has no bound here.
const LIMIT: usize = 128 * 1024 * 1024;

/// A codec of record batches (`compression.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// `gzip`, number 1 in the attributes of a batch.
    Gzip,
    /// `snappy`, number 2.
    Snappy,
    /// `lz4`, number 3.
    Lz4,
    /// `zstd`, number 4.
    Zstd,
}

/// A number in a batch's attributes that is no codec.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownCodec;

impl Codec {
    pub(in crate::broker) const ALL: [Self; 4] = [Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Returns the number in a batch's attributes.
    pub(super) const fn number(self) -> i16 {
        match self {
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Creates the codec of a number in a batch's attributes; `None` for 0, which is no compression.
    pub(super) fn from_number(number: i16) -> Result<Option<Self>, UnknownCodec> {
        match number {
            0 => Ok(None),
            1 => Ok(Some(Self::Gzip)),
            2 => Ok(Some(Self::Snappy)),
            3 => Ok(Some(Self::Lz4)),
            4 => Ok(Some(Self::Zstd)),
            _ => Err(UnknownCodec),
        }
    }
}

/// Compresses records. A codec that fails, which none does in memory, leaves the payload empty.
pub(super) fn compress(codec: Option<Codec>, payload: &[u8]) -> Vec<u8> {
    let compressed = match codec {
        None => Ok(payload.to_vec()),
        Some(Codec::Gzip) => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(payload).and_then(|()| encoder.finish())
        }
        Some(Codec::Snappy) => snap::raw::Encoder::new().compress_vec(payload).map_err(io::Error::from),
        Some(Codec::Lz4) => {
            let mut encoder = FrameEncoder::new(Vec::new());
            encoder.write_all(payload).and_then(|()| encoder.finish().map_err(io::Error::from))
        }
        Some(Codec::Zstd) => zstd::encode_all(payload, zstd::DEFAULT_COMPRESSION_LEVEL),
    };
    compressed.unwrap_or_default()
}

pub(super) fn decompress(codec: Option<Codec>, payload: &[u8]) -> io::Result<Cow<'_, [u8]>> {
    match codec {
        None => Ok(Cow::Borrowed(payload)),
        Some(Codec::Gzip) => bounded(MultiGzDecoder::new(payload), LIMIT),
        Some(Codec::Snappy) => snappy(payload),
        Some(Codec::Lz4) => bounded(FrameDecoder::new(payload), LIMIT),
        Some(Codec::Zstd) => bounded(zstd::stream::read::Decoder::new(payload)?, LIMIT),
    }
}

fn bounded(reader: impl Read, limit: usize) -> io::Result<Cow<'static, [u8]>> {
    let mut out = Vec::new();
    let read = reader.take(limit as u64 + 1).read_to_end(&mut out)?;
    if read > limit { Err(too_large()) } else { Ok(Cow::Owned(out)) }
}

/// Java's framing of Snappy: this header (with versions, 8 bytes), then blocks of a length (u32) and raw Snappy.
const SNAPPY_HEADER: &[u8] = b"\x82SNAPPY\0";
const SNAPPY_VERSIONS: usize = 8;

fn snappy(payload: &[u8]) -> io::Result<Cow<'static, [u8]>> {
    let mut out = Vec::new();
    let Some(blocks) = payload.strip_prefix(SNAPPY_HEADER) else {
        snappy_block(payload, &mut out)?;
        return Ok(Cow::Owned(out));
    };
    let mut rest = blocks.get(SNAPPY_VERSIONS..).ok_or(io::ErrorKind::UnexpectedEof)?;

    while let Some((length, blocks)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let (block, left) = blocks.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        snappy_block(block, &mut out)?;
        rest = left;
    }
    if rest.is_empty() { Ok(Cow::Owned(out)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn snappy_block(block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let length = snap::raw::decompress_len(block)?;
    if out.len().saturating_add(length) > LIMIT {
        return Err(too_large());
    }
    out.extend(snap::raw::Decoder::new().decompress_vec(block)?);
    Ok(())
}

fn too_large() -> io::Error {
    io::Error::other("decompressed, the batch is too large")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_comes_out_is_bounded() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&[0; 1000]).unwrap();
        let payload = encoder.finish().unwrap();
        assert_eq!(bounded(MultiGzDecoder::new(&*payload), 1000).unwrap().len(), 1000);
        assert!(bounded(MultiGzDecoder::new(&*payload), 999).is_err());
    }

    #[test]
    fn snappy_comes_raw_and_framed() {
        let block = snap::raw::Encoder::new().compress_vec(b"hello").unwrap();
        assert_eq!(*decompress(Some(Codec::Snappy), &block).unwrap(), *b"hello");
        let mut framed = [SNAPPY_HEADER, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for _ in 0..2 {
            framed.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
            framed.extend(&block);
        }
        assert_eq!(*decompress(Some(Codec::Snappy), &framed).unwrap(), *b"hellohello");
        framed.pop();
        assert!(decompress(Some(Codec::Snappy), &framed).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_decompress_or_fail(payload: Vec<u8>, number in 0_i16..5) {
            let _ = decompress(Codec::from_number(number).unwrap(), &payload);
        }
    }
}
