//! Frames on a stream, each with its length before it.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use super::error::Error;
use super::pending::Pending;

/// A TLS record of an alert (RFC 8446, section 5.1): type 21 and the first byte of the version. As the length of an
/// answer it would be more than 350 MB.
const TLS_ALERT: [u8; 2] = [21, 3];

#[derive(Debug, thiserror::Error)]
#[error("the answer is a TLS alert")]
struct TlsAnswer;

/// Returns whether an error says that the other side answered with TLS to a request without it.
pub(super) fn is_tls(error: &Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        let io = source.downcast_ref::<io::Error>();
        if io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<TlsAnswer>()) {
            return true;
        }
        next = source.source();
    }
    false
}

/// Passes answers on until the stream ends, and reports why it ended.
pub(super) async fn receive(reader: impl AsyncRead + Unpin, max: usize, pending: &Pending) -> io::Error {
    let mut reader = BufReader::new(reader);
    loop {
        let handed_on = frame(&mut reader, max).await.and_then(|frame| pending.answer(frame));
        if let Err(cause) = handed_on {
            return cause;
        }
    }
}

async fn frame(reader: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<Bytes> {
    let read = reader.read_i32().await?;
    if read.to_be_bytes().starts_with(&TLS_ALERT) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, TlsAnswer));
    }

    let length = usize::try_from(read).ok().filter(|length| *length <= max);
    let length =
        length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an answer's length is out of range"))?;
    let mut frame = BytesMut::with_capacity(length);
    let mut reader = reader.take(length as u64);
    while frame.len() < length {
        if reader.read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(frame.freeze())
}

/// Writes requests until the stream fails, and reports why it failed.
pub(super) async fn send(mut writer: impl AsyncWrite + Unpin, mut frames: mpsc::UnboundedReceiver<Bytes>) -> io::Error {
    while let Some(frame) = frames.recv().await {
        let mut written = writer.write_all(&frame).await;
        if written.is_ok() && frames.is_empty() {
            written = writer.flush().await;
        }
        if let Err(cause) = written {
            return cause;
        }
    }
    io::ErrorKind::NotConnected.into()
}
