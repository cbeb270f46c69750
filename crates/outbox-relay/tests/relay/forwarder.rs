use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
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

    /// From here on it leads elsewhere; what is connected is cut off.
    pub(crate) fn leads_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }
}
