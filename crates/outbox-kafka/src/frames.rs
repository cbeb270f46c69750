//! Frames on a stream, each with its length before it.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use super::pending::Pending;

/// Hands answers on until the stream ends, and tells why it did.
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
    let length = usize::try_from(reader.read_i32().await?).ok().filter(|length| *length <= max);
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

/// Writes requests until the stream breaks, and tells why it did.
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
