use std::net::SocketAddr;

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

/// A proxy whose connections freeze: both ends stay open, and nothing is forwarded any more.
pub(crate) struct FreezingProxy {
    port: u16,
    freeze: watch::Sender<Freeze>,
    frozen: watch::Receiver<usize>,
}

/// The connections that freeze.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Freeze {
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

impl FreezingProxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (freeze, watched) = watch::channel(Freeze::None);
        let (count, frozen) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (freeze, count) = (watched.clone(), count.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(target).await.unwrap();
                    if let Some(kept_open) = forward(client, server, freeze).await {
                        count.send_modify(|frozen| *frozen += 1);
                        std::future::pending::<()>().await;
                        drop(kept_open);
                    }
                });
            }
        });
        Self { port, freeze, frozen }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sets which connections freeze.
    pub(crate) fn freeze(&self, freeze: Freeze) {
        self.freeze.send_replace(freeze);
    }

    /// Waits until a connection is frozen, and lets all others through from then on.
    pub(crate) async fn has_frozen(&self) {
        self.frozen.clone().wait_for(|frozen| *frozen > 0).await.unwrap();
        self.freeze(Freeze::None);
    }
}

/// Forwards until the connection freezes, and returns it then; `None` if it was closed.
async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    freeze: watch::Receiver<Freeze>,
) -> Option<(TcpStream, TcpStream)> {
    let (mut up, mut down) = (vec![0; 8_192], vec![0; 8_192]);
    let mut left = if *freeze.borrow() == Freeze::New { 0 } else { usize::MAX };
    while left > 0 {
        tokio::select! {
            () = is_open_frozen(freeze.clone()) => break,
            read = client.read(&mut up) => {
                let sent = &up[..read.ok().filter(|length| *length > 0)?];
                if let Freeze::Sending { text, answer } = *freeze.borrow()
                    && sent.windows(text.len()).any(|window| window == text.as_bytes())
                {
                    left = answer;
                }
                server.write_all(sent).await.ok()?;
            }
            read = server.read(&mut down) => {
                let length = read.ok().filter(|length| *length > 0)?.min(left);
                client.write_all(&down[..length]).await.ok()?;
                if left != usize::MAX {
                    left -= length;
                }
            }
        }
    }
    Some((client, server))
}

async fn is_open_frozen(mut freeze: watch::Receiver<Freeze>) {
    freeze.wait_for(|freeze| *freeze == Freeze::Open).await.unwrap();
}
