use std::time::{Duration, Instant};

use outbox_core::uuid::Uuid;
use outbox_core::{EventId, OutboxEvent, Pipeline, RowLife, TableLayout};
use outbox_pg::tokio_postgres::{Client, Transaction};
use outbox_pg::{
    Deferred, Maintenance, MaintenanceOutcome, MaintenanceReport, Migrations, PartitionRange, PgOutbox, Problem,
    Readiness, Republish, SlotOptions,
};

use outbox_test_support::{TestEnv, eventually};

const HOUR: Duration = Duration::from_secs(3600);

async fn set_up(life: RowLife) -> (TestEnv, Pipeline, Client) {
    let env = TestEnv::builder().layout(TableLayout::recommended().with_row_life(life)).outbox().build().await;
    let pipeline = env.pipeline().clone();
    let mut client = env.client().await;
    Migrations::maintenance(&pipeline).apply(&mut client).await.unwrap();
    outbox_pg::create_slot(&client, &pipeline).await.unwrap();
    (env, pipeline, client)
}

fn hourly(pipeline: &Pipeline, retention: Duration) -> Maintenance {
    Maintenance::new(pipeline.clone(), retention).partition(HOUR).ahead(3 * HOUR).behind(10 * HOUR)
}

async fn run(maintenance: &Maintenance, client: &Client) -> MaintenanceReport {
    match maintenance.run(client).await.unwrap() {
        MaintenanceOutcome::Done(report) => report,
        other => panic!("{other:?}"),
    }
}

/// Returns an event whose id says that it is that old.
fn aged(age: Duration) -> OutboxEvent {
    let id = EventId::new().as_uuid().as_u128() - (age.as_millis() << 80);
    let id = EventId::try_from(Uuid::from_u128(id)).unwrap();
    OutboxEvent::builder("order", "1", "Line").id(id).build().unwrap()
}

async fn enqueue(client: &mut Client, outbox: &PgOutbox, events: &[OutboxEvent]) {
    let tx = client.transaction().await.unwrap();
    outbox.enqueue_all(&tx, events).await.unwrap();
    tx.commit().await.unwrap();
}

async fn confirm(client: &Client, slot: &str) {
    client.execute("SELECT pg_replication_slot_advance($1, pg_current_wal_insert_lsn())", &[&slot]).await.unwrap();
}

/// Returns the INSERTs that the slot's reader would be sent, each of which is of the table itself. Partitions are
/// described to it too, but no row is of one.
async fn published(client: &Client, pipeline: &Pipeline) -> Vec<Vec<u8>> {
    let sql = "SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', \
               'publication_names', 'outbox')";
    let messages = client.query(sql, &[&pipeline.slot().as_str()]).await.unwrap();
    let messages = messages.iter().map(|row| row.get::<_, Vec<u8>>(0));
    let inserts: Vec<_> = messages.filter(|message| message[0] == b'I').collect();
    let oid = "SELECT oid FROM pg_class WHERE relname = 'outbox_message'";
    let table: u32 = client.query_one(oid, &[]).await.unwrap().get(0);
    assert!(inserts.iter().all(|insert| insert[1..5] == table.to_be_bytes()));
    inserts
}

#[tokio::test]
async fn partitions_are_made_ahead_and_the_publication_shows_one_table_in_the_order_of_enqueue() {
    let (_env, pipeline, mut client) = set_up(RowLife::Partitioned).await;
    let problems = |readiness: Readiness| readiness.problems().to_vec();
    let found = problems(Readiness::check(&client, &pipeline).await.unwrap());
    assert!(matches!(&found[..], [Problem::NoPartition { .. }]), "{found:?}");
    let maintenance = hourly(&pipeline, 24 * HOUR);
    let created = run(&maintenance, &client).await.created;
    assert!((13..=15).contains(&created.len()), "{created:?}");
    assert_eq!(run(&maintenance, &client).await, MaintenanceReport::default(), "nothing more is due");
    assert_eq!(problems(Readiness::check(&client, &pipeline).await.unwrap()), []);

    let outbox =
        PgOutbox::new(pipeline.clone()).with_partition_range(PartitionRange::read(&client, &pipeline).await.unwrap());
    let events: Vec<_> = [0, 5, 1, 4, 2].map(|hours| aged(hours * HOUR)).into();
    enqueue(&mut client, &outbox, &events).await;
    let inserts = published(&client, &pipeline).await;
    let holds = |message: &[u8], id: &str| message.windows(id.len()).any(|part| part == id.as_bytes());
    assert_eq!(inserts.len(), events.len());
    assert!(inserts.iter().zip(&events).all(|(insert, event)| holds(insert, &event.id().to_string())));
}

