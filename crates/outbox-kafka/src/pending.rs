use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};

use super::api;
use super::error::{Error, Kind};

/// The requests of a connection that wait for an answer. Brokers answer them in their order.
///
/// A caller may stop waiting at any time. The answer is then read and discarded, and later answers still reach their
/// requests.
#[derive(Debug)]
pub(super) struct Pending(Mutex<State>);

#[derive(Debug)]
enum State {
    Open { frames: mpsc::UnboundedSender<Bytes>, next: i32, waiting: VecDeque<Waiting> },
    Closed(Error),
}

#[derive(Debug)]
struct Waiting {
    correlation: i32,
    answer: oneshot::Sender<Result<Bytes, Error>>,
}

pub(super) type Answer = oneshot::Receiver<Result<Bytes, Error>>;

impl Pending {
    pub(super) fn new(frames: mpsc::UnboundedSender<Bytes>) -> Self {
        Self(Mutex::new(State::Open { frames, next: 0, waiting: VecDeque::new() }))
    }

    /// Queues a request. If it fails, the request is never sent.
    pub(super) fn send(&self, mut frame: BytesMut) -> Result<Answer, Error> {
        match &mut *self.lock() {
            State::Closed(error) => Err(error.clone()),
            State::Open { frames, next, waiting } => {
                let correlation = *next;
                api::correlate(&mut frame, correlation);
                frames.send(frame.freeze()).map_err(|_| Error::new(Kind::Closed))?;
                let (answer, receiver) = oneshot::channel();
                waiting.push_back(Waiting { correlation, answer });
                *next = next.wrapping_add(1);
                Ok(receiver)
            }
        }
    }

    pub(super) fn answer(&self, frame: Bytes) -> io::Result<()> {
        let State::Open { waiting, .. } = &mut *self.lock() else {
            return Ok(());
        };
        match waiting.pop_front() {
            Some(first) if api::correlation_of(&frame) == Some(first.correlation) => {
                let _ = first.answer.send(Ok(frame));
                Ok(())
            }
            first => {
                waiting.extend(first);
                Err(io::Error::new(io::ErrorKind::InvalidData, "an answer to no request"))
            }
        }
    }

    /// Fails all waiting requests. The first cause is kept.
    pub(super) fn close(&self, cause: io::Error) {
        let error = Error::new(Kind::Closed).because(cause);
        let mut state = self.lock();
        if let State::Open { waiting, .. } = &mut *state {
            let waiting = std::mem::take(waiting);
            *state = State::Closed(error.clone());
            drop(state);
            for request in waiting {
                let _ = request.answer.send(Err(error.clone()));
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(&*self.lock(), State::Closed(_))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
