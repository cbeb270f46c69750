use std::fs;
use std::os::unix::fs::symlink;

use outbox_core::StoreFault;
use outbox_pg::tokio_postgres::error::SqlState;
use outbox_pg::{RetriedTransaction, StoreFailure, TransactionError};

use crate::bad_input::{event, failure, refused};
use outbox_test_support::TestEnv;

use crate::own_server::{data_directory, versions, write_as};

/// The table's file leads to a device that has no space left, and the kernel says so to each write.
#[tokio::test]
async fn on_a_full_disk_the_transaction_can_be_rolled_back_and_runs_again_when_there_is_space() {
    for builder in versions() {
        let server = builder.start().await.unwrap();
        let env = TestEnv::builder().postgres(server.url()).outbox().build().await;
        let outbox = env.outbox();
        let path = "SELECT pg_relation_filepath('outbox.outbox_message')";
        let path: String = env.client().await.query_one(path, &[]).await.unwrap().get(0);
        let path = data_directory(&server).await.join(path);
        assert_eq!(fs::metadata(&path).unwrap().len(), 0, "there is no row yet");
        fs::remove_file(&path).unwrap();
        symlink("/dev/full", &path).unwrap();

        // Sessions keep their files open, and this one is new.
        let mut service = env.client().await;
        service.batch_execute("CREATE TABLE public.counter AS SELECT 0 AS n").await.unwrap();
        let error = refused(&mut service, &outbox).await;
        let StoreFailure::DiskFull(said) = failure(&error) else { panic!("{error:?}") };
        assert_eq!(said.code(), Some(&SqlState::DISK_FULL));
        assert!(said.as_db_error().unwrap().message().contains("No space left on device"), "{said:?}");
        assert_eq!(error.store_fault(), Some(StoreFault::Transient));
        assert!(failure(&error).to_string().contains("PipelineMonitor"));

        let run = RetriedTransaction::default();
        let run = run.run(&mut service, |tx| {
            let outbox = &outbox;
            Box::pin(async move {
                tx.batch_execute("UPDATE counter SET n = n + 1").await.unwrap();
                outbox.enqueue(&tx, &event()).await
            })
        });
        assert!(matches!(run.await.unwrap_err(), TransactionError::Work(_)));
        let n: i32 = service.query_one("SELECT n FROM counter", &[]).await.unwrap().get(0);
        assert_eq!((n, env.rows().await), (0, 0), "nothing of the transactions is left, and the session lives on");

        fs::remove_file(&path).unwrap();
        write_as(path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap(), "");
        let mut service = env.client().await;
        let tx = service.transaction().await.unwrap();
        outbox.enqueue(&tx, &event()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(env.rows().await, 1);
    }
}
