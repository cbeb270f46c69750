use std::sync::Arc;

use outbox_net::rustls::ServerConfig;
use outbox_net::rustls::crypto::ring;
use outbox_net::rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::fixture::{TempFile, run};

/// `Basic` with `operator:hunter2`.
const LOGIN: &str = "authorization: Basic b3BlcmF0b3I6aHVudGVyMg==\r\n";

/// An imitation of a worker with TLS and basic authentication, as a proxy before Connect has them.
struct Worker {
    url: String,
    certificate: TempFile,
}

impl Worker {
    async fn start(name: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let pem = certificate.pem();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/kafka", listener.local_addr().unwrap().port());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A client that does not trust the certificate ends the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }

                let request = String::from_utf8(request).unwrap();
                let (status, body) = match request.contains(LOGIN) {
                    true if request.starts_with("GET /kafka/connectors?") => ("200 OK", "{}"),
                    true => ("404 Not Found", "{}"),
                    false => ("401 Unauthorized", "<html>"),
                };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
                _ = stream.shutdown().await;
            }
        });
        Self { url, certificate: TempFile::new(name, &pem) }
    }
}

#[tokio::test]
async fn tls_and_basic_authentication() {
    let worker = Worker::start("worker.pem").await;
    let list = ["connector", "list", "--connect-url", &worker.url, "--connect-user", "operator"];
    let trusting = [&list[..], &["--connect-ca", worker.certificate.path()]].concat();

    let listed = run(&trusting, &[("CONNECT_PASSWORD", "hunter2")]).await;
    assert_eq!(listed.text(0), "there are no connectors\n");
    let rejected = run(&trusting, &[("CONNECT_PASSWORD", "hunter3")]).await;
    assert!(rejected.code == 4 && rejected.stderr.contains("--connect-user"), "{rejected:?}");
    assert!(!rejected.stderr.contains("hunter3"), "{rejected:?}");
    let missing = run(&trusting, &[]).await;
    assert!(missing.code == 2 && missing.stderr.contains("CONNECT_PASSWORD"), "{missing:?}");
    let untrusted = run(&list, &[("CONNECT_PASSWORD", "hunter2")]).await;
    assert!(untrusted.code == 4 && untrusted.stderr.contains("certificate"), "{untrusted:?}");
}

#[tokio::test]
async fn a_password_is_never_sent_readable_to_all() {
    let list = ["connector", "list", "--connect-url", "http://connect.example:8083", "--connect-user", "operator"];
    let refused = run(&list, &[("CONNECT_PASSWORD", "hunter2")]).await;
    assert!(refused.code == 2 && refused.stderr.contains("https"), "{refused:?}");
}

#[tokio::test]
async fn a_worker_that_accepts_and_does_not_answer_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let failed = run(&["connector", "list", "--connect-url", &url, "--timeout", "0.2"], &[]).await;
    assert!(failed.code == 4 && failed.stderr.contains("no answer within 0.2 s (--timeout)"), "{failed:?}");
}
