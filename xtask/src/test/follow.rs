use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::outcome::report;

const POLL: Duration = Duration::from_millis(50);

/// Copies what programs write to a file to the terminal, as they write it, until it is dropped.
///
/// A pipe would end only when the last server ends that a test has left running.
#[derive(Debug)]
pub(super) struct Follower {
    is_complete: Arc<AtomicBool>,
    copying: Option<JoinHandle<()>>,
}

impl Follower {
    /// Follows a file that exists.
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let is_complete = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_complete);
        let copying = thread::spawn(move || {
            if let Err(error) = copy(file, &ended) {
                report(&format!("cannot show the output of the tests: {error}"));
            }
        });
        Ok(Self { is_complete, copying: Some(copying) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.is_complete.store(true, Ordering::Release);
        if let Some(copying) = self.copying.take() {
            let _ = copying.join();
        }
    }
}

fn copy(mut file: File, is_complete: &AtomicBool) -> io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        // In this order, so that nothing stays that was written before the end.
        let is_last = is_complete.load(Ordering::Acquire);
        loop {
            let length = file.read(&mut bytes)?;
            if length == 0 {
                break;
            }
            let mut terminal = io::stdout().lock();
            terminal.write_all(bytes.get(..length).unwrap_or_default())?;
            terminal.flush()?;
        }
        if is_last {
            return Ok(());
        }
        thread::sleep(POLL);
    }
}
