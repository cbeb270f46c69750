use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::error::StackError;
use super::interrupt::Interrupt;
use super::log;
use super::process::ProcessIdentity;
use super::service::Service;

const POLL: Duration = Duration::from_millis(100);
const LOG_LINES: usize = 30;

/// The result of a probe: the server answers, or the reason why it does not yet.
pub(crate) type Probed = Result<(), Box<dyn Error + Send + Sync>>;

/// A server that was started and does not answer yet.
#[derive(Debug)]
pub(crate) struct Pending<'a> {
    pub(crate) service: Service,
    pub(crate) process: &'a ProcessIdentity,
    pub(crate) log: &'a Path,
    /// The log's length before the start.
    pub(crate) log_start: u64,
    pub(crate) timeout: Duration,
    pub(crate) interrupt: &'a Interrupt,
}

impl Pending<'_> {
    /// Waits until `probe` succeeds. Fails with the end of the log if the server ends, or does not answer in time.
    pub(crate) fn wait(&self, mut probe: impl FnMut() -> Probed) -> Result<(), StackError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let Err(reason) = probe() else {
                return Ok(());
            };

            self.interrupt.check()?;
            if !self.process.is_alive() {
                return Err(StackError::new(format!(
                    "{} ended before it answered; the end of {}:\n{}",
                    self.service,
                    self.log.display(),
                    self.log_tail()
                )));
            }

            if Instant::now() >= deadline {
                return Err(StackError::caused(
                    format!(
                        "{} did not answer within {} s; the end of {}:\n{}",
                        self.service,
                        self.timeout.as_secs(),
                        self.log.display(),
                        self.log_tail()
                    ),
                    reason,
                ));
            }
            thread::sleep(POLL);
        }
    }

    fn log_tail(&self) -> String {
        log::tail(self.log, self.log_start, LOG_LINES)
    }
}

/// Waits until `done` holds; false if it does not in time.
pub(crate) fn wait_until(timeout: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
}
