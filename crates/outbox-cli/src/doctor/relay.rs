use std::time::Duration;

use super::check::Check;
use crate::connect::get_text;

/// Asks a relay whether it is ready.
pub(super) async fn ready(url: &str, limit: Duration) -> Check {
    let name = "relay";
    match get_text(url, "/ready?standby=ok", limit).await {
        Ok((true, text)) => Check::ok(name, text.trim()),
        Ok((false, text)) => {
            let found = format!("it is not ready: {}", text.trim());
            Check::failed(name, found).remedy("its log says why; outbox relay check looks at its servers")
        }
        Err(failure) => {
            Check::failed(name, failure.to_string()).remedy("start the relay with --listen, or check --relay")
        }
    }
}
