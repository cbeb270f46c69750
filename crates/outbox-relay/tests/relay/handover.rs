use crate::bench::Bench;
use crate::connector::Connector;
use crate::load::Load;

/// What lets Debezium go on where the relay has left the slot, and not where it was itself.
#[derive(Clone, Copy, PartialEq)]
enum WayBack {
    TrustSlot,
    DeletedOffsets,
}

#[tokio::test]
async fn with_trust_slot_debezium_and_the_relay_hand_over_to_and_fro_under_load_and_each_event_is_there_once() {
    hand_over_to_and_fro(WayBack::TrustSlot).await;
}

#[tokio::test]
async fn with_its_offsets_deleted_debezium_and_the_relay_hand_over_to_and_fro_under_load_and_each_event_is_there_once()
{
    hand_over_to_and_fro(WayBack::DeletedOffsets).await;
}

async fn hand_over_to_and_fro(way_back: WayBack) {
    let mut bench = Bench::new(3).await;
    if way_back == WayBack::TrustSlot {
        bench.config = bench.config.with("offset.mismatch.strategy", "trust_slot");
    }
    let connector = Connector::of(&bench);
    connector.create().await;
    connector.reads(&bench).await;
    let load = Load::start(&bench, 10);
    for round in 0..2 {
        load.writes(300).await;
        arrive(&bench, &load).await;
        connector.gives_back(&bench).await;

        load.writes(300).await;
        eprintln!(
            "round {round}: Debezium wrote {} records more than it has confirmed",
            bench.unconfirmed_records().await
        );
        let relay = bench.start();
        load.writes(300).await;
        arrive(&bench, &load).await;
        relay.stop().await;
        eprintln!(
            "round {round}: the relay wrote {} records more than it has confirmed",
            bench.unconfirmed_records().await
        );

        load.writes(300).await;
        if way_back == WayBack::DeletedOffsets {
            connector.ask(|connect, name| connect.delete_offsets(name)).await;
        }
        connector.ask(|connect, name| connect.resume(name)).await;
        connector.reads(&bench).await;
    }
    load.writes(300).await;
    load.end().await;
    bench.all_arrived().await;
    // The last word is the relay's: it confirms all, at once.
    connector.gives_back(&bench).await;
    let relay = bench.start();
    bench.all_arrived_once_and_in_order().await;
    relay.stop().await;
}

/// Waits until what is written now has come through.
async fn arrive(bench: &Bench, load: &Load) {
    bench.records(usize::try_from(load.written()).unwrap()).await;
}
