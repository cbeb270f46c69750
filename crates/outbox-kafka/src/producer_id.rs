use kafka_protocol::messages::{InitProducerIdRequest, ProducerId};

use super::api::Api;
use super::error::Error;
use super::record_batch::Producer;
use super::retries::Retries;
use super::{Cluster, ErrorCode};

impl Cluster {
    /// Returns a producer with a new id, at its first sequence.
    pub async fn init_producer_id(&self) -> Result<Producer, Error> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let mut retries = Retries::within(self.settings().retry_timeout);
        loop {
            let result = self.any(&request).await.and_then(|answer| match ErrorCode::from_code(answer.error_code) {
                None => Ok(Producer { id: answer.producer_id.0, epoch: answer.producer_epoch, sequence: 0 }),
                Some(code) => Err(Error::code_of(code, None).by(InitProducerIdRequest::NAME)),
            });
            match result {
                // A new cluster answers the first request with COORDINATOR_LOAD_IN_PROGRESS.
                Err(e) if e.is_transient() && retries.pause().await => {}
                result => return result,
            }
        }
    }
}
