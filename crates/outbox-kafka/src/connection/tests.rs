//! Connections to a scripted broker.

use std::error::Error as _;

use kafka_protocol::messages::ApiVersionsResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;

use super::*;
use crate::connect::connect;

fn settings() -> Settings {
    Settings {
        request_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_millis(300),
        max_answer: 1000,
        ..Settings::new(["broker:9092"])
    }
}

fn connected() -> (Connection, DuplexStream) {
    let (ours, theirs) = duplex(100);
    let (reader, writer) = tokio::io::split(ours);
    (Connection::over(reader, writer, "broker:9092", &settings()), theirs)
}

fn ask(connection: &Connection) -> Sent<ApiVersionsRequest> {
    connection.send_as(&ApiVersionsRequest::default(), 0, 0).unwrap()
}

/// Reads a request; its correlation id.
async fn asked(broker: &mut DuplexStream) -> i32 {
    let length = broker.read_i32().await.unwrap();
    let mut request = vec![0; usize::try_from(length).unwrap()];
    broker.read_exact(&mut request).await.unwrap();
    i32::from_be_bytes(request[4..8].try_into().unwrap())
}

/// Answers with an error code, to distinguish answers.
async fn answer(broker: &mut DuplexStream, correlation: i32, code: i16) {
    broker.write_i32(10).await.unwrap();
    broker.write_i32(correlation).await.unwrap();
    broker.write_i16(code).await.unwrap();
    broker.write_i32(0).await.unwrap();
}

fn code(answer: Result<ApiVersionsResponse, Error>) -> i16 {
    answer.unwrap().error_code
}

fn kind(answer: Result<ApiVersionsResponse, Error>) -> Kind {
    answer.unwrap_err().kind().clone()
}

#[tokio::test]
async fn answers_meet_their_requests_also_after_one_was_given_up() {
    let (connection, mut broker) = connected();
    let (first, second, third) = (ask(&connection), ask(&connection), ask(&connection));
    drop(second);
    for number in 1..=3 {
        let correlation = asked(&mut broker).await;
        answer(&mut broker, correlation, number).await;
    }
    assert_eq!(code(third.wait().await), 3);
    assert_eq!(code(first.wait().await), 1);
    assert!(connection.is_usable());
}

#[tokio::test]
async fn a_request_given_up_while_it_waits_does_no_harm() {
    let (connection, mut broker) = connected();
    let waiting = tokio::spawn(ask(&connection).wait());
    let correlation = asked(&mut broker).await;
    waiting.abort();
    answer(&mut broker, correlation, 1).await;
    let next = ask(&connection);
    let correlation = asked(&mut broker).await;
    answer(&mut broker, correlation, 2).await;
    assert_eq!(code(next.wait().await), 2);
}

#[tokio::test]
async fn without_an_answer_in_time_the_connection_is_closed() {
    let (connection, mut broker) = connected();
    let waiting = ask(&connection);
    asked(&mut broker).await;
    assert_eq!(kind(waiting.wait().await), Kind::Timeout(Duration::from_millis(200)));
    assert!(!connection.is_usable());
    let refused = connection.send_as(&ApiVersionsRequest::default(), 0, 0).unwrap_err();
    assert_eq!(refused.kind(), &Kind::Closed);
    assert_eq!(broker.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_broker_that_hangs_up_ends_all_that_waits() {
    let (connection, mut broker) = connected();
    let (first, second) = (ask(&connection), ask(&connection));
    asked(&mut broker).await;
    broker.write_all(&[0, 0, 0, 10, 0, 0]).await.unwrap();
    drop(broker);
    assert_eq!(kind(first.wait().await), Kind::ClosedEarly);
    assert_eq!(kind(second.wait().await), Kind::ClosedEarly);
}

#[tokio::test]
async fn what_is_not_kafka_is_told() {
    for nonsense in
        [b"HTTP/1.1 400 Bad Request\r\n".as_slice(), &[0xff; 8], &[0, 0, 0, 4, 0, 0, 0, 77], &[0, 0, 0, 2, 0, 0]]
    {
        let (connection, mut broker) = connected();
        let waiting = ask(&connection);
        broker.write_all(nonsense).await.unwrap();
        let error = waiting.wait().await.unwrap_err();
        assert_eq!(error.kind(), &Kind::ClosedEarly);
        let closed = error.source().unwrap().downcast_ref::<Error>().unwrap();
        assert_eq!(closed.kind(), &Kind::Closed);
        let cause = closed.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::InvalidData, "{nonsense:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_malformed_and_the_next_one_is_read() {
    let (connection, mut broker) = connected();
    let (first, second) = (ask(&connection), ask(&connection));
    let correlation = asked(&mut broker).await;
    broker.write_all(&[0, 0, 0, 5]).await.unwrap();
    broker.write_i32(correlation).await.unwrap();
    broker.write_u8(0).await.unwrap();
    let correlation = asked(&mut broker).await;
    answer(&mut broker, correlation, 5).await;
    assert_eq!(kind(first.wait().await), Kind::Malformed);
    assert_eq!(code(second.wait().await), 5);
}

#[tokio::test]
async fn a_silent_address_and_a_closed_one_are_told_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let error = connect(&address, &settings()).await.unwrap_err();
    // The negotiation's own request gives up first, or the whole does: both report the broker.
    assert!(matches!(error.kind(), Kind::Timeout(_) | Kind::ConnectTimeout(_)), "{error}");
    assert!(error.to_string().contains(&address), "{error}");

    drop(silent);
    let error = connect(&address, &settings()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("Kafka at {address}: cannot connect"));
    assert!(error.source().is_some());
}
