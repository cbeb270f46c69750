//! The windows in which an event may be repeated or out of order, each by the schedule that opens it.

use super::broker::DEAD_LETTERS;
use super::world::World;

#[test]
fn a_late_batch_under_a_producer_id_that_the_log_does_not_tell() {
    let mut world = World::new(1);
    world.commit_rows(&[(0, 0)]);
    world.acquire();
    world.send(0);
    world.take_over();
    world.run(0);
    world.arrive(0, true);
    assert_eq!(world.events(0, 0), [0, 0]);
    assert_eq!(world.broker.topics[0][0].excused, Some("late under an unknown producer id"));
}

#[test]
fn a_late_batch_after_the_broker_has_lost_the_producers_state() {
    let mut world = World::new(1);
    world.commit_row(0, |wire| wire.is_old = true);
    world.acquire();
    world.send(0);
    world.time_out(0);
    world.run(0);
    assert_eq!(world.events(0, 0), [0]);
    world.broker.restart();
    world.arrive(0, true);
    assert_eq!(world.events(0, 0), [0, 0]);
    assert_eq!(world.broker.topics[0][0].excused, Some("producer state lost"));
}

#[test]
fn rows_of_the_window_before_more_records_of_others_than_the_scans_limit() {
    let mut world = World::new(1);
    (world.batch_rows, world.scan_limit) = (1, 2);
    world.commit_rows(&[(0, 0), (0, 0)]);
    world.acquire();
    world.run(0);
    for _ in 0..2 {
        world.write_foreign(0, 0);
    }

    world.commit_rows(&[(0, 0)]);
    world.run(0);
    world.slot_goes_back();
    world.run(0);
    assert_eq!(world.events(0, 0), [0, 1, 2, 0, 1]);
    assert_eq!(world.processes[0].progress.counters().duplicates_accepted, 2);
    assert_eq!(world.broker.topics[0][0].excused, Some("scan limit"));
}

#[test]
fn a_partition_count_that_is_raised_while_rows_are_unconfirmed() {
    let mut world = World::new(1);
    world.commit_rows(&[(0, 1)]);
    world.acquire();
    world.run(0);
    world.broker.add_partition(0);
    world.slot_goes_back();
    world.run(0);
    assert_eq!((world.events(0, 0), world.events(0, 1)), (vec![0], vec![0]));
}

#[test]
fn records_of_unconfirmed_rows_that_retention_removed() {
    let mut world = World::new(1);
    world.commit_rows(&[(0, 0), (0, 0)]);
    world.acquire();
    world.run(0);
    world.cut(0, 0, 1);
    world.slot_goes_back();
    world.run(0);
    assert_eq!(world.events(0, 0), [1, 0]);
    assert_eq!(world.broker.topics[0][0].excused, Some("retention cut the window"));
}

#[test]
fn a_topic_that_is_created_again_between_two_rows() {
    let mut world = World::new(1);
    world.commit_rows(&[(0, 0)]);
    world.acquire();
    world.run(0);
    world.recreate(0);
    world.commit_rows(&[(0, 0)]);
    world.run(0);
    world.slot_goes_back();
    world.run(0);
    assert_eq!(world.events(0, 0), [1, 0]);
    assert_eq!(world.broker.topics[0][0].excused, Some("topic re-created"));
}

#[test]
fn a_record_of_debezium_that_comes_after_the_relay_has_started() {
    let mut world = World::new(1);
    world.commit_rows(&[(0, 0)]);
    world.acquire();
    world.send(0);
    let wire = world.postgres.transactions[0].rows[0];
    world.write_as_debezium(&wire);
    world.run(0);
    assert_eq!(world.events(0, 0), [0, 0]);
}

#[test]
fn dead_letters_come_in_the_order_of_their_refusals() {
    let mut world = World::new(1);
    world.commit_row(0, |wire| wire.is_poison = true);
    world.commit_row(1, |wire| wire.is_poison = true);
    world.acquire();
    world.send(0);
    world.arrive(1, true);
    world.run(0);
    assert_eq!(world.events(DEAD_LETTERS, 0), [1, 0]);
    assert!(world.events(0, 0).is_empty() && world.events(1, 0).is_empty());
}
