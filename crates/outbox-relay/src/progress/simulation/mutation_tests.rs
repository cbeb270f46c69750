use super::judge::Fault;
use super::mutation::Mutation;
use super::schedule;
use super::world::{Flying, World};

/// Finds the first seed that shows the broken rule, and how.
fn found(mutation: Mutation, within: u64, is_it: impl Fn(&Fault) -> bool) {
    for seed in 0..within {
        if let (_, Err(fault)) = schedule::run(seed, mutation, false)
            && is_it(&fault)
        {
            println!("{mutation:?}: {fault:?} in schedule {seed}");
            return;
        }
    }
    panic!("{mutation:?} was not found in {within} schedules");
}

fn is_loss(fault: &Fault) -> bool {
    matches!(fault, Fault::Lost { .. })
}

fn is_duplicate(fault: &Fault) -> bool {
    matches!(fault, Fault::OutOfPlace { .. })
}

#[test]
fn skipping_up_to_the_last_position_loses_events() {
    found(Mutation::SkipUpToLastPosition, 2_000, is_loss);
}

#[test]
fn stopping_at_a_poison_row_at_once_leaves_rows_before_it_unsent() {
    found(Mutation::StopAtOnce, 500, |fault| matches!(fault, Fault::Unsent { .. }));
}

/// The earlier row was in flight to another partition when its sender died.
#[test]
fn skipping_up_to_the_last_position_loses_an_event_that_maps_to_another_partition_now() {
    for (mutation, events) in [(Mutation::None, vec![1, 0]), (Mutation::SkipUpToLastPosition, vec![1])] {
        let mut world = World::new(2);
        world.mutation = mutation;
        world.acquire();
        world.processes[0].counts[0] = 1;
        world.commit_rows(&[(0, 1)]);
        world.send(0);
        world.processes[0].counts[0] = 2;
        world.commit_rows(&[(0, 1)]);
        world.send(0);
        world.arrive(1, true);
        world.take_over();
        world.run(0);
        assert_eq!(world.events(0, 1), events, "{mutation:?}");
    }
}

#[test]
fn confirming_the_commit_leaves_the_transaction_unconfirmed() {
    found(Mutation::ConfirmCommitInsteadOfEnd, 50, |fault| *fault == Fault::Unfinished);
}

#[test]
fn confirming_on_receipt_loses_events() {
    found(Mutation::ConfirmOnReceipt, 500, is_loss);
}

#[test]
fn not_reading_after_a_refused_sequence_loses_events() {
    found(Mutation::NoReadAfterRefusal, 10_000, is_loss);
}

#[test]
fn not_reading_after_a_resume_loses_events() {
    found(Mutation::NoReadAfterResume, 30_000, is_loss);
}

#[test]
fn a_new_producer_after_a_take_over_repeats_events() {
    found(Mutation::NewProducerAfterTakeOver, 2_000, is_duplicate);
}

#[test]
fn a_scan_that_ends_within_its_own_records_repeats_events() {
    found(Mutation::LimitForOwn, 2_000, is_duplicate);
    found(Mutation::EndAtFirstOwn, 2_000, is_duplicate);
}

#[test]
fn records_of_another_timeline_that_prove_nothing_repeat_events() {
    found(Mutation::ForgetOtherTimeline, 2_000, is_duplicate);
}

#[test]
fn a_new_producer_for_a_batch_of_unknown_outcome_repeats_events() {
    found(Mutation::NewProducerWhenUnknown, 2_000, is_duplicate);
}

/// Too rare for random schedules: two processes that map rows differently, and the older one reads the log late.
#[test]
fn inheriting_without_holding_the_slot_loses_events() {
    for (mutation, events) in [(Mutation::None, vec![1, 2]), (Mutation::NoProofOfHold, vec![1, 0])] {
        let mut world = World::new(2);
        world.mutation = mutation;
        world.commit_rows(&[(0, 1), (0, 0)]);
        world.acquire();
        world.processes[0].counts[0] = 1;
        while world.read_wal(0) {}
        world.lose_slot();
        world.acquire();
        world.run(1);
        world.commit_rows(&[(0, 0)]);
        while world.read_wal(1) {}

        // The first process still believes that it holds the slot, and finds the second's batch.
        world.carry_out_all(0);
        while let Some(flying) = world.network.len().checked_sub(1) {
            world.arrive(flying, true);
        }

        assert_eq!(world.events(0, 0), events, "{mutation:?}");
        let holder = world.processes.len() - 1;
        world.carry_out_all(holder);
        assert_eq!(world.processes[holder].progress.buffered_rows(), 0, "{mutation:?}");
    }
}

/// Two processes that map rows differently write under one producer id, in step.
#[test]
fn a_broker_that_hides_repetitions_after_it_was_tried_loses_events() {
    for (mutation, events) in [(Mutation::None, vec![0, 1, 2, 3, 4]), (Mutation::HideRepetitions, vec![0, 1, 2, 4])] {
        let mut world = World::new(2);
        world.mutation = mutation;
        world.batch_rows = 1;
        world.acquire();
        world.processes[0].counts[0] = 1;
        world.commit_rows(&[(0, 0)]);
        world.run(0);
        world.commit_rows(&[(0, 0), (0, 1), (0, 0), (0, 0)]);
        world.send(0);
        world.lose_slot();
        world.acquire();
        world.send(1);

        let step = |world: &mut World, sender: u32| {
            let is_it = |flying: &Flying| flying.request.sender == sender && flying.request.partition == 0;
            let flying = world.network.iter().position(is_it).unwrap();
            world.arrive(flying, true);
            world.carry_out_all(usize::from(sender == 2));
        };

        // The holder writes its first row there, and tries the broker.
        step(&mut world, 2);
        step(&mut world, 2);

        // The first process takes the holder's row for its own, and its next one comes first.
        step(&mut world, 1);
        step(&mut world, 1);
        step(&mut world, 2);
        world.end(0);
        world.run(0);
        assert_eq!(world.events(0, 0), events, "{mutation:?}");
        assert_eq!(world.processes[0].progress.buffered_rows(), 0, "{mutation:?}");
    }
}
