use outbox_testkit::{Broker, ResponseError};
use rskafka::client::ClientBuilder;
use rskafka::client::partition::UnknownTopicHandling;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn a_shut_down_broker_has_freed_its_port_and_closed_its_connections() {
    let broker = Broker::start().await.unwrap();
    let address = broker.address();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    broker.shutdown().await;
    assert!(is_closed(&mut stream).await);
    let again = Broker::builder().listen(address.parse().unwrap()).start().await.unwrap();
    assert_eq!(again.address(), address);
}

#[tokio::test]
async fn a_dropped_broker_ends() {
    let broker = Broker::start().await.unwrap();
    let address = broker.address();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    drop(broker);
    assert!(is_closed(&mut stream).await);
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = Broker::builder().listen(address).start().await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()));
    assert_eq!(error.code(), None);
}

#[tokio::test]
async fn topics_are_made_by_the_settings() {
    let broker = Broker::builder().default_partitions(5).without_auto_creation().start().await.unwrap();
    let client = ClientBuilder::new(vec![broker.address()]).build().await.unwrap();
    assert!(client.partition_client("orders", 0, UnknownTopicHandling::Error).await.is_err());
    assert!(client.list_topics().await.unwrap().is_empty());
    broker.create_topic("orders", 2).unwrap();
    let error = broker.create_topic("orders", 2).unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::TopicAlreadyExists));
    assert!(error.to_string().contains("orders"));
    assert_eq!(client.list_topics().await.unwrap()[0].partitions.len(), 2);
}
