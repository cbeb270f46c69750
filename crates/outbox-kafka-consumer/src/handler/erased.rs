//! Handlers and layers of any type and either driver, for the registry.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;

use super::call::{AnyHandler, AnyLayer, Call, HandlerTx, Reading};
use super::{HandlerPolicy, HandlerResult, Next, SideEffectHandler, SideEffectLayer};
use crate::Received;

/// A handler of any type, for the registry. A handler of an enum of events is registered for each event type.
#[derive(Clone)]
pub struct Registered {
    handler: Arc<dyn AnyHandler>,
    /// The name of its type. For a function, this is its path.
    name: &'static str,
    kind: Kind,
    policy: HandlerPolicy,
}

/// The way in which events are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One after the other; several may share a transaction.
    Each,
    /// Several at once, in one transaction.
    Together,
    /// Outside of any transaction, alone.
    Outside,
}

impl Registered {
    /// Creates the entry of a handler of the type `H`.
    fn new<H>(handler: impl AnyHandler + 'static, kind: Kind, policy: HandlerPolicy) -> Self {
        Self { handler: Arc::new(handler), name: user_part(std::any::type_name::<H>()), kind, policy }
    }

    /// Returns a handler outside of any transaction.
    pub fn side_effect<M: 'static, H: SideEffectHandler<M>>(handler: H) -> Self {
        let policy = handler.policy();
        Self::new::<H>(Erased::<Outside, H, M>::new(handler), Kind::Outside, policy)
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn policy(&self) -> &HandlerPolicy {
        &self.policy
    }

    /// Returns a call of it with these events.
    pub fn call<'a>(
        &'a self,
        events: Vec<Received<()>>,
        layers: &'a [Arc<dyn AnyLayer>],
        reading: Reading<'a>,
    ) -> Call<'a> {
        Call::new(events, layers, &*self.handler, reading)
    }
}

/// Returns the name of the user's handler within the types of this crate: `with` and policies wrap it, as their last
/// parameter.
fn user_part(name: &'static str) -> &'static str {
    let own = concat!(env!("CARGO_CRATE_NAME"), "::");
    let Some(parameters) = name.strip_suffix('>').filter(|name| name.starts_with(own)) else { return name };
    let Some((_, parameters)) = parameters.split_once('<') else { return name };

    let (mut depth, mut last) = (0_usize, 0);
    for (at, character) in parameters.char_indices() {
        match character {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => last = at + 1,
            _ => {}
        }
    }
    user_part(parameters.get(last..).unwrap_or(parameters).trim_start())
}

/// Returns a layer around handlers outside of any transaction.
pub fn side_effect_layer<M: 'static, L: SideEffectLayer<M>>(layer: L) -> Arc<dyn AnyLayer> {
    Arc::new(Erased::<Outside, L, M>::new(layer))
}

/// A handler or layer, by the kind of its calls (`K`) and the marker of its implementation (`M`).
struct Erased<K, H, M> {
    inner: H,
    marker: PhantomData<fn() -> (K, M)>,
}

impl<K, H, M> Erased<K, H, M> {
    fn new(inner: H) -> Self {
        Self { inner, marker: PhantomData }
    }
}

/// A handler without a transaction, or a layer around such handlers.
enum Outside {}

