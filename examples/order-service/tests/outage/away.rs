use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt as _;
use tokio::sync::Mutex;
use xtask::stack::{Service as Server, Stack, StackError};

use crate::fixture::blocking;

/// Held by the test that may stop servers.
pub(crate) static SERVERS: Mutex<()> = Mutex::const_new(());

/// Does something while a server is stopped, and starts it again whatever becomes of that.
pub(crate) async fn while_away<T>(stack: &Stack, server: Server, act: impl AsyncFnOnce() -> T) -> T {
    between(stack, move |stack| stack.stop(server), act, move |stack| stack.start(server)).await
}

/// Does something while a server is stopped, and lets it continue whatever becomes of that.
pub(crate) async fn while_paused<T>(stack: &Stack, server: Server, act: impl AsyncFnOnce() -> T) -> T {
    between(stack, move |stack| stack.pause(server), act, move |stack| stack.resume(server)).await
}

async fn between<T>(
    stack: &Stack,
    before: impl FnOnce(&Stack) -> Result<(), StackError> + Send + 'static,
    act: impl AsyncFnOnce() -> T,
    after: impl FnOnce(&Stack) -> Result<(), StackError> + Send + 'static,
) -> T {
    let (first, last) = (stack.clone(), stack.clone());
    blocking(move || before(&first).unwrap()).await;
    let outcome = AssertUnwindSafe(act()).catch_unwind().await;
    blocking(move || after(&last).unwrap()).await;
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}
