use std::time::Duration;

use outbox_testkit::Broker;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// ApiVersions in version 0, correlation id 7, no client id.
const API_VERSIONS: &[u8] = b"\0\x12\0\0\0\0\0\x07\xff\xff";

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

async fn read_frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; usize::try_from(stream.read_u32().await?).unwrap()];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

/// Checks that a new connection is served.
async fn assert_serves(address: &str) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&framed(API_VERSIONS)).await.unwrap();
    let frame = tokio::time::timeout(Duration::from_secs(300), read_frame(&mut stream)).await.unwrap().unwrap();
    assert_eq!(frame[..6], [0, 0, 0, 7, 0, 0]);
}

/// Sends bytes and the end of the stream, and reads until the other side ends it too.
async fn throw(address: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The broker may have closed the connection before it has read all.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(300), stream.read_to_end(&mut answer)).await.expect("an end");
}

/// Returns the body of a request to a served API, in a served or nearly served version.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let keys = prop::sample::select(vec![0_i16, 1, 2, 3, 8, 9, 10, 18, 19, 20, 21, 22, 61]);
    let small = prop_oneof![Just(0_u8), Just(1), Just(2), Just(3), Just(0x7f), Just(0xff), any::<u8>()];
    (keys, 0_i16..20, prop::collection::vec(small, 0..120)).prop_map(|(key, version, body)| {
        [&key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 1, 0xff, 0xff, 0], &body].concat()
    })
}

fn survives(strategy: &impl Strategy<Value = Vec<u8>>, cases: u32) {
    let runtime = Runtime::new().unwrap();
    let broker = runtime.block_on(Broker::start()).unwrap();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    let outcome = TestRunner::new(config).run(strategy, |bytes| {
        runtime.block_on(throw(&broker.address(), &bytes));
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(assert_serves(&broker.address()));
}

#[test]
fn any_bytes() {
    survives(&any::<Vec<u8>>(), 300);
}

#[test]
fn any_requests() {
    survives(&request().prop_map(|request| framed(&request)), 3000);
}

#[tokio::test]
async fn lengths_that_nothing_bears_out() {
    let broker = Broker::start().await.unwrap();
    let address = broker.address();
    for bytes in [
        // Frames: the longest there is, one beyond the limit, a negative one, 100 MiB of which nothing comes.
        b"\x7f\xff\xff\xff".to_vec(),
        b"\x06\x40\0\x01".to_vec(),
        b"\xff\xff\xff\xff".to_vec(),
        b"\x06\x40\0\0abc".to_vec(),
        // Metadata of 2,147,483,647 topics, in the classic and in the compact encoding.
        framed(b"\0\x03\0\x01\0\0\0\x07\xff\xff\x7f\xff\xff\xff"),
        framed(b"\0\x03\0\x0c\0\0\0\x07\xff\xff\0\xff\xff\xff\xff\x0f"),
        // A client id, and a tagged field of the header, that are longer than the frame.
        framed(b"\0\x12\0\0\0\0\0\x07\x7f\xff"),
        framed(b"\0\x12\0\x03\0\0\0\x07\xff\xff\x01\x09\xff\xff\xff\xff\x0f"),
        // A fetch whose tagged field 0 says one byte and begins a string that is longer.
        framed(&[&b"\0\x01\0\x0c\0\0\0\x07\xff\xff\0"[..], &[0; 25], b"\x01\x01\x01\x01\0\x01\x7f\x7f"].concat()),
        framed(b""),
        framed(b"\0"),
    ] {
        throw(&address, &bytes).await;
        assert_serves(&address).await;
    }
}

#[tokio::test]
async fn a_refused_request_ends_its_own_connection_only() {
    let broker = Broker::start().await.unwrap();
    let mut bystander = TcpStream::connect(broker.address()).await.unwrap();
    throw(&broker.address(), &framed(b"\x7f\xff\0\0garbage")).await;
    bystander.write_all(&framed(API_VERSIONS)).await.unwrap();
    assert!(read_frame(&mut bystander).await.is_ok());
}
