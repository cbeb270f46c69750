use outbox_core::{DomainEvent, Error, Outbox, OutboxEvent, RecordingOutbox};
use outbox_sqlx::SqlxOutbox;
use outbox_sqlx::sqlx::{PgPool, Postgres, Transaction};

use outbox_test_support::TestEnv;

use crate::pool;

#[derive(serde::Serialize)]
struct OrderCreated {
    order_id: i64,
}

impl DomainEvent for OrderCreated {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "OrderCreated";

    fn aggregate_id(&self) -> String {
        self.order_id.to_string()
    }
}

/// A service that does not know which outbox it has.
struct Orders<O> {
    outbox: O,
}

impl<O> Orders<O>
where
    O: for<'r, 't> Outbox<&'r mut Transaction<'t, Postgres>> + Sync,
{
    async fn place(&self, tx: &mut Transaction<'_, Postgres>, order_id: i64) -> Result<(), Error> {
        self.outbox.enqueue(tx, &OutboxEvent::from_event(&OrderCreated { order_id }).build()?).await
    }
}

async fn serve<O>(orders: Orders<O>, pool: PgPool) -> O
where
    O: for<'r, 't> Outbox<&'r mut Transaction<'t, Postgres>> + Send + Sync + 'static,
{
    // Spawned, as a web framework does it: the futures have to be Send.
    tokio::spawn(async move {
        let mut tx = pool.begin().await.unwrap();
        orders.place(&mut tx, 42).await.unwrap();
        orders.place(&mut tx, 43).await.unwrap();
        tx.commit().await.unwrap();
        orders.outbox
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_service_generic_over_its_outbox_is_spawned_with_the_real_one_and_with_the_recorder() {
    let env = TestEnv::builder().outbox().build().await;
    let pool = pool(&env).await;
    serve(Orders { outbox: SqlxOutbox::new(env.pipeline().clone()) }, pool.clone()).await;
    assert_eq!(env.rows().await, 2);
    let recorder = RecordingOutbox::new(env.pipeline().clone());
    let recorder = serve(Orders { outbox: recorder }, pool.clone()).await;
    assert_eq!(env.rows().await, 2, "the recorder writes nothing");
    recorder.assert_enqueued(&OrderCreated { order_id: 42 });
}
