use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// An address that leads to a server, and later to another one.
pub(crate) struct Forwarder {
    port: u16,
    target: watch::Sender<SocketAddr>,
}

impl Forwarder {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (target, watched) = watch::channel(target);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut watched = watched.clone();
                let target = *watched.borrow_and_update();
                tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(target).await {
                        tokio::select! {
                            _ = copy_bidirectional(&mut client, &mut server) => {}
                            _ = watched.changed() => {}
                        }
                    }
                });
            }
        });
        Self { port, target }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Leads new connections elsewhere, and closes those that are open.
    pub(crate) fn leads_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }
}

/// A proxy whose connections fail. It closes them only on request, and when it is dropped.
pub(crate) struct FaultyProxy {
    port: u16,
    stage: watch::Sender<Stage>,
    failed: watch::Receiver<usize>,
    /// The number of connections that forward.
    open: watch::Receiver<usize>,
    closed: watch::Sender<()>,
}

/// The fault of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Packets are acknowledged, and nothing is forwarded.
    Freeze,
    /// The kernel drops the packets of both ends, so they are not acknowledged.
    Drop,
    /// Single bytes are forwarded, ten in a second.
    Trickle,
}

/// The connections that fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    None,
    /// Those that are opened from now on.
    New,
    /// Those that are open now.
    Open,
    /// Those whose client sends this text from now on, after `answer` more bytes of the server.
    Sending {
        text: &'static str,
        answer: usize,
    },
}

impl FaultyProxy {
    pub(crate) async fn to(target: SocketAddr, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stage, watched) = watch::channel(Stage::None);
        let (count, failed) = watch::channel(0);
        let (forwarding, open) = watch::channel(0);
        let (closed, is_closed) = watch::channel(());

        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (stage, count, forwarding) = (watched.clone(), count.clone(), forwarding.clone());
                let mut is_closed = is_closed.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(target).await.unwrap();
                    forwarding.send_modify(|open| *open += 1);
                    let connection = forward(client, server, stage).await;
                    forwarding.send_modify(|open| *open -= 1);

                    if let Some(connection) = connection {
                        is_closed.mark_unchanged();
                        count.send_modify(|failed| *failed += 1);
                        tokio::select! {
                            () = connection.fail(fault) => {}
                            _ = is_closed.changed() => {}
                        }
                    }
                });
            }
        });
        Self { port, stage, failed, open, closed }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sets which connections fail, and returns how many have failed before.
    pub(crate) fn fail(&self, stage: Stage) -> usize {
        let before = *self.failed.borrow();
        self.stage.send_replace(stage);
        before
    }

    /// Waits until more connections have failed, or all that are open if these are to, and lets all others through
    /// from then on.
    pub(crate) async fn has_failed(&self, before: usize) {
        self.failed.clone().wait_for(|failed| *failed > before).await.unwrap();
        if *self.stage.borrow() == Stage::Open {
            self.open.clone().wait_for(|open| *open == 0).await.unwrap();
        }
        self.fail(Stage::None);
    }

    /// Closes the connections that have failed.
    ///
    /// A backend that waits for its client within the login, or to send, does not answer the other backends. One that
    /// drops a database waits for all of them, as a transaction for which each new slot waits.
    pub(crate) fn close_failed(&self) {
        self.closed.send_replace(());
    }
}

/// A connection at the moment when it fails.
struct Failing {
    client: TcpStream,
    server: TcpStream,
    /// The server's bytes that were read and not forwarded.
    rest: Vec<u8>,
}

/// The pause between two bytes.
const TRICKLE: Duration = Duration::from_millis(100);

impl Failing {
    async fn fail(mut self, fault: Fault) {
        match fault {
            Fault::Freeze => {}
            Fault::Drop => {
                // Classic BPF: return 0, which accepts no byte of any packet.
                let drop_all = [SockFilter::new(6, 0, 0, 0)];
                for socket in [&self.client, &self.server] {
                    SockRef::from(socket).attach_filter(&drop_all).unwrap();
                }
            }
            Fault::Trickle => _ = self.trickle().await,
        }
        std::future::pending::<()>().await;
    }

    /// Forwards byte by byte, until an end is closed.
    async fn trickle(&mut self) -> io::Result<()> {
        for byte in std::mem::take(&mut self.rest) {
            self.client.write_all(&[byte]).await?;
            tokio::time::sleep(TRICKLE).await;
        }
        loop {
            tokio::select! {
                byte = self.client.read_u8() => self.server.write_u8(byte?).await?,
                byte = self.server.read_u8() => self.client.write_u8(byte?).await?,
            }
            tokio::time::sleep(TRICKLE).await;
        }
    }
}

/// Forwards until the connection fails, and returns it then; `None` if it was closed.
async fn forward(mut client: TcpStream, mut server: TcpStream, stage: watch::Receiver<Stage>) -> Option<Failing> {
    let (mut up, mut down) = (vec![0; 8_192], vec![0; 8_192]);
    let (mut left, mut rest) = (if *stage.borrow() == Stage::New { 0 } else { usize::MAX }, Vec::new());

    while left > 0 {
        tokio::select! {
            () = is_open_and_fails(stage.clone()) => break,
            read = client.read(&mut up) => {
                let sent = &up[..read.ok().filter(|length| *length > 0)?];
                if let Stage::Sending { text, answer } = *stage.borrow()
                    && sent.windows(text.len()).any(|window| window == text.as_bytes())
                {
                    left = answer;
                }
                server.write_all(sent).await.ok()?;
            }
            read = server.read(&mut down) => {
                let length = read.ok().filter(|length| *length > 0)?;
                let (now, later) = down[..length].split_at(length.min(left));
                client.write_all(now).await.ok()?;
                rest.extend_from_slice(later);
                if left != usize::MAX {
                    left -= now.len();
                }
            }
        }
    }
    Some(Failing { client, server, rest })
}

async fn is_open_and_fails(mut stage: watch::Receiver<Stage>) {
    // Without the proxy, its connections stay as they are.
    if stage.wait_for(|stage| *stage == Stage::Open).await.is_err() {
        std::future::pending().await
    }
}
