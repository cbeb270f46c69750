use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::{Error, Secret};

/// The time that a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest secret in bytes, which is more than any password or token has.
const MAX_OUTPUT: u64 = 256 * 1024;

type Callback = dyn Fn() -> BoxFuture<'static, Result<Secret, Box<dyn StdError + Send + Sync>>> + Send + Sync;

/// The place that a password or a token is read from, again for each new connection, so that it can change while the
/// process runs. `Debug` shows no secret.
#[derive(Clone)]
pub struct SecretSource(Kind);

#[derive(Clone)]
enum Kind {
    Value(Secret),
    File(PathBuf),
    Command(Box<str>),
    Callback(Arc<Callback>),
}

impl SecretSource {
    /// Creates a source of a secret that does not change.
    #[must_use]
    pub fn value(secret: Secret) -> Self {
        Self(Kind::Value(secret))
    }

    /// Creates a source that reads a file. One line break at the end of the file is no part of the secret.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Kind::File(path.into()))
    }

    /// Creates a source that runs a command line with `sh -c` and takes its standard output.
    ///
    /// One line break at the end is no part of the secret. Standard error is that of this process. A command that takes
    /// more than 30 seconds is killed.
    #[must_use]
    pub fn command(line: impl Into<Box<str>>) -> Self {
        Self(Kind::Command(line.into()))
    }

    /// Creates a source that calls a function.
    #[must_use]
    pub fn callback<F, R>(function: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Secret, Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        Self(Kind::Callback(Arc::new(move || Box::pin(function()))))
    }

    /// Returns the present secret.
    ///
    /// # Errors
    /// The file cannot be read, or the command or the function fails.
    ///
    /// # Cancellation
    /// A command is killed when the future is dropped.
    pub async fn read(&self) -> Result<Secret, Error> {
        match &self.0 {
            Kind::Value(secret) => Ok(secret.clone()),
            Kind::File(path) => match tokio::fs::read_to_string(path).await {
                Ok(text) => Ok(Secret::new(without_line_break(&text))),
                Err(e) => Err(Error::file(path).because(e)),
            },
            Kind::Command(line) => tokio::time::timeout(COMMAND_TIMEOUT, run(line))
                .await
                .unwrap_or_else(|_| Err(Error::command(format!("no output within {COMMAND_TIMEOUT:?}")))),
            Kind::Callback(function) => function().await.map_err(Error::callback),
        }
    }
}

/// Runs a command and returns its output as a secret. The errors contain nothing of the output.
async fn run(line: &str) -> Result<Secret, Error> {
    let failed = |e: std::io::Error| Error::command("it cannot be run").because(e);
    let mut child = Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;

    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_OUTPUT).read_to_end(&mut output).await.map_err(failed)?;
    }
    let status = child.wait().await.map_err(failed)?;
    if !status.success() {
        return Err(Error::command(status.to_string()));
    }

    // The bytes are part of the error of a conversion: they must not get into it.
    let text = std::str::from_utf8(&output).map_err(|_| Error::command("its output is not UTF-8"))?;
    match without_line_break(text) {
        "" => Err(Error::command("its output is empty")),
        text => Ok(Secret::new(text)),
    }
}

fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

impl From<Secret> for SecretSource {
    fn from(secret: Secret) -> Self {
        Self::value(secret)
    }
}

impl From<String> for SecretSource {
    fn from(text: String) -> Self {
        Self::value(Secret::new(text))
    }
}

impl From<&str> for SecretSource {
    fn from(text: &str) -> Self {
        Self::value(Secret::new(text))
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Value(secret) => secret.fmt(f),
            Kind::File(path) => f.debug_tuple("File").field(path).finish(),
            // The command line may hold a secret.
            Kind::Command(_) => f.write_str("Command"),
            Kind::Callback(_) => f.write_str("Callback"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(source: SecretSource) -> Result<String, Error> {
        source.read().await.map(|secret| secret.expose().to_owned())
    }

    #[tokio::test]
    async fn each_source_gives_its_secret() {
        let path = std::env::temp_dir().join(format!("outbox-net-secret-{}", std::process::id()));
        std::fs::write(&path, "of a file \r\n").unwrap();
        assert_eq!(read(SecretSource::from("fixed")).await.unwrap(), "fixed");
        assert_eq!(read(SecretSource::file(&path)).await.unwrap(), "of a file ");
        std::fs::write(&path, "rotated").unwrap();
        assert_eq!(read(SecretSource::file(&path)).await.unwrap(), "rotated");
        std::fs::remove_file(&path).unwrap();
        assert!(read(SecretSource::file(&path)).await.unwrap_err().to_string().contains("outbox-net-secret"));

        assert_eq!(read(SecretSource::command("printf 'a%s\\n' b")).await.unwrap(), "ab");
        let callback = SecretSource::callback(|| async { Ok(Secret::new("called")) });
        assert_eq!(read(callback).await.unwrap(), "called");
    }

    #[tokio::test]
    async fn a_failed_command_shows_neither_its_line_nor_its_output() {
        for line in
            ["echo hunter2; exit 3", "true hunter2", "printf 'hunter2\\377'", "hunter2-is-no-command 2>/dev/null"]
        {
            let source = SecretSource::command(line);
            let error = source.read().await.unwrap_err();
            let shown = format!("{source:?} {error} {error:?}");
            assert!(shown.contains("by hand") && !shown.contains("hunter2"), "{shown}");
        }
    }
}
