use deadpool_postgres::Transaction;
use deadpool_postgres::tokio_postgres::Error as PgError;

use super::{Fence, Store};
use crate::Error;
use crate::protocol::Move;

impl Store {
    /// The last statement of every transaction: moves the position, or else makes sure that nobody has taken the
    /// partition, and keeps it so until the commit. False where somebody has. In a transaction that an error has aborted
    /// it fails, which a COMMIT does not.
    pub(crate) async fn hold_fence(
        &self,
        tx: &Transaction<'_>,
        fence: Fence,
        moved: Option<Move>,
    ) -> Result<bool, PgError> {
        let link = self.in_transaction(tx);
        let (id, epoch) = (&fence.position, &fence.epoch);
        let row = match &moved {
            Some(Move { from, to }) => link.query_opt(&self.statements.advance, &[id, epoch, from, to]).await?,
            None => link.query_opt(&self.statements.read_fence, &[id, epoch]).await?,
        };
        Ok(row.is_some())
    }

    /// Moves the position over what needed no transaction.
    pub(crate) async fn advance(&self, fence: Fence, moved: Move) -> Result<(), Error> {
        let client = self.connection().await?;
        let sql = &self.statements.advance;
        let row =
            self.on_client(&client).query_opt(sql, &[&fence.position, &fence.epoch, &moved.from, &moved.to]).await;
        row.map_err(|e| Error::store("move the position", e))?.map(drop).ok_or_else(Error::fenced)
    }
}
