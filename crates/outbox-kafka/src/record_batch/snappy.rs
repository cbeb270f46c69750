//! Snappy as Kafka uses it: blocks in the frame of the Java library `snappy-java`.

use std::io::{self, Read};

use bytes::{Buf, BufMut, BytesMut};

const MAGIC: &[u8] = b"\x82SNAPPY\0";
/// Version and oldest compatible version.
const VERSIONS: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 1];
const BLOCK: usize = 32 * 1024;

pub(super) fn compress(plain: &[u8], into: &mut BytesMut) -> io::Result<()> {
    into.put_slice(MAGIC);
    into.put_slice(VERSIONS);
    let mut encoder = snap::raw::Encoder::new();
    for block in plain.chunks(BLOCK) {
        let compressed = encoder.compress_vec(block)?;
        into.put_u32(u32::try_from(compressed.len()).map_err(io::Error::other)?);
        into.put_slice(&compressed);
    }
    Ok(())
}

/// Reads framed blocks, or one block without a frame as some clients write it.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
    framed: bool,
    block: io::Cursor<Vec<u8>>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(compressed: &'a [u8]) -> Self {
        let framed = compressed.strip_prefix(MAGIC).and_then(|rest| rest.get(VERSIONS.len()..));
        Self { rest: framed.unwrap_or(compressed), framed: framed.is_some(), block: io::Cursor::default() }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let length = match self.framed {
            true => self.rest.try_get_u32().map_err(io::Error::other)? as usize,
            false => self.rest.len(),
        };
        let (block, rest) = self.rest.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.rest = rest;
        // No snappy element of n bytes stands for more than 64 n: a larger claim is no block.
        if snap::raw::decompress_len(block)? > block.len().saturating_mul(64) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.block = io::Cursor::new(snap::raw::Decoder::new().decompress_vec(block)?);
        Ok(())
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.block.has_remaining() && !self.rest.is_empty() {
            self.next_block()?;
        }
        self.block.read(into)
    }
}
