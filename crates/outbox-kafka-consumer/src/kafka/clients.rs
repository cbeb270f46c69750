use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outbox_kafka::{Mechanism, Security};
use rskafka::BackoffConfig;
use rskafka::client::{Client, ClientBuilder, Credentials, OauthBearerCredentials, SaslConfig};
use tokio::time::timeout;

use crate::Error;
use crate::brokers::Brokers;

/// rskafka's clients: one for each broker that leads partitions, which the readers of these partitions share until one
/// of them fails. rskafka 0.6.0 never forgets a leader that has moved, so a client is not used after an error.
#[derive(Debug, Default)]
pub struct Clients(Mutex<HashMap<String, Slot>>);

/// Held while the client connects, so that there is one for each broker.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<SharedClient>>>>;

/// A client, and the broker that it connects to.
#[derive(Debug)]
pub struct SharedClient {
    client: Client,
    broker: String,
}

impl Deref for SharedClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Clients {
    /// Returns the client of a broker, connected.
    pub async fn at(&self, broker: &str, security: &Security) -> Result<Arc<SharedClient>, Error> {
        let slot = Arc::clone(self.lock().entry(broker.to_owned()).or_default());
        let doing = || format!("connect to {broker}");
        let mut slot = timeout(Brokers::PATIENCE, slot.lock()).await.map_err(|e| Error::kafka(doing()).caused_by(e))?;
        if let Some(client) = &*slot {
            return Ok(Arc::clone(client));
        }

        let client = builder(broker, security).await.map_err(|e| Error::kafka(doing()).caused_by(e))?;
        let client = bounded(&doing(), client.build()).await?;
        let client = Arc::new(SharedClient { client, broker: broker.to_owned() });
        *slot = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Makes the next reader connect a client of its broker again.
    pub fn retire(&self, failed: &Arc<SharedClient>) {
        let mut clients = self.lock();
        let is_current = clients.get(&failed.broker).is_some_and(|slot| {
            // A locked slot is connecting a newer client.
            slot.try_lock().is_ok_and(|slot| slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, failed)))
        });
        if is_current {
            clients.remove(&failed.broker);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the settings of a client, with credentials and certificates as they are now.
async fn builder(broker: &str, security: &Security) -> Result<ClientBuilder, outbox_kafka::Error> {
    let mut builder = ClientBuilder::new(vec![broker.to_owned()])
        .client_id(Brokers::CLIENT_ID)
        // Readers retry, after `outbox-kafka` has looked up the leader.
        .backoff_config(BackoffConfig { deadline: Some(Duration::ZERO), ..BackoffConfig::default() });
    if let Some(tls) = security.client_config().await? {
        builder = builder.tls_config(tls);
    }
    if let Some(credentials) = security.credentials().await? {
        builder = builder.sasl_config(sasl_config(credentials, security));
    }
    Ok(builder)
}

/// Converts credentials for rskafka. A token is asked for again at each login, because it expires.
fn sasl_config(credentials: outbox_kafka::Credentials, security: &Security) -> SaslConfig {
    let password = Credentials::new(credentials.user, credentials.secret.expose().to_owned());
    match credentials.mechanism {
        Mechanism::ScramSha256 => SaslConfig::ScramSha256(password),
        Mechanism::ScramSha512 => SaslConfig::ScramSha512(password),
        Mechanism::OAuthBearer => {
            let security = security.clone();
            SaslConfig::Oauthbearer(OauthBearerCredentials {
                callback: Arc::new(move || {
                    let security = security.clone();
                    Box::pin(async move {
                        let current = security.credentials().await?.ok_or("the settings have no token any more")?;
                        Ok(current.secret.expose().to_owned())
                    })
                }),
                authz_id: None,
                bearer_kvs: credentials.extensions.into_iter().collect(),
            })
        }
        _ => SaslConfig::Plain(password),
    }
}

/// Waits for rskafka, for a bounded time.
pub async fn bounded<T>(
    doing: &str,
    call: impl Future<Output = Result<T, rskafka::client::error::Error>>,
) -> Result<T, Error> {
    match timeout(Brokers::PATIENCE, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(Error::kafka(doing).caused_by(e)),
        Err(elapsed) => {
            Err(Error::kafka(format!("{doing} within {} s", Brokers::PATIENCE.as_secs())).caused_by(elapsed))
        }
    }
}
