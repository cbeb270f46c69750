//! A frame is a length (i32, big-endian, without itself) and that many bytes.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Malformed;

/// The longest frame in bytes (`socket.request.max.bytes`), unless the imitated broker has another limit.
const LIMIT: u32 = 100 * 1024 * 1024;

/// The bytes that are reserved at once, so that a stated length alone allocates no memory.
const STEP: usize = 256 * 1024;

/// Reads the next frame of at most `limit` bytes; `None` if the connection ended before its first byte.
pub(in crate::broker) async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    limit: Option<u32>,
) -> Result<Option<Bytes>, Malformed> {
    let mut length = [0; 4];
    let (first, rest) = length.split_at_mut(1);
    if reader.read(first).await? == 0 {
        return Ok(None);
    }
    reader.read_exact(rest).await?;
    let length = i32::from_be_bytes(length);
    let allowed = u32::try_from(length).ok().filter(|length| *length <= limit.unwrap_or(LIMIT));
    let allowed = allowed.ok_or(Malformed::FrameLength(length))?;

    let wanted = allowed as usize;
    let mut frame = BytesMut::with_capacity(wanted.min(STEP));
    let mut rest = reader.take(u64::from(allowed));
    while frame.len() < wanted {
        if rest.read_buf(&mut frame).await? == 0 {
            return Err(Malformed::Truncated);
        }
    }
    Ok(Some(frame.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_follow_each_other_until_the_end() {
        let mut input: &[u8] = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c";
        for expected in [&b"ab"[..], b"", b"c"] {
            assert_eq!(read(&mut input, None).await.unwrap().unwrap(), expected);
        }
        assert!(read(&mut input, None).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn lengths_out_of_range_and_short_frames_are_errors() {
        for mut input in [&b"\xff\xff\xff\xff"[..], b"\x7f\xff\xff\xffab", b"\0\0\0\x03ab", b"\0\0"] {
            assert!(read(&mut input, None).await.is_err());
        }
    }
}
