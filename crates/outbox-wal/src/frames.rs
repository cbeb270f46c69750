use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::Error;

/// The size of an allocation. A slice keeps the whole allocation alive, so it is filled before the next one is made.
/// Otherwise, a server that sends 8 KiB at a time would use eight times the counted memory.
const BUFFER: usize = 64 * 1024;
/// The number of bytes that may arrive during a pause.
const BUFFER_AFTER_NAP: usize = 512 * 1024;
/// The size of a buffer's rest that is too small for another read.
const REST: usize = 8;
/// The largest message. PostgreSQL limits a value to 1 GB, so a longer message is malformed.
const LONGEST: usize = (1 << 30) + (1 << 20);
const HEADER: usize = 5;

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub tag: u8,
    pub body: Bytes,
}

/// The bytes that were received and not yet taken.
#[derive(Debug, Default)]
pub struct Received(BytesMut);

impl Received {
    /// Reads from the socket once, and returns the number of bytes. Nothing is lost when the future is dropped.
    pub async fn fill(&mut self, socket: &mut (impl AsyncRead + Unpin)) -> Result<usize, Error> {
        // The space for the rest of a long message, but at most as much as is buffered, because the stated length may
        // be wrong.
        let missing = self.head()?.map_or(0, |(_, length)| length.saturating_sub(self.0.len()));
        self.make_room(missing.min(self.0.len()), BUFFER);
        match socket.read_buf(&mut self.0).await {
            Ok(0) => Err(Error::hung_up()),
            Ok(length) => Ok(length),
            Err(error) => Err(Error::lost(error)),
        }
    }

    /// Reads as [`fill`](Self::fill) does, after a pause in which more bytes may arrive.
    pub async fn fill_after(
        &mut self,
        nap: Option<Duration>,
        socket: &mut (impl AsyncRead + Unpin),
    ) -> Result<usize, Error> {
        if let Some(nap) = nap {
            tokio::time::sleep(nap).await;
            self.make_room(0, BUFFER_AFTER_NAP);
        }
        self.fill(socket).await
    }

    fn make_room(&mut self, missing: usize, buffer: usize) {
        if self.0.capacity() - self.0.len() < missing.max(buffer / REST) {
            self.0.reserve(missing.max(buffer));
        }
    }

    /// Returns whether a whole message was received.
    pub fn has_frame(&self) -> Result<bool, Error> {
        Ok(self.head()?.is_some_and(|(_, length)| length <= self.0.len()))
    }

    /// Removes and returns the next message, if it was received as a whole.
    pub fn frame(&mut self) -> Result<Option<Frame>, Error> {
        match self.head()? {
            Some((tag, length)) if length <= self.0.len() => {
                let mut body = self.0.split_to(length).freeze();
                body.advance(HEADER);
                Ok(Some(Frame { tag, body }))
            }
            _ => Ok(None),
        }
    }

    /// Removes and returns all leading whole messages of this tag, as one run.
    pub fn run(&mut self, tag: u8) -> Result<Option<Bytes>, Error> {
        let mut end = 0;
        while let Some((found, length)) = self.0.get(end..).map_or(Ok(None), head)?
            && found == tag
            && end + length <= self.0.len()
        {
            end += length;
        }
        Ok((end > 0).then(|| self.0.split_to(end).freeze()))
    }

    fn head(&self) -> Result<Option<(u8, usize)>, Error> {
        head(&self.0)
    }
}

/// Removes the next message from a run, and returns its body.
pub fn take_body(run: &mut Bytes) -> Option<Bytes> {
    let (_, length) = head(run).ok().flatten()?;
    if length > run.len() {
        return None;
    }
    let mut body = run.split_to(length);
    body.advance(HEADER);
    Some(body)
}

/// Returns the bodies of a run's messages.
pub fn bodies(mut run: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (_, length) = head(run).ok().flatten()?;
        let (frame, rest) = run.split_at_checked(length)?;
        run = rest;
        frame.get(HEADER..)
    })
}

/// Returns tag and whole length of the first message.
fn head(bytes: &[u8]) -> Result<Option<(u8, usize)>, Error> {
    let Some(([tag, length @ ..], _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if !(4..=LONGEST).contains(&length) {
        return Err(Error::protocol("the length of a message"));
    }
    Ok(Some((*tag, length + 1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (tag, body) in frames {
            out.push(*tag);
            out.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
            out.extend(body);
        }
        out
    }

    fn frames() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
        let tag = prop::sample::select(b"ddddEN".to_vec());
        proptest::collection::vec((tag, proptest::collection::vec(any::<u8>(), 0..50)), 0..20)
    }

    #[tokio::test]
    async fn what_is_kept_of_a_server_that_sends_little_at_a_time_is_about_what_it_sent() {
        const PIECE: usize = 8 * 1024;
        let row = encode(&[(b'd', vec![0; PIECE - HEADER])]);
        let (mut received, mut kept, mut buffers) = (Received::default(), Vec::new(), 0);
        let mut end = std::ptr::null();
        for _ in 0..256 {
            received.fill(&mut row.as_slice()).await.unwrap();
            let run = received.run(b'd').unwrap().unwrap();
            buffers += usize::from(run.as_ptr() != end);
            end = run.as_ptr_range().end;
            kept.push(run);
        }
        assert!(buffers * BUFFER <= kept.len() * PIECE * 5 / 4, "{buffers}");
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(frames in frames(), piece in 1_usize..70) {
            let (mut one_by_one, mut runs) = (Received::default(), Received::default());
            let (mut seen, mut seen_of_runs) = (Vec::new(), Vec::new());

            for piece in encode(&frames).chunks(piece) {
                one_by_one.0.extend_from_slice(piece);
                while let Some(Frame { tag, body }) = one_by_one.frame().unwrap() {
                    seen.push((tag, body.to_vec()));
                }
                runs.0.extend_from_slice(piece);

                loop {
                    if let Some(mut run) = runs.run(b'd').unwrap() {
                        let count = bodies(&run).count();
                        let before = seen_of_runs.len();
                        while let Some(body) = take_body(&mut run) {
                            seen_of_runs.push((b'd', body.to_vec()));
                        }
                        prop_assert_eq!((run.len(), seen_of_runs.len() - before), (0, count));
                    } else if let Some(Frame { tag, body }) = runs.frame().unwrap() {
                        seen_of_runs.push((tag, body.to_vec()));
                    } else {
                        break;
                    }
                }
            }

            prop_assert_eq!(&seen, &frames);
            prop_assert_eq!(&seen_of_runs, &frames);
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut received = Received(BytesMut::from(&*bytes));
            while let Ok(Some(_)) = received.frame() {}
            let mut received = Received(BytesMut::from(&*bytes));
            let _ = received.run(b'd');
        }
    }
}
