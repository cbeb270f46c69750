use std::io;

use tokio_util::sync::CancellationToken;

/// Returns a token that is cancelled by the first SIGTERM or Ctrl-C.
///
/// # Errors
/// The signals cannot be caught.
#[cfg(unix)]
pub fn on_signal() -> io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(after(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }))
}

/// Returns a token that is cancelled by the first Ctrl-C.
///
/// # Errors
/// None here.
#[cfg(not(unix))]
pub fn on_signal() -> io::Result<CancellationToken> {
    Ok(after(async {
        _ = tokio::signal::ctrl_c().await;
        "Ctrl-C"
    }))
}

fn after(signal: impl Future<Output = &'static str> + Send + 'static) -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let signal = signal.await;
        tracing::info!(signal, "stopping");
        cancelled.cancel();
    });
    token
}
