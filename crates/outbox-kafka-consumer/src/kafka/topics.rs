use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use outbox_kafka::Topic;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Error;

type Described = BTreeMap<String, Result<Option<Arc<Topic>>, outbox_kafka::Error>>;

/// The descriptions of the consumer's topics. One request describes all of them, for all partitions that are opened at
/// the same time.
#[derive(Debug, Default)]
pub(super) struct Topics(Mutex<Latest>);

#[derive(Debug, Default)]
struct Latest {
    /// When the request was sent.
    asked: Option<Instant>,
    described: Described,
}

impl Topics {
    /// Asks for these topics.
    pub(super) async fn describe(
        &self,
        cluster: &outbox_kafka::Cluster,
        names: &BTreeSet<String>,
    ) -> Result<Described, Error> {
        self.0.lock().await.refresh(cluster, names).await
    }

    /// Returns a topic as it is described by an answer to a request that is not older than this call.
    pub(super) async fn current(&self, cluster: &outbox_kafka::Cluster, name: &str) -> Result<Arc<Topic>, Error> {
        let since = Instant::now();
        let mut latest = self.0.lock().await;
        if latest.asked.is_none_or(|asked| asked < since) || !latest.described.contains_key(name) {
            let mut names: BTreeSet<String> = latest.described.keys().cloned().collect();
            names.insert(name.to_owned());
            latest.refresh(cluster, &names).await?;
        }
        let doing = || Error::kafka(format!("find topic {name}"));
        match latest.described.get(name) {
            Some(Ok(Some(topic))) => Ok(Arc::clone(topic)),
            Some(Err(e)) => Err(doing().caused_by(e.clone())),
            Some(Ok(None)) | None => Err(doing().caused_by("the topic does not exist")),
        }
    }
}

impl Latest {
    async fn refresh(&mut self, cluster: &outbox_kafka::Cluster, names: &BTreeSet<String>) -> Result<Described, Error> {
        let asked = Instant::now();
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let described = cluster.refreshed_all(&wanted).await;
        let described = described.map_err(|e| Error::kafka("describe its topics").caused_by(e))?;
        self.described = names.iter().cloned().zip(described).collect();
        self.asked = Some(asked);
        Ok(self.described.clone())
    }
}