#[tokio::test]
async fn an_id_outside_of_the_horizon_is_refused_before_the_insert_until_there_is_a_partition() {
    let (_env, pipeline, mut client) = set_up(RowLife::Partitioned).await;
    run(&hourly(&pipeline, 24 * HOUR), &client).await;
    let horizon = PartitionRange::read(&client, &pipeline).await.unwrap();
    let outbox = PgOutbox::new(pipeline.clone()).with_partition_range(horizon.clone());
    let old = aged(15 * HOUR);
    let tx = client.transaction().await.unwrap();
    let error = outbox.enqueue(&tx, &old).await.unwrap_err();
    assert!(error.is_invalid_event() && error.field() == Some("id"), "{error}");
    assert!(error.to_string().contains("Maintenance"), "{error}");
    assert!(outbox.enqueue_all(&tx, &[aged(HOUR), old.clone()]).await.unwrap_err().is_invalid_event());
    assert!(outbox.enqueue(&tx, &aged(HOUR)).await.is_ok(), "the transaction goes on");
    tx.commit().await.unwrap();

    let [from, to] = [horizon.from(), horizon.to()];
    run(&hourly(&pipeline, 24 * HOUR).ahead(9 * HOUR), &client).await;
    // What is known is older than the partition, which enqueue finds.
    let id = EventId::new().as_uuid().as_u128() + ((5 * HOUR).as_millis() << 80);
    let ahead = OutboxEvent::builder("order", "1", "Line").id(EventId::try_from(Uuid::from_u128(id)).unwrap());
    let tx = client.transaction().await.unwrap();
    outbox.enqueue(&tx, &ahead.build().unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((horizon.from(), horizon.to() > to), (from, true));
    horizon.refresh(&client, &pipeline).await.unwrap();
    assert_eq!((horizon.from(), horizon.to() > to), (from, true));
}

#[tokio::test]
async fn an_old_partition_is_dropped_when_every_slot_is_past_its_detachment() {
    let (env, pipeline, mut client) = set_up(RowLife::Partitioned).await;
    run(&hourly(&pipeline, 24 * HOUR), &client).await;
    enqueue(&mut client, &PgOutbox::new(pipeline.clone()), &[aged(9 * HOUR), aged(Duration::ZERO)]).await;
    let other = format!("{}_other", env.name());
    client.execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", &[&other]).await.unwrap();

    let maintenance = hourly(&pipeline, 5 * HOUR);
    let report = run(&maintenance, &client).await;
    assert!(report.detached.len() >= 4 && report.dropped.is_empty(), "{report:?}");
    assert_eq!(report.waiting.len(), report.detached.len(), "{report:?}");
    assert_eq!(env.rows().await, 1, "what is detached is no more in the table");
    assert_eq!(published(&client, &pipeline).await.len(), 2, "and is published as a row of it none the less");
    confirm(&client, pipeline.slot().as_str()).await;
    let waiting = run(&maintenance, &client).await.waiting;
    assert!(
        waiting.iter().all(|waiting| matches!(waiting, Deferred::Slot { slot, .. } if *slot == other)),
        "{waiting:?}"
    );
    assert_eq!(waiting.len(), report.detached.len());

    confirm(&client, &other).await;
    client.execute("SELECT pg_drop_replication_slot($1)", &[&pipeline.slot().as_str()]).await.unwrap();
    let waiting = run(&maintenance, &client).await.waiting;
    assert!(waiting.iter().all(|waiting| matches!(waiting, Deferred::NoSlot { .. })), "{waiting:?}");
    SlotOptions::default().recreate().create(&client, &pipeline).await.unwrap();
    let kept = run(&maintenance, &client).await;
    let missed: Vec<_> = kept.waiting.iter().filter(|waiting| matches!(waiting, Deferred::Missed { .. })).collect();
    assert_eq!(missed.len(), 1, "the new slot has not published the one with a row in it: {kept:?}");
    assert_eq!(kept.dropped.len(), report.detached.len() - 1);
    maintenance.release_missed(&client).await.unwrap();
    assert_eq!(run(&maintenance, &client).await.dropped.len(), 1);
    let left = "SELECT count(*) FROM pg_class WHERE relname = ANY($1)";
    assert_eq!(client.query_one(left, &[&report.detached]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_detachment_that_a_long_transaction_holds_up_is_finalised_by_a_later_run() {
    let (env, pipeline, client) = set_up(RowLife::Partitioned).await;
    run(&hourly(&pipeline, 24 * HOUR), &client).await;
    let mut reader = env.client().await;
    let long = reader.transaction().await.unwrap();
    read(&long).await;
    let maintenance = hourly(&pipeline, 5 * HOUR).lock_timeout(Duration::from_millis(200));
    let report = run(&maintenance, &client).await;
    assert!(report.detached.is_empty() && matches!(report.waiting[..], [Deferred::Lock { .. }]), "{report:?}");

    let pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";
    assert_eq!(client.query_one(pending, &[]).await.unwrap().get::<_, i64>(0), 1);
    let mut writer = env.client().await;
    enqueue(&mut writer, &PgOutbox::new(pipeline.clone()), &[aged(Duration::ZERO)]).await;
    long.commit().await.unwrap();
    let report = run(&maintenance, &client).await;
    assert!(report.detached.len() >= 4, "{report:?}");
    assert_eq!(client.query_one(pending, &[]).await.unwrap().get::<_, i64>(0), 0);
}

async fn read(tx: &Transaction<'_>) -> i64 {
    tx.query_one("SELECT count(*) FROM outbox.outbox_message", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn one_maintainer_works_at_a_time_and_a_dead_ones_lease_is_taken_over() {
    let (env, pipeline, client) = set_up(RowLife::Partitioned).await;
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (client, maintenance) = (env.client().await, hourly(&pipeline, 24 * HOUR));
        runs.spawn(async move { maintenance.run(&client).await.unwrap() });
    }
    let created: usize = runs
        .join_all()
        .await
        .iter()
        .map(|outcome| if let MaintenanceOutcome::Done(report) = outcome { report.created.len() } else { 0 })
        .sum();
    assert!((13..=15).contains(&created), "each partition once, not {created}");

    let hold =
        "UPDATE outbox.outbox_message_lease SET holder = 'another', until = clock_timestamp() + interval '1 min'";
    client.batch_execute(hold).await.unwrap();
    let maintenance = hourly(&pipeline, 24 * HOUR);
    let held = MaintenanceOutcome::HeldByOther { holder: "another".into() };
    assert_eq!(format!("{:?}", maintenance.run(&client).await.unwrap()), format!("{held:?}"));
    client.batch_execute("UPDATE outbox.outbox_message_lease SET until = clock_timestamp()").await.unwrap();
    run(&maintenance, &client).await;
}

/// A run that is stopped in the middle of its work.
#[tokio::test]
async fn another_maintainer_does_nothing_while_one_is_at_work_and_one_that_lost_its_lease_stops() {
    let (env, pipeline, client) = set_up(RowLife::Partitioned).await;
    run(&hourly(&pipeline, 24 * HOUR).ahead(HOUR), &client).await;

    let mut blocker = env.client().await;
    let lease = "SELECT holder, until > clock_timestamp() FROM outbox.outbox_message_lease";

    for is_robbed in [false, true] {
        let lock = blocker.transaction().await.unwrap();
        lock.batch_execute("LOCK TABLE outbox.outbox_message IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let worker = env.client().await;
        let process: i32 = worker.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let ahead = if is_robbed { 9 * HOUR } else { 5 * HOUR };
        let maintenance = hourly(&pipeline, 24 * HOUR).ahead(ahead).lock_timeout(60 * Duration::from_secs(1));
        let work = tokio::spawn(async move { maintenance.run(&worker).await });
        is_true(&client, &format!("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = {process} AND NOT granted)")).await;

        let holder = format!("process {process}, run ");
        let other = hourly(&pipeline, 5 * HOUR).ahead(24 * HOUR).run(&client).await.unwrap();
        assert!(
            matches!(&other, MaintenanceOutcome::HeldByOther { holder: found } if found.starts_with(&holder)),
            "{other:?}"
        );

        let row = client.query_one(lease, &[]).await.unwrap();
        assert!(row.get::<_, &str>(0).starts_with(&holder) && row.get(1), "who works is there to be seen");

        if is_robbed {
            let rob = "UPDATE outbox.outbox_message_lease SET holder = 'another', until = 'infinity'";
            client.batch_execute(rob).await.unwrap();
        }
        lock.rollback().await.unwrap();
        let ended = work.await.unwrap();
        if is_robbed {
            let error = ended.unwrap_err();
            assert!(error.is_transient() && error.to_string().contains("lease"), "{error}");
            let row = client.query_one(lease, &[]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), "another", "what is the other's stays the other's");
        } else {
            assert!(matches!(&ended, Ok(MaintenanceOutcome::Done(report)) if report.created.len() >= 3), "{ended:?}");
            assert!(!client.query_one(lease, &[]).await.unwrap().get::<_, bool>(1), "given back");
        }
    }
}

async fn is_true(client: &Client, sql: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0) {
        assert!(Instant::now() < deadline, "never: {sql}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_plain_table_is_deleted_from_in_batches_while_its_slot_is_there() {
    for life in [RowLife::Keep, RowLife::DeleteOnInsertKeepIds] {
        let (env, pipeline, mut client) = set_up(life).await;
        let events: Vec<_> = (0..25).map(|_| aged(6 * HOUR)).chain((0..3).map(|_| aged(HOUR))).collect();
        enqueue(&mut client, &PgOutbox::new(pipeline.clone()), &events).await;
        let foreign = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type)
                       VALUES ('00000000-0000-4000-8000-000000000000', 'a', 'b', 'c')";
        client.batch_execute(foreign).await.unwrap();
        let maintenance = Maintenance::new(pipeline.clone(), 5 * HOUR).batch_size(10);
        if life == RowLife::Keep {
            let report = run(&maintenance, &client).await;
            assert!(matches!(report.waiting[..], [Deferred::Unconfirmed { .. }]), "{report:?}");
            assert_eq!(report.deleted_rows, 0, "the slot has not confirmed them");
        }

        let (expected, left) = if life == RowLife::Keep { ((25, 0), 4) } else { ((0, 25), 0) };
        let mut deleted = (0, 0);

        // Rows count as confirmed once no transaction of the server is older.
        eventually("what is confirmed is deleted", async || {
            confirm(&client, pipeline.slot().as_str()).await;
            let report = run(&maintenance, &client).await;
            deleted = (deleted.0 + report.deleted_rows, deleted.1 + report.deleted_ids);
            if deleted == expected { Ok(()) } else { Err(deleted) }
        })
        .await;
        assert_eq!(env.rows().await, left, "the id of another version does not tell its time, and stays");
    }
}

/// The row is due, the slot is lost, and the remedy is under way: none of this removes it.
#[tokio::test]
async fn rows_that_no_slot_has_published_stay_until_they_are_published_or_given_up() {
    for is_given_up in [false, true] {
        let (env, pipeline, mut client) = set_up(RowLife::Keep).await;
        let (maintenance, slot) = (Maintenance::new(pipeline.clone(), 5 * HOUR), pipeline.slot().as_str());
        let events: Vec<_> = (0..8).map(|n| aged(6 * HOUR + Duration::from_secs(n))).collect();
        enqueue(&mut client, &PgOutbox::new(pipeline.clone()), &events[..3]).await;
        // Open while the slot is there, and committed when it is gone.
        let mut slow = env.client().await;
        let open = slow.transaction().await.unwrap();
        PgOutbox::new(pipeline.clone()).enqueue(&open, &events[3]).await.unwrap();
        let mut deleted = 0;
        // Rows count as confirmed once no transaction of the server is older.
        eventually("what is confirmed is deleted", async || {
            confirm(&client, slot).await;
            deleted += run(&maintenance, &client).await.deleted_rows;
            if deleted == 3 { Ok(()) } else { Err(deleted) }
        })
        .await;
        run(&maintenance, &client).await;

        client.execute("SELECT pg_drop_replication_slot($1)", &[&slot]).await.unwrap();
        open.commit().await.unwrap();
        enqueue(&mut client, &PgOutbox::new(pipeline.clone()), &events[4..]).await;
        let report = run(&maintenance, &client).await;
        assert!(matches!(report.waiting[..], [Deferred::NoSlot { .. }]) && report.deleted_rows == 0, "{report:?}");
        SlotOptions::default().recreate().create(&client, &pipeline).await.unwrap();
        for _ in 0..3 {
            confirm(&client, slot).await;
            let report = run(&maintenance, &client).await;
            assert!(matches!(report.waiting[..], [Deferred::Missed { .. }]) && report.deleted_rows == 0, "{report:?}");
        }

        if is_given_up {
            maintenance.release_missed(&client).await.unwrap();
        } else {
            let progress = Republish::missed(pipeline.clone()).run(&mut client, "lost").await.unwrap();
            assert_eq!(progress.events, 5);
            assert_eq!(published(&client, &pipeline).await.len(), 5);
            let report = run(&maintenance, &client).await;
            assert!(matches!(report.waiting[..], [Deferred::Unconfirmed { .. }]), "{report:?}");
        }
        let deadline = Instant::now() + Duration::from_secs(120);
        while env.rows().await > 0 {
            confirm(&client, slot).await;
            run(&maintenance, &client).await;
            assert!(Instant::now() < deadline, "never deleted");
        }
    }
}

/// A slot that somebody else drops and creates again between two runs that see it gone.
#[tokio::test]
async fn a_slot_that_others_create_again_has_published_nothing_from_before() {
    let (env, pipeline, mut client) = set_up(RowLife::Keep).await;
    let maintenance = Maintenance::new(pipeline.clone(), 5 * HOUR);
    enqueue(&mut client, &PgOutbox::new(pipeline.clone()), &[aged(6 * HOUR)]).await;
    client.execute("SELECT pg_drop_replication_slot($1)", &[&pipeline.slot().as_str()]).await.unwrap();
    run(&maintenance, &client).await;
    let create = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
    client.execute(create, &[&pipeline.slot().as_str()]).await.unwrap();

    for _ in 0..3 {
        confirm(&client, pipeline.slot().as_str()).await;
        let report = run(&maintenance, &client).await;
        assert!(matches!(report.waiting[..], [Deferred::Missed { .. }]), "{report:?}");
    }
    assert_eq!(env.rows().await, 1);
}

#[tokio::test]
async fn what_the_maintainer_misses_is_named() {
    let env = TestEnv::builder().outbox().build().await;
    let pipeline = env.pipeline().clone();
    let mut client = env.client().await;
    let error = Maintenance::new(pipeline.clone(), HOUR).run(&client).await.unwrap_err();
    assert!(error.is_not_ready() && error.to_string().contains("Migrations::maintenance"), "{error}");

    let partitioned = TableLayout::recommended().with_row_life(RowLife::Partitioned);
    let partitioned = Pipeline::new(pipeline.config().clone(), partitioned).unwrap();
    Migrations::maintenance(&partitioned).apply(&mut client).await.unwrap();
    let error = Maintenance::new(partitioned.clone(), HOUR).run(&client).await.unwrap_err();
    assert!(error.is_not_ready() && error.to_string().contains("not partitioned"), "{error}");
    outbox_pg::create_slot(&client, &partitioned).await.unwrap();
    let readiness = Readiness::check(&client, &partitioned).await.unwrap();
    assert!(matches!(readiness.problems(), [Problem::NotPartitioned { .. }]), "{readiness:?}");

    let vanishing = TableLayout::recommended().with_row_life(RowLife::DeleteOnInsert);
    let vanishing = Pipeline::new(pipeline.config().clone(), vanishing).unwrap();
    let readiness = Readiness::check(&client, &vanishing).await.unwrap();
    assert!(matches!(readiness.problems(), [Problem::OtherRowLife { .. }]), "{readiness:?}");
}

/// The session is one of a pool, or its program has set timeouts.
#[tokio::test]
async fn a_run_leaves_the_timeouts_of_its_session_as_they_were_also_if_it_is_dropped() {
    let (env, pipeline, client) = set_up(RowLife::Keep).await;
    let maintenance = Maintenance::new(pipeline, HOUR).lock_timeout(10 * HOUR);
    client.batch_execute("SET lock_timeout = '7s'; SET statement_timeout = '1h'").await.unwrap();
    let timeouts = async || -> (String, String) {
        let sql = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')";
        let row = client.query_one(sql, &[]).await.unwrap();
        (row.get(0), row.get(1))
    };
    run(&maintenance, &client).await;
    assert_eq!(timeouts().await, ("7s".into(), "1h".into()));

    let mut blocker = env.client().await;
    let lock = blocker.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE outbox.outbox_message").await.unwrap();
    let observer = env.client().await;
    let waits = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database
                     WHERE NOT granted AND datname = current_database())";
    let waiting = eventually("the run waits for the table", async || {
        observer.query_one(waits, &[]).await.unwrap().get::<_, bool>(0)
    });
    tokio::select! {
        done = maintenance.run(&client) => panic!("{done:?}"),
        () = waiting => {}
    }
    lock.rollback().await.unwrap();
    assert_eq!(timeouts().await, ("7s".into(), "1h".into()));
}

fn unconfirmed_by(waiting: &Deferred) -> Option<&str> {
    match waiting {
        Deferred::Unconfirmed { slot, .. } => Some(slot.as_str()),
        _ => None,
    }
}

/// Two pipelines publish the rows of one table, each through its slot.
#[tokio::test]
async fn rows_are_kept_for_the_slot_of_another_pipeline_until_it_is_forgotten() {
    let (env, pipeline, mut client) = set_up(RowLife::Keep).await;
    let name = format!("{}_two", env.name());
    let config = pipeline.config().clone().with("slot.name", &*name);
    let other = Pipeline::new(config, pipeline.layout().clone()).unwrap();
    outbox_pg::create_slot(&client, &other).await.unwrap();
    enqueue(&mut client, &PgOutbox::new(pipeline.clone()), &[aged(6 * HOUR)]).await;
    let maintenance = Maintenance::new(pipeline.clone(), 5 * HOUR);
    let waits = async || run(&maintenance, &client).await.waiting;

    eventually("only the other slot has not confirmed the row", async || {
        confirm(&client, pipeline.slot().as_str()).await;
        let waiting = waits().await;
        let unconfirmed: Vec<_> = waiting.iter().filter_map(unconfirmed_by).collect();
        if unconfirmed == [&*name] { Ok(()) } else { Err(waiting) }
    })
    .await;

    assert!(!maintenance.forget_slot(&client, other.slot()).await.unwrap(), "it is there");
    client.execute("SELECT pg_drop_replication_slot($1)", &[&name]).await.unwrap();
    let waiting = waits().await;
    assert!(waiting.contains(&Deferred::OtherSlotGone { slot: name.clone() }), "{waiting:?}");
    SlotOptions::default().recreate().create(&client, &other).await.unwrap();
    for _ in 0..3 {
        confirm(&client, &name).await;
        let waiting = waits().await;
        assert!(waiting.iter().any(|waiting| matches!(waiting, Deferred::Missed { .. })), "{waiting:?}");
    }
    assert_eq!(env.rows().await, 1);

    client.execute("SELECT pg_drop_replication_slot($1)", &[&name]).await.unwrap();
    assert!(maintenance.forget_slot(&client, other.slot()).await.unwrap());
    eventually("the row is deleted", async || {
        confirm(&client, pipeline.slot().as_str()).await;
        run(&maintenance, &client).await;
        env.rows().await == 0
    })
    .await;
}
