//! A small service with a transactional outbox: orders over HTTP, their events to Kafka, and a consumer of them. Run it with
//! all that it needs:
//!
//! ```text
//! cargo run -p order-service
//! ```
//!
//! and open <http://127.0.0.1:8000>, or run it against your servers:
//!
//! ```text
//! export DATABASE_URL=postgres://postgres:postgres@127.0.0.1:5432/outbox_db
//! cargo run -p order-service -- setup
//! cargo run -p order-service
//! ```
//!
//! To read first: `orders/store.rs`, which stores an order and its event, and `received.rs`, which handles the event; then
//! `health.rs`, which shows the state of the way between them.

mod app;
mod bounded;
mod connector;
mod database;
#[cfg(feature = "embedded")]
mod demo;
mod events;
mod health;
mod live;
mod logging;
mod maintenance;
mod metrics;
mod openapi;
mod orders;
#[cfg(feature = "otlp")]
mod otlp;
mod page;
mod problem;
mod received;
mod serve;
mod settings;
mod setup;
mod shutdown;
mod startup;
mod state;
mod switches;
mod trace;

pub use self::app::app;
pub use self::connector::{ConnectorError, DEPLOYED, pipeline};
pub use self::database::{Database, DatabaseError};
#[cfg(feature = "embedded")]
pub use self::demo::serve_demo;
pub use self::events::OrderCreated;
pub use self::logging::Logging;
pub use self::serve::Service;
pub use self::settings::{DemoByDefault, LogFormat, Mode, OutboxForm, PageAccess, Secret, Settings, Task};
pub use self::setup::{Done, setup};
pub use self::shutdown::on_signal;
pub use self::startup::{Problems, StartupError, check};
pub use self::state::AppState;
pub use self::switches::Switches;
