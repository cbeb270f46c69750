use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::api;
use super::shared::Shared;
use super::wire::{Malformed, frame};

/// The outcome of a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is answered with this frame.
    Reply(Bytes),
    /// It is answered, and the connection is not read for a while, as Kafka does to a client over its quota.
    Throttled(Bytes, Duration),
    /// It asked for no answer (`acks=0`).
    Silence,
    /// Neither it nor a later request of its connection is answered.
    Never,
    /// The connection is closed without an answer.
    Close,
}

/// Serves one connection until its end. Requests are answered one by one, in order.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // An error ends this connection only; the client sees it closed, as it would by Kafka.
    let _ = requests(stream, &shared).await;
}

async fn requests(mut stream: TcpStream, shared: &Arc<Shared>) -> Result<(), Malformed> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let limit = shared.settings.imitation.request_limit();
    while let Some(request) = frame::read(&mut reader, limit).await? {
        // A frozen broker may have been sent this before: it is handled late then, though the client may be gone.
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
