//! Brokers that reject logins and requests.

use std::time::Duration;

use outbox_relay::{CheckStatus, KafkaSecurity, Relay, RelaySettings, Sasl};
use outbox_test_support::eventually;
use tokio::task::block_in_place;
use xtask::stack::{Acl, AclOperation, NewTopic};

use crate::scene::{LOGIN, PASSWORD, Scene, USER, sized};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_rejected_for_a_while_is_tried_again() {
    let scene = Scene::new().await;
    block_in_place(|| scene.cluster.create_topic(&topic(scene.env.topic()))).unwrap();
    let (relay, load) = (scene.relay_with_login(), scene.load());
    relay.acknowledges(300).await;
    block_in_place(|| scene.cluster.remove_scram_user(USER)).unwrap();
    for broker in scene.cluster.brokers() {
        block_in_place(|| scene.cluster.stop(broker)).unwrap();
        block_in_place(|| scene.cluster.start(broker)).unwrap();
    }

    relay.shows("SASL_AUTHENTICATION_FAILED").await;
    tokio::time::sleep(Duration::from_secs(sized(1, 10))).await;
    block_in_place(|| scene.cluster.set_scram_password(USER, PASSWORD)).unwrap();
    relay.acknowledges(300).await;
    scene.check(relay, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_that_is_missing_for_a_while_makes_no_dead_letters() {
    let scene = Scene::new().await;
    block_in_place(|| scene.cluster.create_topic(&topic(scene.env.topic()))).unwrap();
    let (relay, load) = (scene.relay_with_login(), scene.load());
    relay.acknowledges(300).await;
    let denied = Acl::topic(USER, AclOperation::Write, scene.env.topic()).denied();
    block_in_place(|| scene.cluster.add_acl(&denied)).unwrap();
    relay.shows("TOPIC_AUTHORIZATION_FAILED").await;
    load.writes(300).await;
    tokio::time::sleep(Duration::from_secs(sized(1, 60))).await;
    block_in_place(|| scene.cluster.remove_acl(&denied)).unwrap();
    relay.acknowledges(300).await;
    scene.check(relay, load).await;
}

/// The user may not create topics: an administrator does so later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_comes_late_holds_back_its_own_events_only() {
    let scene = Scene::new().await;
    block_in_place(|| scene.cluster.create_topic(&topic(scene.env.topic()))).unwrap();
    let (relay, load) = (scene.relay_with_login(), scene.load());
    relay.acknowledges(300).await;
    load.add_type("late");
    relay.shows(&scene.env.topic_of("late")).await;
    relay.acknowledges(1_000).await;
    block_in_place(|| scene.cluster.create_topic(&topic(&scene.env.topic_of("late")))).unwrap();
    relay.acknowledges(600).await;
    scene.check(relay, load).await;
}

/// Events are written without this permission, but the next start needs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_permission_to_read_is_shown_before_it_is_needed() {
    let scene = Scene::new().await;
    block_in_place(|| scene.cluster.create_topic(&topic(scene.env.topic()))).unwrap();
    let denied = Acl::topic(USER, AclOperation::Read, scene.env.topic()).denied();
    block_in_place(|| scene.cluster.add_acl(&denied)).unwrap();

    let relay = scene.relay_by(
        &scene.cluster.bootstrap_of(LOGIN).unwrap(),
        KafkaSecurity::new().sasl(Sasl::scram_sha_512(USER, PASSWORD)),
    );
    let load = scene.load();
    relay.shows("Fetch").await;
    relay.shows("TOPIC_AUTHORIZATION_FAILED").await;
    block_in_place(|| scene.cluster.remove_acl(&denied)).unwrap();
    relay.acknowledges(300).await;
    scene.check(relay, load).await;
}

/// Read is needed after the next start only, and Describe, Write and Create from the first event on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_names_each_permission_that_is_missing() {
    let scene = Scene::new().await;
    let name = scene.env.topic().to_owned();
    let settings =
        RelaySettings::builder(scene.env.config().clone(), scene.cluster.bootstrap_of(LOGIN).unwrap().split(','));
    let relay = Relay::new(settings.build().unwrap()).unwrap();
    let relay = relay.kafka_security(KafkaSecurity::new().sasl(Sasl::scram_sha_512(USER, PASSWORD)));
    let reported = async || {
        let checks = relay.check(std::slice::from_ref(&name)).await;
        checks.into_iter().find(|check| check.name() == format!("topic {name}")).unwrap()
    };
    let beats = format!("__debezium-heartbeat.{}", scene.env.name());
    let heartbeats = async || {
        let checks = relay.check(&[]).await;
        checks.into_iter().find(|check| check.name() == format!("heartbeats in {beats}")).unwrap()
    };

    let missing = reported().await;
    assert!(missing.status() == CheckStatus::Failed && missing.to_string().contains("allow Create"), "{missing}");

    let missing = heartbeats().await;
    assert!(missing.status() == CheckStatus::Warning && missing.to_string().contains("allow Create"), "{missing}");
    block_in_place(|| scene.cluster.create_topic(&topic(&name))).unwrap();
    block_in_place(|| scene.cluster.create_topic(&topic(&beats))).unwrap();
    eventually("nothing is missing", async || match reported().await {
        found if found.status() == CheckStatus::Ok => Ok(()),
        found => Err(found),
    })
    .await;

    for (operation, remedy) in [
        (AclOperation::Read, "allow Read on the topic"),
        (AclOperation::Write, "allow Write on the topic"),
        (AclOperation::Describe, "allow Describe on the topic"),
    ] {
        let denied = Acl::topic(USER, operation, &name).denied();
        block_in_place(|| scene.cluster.add_acl(&denied)).unwrap();
        eventually(remedy, async || match reported().await {
            found if found.status() == CheckStatus::Failed && found.to_string().contains(remedy) => Ok(()),
            found => Err(found),
        })
        .await;
        block_in_place(|| scene.cluster.remove_acl(&denied)).unwrap();
    }

    // Heartbeats need no Read, and a missing permission is no failure.
    for (operation, status) in [
        (AclOperation::Read, CheckStatus::Ok),
        (AclOperation::Write, CheckStatus::Warning),
        (AclOperation::Describe, CheckStatus::Warning),
    ] {
        let denied = Acl::topic(USER, operation, &beats).denied();
        block_in_place(|| scene.cluster.add_acl(&denied)).unwrap();
        eventually("the heartbeats' permission is seen", async || match heartbeats().await {
            found if found.status() == status => Ok(()),
            found => Err(found),
        })
        .await;
        block_in_place(|| scene.cluster.remove_acl(&denied)).unwrap();
    }
}

fn topic(name: &str) -> NewTopic {
    NewTopic::new(name).partitions(6)
}
