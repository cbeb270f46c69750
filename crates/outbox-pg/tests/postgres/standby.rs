use outbox_core::StoreFault;
use outbox_pg::tokio_postgres::error::SqlState;
use outbox_pg::tokio_postgres::{Config, NoTls};
use outbox_pg::{
    IndicatorStatus, Migrations, PipelineMonitor, Problem, Readiness, RetriedTransaction, StoreFailure, Thresholds,
    TransactionError,
};

use crate::bad_input::{event, failure, refused};
use outbox_test_support::{TestEnv, eventually};

use crate::own_server::{standby_of, versions};

#[tokio::test]
async fn a_hot_standby_takes_no_event_and_says_where_to_go() {
    for builder in versions() {
        let primary = builder.clone().start().await.unwrap();
        let env = TestEnv::builder().postgres(primary.url()).outbox().build().await;
        let pipeline = env.pipeline().clone();
        let (mut writer, outbox) = (env.client().await, env.outbox());
        let standby = standby_of(&primary, builder).await;
        let tx = writer.transaction().await.unwrap();
        outbox.enqueue(&tx, &event()).await.unwrap();
        tx.commit().await.unwrap();

        let mut config: Config = standby.url().parse().unwrap();
        config.dbname(env.name());
        let (mut reader, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        let count = "SELECT pg_is_in_recovery(), count(*) FROM outbox.outbox_message";
        eventually("the standby has the row", async || {
            let row = reader.query_one(count, &[]).await.unwrap();
            assert!(row.get::<_, bool>(0), "it is a standby");
            row.get::<_, i64>(1) == 1
        })
        .await;

        let error = refused(&mut reader, &outbox).await;
        assert!(matches!(failure(&error), StoreFailure::ReadOnly(_)), "{error:?}");
        assert_eq!(error.store_fault(), Some(StoreFault::Permanent));
        assert!(failure(&error).to_string().contains("connect to the primary"), "{}", failure(&error));

        let (mut runs, outbox) = (0, &outbox);
        let run = RetriedTransaction::default();
        let run = run.run(&mut reader, |tx| {
            runs += 1;
            Box::pin(async move { outbox.enqueue(&tx, &event()).await })
        });
        let error = run.await.unwrap_err();
        assert!(matches!(error, TransactionError::Work(_)), "{error:?}");
        assert_eq!(runs, 1, "nothing is won by running it again");

        Migrations::outbox(&pipeline).plan(&reader).await.unwrap();
        let error = Migrations::maintenance(&pipeline).apply(&mut reader).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION), "{error:?}");
        assert!(!error.is_transient());
        let readiness = Readiness::check(&reader, &pipeline).await.unwrap();
        assert!(readiness.problems().contains(&Problem::ReadOnly), "{readiness:?}");
        let health = PipelineMonitor::new(pipeline, Thresholds::default()).check(&reader).await.unwrap();
        assert_eq!(health.indicator("slot_present").unwrap().status, IndicatorStatus::Critical, "{health:?}");
        // Before its primary, which it streams from.
        drop((reader, standby));
    }
}
