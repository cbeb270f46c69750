//! The relay on brokers that lack something, and the same on the real Kafka.

use outbox_relay::Error;
use outbox_test_support::TestEnv;
use outbox_testkit::{Api, Broker, Codec, Fault, Imitation, ResponseError};

use crate::broker_faults::{becomes_ready, shows};
use crate::fixture::RelayEnv;
use crate::heard::Heard;

const COMPRESSION: &str = "producer.override.compression.type";

/// Creates a fixture that compresses, with a topic for dead letters that must stay empty.
async fn fixture(builder: outbox_test_support::TestEnvBuilder, compression: &str) -> RelayEnv {
    let mut fixture = RelayEnv::at(builder, 2).await;
    fixture.config = fixture.config.with(COMPRESSION, compression);
    fixture.dead_letters = Some(fixture.topic.replace(".order", ".dead"));
    fixture
}

async fn imitated(imitation: Imitation, compression: &str) -> (Broker, RelayEnv) {
    let broker = Broker::builder().imitating(imitation).start().await.unwrap();
    let fixture = fixture(TestEnv::builder().brokers(broker.address()), compression).await;
    (broker, fixture)
}

/// Checks rows before the first start, an orderly restart, crashes under load, and a backlog in one transaction.
async fn keeps_its_promises(fixture: &RelayEnv) {
    fixture.enqueue_each(7, 0..20).await;
    let relay = fixture.start();
    fixture.records(20).await;
    relay.stop().await;
    assert_eq!(fixture.unconfirmed_records().await, 0);

    let writer = fixture.enqueue_each(7, 20..220);
    let crashes = async {
        for round in 0..4 {
            let relay = fixture.start();
            fixture.records(20 + 40 * round).await;
            relay.kill().await;
        }
    };
    tokio::join!(writer, crashes);
    fixture.enqueue_at_once(7, 220..5_000).await;
    arrives(fixture, 5_000).await;
}

/// Checks that everything comes to the topic once and in order, and nothing to that for dead letters.
async fn arrives(fixture: &RelayEnv, count: i64) {
    let relay = fixture.start();
    let records = fixture.records(usize::try_from(count).unwrap()).await;
    fixture.confirmed().await;
    fixture.check(&records, count);
    fixture.check(&fixture.read(&fixture.topic).await, count);
    assert!(fixture.read(fixture.dead_letters.as_ref().unwrap()).await.is_empty());
    relay.stop().await;
}

/// Kills the relay after the broker has appended rows, and before PostgreSQL knows.
async fn finds_unconfirmed_rows(broker: &Broker, fixture: &RelayEnv) {
    fixture.enqueue_each(7, 5_000..5_020).await;
    let relay = fixture.start();
    fixture.confirmed().await;
    let fault = broker.faults().inject(Fault::no_answer(Api::Produce).until_lifted());
    fixture.enqueue_each(7, 5_020..5_060).await;
    // The broker reads nothing more on a connection whose request it does not answer.
    fixture.records(5_021).await;
    relay.kill().await;
    assert!(fixture.unconfirmed_records().await > 0);
    fault.lift();
    fixture.enqueue_each(7, 5_060..5_100).await;
    arrives(fixture, 5_100).await;
}

/// Runs all of it; returns what was logged.
async fn runs_on(imitation: Imitation, compression: &str) -> String {
    let heard = Heard::listen();
    let (broker, fixture) = imitated(imitation, compression).await;
    keeps_its_promises(&fixture).await;
    finds_unconfirmed_rows(&broker, &fixture).await;
    heard.text()
}

/// Returns warnings that name what is missing, one for each start of the relay.
fn missing(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| line.contains(" WARN ") && line.contains("broker lacks a feature"));
    let mut missing: Vec<_> =
        lines.filter_map(|line| line.split_once("missing=\"")?.1.split_once('"').map(|(name, _)| name)).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// Returns the compression that is used in place of the configured one.
fn fallback(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.contains(" WARN ") && line.contains("another one is used"))?;
    line.split_once(" used=")?.1.split(' ').next()
}

const OLD_PRODUCE: &str = "record_errors in Produce answers";

#[tokio::test]
async fn the_real_kafka() {
    let heard = Heard::listen();
    keeps_its_promises(&fixture(TestEnv::builder().kafka(), "zstd").await).await;
    assert_eq!((missing(&heard.text()), fallback(&heard.text())), (vec![], None));
}

#[tokio::test]
async fn no_imitation() {
    let text = runs_on(Imitation::new(), "zstd").await;
    assert_eq!((missing(&text), fallback(&text)), (vec![], None));
}

#[tokio::test]
async fn kafka_2_4() {
    let text = runs_on(Imitation::kafka_2_4(), "zstd").await;
    assert_eq!((missing(&text), fallback(&text)), (vec!["topic ids"], None));
}

#[tokio::test]
async fn kafka_2_8() {
    let text = runs_on(Imitation::kafka_2_8(), "lz4").await;
    assert_eq!((missing(&text), fallback(&text)), (vec![], None));
}

#[tokio::test]
async fn kafka_2_8_with_an_older_inter_broker_protocol() {
    let text = runs_on(Imitation::kafka_2_8().nil_topic_ids(), "none").await;
    assert_eq!((missing(&text), fallback(&text)), (vec!["topic ids"], None));
}

#[tokio::test]
async fn kafka_3_9() {
    let text = runs_on(Imitation::kafka_3_9(), "zstd").await;
    assert_eq!((missing(&text), fallback(&text)), (vec![], None));
}

