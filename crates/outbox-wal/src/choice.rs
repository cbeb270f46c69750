use tokio::time::timeout;

use super::error::{Error, Kind};
use super::options::{ConnectOptions, ServerRole};
use super::server_error::Operation;
use super::session::{Purpose, Session};

impl ConnectOptions {
    /// Returns these options with one of their servers: the first one that accepts the login and has the demanded role.
    /// Each address of a name counts as a server.
    ///
    /// It connects only if there are several. Each has an equal share of the time for connecting. Use the result for
    /// all connections that concern the same slot, because two servers may be primaries during a failover.
    ///
    /// # Errors
    /// No server fits. The error names each with the reason. It is transient if a failure of one is.
    pub async fn choose_server(&self) -> Result<Self, Error> {
        let (mut servers, mut failures) = (Vec::new(), Vec::new());
        for server in &self.servers {
            match timeout(self.timeouts.connect, server.addresses()).await {
                Ok(Ok(addresses)) => servers.extend(addresses),
                Ok(Err(error)) => failures.push((server.to_string(), Error::lost(error))),
                Err(_) => failures.push((server.to_string(), Error::silent(self.timeouts.connect))),
            }
        }
        // A failure to resolve the only name shows when it is connected to.
        if self.servers.len() == 1 && servers.len() < 2 {
            return Ok(self.clone());
        }

        let share = self.timeouts.connect / u32::try_from(servers.len()).unwrap_or(u32::MAX).max(1);
        for server in servers {
            let mut options = Self { servers: vec![server.clone()], ..self.clone() };
            options.timeouts.connect = share;
            match options.check_role().await {
                Ok(()) => return Ok(Self { timeouts: self.timeouts, ..options }),
                Err(error) => failures.push((server.to_string(), error)),
            }
        }
        let is_transient = failures.iter().any(|(_, error)| error.is_transient());
        let shown: Vec<String> = failures
            .iter()
            .map(|(server, error)| format!("{server}: {}", outbox_net::ErrorChain::new(error)))
            .collect();
        Err(Error::new(Kind::NoServer { failures: shown.join("; ").into(), is_transient }))
    }

    async fn check_role(&self) -> Result<(), Error> {
        let mut session = Session::open(self, Purpose::Sql).await?;
        if self.role == ServerRole::Any {
            return Ok(());
        }
        let standby = session.query("SELECT 1 WHERE pg_catalog.pg_is_in_recovery()", Operation::Query).await?;
        if standby.is_empty() { Ok(()) } else { Err(Error::new(Kind::NotPrimary)) }
    }
}
