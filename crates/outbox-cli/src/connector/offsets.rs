use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::state::exists;
use crate::connect::Rest;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Part, Report, or_dash};
use crate::prompt::Confirmation;

#[derive(Args)]
pub(crate) struct Offsets {
    /// The connector
    name: String,
    /// Remove the offsets of a stopped connector: it then begins at the confirmed position of its slot
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Offsets {
    pub(super) async fn run(self, rest: &Rest, output: Output) -> Result<Exit, Failure> {
        exists(rest, &self.name).await?;
        let offsets = rest.offsets(&self.name).await?;
        if self.delete {
            self.confirmation.ask(&format!("Remove the offsets of {}?", self.name))?;
            rest.delete_offsets(&self.name).await?;
        }
        let offsets = offsets.into_iter().map(|(partition, offset)| Offset { partition, offset }).collect();
        output.print(&Shown { connector: self.name, deleted: self.delete, offsets })?;
        Ok(Exit::Success)
    }
}

#[derive(Serialize)]
struct Shown {
    connector: String,
    deleted: bool,
    offsets: Vec<Offset>,
}

#[derive(Serialize)]
struct Offset {
    partition: Value,
    offset: Value,
}

impl Report for Shown {
    fn parts(&self) -> Vec<Part> {
        if self.offsets.is_empty() {
            return vec![Part::Line(format!("connector {} has no offsets", self.connector))];
        }
        let rows = self.offsets.iter().map(Offset::row).collect();
        let mut parts = vec![Part::Table { head: &["partition", "lsn", "transaction", "offset"], rows }];
        if self.deleted {
            parts.push(Part::Line(format!("offsets of {} removed", self.connector)));
        }
        parts
    }
}

impl Offset {
    fn row(&self) -> Vec<String> {
        let number = |name: &str| self.offset.get(name).and_then(Value::as_u64);
        let lsn = number("lsn_commit").or_else(|| number("lsn")).map(|lsn| outbox_wal::Lsn::new(lsn).to_string());
        let transaction = number("txId").map(|id| id.to_string());
        vec![
            self.partition.to_string(),
            or_dash(lsn.as_deref()),
            or_dash(transaction.as_deref()),
            self.offset.to_string(),
        ]
    }
}
