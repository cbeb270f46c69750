//! A small service with a transactional outbox: orders over HTTP, their events to Kafka, and a consumer of them. Run
//! with all that it needs started next to it:
//!
//! ```text
//! cargo run -p order-service
//! ```
//!
//! or against servers of your own:
//!
//! ```text
//! export DATABASE_URL=postgres://postgres:postgres@127.0.0.1:5432/outbox_db
//! cargo run -p order-service -- setup
//! cargo run -p order-service
//! ```
//!
//! To read first: `orders/store.rs`, where an order and its event are stored, and `received.rs`, where the event comes
//! back; then `pipe.rs`, which reports how the way between them is.

mod app;
mod connector;
mod database;
#[cfg(feature = "embedded")]
mod embedded;
mod events;
mod json_body;
mod limit;
mod logging;
mod orders;
mod pipe;
mod problem;
mod received;
mod serve;
mod settings;
mod setup;
mod shutdown;
mod startup;

pub use self::app::{AppState, app};
pub use self::connector::{ConnectorError, DEPLOYED, pipeline};
pub use self::database::{Database, DatabaseError};
#[cfg(feature = "embedded")]
pub use self::embedded::serve_embedded;
pub use self::events::OrderCreated;
pub use self::logging::start as start_logging;
pub use self::serve::serve;
pub use self::settings::{LogFormat, Mode, OutboxForm, Secret, Settings, Task};
pub use self::setup::{Done, setup};
pub use self::shutdown::on_signal;
pub use self::startup::{Problems, StartupError, check};
