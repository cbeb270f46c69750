use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::stack::error::StackError;
use crate::stack::interrupt::Interrupt;
use crate::stack::log;
use crate::stack::options::StackOptions;

const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(5);

/// The way in which downloads and installations are run: their output goes to a log.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) log: PathBuf,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) report: fn(&str),
}

impl<'a> Task<'a> {
    pub(crate) fn of(options: &'a StackOptions) -> Self {
        Self { log: options.paths.logs().join("provision.log"), interrupt: &options.interrupt, report: options.report }
    }

    pub(crate) fn report(&self, line: &str) {
        (self.report)(line);
    }

    /// Runs a command that needs the network, again if it fails.
    pub(crate) fn run_patiently(&self, what: &str, command: impl Fn(u32) -> Command) -> Result<(), StackError> {
        let mut attempt = 1;
        loop {
            match self.run(what, command(attempt)) {
                Err(error) if attempt < ATTEMPTS && !self.interrupt.is_raised() => {
                    self.report(&format!("{error}\ntrying again in {} s", PAUSE.as_secs()));
                    self.pause()?;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    pub(crate) fn run(&self, what: &str, mut command: Command) -> Result<(), StackError> {
        let log_start = log::end(&self.log);
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(StackError::file("open", &self.log))?;

        let errors = output.try_clone().map_err(StackError::file("write", &self.log))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let cannot_run = |error| StackError::caused(format!("cannot run {program}"), error);
        let mut child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().map_err(cannot_run)?;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(cannot_run)? {
                break status;
            }
            if let Err(interrupted) = self.interrupt.check() {
                // The child may have received the signal and ended already.
                let _ = child.kill();
                let _ = child.wait();
                return Err(interrupted);
            }
            std::thread::sleep(Duration::from_millis(50));
        };

        if status.success() {
            return Ok(());
        }

        Err(StackError::new(format!(
            "cannot {what}: {program} ended with {status}; the end of {}:\n{}",
            self.log.display(),
            log::tail(&self.log, log_start, 30)
        )))
    }

    fn pause(&self) -> Result<(), StackError> {
        let end = Instant::now() + PAUSE;
        while Instant::now() < end {
            self.interrupt.check()?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