#[async_trait]
impl<M: 'static, H: SideEffectHandler<M>> AnyHandler for Erased<Outside, H, M> {
    async fn handle(&self, _: HandlerTx<'_, '_>, events: Vec<Received<()>>, reading: Reading<'_>) -> HandlerResult {
        match reading.read_one(events)? {
            Some(event) => self.inner.handle(event).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl<M: 'static, L: SideEffectLayer<M>> AnyLayer for Erased<Outside, L, M> {
    async fn call(&self, _: HandlerTx<'_, '_>, rest: Call<'_>) -> HandlerResult {
        self.inner.call(Next::new(rest)).await
    }
}

/// Erases the types of the handlers and layers of one driver, whose traits are in scope.
macro_rules! erase {
    ($driver:ident) => {
        use std::sync::Arc;

        use async_trait::async_trait;

        use super::{Erased, Kind, Registered};
        use crate::Received;
        use crate::handler::HandlerResult;
        use crate::handler::call::{AnyHandler, AnyLayer, Call, HandlerTx, Reading};

        /// A handler of one event at a time.
        enum Single {}
        /// A handler of several events at once.
        enum Batch {}
        /// A handler that reads payloads itself.
        enum Raw {}
        /// A layer around handlers.
        enum Around {}

        pub fn single<M: 'static, H: Handler<M>>(handler: H) -> Registered {
            let policy = handler.policy();
            Registered::new::<H>(Erased::<Single, H, M>::new(handler), Kind::Each, policy)
        }

        pub fn batch<M: 'static, H: BatchHandler<M>>(handler: H) -> Registered {
            let policy = handler.policy();
            Registered::new::<H>(Erased::<Batch, H, M>::new(handler), Kind::Together, policy)
        }

        pub fn raw<M: 'static, H: RawHandler<M>>(handler: H) -> Registered {
            let policy = handler.policy();
            Registered::new::<H>(Erased::<Raw, H, M>::new(handler), Kind::Each, policy)
        }

        pub fn layer<M: 'static, L: Layer<M>>(layer: L) -> Arc<dyn AnyLayer> {
            Arc::new(Erased::<Around, L, M>::new(layer))
        }

        #[async_trait]
        impl<M: 'static, H: Handler<M>> AnyHandler for Erased<Single, H, M> {
            async fn handle(
                &self,
                tx: HandlerTx<'_, '_>,
                events: Vec<Received<()>>,
                reading: Reading<'_>,
            ) -> HandlerResult {
                match reading.read_one(events)? {
                    Some(event) => self.inner.handle(tx.$driver()?, event).await,
                    None => Ok(()),
                }
            }
        }

        #[async_trait]
        impl<M: 'static, H: BatchHandler<M>> AnyHandler for Erased<Batch, H, M> {
            async fn handle(
                &self,
                tx: HandlerTx<'_, '_>,
                events: Vec<Received<()>>,
                reading: Reading<'_>,
            ) -> HandlerResult {
                let events = reading.read_all(events)?;
                if events.is_empty() {
                    return Ok(());
                }
                self.inner.handle(tx.$driver()?, events).await
            }
        }

        #[async_trait]
        impl<M: 'static, H: RawHandler<M>> AnyHandler for Erased<Raw, H, M> {
            async fn handle(
                &self,
                tx: HandlerTx<'_, '_>,
                mut events: Vec<Received<()>>,
                _: Reading<'_>,
            ) -> HandlerResult {
                match events.pop() {
                    Some(event) => self.inner.handle(tx.$driver()?, event).await,
                    None => Ok(()),
                }
            }
        }

        #[async_trait]
        impl<M: 'static, L: Layer<M>> AnyLayer for Erased<Around, L, M> {
            async fn call(&self, tx: HandlerTx<'_, '_>, rest: Call<'_>) -> HandlerResult {
                self.inner.call(tx.$driver()?, Next::new(rest)).await
            }
        }
    };
}

/// On tokio-postgres.
pub mod tokio_postgres {
    use crate::handler::{BatchHandler, Handler, Layer, Next, RawHandler};

    erase!(tokio_postgres);
}

/// On sqlx.
#[cfg(feature = "sqlx")]
pub mod sqlx {
    use crate::handler::sqlx::{BatchHandler, Handler, Layer, Next, RawHandler};

    erase!(sqlx);
}

#[cfg(test)]
mod tests {
    use super::user_part;

    #[test]
    fn the_name_of_a_handler_is_the_users_part_of_it() {
        let own = env!("CARGO_CRATE_NAME");
        let cases = [
            ("stock::reserve".to_owned(), "stock::reserve"),
            ("stock::Reserve<stock::Pool>".to_owned(), "stock::Reserve<stock::Pool>"),
            (format!("{own}::function::With<(i64, stock::Pool<u8, i8>), stock::reserve>"), "stock::reserve"),
            (format!("{own}::policy::Configured<{own}::function::With<u8, stock::reserve<u8>>>"), "stock::reserve<u8>"),
        ];
        for (name, part) in cases {
            assert_eq!(user_part(name.leak()), part);
        }
    }
}