#[tokio::test]
async fn event_hubs_premium() {
    let text = runs_on(Imitation::azure_event_hubs_premium(), "zstd").await;
    assert_eq!(missing(&text), [OLD_PRODUCE, "topic ids", "zstd"]);
    // Its versions rule zstd out, so nothing is rejected.
    assert_eq!(fallback(&text), None);
}

#[tokio::test]
async fn event_hubs_premium_with_a_codec_that_it_rejects() {
    let text = runs_on(Imitation::azure_event_hubs_premium(), "lz4").await;
    assert_eq!((missing(&text), fallback(&text)), (vec![OLD_PRODUCE, "topic ids"], Some("Gzip")));
}

#[tokio::test]
async fn event_hubs_standard() {
    let text = runs_on(Imitation::azure_event_hubs_standard(), "snappy").await;
    assert_eq!((missing(&text), fallback(&text)), (vec![OLD_PRODUCE, "topic ids"], Some("None")));
}

#[tokio::test]
async fn warpstream() {
    let text = runs_on(Imitation::warpstream(), "lz4").await;
    assert_eq!((missing(&text), fallback(&text)), (vec![], None));
}

#[tokio::test]
async fn redpanda_before_topic_ids() {
    let text = runs_on(Imitation::redpanda_before_topic_ids(), "zstd").await;
    let gaps = [OLD_PRODUCE, "timestamps in answers to repeated batches", "topic ids"];
    assert_eq!((missing(&text), fallback(&text)), (gaps.to_vec(), None));
}

#[tokio::test]
async fn each_error_for_a_codec_leads_to_one_that_is_accepted() {
    for error in [ResponseError::UnsupportedCompressionType, ResponseError::InvalidRequest] {
        let heard = Heard::listen();
        let imitation = Imitation::new().compression([Codec::Gzip]).compression_error(error);
        let (_broker, fixture) = imitated(imitation, "zstd").await;
        keeps_its_promises(&fixture).await;
        assert_eq!(fallback(&heard.text()), Some("Gzip"));
    }
}

/// Batches of several partitions share a request only while the broker reads requests of that size.
#[tokio::test]
async fn a_small_limit_of_requests_stops_nothing() {
    let broker = Broker::builder().imitating(Imitation::azure_event_hubs_standard()).start().await.unwrap();
    let mut fixture = RelayEnv::at(TestEnv::builder().brokers(broker.address()), 6).await;
    fixture.dead_letters = Some(fixture.topic.replace(".order", ".dead"));
    fixture.enqueue_fat_at_once(0..120, 100_000).await;
    arrives(&fixture, 120).await;
}

/// A row that fits into its topic by a strong compression only is no poison while that compression is rejected for a
/// reason that passes.
#[tokio::test]
async fn a_large_row_waits_for_a_compression_that_is_rejected_for_a_while() {
    let (broker, fixture) = imitated(Imitation::new(), "gzip").await;
    let reject = || Fault::reject(ResponseError::InvalidRequest).times(1);
    fixture.enqueue_each(5, 0..5).await;
    let fault = broker.faults().inject(reject().on(&*fixture.topic, 0));
    let other = broker.faults().inject(reject().on(&*fixture.topic, 1));
    let relay = fixture.start();
    fixture.records(5).await;
    assert_eq!((fault.struck(), other.struck()), (1, 1));

    fixture.enqueue_fat_at_once(5..10, 3_000_000).await;
    fixture.confirmed().await;
    fixture.check(&fixture.records(10).await, 10);
    assert!(fixture.read(fixture.dead_letters.as_ref().unwrap()).await.is_empty());
    relay.stop().await;
}

#[tokio::test]
async fn without_idempotent_produce_the_relay_refuses_at_once() {
    for (api, remedy) in [
        (Api::InitProducerId, "with idempotent producers"),
        (Api::Fetch, "use Kafka 0.11 or later"),
        (Api::ListOffsets, "use Kafka 0.10.1 or later"),
        (Api::Produce, "use Kafka 1.0 or later"),
    ] {
        let imitation = Imitation::new().without_api(api);
        let broker = Broker::builder().imitating(imitation).start().await.unwrap();
        let mut fixture = RelayEnv::new(1).await;
        fixture.brokers = broker.address();
        let error = fixture.start().outcome().await.unwrap_err();
        let text = chain(&error);
        for part in [&*broker.address(), &format!("{api:?}"), remedy] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

fn chain(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Somebody else creates the topic.
#[tokio::test]
async fn without_create_topics_the_relay_waits_for_the_topic() {
    let heard = Heard::listen();
    let (broker, fixture) = imitated(Imitation::new().without_api(Api::CreateTopics), "none").await;
    fixture.enqueue_each(5, 0..20).await;
    let relay = fixture.start();
    shows(&relay, "create each topic before its first event").await;
    assert_eq!(missing(&heard.text()), ["CreateTopics (4 or later)"]);
    broker.create_topic(&fixture.topic, 2).unwrap();
    fixture.confirmed().await;
    fixture.check(&fixture.records(20).await, 20);
    becomes_ready(&relay).await;
    relay.stop().await;
}

/// Neither the versions nor each topic without an id repeat what was said.
#[tokio::test]
async fn a_gap_is_reported_once() {
    let heard = Heard::listen();
    let (_broker, fixture) = imitated(Imitation::kafka_2_4(), "none").await;
    fixture.enqueue_each(5, 0..20).await;
    let relay = fixture.start();
    fixture.confirmed().await;
    relay.stop().await;
    let lines = heard.text().lines().filter(|line| line.contains("broker lacks a feature")).count();
    assert_eq!(lines, 1);
}
