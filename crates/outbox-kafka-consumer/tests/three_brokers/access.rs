//! Brokers that reject logins and requests.

use tokio::task::block_in_place;
use xtask::stack::{Acl, AclOperation};

use crate::scene::{PASSWORD, Scene, USER};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_that_is_missing_for_a_while_is_noted_and_tried_again() {
    let scene = Scene::new().await;
    let (readers, load) = (scene.readers_with_login(), scene.load("order").await);
    readers.handle_of_each(50).await;
    let denied = Acl::topic(USER, AclOperation::Read, scene.env.topic()).denied();
    block_in_place(|| scene.cluster.add_acl(&denied)).unwrap();
    readers.show("authorization").await;
    load.writes(300).await;
    block_in_place(|| scene.cluster.remove_acl(&denied)).unwrap();
    readers.handle_of_each(50).await;
    scene.check(readers, vec![load]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_rejected_for_a_while_is_noted_and_tried_again() {
    let scene = Scene::new().await;
    let (readers, load) = (scene.readers_with_login(), scene.load("order").await);
    readers.handle_of_each(50).await;
    block_in_place(|| scene.cluster.remove_scram_user(USER)).unwrap();

    // Connections that exist stay logged in.
    for broker in scene.cluster.brokers() {
        block_in_place(|| scene.cluster.stop(broker)).unwrap();
        block_in_place(|| scene.cluster.start(broker)).unwrap();
        block_in_place(|| scene.cluster.await_in_sync()).unwrap();
    }
    readers.show("authentication").await;
    block_in_place(|| scene.cluster.set_scram_password(USER, PASSWORD)).unwrap();
    readers.handle_of_each(50).await;
    scene.check(readers, vec![load]).await;
}
