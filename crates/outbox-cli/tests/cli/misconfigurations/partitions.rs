//! The partitioned table.

use std::time::Duration;

use outbox_core::{RowLife, TableLayout};
use outbox_pg::{Maintenance, Migrations};
use outbox_test_support::TestEnv;

use crate::doctor::{fails, findings};
use crate::fixture::TempFile;

#[tokio::test]
async fn partitions_that_are_missing_or_published_by_themselves_are_found() {
    let layout = TableLayout::recommended().with_row_life(RowLife::Partitioned);
    let env = TestEnv::builder().layout(layout).slot().build().await;
    let file = TempFile::config(&env, "-partitions", env.config());
    let arguments = ["--connector-config", file.path(), "--row-life", "partitioned"];
    let mut client = env.client().await;

    fails(&env, &arguments, "has no partition for the present").await;
    Migrations::maintenance(env.pipeline()).apply(&mut client).await.unwrap();
    Maintenance::new(env.pipeline().clone(), Duration::from_secs(7 * 86_400)).run(&client).await.unwrap();
    let (failed, _) = findings(&env, &arguments, 0).await;
    assert_eq!(failed, [""; 0]);

    let sql = async |sql: &str| client.batch_execute(sql).await.unwrap();
    sql("ALTER PUBLICATION outbox SET (publish_via_partition_root = false)").await;
    fails(&env, &arguments, "as rows of its partitions").await;
    sql("ALTER PUBLICATION outbox SET (publish_via_partition_root = true)").await;
    sql("CREATE TABLE outbox.rest PARTITION OF outbox.outbox_message DEFAULT").await;
    fails(&env, &arguments, "has a DEFAULT partition").await;
    sql("DROP TABLE outbox.rest").await;
    fails(&env, &["--connector-config", file.path(), "--row-life", "delete-on-insert"], "-> outbox migrate apply")
        .await;
}
