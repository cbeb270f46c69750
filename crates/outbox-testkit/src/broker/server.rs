use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::connection;
use super::shared::Shared;

/// After a failed accept (no file descriptors left, as a rule), so that it does not spin.
const PAUSE: Duration = Duration::from_millis(20);

/// Accepts connections until the other end of `stopped` is dropped, and ends them all.
///
/// Dropping this closes the port at once, and the connections as soon as the runtime gets to them.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _peer)) => {
                    connections.spawn(connection::serve(stream, Arc::clone(&shared)));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}
