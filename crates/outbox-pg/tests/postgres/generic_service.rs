use outbox_core::{DomainEvent, Error, Outbox, OutboxEvent, RecordingOutbox};
use outbox_pg::{deadpool_postgres, tokio_postgres};

use outbox_test_support::TestEnv;

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
    O: for<'r, 't> Outbox<&'r tokio_postgres::Transaction<'t>> + Sync,
{
    async fn place(&self, tx: &tokio_postgres::Transaction<'_>, order_id: i64) -> Result<(), Error> {
        self.outbox.enqueue(tx, &OutboxEvent::from_event(&OrderCreated { order_id }).build()?).await
    }
}

async fn serve<O>(orders: Orders<O>, pool: deadpool_postgres::Pool) -> O
where
    O: for<'r, 't> Outbox<&'r tokio_postgres::Transaction<'t>> + Send + Sync + 'static,
{
    // Spawned, as a web framework does it: the futures have to be Send.
    tokio::spawn(async move {
        let mut client = pool.get().await.unwrap();
        let tx = client.transaction().await.unwrap();
        orders.place(&tx, 42).await.unwrap();
        tx.commit().await.unwrap();
        orders.outbox
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_service_generic_over_its_outbox_is_spawned_with_the_real_one_and_with_the_recorder() {
    let env = TestEnv::builder().outbox().build().await;
    let pipeline = env.pipeline().clone();
    serve(Orders { outbox: env.outbox() }, env.pool()).await;
    assert_eq!(env.rows().await, 1);
    let recorder = serve(Orders { outbox: RecordingOutbox::new(pipeline) }, env.pool()).await;
    assert_eq!(env.rows().await, 1, "the recorder writes nothing");
    let [event] = recorder.events().try_into().unwrap();
    assert_eq!(event.aggregate_id().as_str(), "42");
    assert_eq!(event.event_type().as_str(), "OrderCreated");
}
