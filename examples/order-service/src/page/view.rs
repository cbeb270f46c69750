//! The parts of the page as HTML. Each has the id of the element that it fills.

use std::fmt::Write as _;

use outbox_kafka_consumer::{FailedEvent, PartitionStatus};
use outbox_pg::{IndicatorStatus, Measure, PipelineHealth};

use super::html::{Escaped, after, bytes, time};
use super::snapshot::{Effect, Snapshot, Stored, Way};
use crate::health::name;
use crate::settings::PageAccess;
use crate::switches::Switches;

/// Returns the orders, each with the way of its event.
pub(super) fn orders(ways: &[Way]) -> String {
    if ways.is_empty() {
        return "<p class=\"empty\">No order yet. Place one, and its event appears here.</p>".to_owned();
    }
    ways.iter().map(way).collect()
}

fn way(way: &Way) -> String {
    let mut steps = String::new();
    let since = |at| format!("{} <span class=\"after\">{}</span>", time(at), after(way.created_at, at));
    step(&mut steps, "done", "Order row", &format!("orders.id {}", way.order), &time(way.created_at));

    let event = way.event.map(|event| event.to_string()).unwrap_or_default();
    let short = event.get(event.len().saturating_sub(12)..).unwrap_or_default();
    match way.stored {
        Stored::Row(at) => step(&mut steps, "done", "Outbox row", &format!("…{short}"), &since(at)),
        Stored::Removed => step(&mut steps, "done", "Outbox row", "removed after its retention", ""),
        Stored::Message => step(&mut steps, "done", "Outbox message", &format!("…{short}"), ""),
    }

    let wal = way.wal.as_deref().unwrap_or("unknown");
    let wal_state = if way.is_published { "done" } else { "waiting" };
    let confirmed = if way.is_published { "confirmed" } else { "not confirmed yet" };
    let committed = way.committed_at.map(since).unwrap_or_default();
    step(&mut steps, wal_state, "WAL position", &format!("{wal} {confirmed}"), &committed);

    match &way.record {
        Some(place) => {
            let read = place.read_at.map(since).unwrap_or_default();
            step(&mut steps, "done", "Topic", &place.topic, &read);
            step(&mut steps, "done", "Partition", &place.partition.to_string(), &read);
            step(&mut steps, "done", "Offset", &place.offset.to_string(), &read);
        }
        None => ["Topic", "Partition", "Offset"].iter().for_each(|label| step(&mut steps, "waiting", label, "", "")),
    }

    match way.effect {
        Effect::Waiting => step(&mut steps, "waiting", "Effect", "", ""),
        Effect::Done(at) => step(&mut steps, "done", "Effect", "committed", &since(at)),
        Effect::Parked { attempts, at } => {
            step(&mut steps, "failed", "Effect", &format!("retried, {attempts} attempts failed"), &since(at));
        }
        Effect::Dead { at } => step(&mut steps, "failed", "Effect", "dead letter", &since(at)),
    }

    let (order, product, quantity) = (way.order, way.product, way.quantity);
    format!(
        "<article aria-labelledby=\"order-{order}\"><h3 id=\"order-{order}\">Order {order} <span>{quantity} × product \
         {product}</span></h3><ol class=\"way\">{steps}</ol></article>"
    )
}

fn step(steps: &mut String, state: &str, label: &str, value: &str, at: &str) {
    // A topic may be broken after its dots.
    let value = Escaped(value).to_string().replace('.', ".<wbr>");
    _ = write!(
        steps,
        "<li class=\"{state}\"><b>{label}</b><div class=\"facts\"><span class=\"state\">{state}</span>\
         <span class=\"value\">{value}</span><span class=\"at\">{at}</span></div></li>"
    );
}

/// Returns the lag of the relay or connector, and of the consumer.
pub(super) fn lag(partitions: &[PartitionStatus], health: Option<&PipelineHealth>) -> String {
    let records: u64 = partitions.iter().filter_map(PartitionStatus::lag).sum();
    let held: u64 = partitions.iter().map(|partition| partition.parked + partition.dead).sum();
    let measured =
        |name: &str| health.and_then(|health| health.indicator(name)).map(|indicator| value(&indicator.value));
    let of = |name: &str| measured(name).unwrap_or_else(|| "unknown".to_owned());

    let mut html = String::from("<dl class=\"figures\">");
    for (label, value) in [
        ("Records the consumer has not read", records.to_string()),
        ("Events held after a failure", held.to_string()),
        ("Age of the oldest unpublished event", of("oldest_unconfirmed")),
        ("WAL that the slot holds back", of("wal_held_back")),
    ] {
        _ = write!(html, "<div><dt>{label}</dt><dd>{}</dd></div>", Escaped(value));
    }
    html.push_str("</dl>");

    if !partitions.is_empty() {
        html.push_str(
            "<div id=\"lag-partitions\" class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Lag by partition\"><table><thead><tr>\
             <th scope=\"col\">Topic</th><th scope=\"col\">Partition</th><th scope=\"col\">Position</th>\
             <th scope=\"col\">Lag</th></tr></thead><tbody>",
        );
        for partition in partitions {
            let lag = partition.lag().map_or_else(|| "unknown".to_owned(), |lag| lag.to_string());
            _ = write!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{lag}</td></tr>",
                Escaped(&partition.topic),
                partition.partition,
                partition.position
            );
        }
        html.push_str("</tbody></table></div>");
    }
    html
}

