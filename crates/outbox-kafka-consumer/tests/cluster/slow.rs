//! Quotas.

use tokio::task::block_in_place;
use xtask::is_full;
use xtask::stack::QuotaEntity;

use crate::scene::Scene;

/// Both readers share what each broker gives them, about a tenth of what the load writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_slows_down_and_costs_nothing() {
    let scene = Scene::new().await;
    let (readers, load) = (scene.readers(), scene.load("order").await);
    readers.handle_of_each(50).await;
    let entity = QuotaEntity::User("ANONYMOUS".to_owned());
    block_in_place(|| scene.cluster.set_quota(&entity, "consumer_byte_rate", Some(10_000.0))).unwrap();
    load.writes(if is_full() { 15_000 } else { 1_500 }).await;
    readers.handle_of_each(20).await;
    block_in_place(|| scene.cluster.set_quota(&entity, "consumer_byte_rate", None)).unwrap();
    readers.handle_of_each(50).await;
    scene.check(readers, vec![load]).await;
}
