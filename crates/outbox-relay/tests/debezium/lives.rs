//! Each life of a row, as services store it through the library, in both engines.

use std::time::{Duration, Instant};

use outbox_core::{Pipeline, RowLife};
use outbox_pg::{Deferred, Migrations};

use crate::service::{HOUR, Load, PATIENCE, Service, events};

#[test]
fn rows_that_vanish_are_records_once_and_in_order() {
    for life in [RowLife::DeleteOnInsert, RowLife::DeleteOnInsertKeepIds] {
        let mut service = Service::start(life);
        service.store(&events([Duration::ZERO; 4]));
        service.store_in_batches(&[events([Duration::ZERO; 300]), events([Duration::ZERO; 300])]);
        service.roll_back(&events([Duration::ZERO; 3]));
        service.store(&events([Duration::ZERO; 4]));
        assert_eq!(service.rows(), 0, "{life:?}");
        service.compare();
    }
}

#[test]
fn a_table_in_partitions_is_one_table_while_its_partitions_come_and_go() {
    let mut service = Service::start(RowLife::Partitioned);
    let hours = |hours: &[u32]| events(hours.iter().map(|hours| HOUR * *hours));
    let keep_all = service.maintenance(24 * HOUR);
    assert!(service.maintain(&keep_all).created.len() >= 13);
    service.store_in_batches(&[hours(&[0, 9, 1, 8, 2, 7, 0, 3]), hours(&[6, 0, 9])]);

    // A long transaction holds up the detachment, which stays pending while rows come.
    let mut reader = service.client();
    let long = service.runtime.block_on(reader.transaction()).unwrap();
    service.runtime.block_on(long.query_one("SELECT count(*) FROM outbox.outbox_message", &[])).unwrap();
    let keep_less = service.maintenance(5 * HOUR).lock_timeout(Duration::from_millis(200));
    let report = service.maintain(&keep_less);
    assert!(report.detached.is_empty() && matches!(report.waiting[..], [Deferred::Lock { .. }]), "{report:?}");
    service.store_in_batches(&[hours(&[4, 0, 1, 3, 0, 2]), hours(&[2, 0])]);
    service.runtime.block_on(long.commit()).unwrap();
    drop(reader);

    let report = service.maintain(&keep_less);
    let detached = report.detached;
    assert!(detached.len() >= 4, "{detached:?}");
    service.store_in_batches(&[hours(&[3, 0, 1, 4, 0])]);
    // Both engines confirm what they have read, the detachments included.
    let mut dropped = report.dropped;
    let deadline = Instant::now() + PATIENCE;
    while dropped.len() < detached.len() {
        let report = service.maintain(&keep_less);
        assert!(Instant::now() < deadline, "{report:?}");
        dropped.extend(report.dropped);
        std::thread::sleep(Duration::from_millis(200));
    }
    service.store_in_batches(&[hours(&[1, 0, 3, 0])]);
    service.compare();
}

/// The procedure of docs/postgres.md, there and back, while a service writes and both engines read their slots.
#[test]
fn a_life_is_exchanged_under_load_and_both_engines_have_each_event_once_and_in_order() {
    let mut service = Service::start(RowLife::Keep);
    let load = Load::start(&service);
    for life in [RowLife::DeleteOnInsert, RowLife::Keep, RowLife::DeleteOnInsertKeepIds, RowLife::Keep] {
        load.writes(50);
        let layout = service.pipeline.layout().clone().with_row_life(life);
        let pipeline = Pipeline::new(service.pipeline.config().clone(), layout).unwrap();
        let applied = service.runtime.block_on(Migrations::outbox(&pipeline).apply(&mut service.client)).unwrap();
        assert_eq!(applied.row_life, Some(life));
        let stays = service.rows();
        load.writes(50);
        assert_eq!(service.rows() == stays, life.vanishes(), "{life:?}");
    }

    let written = load.end(&service);
    service.stored.extend(written);
    service.compare();
}
