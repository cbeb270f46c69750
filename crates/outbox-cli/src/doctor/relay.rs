use std::time::Duration;

use super::check::Check;
use crate::connect::get_text;
use crate::output::seconds;

/// The lag above which events arrive late.
const LATE: Duration = Duration::from_secs(60);

/// Requests a relay's readiness and metrics, and checks them.
pub(super) async fn check(url: &str, limit: Duration) -> Vec<Check> {
    let name = "relay";
    let ready = match get_text(url, "/ready?standby=ok", limit).await {
        Ok((true, text)) => Check::ok(name, text.trim()),
        Ok((false, text)) => {
            let found = format!("it is not ready: {}", text.trim());
            Check::failed(name, found).remedy("its log says why; outbox relay check looks at its servers")
        }
        Err(failure) => {
            let check = Check::failed(name, failure.to_string());
            return vec![check.remedy("start the relay with --listen, or check --relay")];
        }
    };

    let metrics = match get_text(url, "/metrics", limit).await {
        Ok((true, text)) => of_metrics(&text),
        Ok((false, _)) => vec![Check::skipped("relay metrics", "/metrics does not have them")],
        Err(failure) => vec![Check::skipped("relay metrics", failure.to_string())],
    };
    std::iter::once(ready).chain(metrics).collect()
}

/// Checks the metrics, which are text in the OpenMetrics format.
fn of_metrics(text: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(lag) = value(text, "outbox_relay_lag_seconds") {
        let found = format!("the oldest event that is read and not confirmed is {} old", seconds(lag));
        let is_late = lag >= LATE.as_secs_f64();
        checks.push(match is_late {
            true => Check::warning("relay lag", found).remedy("its log says which requests to Kafka fail"),
            false => Check::ok("relay lag", found),
        });
    }

    let dead = value(text, "outbox_relay_dead_letters_total").unwrap_or_default();
    if dead > 0.0 {
        let found = format!("{dead} rows could never become a record since the relay was started");
        let remedy = "read the topic of --dead-letter-topic: its headers have the reasons";
        checks.push(Check::warning("relay dead letters", found).remedy(remedy));
    }
    checks
}

/// Returns the sum of a metric over its labels.
fn value(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then(|| value.parse::<f64>().ok())?
    });
    samples.reduce(|sum, one| sum + one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;

    #[test]
    fn metrics_show_lag_and_dead_letters() {
        let text = "# TYPE outbox_relay_lag_seconds gauge\noutbox_relay_lag_seconds 90.5\n\
                    outbox_relay_dead_letters_total{topic=\"a\"} 1\noutbox_relay_dead_letters_total{topic=\"b\"} 2\n";
        let checks = of_metrics(text);
        let found: Vec<_> = checks.iter().map(|check| (check.name.as_str(), check.status)).collect();
        assert_eq!(found, [("relay lag", Status::Warning), ("relay dead letters", Status::Warning)]);
        assert!(checks[1].found.starts_with("3 rows"), "{checks:?}");
        let good = of_metrics("outbox_relay_lag_seconds 0\noutbox_relay_lag_seconds_more 90\n");
        assert_eq!(good.iter().map(|check| check.status).collect::<Vec<_>>(), [Status::Ok]);
    }
}
