//! Schedules in which the rules keep each event once.

use super::world::World;

/// Leaves one event in the log and acknowledged, and more of them in a request that its dead sender left behind.
fn left_behind(more: usize) -> World {
    let mut world = World::new(1);
    world.commit_rows(&[(0, 0)]);
    world.acquire();
    world.run(0);
    world.commit_rows(&vec![(0, 0); more]);
    world.send(0);
    assert_eq!(world.network.len(), 1);
    world.take_over();
    world
}

#[test]
fn a_late_batch_of_the_dead_and_the_same_rows_sent_again() {
    for is_early in [true, false] {
        let mut world = left_behind(2);
        world.send(0);
        if is_early {
            world.arrive(0, true);
        }
        world.run(0);
        if !is_early {
            world.arrive(0, true);
        }
        assert_eq!(world.events(0, 0), [0, 1, 2], "{is_early}");
        assert_eq!(world.broker.topics[0][0].excused, None);
    }
}

#[test]
fn a_late_batch_of_the_dead_and_the_same_rows_split_otherwise() {
    for is_early in [true, false] {
        let mut world = left_behind(3);
        world.processes.clear();
        world.postgres.holder = None;
        world.batch_rows = 2;
        world.acquire();
        world.send(0);
        if is_early {
            world.arrive(0, true);
        }
        world.run(0);
        if !is_early {
            world.arrive(0, true);
        }

        assert_eq!(world.events(0, 0), [0, 1, 2, 3], "{is_early}");
        assert_eq!(world.broker.topics[0][0].excused, None);
    }
}

/// Error 0 with other contents: the dead one mapped the rows otherwise.
#[test]
fn a_late_batch_of_the_dead_with_other_rows_under_the_same_numbers() {
    let mut world = World::new(1);
    world.commit_rows(&[(0, 0)]);
    world.acquire();
    world.run(0);
    world.commit_rows(&[(0, 1), (0, 0)]);
    world.batch_rows = 1;
    world.send(0);
    world.broker.add_partition(0);
    world.take_over();
    world.send(0);
    world.arrive(0, true);
    world.run(0);
    assert_eq!((world.events(0, 0), world.events(0, 1)), (vec![0, 1, 2], vec![1]));
}

#[test]
fn a_process_that_goes_on_after_it_has_lost_the_slot() {
    let mut world = World::new(1);
    world.batch_rows = 2;
    world.commit_rows(&[(0, 0)]);
    world.acquire();
    world.run(0);
    world.commit_rows(&[(0, 0); 7]);
    world.send(0);
    world.lose_slot();
    world.batch_rows = 3;
    world.acquire();
    world.send(1);

    for turn in 0..100 {
        if world.network.is_empty() {
            break;
        }
        world.arrive(turn % world.network.len(), true);
        world.carry_out_all(0);
        world.send(world.processes.len() - 1);
    }

    assert_eq!(world.events(0, 0), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(world.postgres.confirmed, world.postgres.transactions[1].end);
}

#[test]
fn a_huge_transaction_is_written_before_its_commit_is_read_and_holds_no_more_than_the_bound() {
    let mut world = World::new(1);
    world.max_buffered = 4;
    world.commit_rows(&[(0, 0); 100]);
    world.acquire();
    world.send(0);
    let progress = &world.processes[0].progress;
    assert_eq!((progress.buffered_bytes(), progress.counters().read), (5, 5));
    while world.events(0, 0).len() < 50 {
        world.arrive(0, true);
        world.send(0);
    }

    assert!(world.processes[0].progress.counters().read < 60);
    assert_eq!(world.postgres.confirmed.as_u64(), 100);
    world.run(0);
    assert_eq!(world.postgres.confirmed, world.postgres.transactions[0].end);
    assert_eq!(world.events(0, 0), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_quiet_slot_moves_with_keepalives_alone() {
    let mut world = World::new(1);
    world.acquire();
    world.postgres.write_other();
    world.run(0);
    assert_eq!(world.postgres.confirmed.as_u64(), world.postgres.flushed);
}

#[test]
fn the_rest_of_a_poison_rows_batch_goes_on() {
    let mut world = World::new(1);
    world.batch_rows = 10;
    world.commit_rows(&[(0, 0); 5]);
    for poison in [1, 4] {
        world.postgres.transactions[0].rows[poison].is_poison = true;
    }
    world.acquire();
    world.run(0);
    assert_eq!((world.events(0, 0), world.events(2, 0)), (vec![0, 2, 3], vec![1, 4]));
    assert_eq!(world.postgres.confirmed, world.postgres.transactions[0].end);
}

#[test]
fn a_crash_within_a_transaction_that_is_longer_than_the_scans_limit() {
    let mut world = World::new(1);
    (world.scan_limit, world.batch_rows) = (4, 7);
    world.commit_rows(&[(0, 0); 5]);
    world.acquire();
    world.run(0);
    world.commit_rows(&[(0, 0); 300]);
    world.send(0);
    while world.events(0, 0).len() < 250 {
        world.arrive(0, true);
        world.send(0);
    }

    world.network.clear();
    world.take_over();
    world.run(0);
    assert_eq!(world.events(0, 0), (0..305).collect::<Vec<_>>());
    assert_eq!(world.broker.topics[0][0].excused, None);
}

/// The records of the standby's rows are known by their events; on its timeline the positions of the others are given
/// again.
#[test]
fn a_failover_within_a_transaction_that_is_longer_than_the_scans_limit() {
    let mut world = World::new(1);
    (world.scan_limit, world.batch_rows) = (4, 7);
    world.commit_rows(&[(0, 0); 5]);
    world.acquire();
    world.run(0);
    world.commit_rows(&[(0, 0); 50]);
    world.commit_rows(&[(0, 0); 2]);
    world.run(0);
    world.fail_over(2);
    world.end(0);
    world.commit_rows(&[(0, 0); 3]);
    world.acquire();
    world.run(0);
    assert_eq!(world.events(0, 0), (0..60).collect::<Vec<_>>());
}

/// Rows before the poison row in its own and in earlier transactions.
#[test]
fn what_is_before_a_poison_row_is_written_and_confirmed_before_the_stop() {
    let mut world = World::new(2);
    (world.stops, world.batch_rows) = (true, 2);
    world.commit_rows(&[(0, 0), (0, 1), (0, 0)]);
    world.commit_rows(&[(0, 0), (0, 1), (0, 0), (0, 0), (0, 1)]);
    world.postgres.transactions[1].rows[2].is_poison = true;
    world.commit_rows(&[(0, 0), (0, 1)]);
    world.acquire();
    world.run(0);
    world.end_stopped();
    assert_eq!((&world.fault, world.processes.len()), (&None, 0));
    assert_eq!(world.events(0, 0), [0, 2, 3]);
    assert_eq!(world.events(0, 1)[..2], [1, 4]);
    assert_eq!(world.postgres.confirmed, world.postgres.transactions[0].end);

    // The poison row is left out from here on.
    world.acquire();
    world.run(0);
    assert_eq!((world.events(0, 0), world.events(0, 1)), (vec![0, 2, 3, 6, 8], vec![1, 4, 7, 9]));
    assert_eq!(world.postgres.confirmed, world.postgres.transactions[2].end);
}
