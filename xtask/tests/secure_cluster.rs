//! A Kafka cluster that asks for logins and permissions, and a real client.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::{ClientBuilder, Credentials, OauthBearerCredentials, SaslConfig};
use xtask::stack::{Acl, AclOperation, KafkaCluster, ListenerSecurity, NewTopic, Stack, unsecured_token};

const LOGIN: &str = "LOGIN";
const USER: &str = "alice";
const PASSWORD: &str = "the password of alice";
const TOPIC: &str = "of-the-test";
const DAY: Duration = Duration::from_secs(86_400);
/// Only a test that fails takes that long.
const PATIENCE: Duration = Duration::from_secs(300);

fn cluster() -> KafkaCluster {
    let cluster = Stack::connect().unwrap().kafka_cluster().unwrap().brokers(1);
    cluster.listener(LOGIN, ListenerSecurity::SaslPlaintext).user(USER, PASSWORD).authorizer().start().unwrap()
}

fn credentials(password: &str) -> Credentials {
    Credentials::new(USER.to_owned(), password.to_owned())
}

fn bearer(lifetime: Duration) -> SaslConfig {
    let token = unsecured_token(USER, lifetime);
    let callback = Arc::new(move || {
        let token = token.clone();
        Box::pin(async { Ok(token) }) as _
    });
    SaslConfig::Oauthbearer(OauthBearerCredentials { callback, authz_id: None, bearer_kvs: Vec::new() })
}

/// Returns the topics that the user may know of.
async fn topics(cluster: &KafkaCluster, login: SaslConfig) -> rskafka::client::error::Result<Vec<String>> {
    topics_within(PATIENCE, cluster, login).await
}

/// Lets a login be rejected. The client tries again until the time is over.
async fn rejected(cluster: &KafkaCluster, login: SaslConfig) {
    topics_within(Duration::from_secs(3), cluster, login).await.unwrap_err();
}

async fn topics_within(
    deadline: Duration,
    cluster: &KafkaCluster,
    login: SaslConfig,
) -> rskafka::client::error::Result<Vec<String>> {
    let backoff = BackoffConfig { deadline: Some(deadline), ..BackoffConfig::default() };
    let client = ClientBuilder::new(vec![cluster.address(1, LOGIN).unwrap()]);
    let client = client.sasl_config(login).backoff_config(backoff).build().await?;
    Ok(client.list_topics().await?.into_iter().map(|topic| topic.name).collect())
}

async fn until_topics(cluster: &KafkaCluster, expected: &[&str]) {
    let seen = async { while topics(cluster, SaslConfig::Plain(credentials(PASSWORD))).await.unwrap() != expected {} };
    tokio::time::timeout(PATIENCE, seen).await.unwrap();
}

#[tokio::test]
async fn each_login_works_with_what_is_right_and_shows_what_is_permitted() {
    let cluster = cluster();
    cluster.create_topic(&NewTopic::new(TOPIC)).unwrap();
    let (right, wrong) = (credentials(PASSWORD), credentials("something else"));
    for login in [
        SaslConfig::Plain(right.clone()),
        SaslConfig::ScramSha256(right.clone()),
        SaslConfig::ScramSha512(right.clone()),
        bearer(DAY),
    ] {
        assert_eq!(topics(&cluster, login).await.unwrap(), [""; 0], "nothing is permitted yet");
    }
    for login in [
        SaslConfig::Plain(wrong.clone()),
        SaslConfig::ScramSha256(wrong.clone()),
        SaslConfig::ScramSha512(wrong.clone()),
        bearer(Duration::ZERO),
    ] {
        rejected(&cluster, login).await;
    }

    let acl = Acl::topic(USER, AclOperation::Describe, TOPIC);
    cluster.add_acl(&acl).unwrap();
    until_topics(&cluster, &[TOPIC]).await;
    cluster.remove_acl(&acl).unwrap();
    until_topics(&cluster, &[]).await;
    cluster.remove_acl(&acl).unwrap_err();

    cluster.set_scram_password(USER, "something else").unwrap();
    topics(&cluster, SaslConfig::ScramSha256(wrong.clone())).await.unwrap();
    topics(&cluster, SaslConfig::ScramSha512(wrong.clone())).await.unwrap();
    rejected(&cluster, SaslConfig::ScramSha256(right)).await;
    cluster.remove_scram_user(USER).unwrap();
    let short = Duration::from_secs(3);
    let login = || SaslConfig::ScramSha256(wrong.clone());
    let removed = async { while topics_within(short, &cluster, login()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, removed).await.unwrap();
}
