use crate::connector::Connector;
use crate::fixture::RelayEnv;
use crate::load::Load;

/// The way in which Debezium continues where the relay has left the slot, and not where it was itself.
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
    let mut fixture = RelayEnv::new(3).await;
    if way_back == WayBack::TrustSlot {
        fixture.config = fixture.config.with("offset.mismatch.strategy", "trust_slot");
    }

    let connector = Connector::of(&fixture);
    connector.create().await;
    connector.reads(&fixture).await;

    let load = Load::start(&fixture, 10);
    for round in 0..2 {
        load.writes(300).await;
        arrive(&fixture, &load).await;
        connector.gives_back(&fixture).await;

        load.writes(300).await;
        eprintln!(
            "round {round}: Debezium wrote {} records more than it has confirmed",
            fixture.unconfirmed_records().await
        );
        let relay = fixture.start();
        load.writes(300).await;
        arrive(&fixture, &load).await;
        relay.stop().await;
        eprintln!(
            "round {round}: the relay wrote {} records more than it has confirmed",
            fixture.unconfirmed_records().await
        );

        load.writes(300).await;
        if way_back == WayBack::DeletedOffsets {
            connector.ask(|connect, name| connect.delete_offsets(name)).await;
        }
        connector.ask(|connect, name| connect.resume(name)).await;
        connector.reads(&fixture).await;
    }

    load.writes(300).await;
    load.end().await;
    fixture.all_arrived().await;

    // The last word is the relay's: it confirms all, at once.
    connector.gives_back(&fixture).await;
    let relay = fixture.start();
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}

/// Waits until what is written now has come through.
async fn arrive(fixture: &RelayEnv, load: &Load) {
    fixture.records(usize::try_from(load.written()).unwrap()).await;
}
