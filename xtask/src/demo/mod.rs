//! `cargo xtask demo`.

mod service;
mod setup;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use xtask::stack::{Interrupt, Stack, StackOptions};

use self::service::OrderService;
use crate::outcome::{Outcome, report};
use crate::program;

const ARRIVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct DemoTask {
    /// Keep the service running until Ctrl-C
    #[arg(long)]
    serve: bool,
}

impl DemoTask {
    pub(crate) fn run(self, interrupt: &Interrupt) -> Outcome {
        let options = StackOptions::development().interrupt(interrupt.clone()).report(report);
        report("bringing up PostgreSQL, Kafka and Kafka Connect");
        let stack = Stack::up(&options)?;
        let program = program::build(setup::PACKAGE, &[])?;
        interrupt.check()?;
        setup::create_tables(&stack, &program)?;
        setup::create_connector_role(&stack)?;
        setup::create_connector(&stack)?;
        interrupt.check()?;
        let mut service = OrderService::start(&stack, &options, &program, interrupt)?;
        show_one_order(&service, interrupt)?;
        if self.serve {
            invite(&stack, &service);
            service.wait(interrupt)?;
        }

        report("stopping the order service");
        service.stop()?;
        if !self.serve {
            println!("to go on with it: `cargo xtask demo --serve` keeps the service running");
        }

        println!("the servers keep running; stop them with `cargo xtask stack down`");
        Ok(ExitCode::SUCCESS)
    }
}

fn show_one_order(
    service: &OrderService,
    interrupt: &Interrupt,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let wanted = json!({ "customer_id": 1, "product_id": 101, "quantity": 2 });
    report(&format!("POST /orders {wanted}"));

    let order = service.post("/orders", &wanted)?;
    let committed = Instant::now();
    let id = order.get("id").map(text).ok_or_else(|| format!("the order that was placed has no id: {order}"))?;
    report("waiting for the event to come back through Debezium and Kafka (GET /received)");

    let event = loop {
        let received = service.get("/received")?;
        if let Some(event) = find_event(&received, &id) {
            break event.clone();
        }

        interrupt.check()?;
        if committed.elapsed() > ARRIVAL {
            return Err(format!(
                "the event of order {id} was not received within {} s; look at {} and at \
                 Kafka Connect's log next to it",
                ARRIVAL.as_secs(),
                service.log().display()
            )
            .into());
        }
        std::thread::sleep(Duration::from_millis(10));
    };

    let latency = committed.elapsed();
    println!();
    println!("the order, as it was placed:\n{order:#}");
    println!("its event, as it was received:\n{event:#}");
    println!("{} ms from the order's commit until its event was handled", latency.as_millis());
    println!();
    Ok(())
}

fn invite(stack: &Stack, service: &OrderService) {
    let url = service.url();
    println!("the service runs at {url} until Ctrl-C; try");
    println!(
        "  curl -i {url}/orders -H 'content-type: application/json' \
         -d '{{\"customer_id\":1,\"product_id\":101,\"quantity\":2}}'"
    );
    println!("  curl {url}/received");
    println!("  curl {}/connectors/{}/status", stack.connect_url(), setup::CONNECTOR);
}

fn find_event<'a>(received: &'a Value, order: &str) -> Option<&'a Value> {
    received
        .as_array()?
        .iter()
        .find(|event| event.get("aggregate_id").is_some_and(|aggregate| text(aggregate) == order))
}

/// Returns a string without its quotes, anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_finds_its_event_whether_its_id_is_a_number_or_a_text() {
        let received = json!([{ "aggregate_id": "6" }, { "aggregate_id": "7", "x": 1 }]);
        let order = json!({ "id": 7 });
        let event = find_event(&received, &text(&order["id"])).unwrap();
        assert_eq!(event["x"], 1);
        assert_eq!(find_event(&received, "8"), None);
    }
}
