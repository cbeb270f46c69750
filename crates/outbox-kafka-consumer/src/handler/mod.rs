mod batch;
mod call;
mod erased;
mod error;
mod function;
mod layer;
mod policy;
mod raw;
mod savepoint;
mod side_effect;
mod single;
#[cfg(feature = "sqlx")]
pub mod sqlx;
mod upcast;

pub use self::batch::BatchHandler;
pub use self::call::{AnyLayer, HandlerTx, Reading};
#[cfg(feature = "sqlx")]
pub use self::erased::sqlx as erased_sqlx;
pub use self::erased::{Kind, Registered, side_effect_layer, tokio_postgres as erased_tokio_postgres};
pub use self::error::{HandlerError, HandlerResult, RetryHint};
pub use self::function::{With, with};
pub use self::layer::{Layer, Next, SideEffectLayer, SideEffectNext};
pub use self::policy::{Configured, HandlerPolicy};
pub use self::raw::RawHandler;
pub use self::savepoint::savepoint;
pub use self::side_effect::SideEffectHandler;
pub use self::single::Handler;
pub use self::upcast::Upcasts;