/// Returns the health indicators: first those that need someone.
pub(super) fn health(health: Option<&PipelineHealth>) -> String {
    let Some(health) = health else {
        return "<p class=\"empty\">The database cannot be reached, so nothing is known of the way to Kafka.</p>"
            .to_owned();
    };
    let mut indicators: Vec<_> = health.indicators().iter().collect();
    indicators.sort_by_key(|indicator| std::cmp::Reverse(indicator.status));

    let mut html = format!("<p>Overall {}</p><ul class=\"indicators\">", badge(health.status()));
    for indicator in indicators {
        let label = indicator.name.replace('_', " ");
        _ = write!(
            html,
            "<li><span>{}</span> <span class=\"value\">{}</span> {}",
            Escaped(label),
            Escaped(value(&indicator.value)),
            badge(indicator.status)
        );
        if let Some(remedy) = &indicator.remedy {
            _ = write!(html, "<p>{}</p>", Escaped(remedy));
        }
        html.push_str("</li>");
    }

    html.push_str("</ul>");
    html
}

fn badge(status: IndicatorStatus) -> String {
    let name = name(status);
    format!("<span class=\"badge {name}\">{name}</span>")
}

fn value(measure: &Measure) -> String {
    match measure {
        Measure::Bytes(number) => bytes(*number),
        Measure::Bool(true) => "yes".to_owned(),
        Measure::Bool(false) => "no".to_owned(),
        Measure::Span(span) if span.as_secs() < 10 => format!("{} ms", span.as_millis()),
        Measure::Span(span) => format!("{} s", span.as_secs()),
        other => other.to_string(),
    }
}

/// Returns the dead letters, each with what can be done about it.
pub(super) fn letters(letters: &[FailedEvent], access: PageAccess) -> String {
    if letters.is_empty() {
        return "<p class=\"empty\">None.</p>".to_owned();
    }

    let mut html = String::from("<ul class=\"letters\">");
    for letter in letters {
        let key = letter.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let event_type = letter.event_type.as_deref().unwrap_or("unknown type");
        _ = write!(
            html,
            "<li><h3>{}, key {}</h3><p class=\"value\">{} / {} / {}</p><p>{}</p><p class=\"at\">attempts: {}, the last at {}</p>",
            Escaped(event_type),
            Escaped(key),
            Escaped(&letter.topic),
            letter.partition,
            letter.offset,
            Escaped(&letter.error),
            letter.attempts,
            time(letter.last_failed_at)
        );

        if access == PageAccess::Full {
            for (action, label, class) in [("retry", "Retry", ""), ("discard", "Discard", "danger")] {
                _ = write!(
                    html,
                    "<form method=\"post\" action=\"/page/dead-letters/{id}/{action}\"><button class=\"{class}\" \
                     id=\"{action}-{id}\">{label}<span class=\"hidden\"> dead letter {id}</span></button></form>",
                    id = letter.id
                );
            }
        }
        html.push_str("</li>");
    }

    html.push_str("</ul>");
    html
}

/// Returns the switches of a demonstration.
pub(super) fn demo(switches: &Switches) -> String {
    let rows = [
        (
            "broker",
            "Broker",
            *switches.broker.borrow(),
            "answers",
            "does not answer",
            "Stop the broker",
            "Start the broker",
        ),
        ("relay", "Relay", *switches.relay.borrow(), "runs", "was killed", "Kill the relay", "Start the relay"),
        (
            "handler",
            "Handler",
            *switches.handler.borrow(),
            "works",
            "fails at poison events",
            "Send a poison event",
            "Repair the handler",
        ),
    ];

    let mut html = String::from("<ul class=\"switches\">");
    for (switch, label, is_on, on, off, break_it, repair_it) in rows {
        let (state, class, action, button) =
            if is_on { (on, "good", "off", break_it) } else { (off, "critical", "on", repair_it) };
        _ = write!(
            html,
            "<li><span>{label}</span> <span class=\"badge {class}\">{state}</span><form method=\"post\" \
             action=\"/page/switches/{switch}/{action}\"><button id=\"switch-{switch}\" class=\"{}\">{button}</button>\
             </form></li>",
            if is_on { "danger" } else { "" }
        );
    }

    html.push_str("</ul>");
    html
}

/// Returns one sentence on the newest order, which screen readers read out when it changes.
pub(super) fn summary(snapshot: &Snapshot) -> String {
    let Some(way) = snapshot.ways.first() else { return String::new() };
    let order = way.order;
    match way.effect {
        Effect::Done(at) => {
            format!(
                "Order {order}: the effect is committed, {} after the order.",
                after(way.created_at, at).trim_start_matches('+')
            )
        }
        Effect::Dead { .. } => format!("Order {order}: the event is a dead letter."),
        Effect::Parked { .. } => format!("Order {order}: the handler failed, and is tried again."),
        Effect::Waiting if way.is_published => format!("Order {order}: the event is in Kafka."),
        Effect::Waiting => format!("Order {order}: the event waits in the outbox."),
    }
}
