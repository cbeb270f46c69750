//! Accepts connections, and serves each.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::api::{self, Answer};
use super::shared::Shared;
use super::wire::{Malformed, frame};

/// The pause after a failed accept, which usually means that no file descriptors are left.
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
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_ended) = connections.join_next() => {}
        }
    }

    drop(listener);
    connections.shutdown().await;
}

/// Serves one connection until its end. Requests are answered one by one, in order.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // An error ends only this connection. The client sees a closed connection, as with Kafka.
    let _ = requests(stream, &shared).await;
}

/// Answers the requests of a connection in order, as Kafka does. A request is handled only while the broker is not
/// frozen.
async fn requests(mut stream: TcpStream, shared: &Arc<Shared>) -> Result<(), Malformed> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let limit = shared.settings.imitation.request_limit();

    while let Some(request) = frame::read(&mut reader, limit).await? {
        // The request may have been sent to a frozen broker. It is then handled late, even if the client has
        // disconnected.
        shared.faults.thawed().await;

        let answer = api::answer(shared, request).await?;
        shared.faults.thawed().await;

        match answer {
            Answer::Reply(reply) => writer.write_all(&reply).await?,
            Answer::Throttled(reply, pause) => {
                writer.write_all(&reply).await?;
                tokio::time::sleep(pause).await;
            }
            Answer::Silence => {}
            Answer::Never => {
                tokio::io::copy(&mut reader, &mut tokio::io::sink()).await?;
                return Ok(());
            }
            Answer::Close => return Ok(()),
        }
    }
    Ok(())
}
