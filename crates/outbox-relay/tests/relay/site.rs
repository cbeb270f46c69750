use std::any::Any;

use outbox_pg::tokio_postgres::Config;
use outbox_pg::tokio_postgres::config::Host;
use outbox_testkit::Postgres;
use xtask::stack::Stack;

/// Where a test has its database and its topics.
pub(crate) struct Site {
    url: String,
    name: String,
    brokers: String,
    /// Removes the database when it is dropped.
    _database: Box<dyn Any + Send + Sync>,
}

/// How a database's server is logged in to.
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Site {
    /// On the servers that all tests share.
    pub(crate) fn shared() -> Self {
        let stack = Stack::connect().unwrap();
        let database = stack.test_database().unwrap();
        Self {
            url: database.url().to_owned(),
            name: database.name().to_owned(),
            brokers: stack.kafka_bootstrap(),
            _database: Box::new(database),
        }
    }

    /// On a PostgreSQL of the test's own, which it may break.
    pub(crate) async fn on(postgres: &Postgres) -> Self {
        let database = postgres.database().await.unwrap();
        Self {
            url: database.url().to_owned(),
            name: database.name().to_owned(),
            brokers: Stack::connect().unwrap().kafka_bootstrap(),
            _database: Box::new(database),
        }
    }

    /// With brokers of the test's own.
    pub(crate) fn with_brokers(self, brokers: String) -> Self {
        Self { brokers, ..self }
    }

    /// Reached by another port.
    pub(crate) fn through(self, port: u16) -> Self {
        let own = format!(":{}/", self.server().port);
        Self { url: self.url.replace(&own, &format!(":{port}/")), ..self }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn brokers(&self) -> &str {
        &self.brokers
    }

    pub(crate) fn server(&self) -> Server {
        let config: Config = self.url.parse().unwrap();
        let [Host::Tcp(host)] = config.get_hosts() else { panic!("one host by TCP") };
        Server {
            host: host.clone(),
            port: config.get_ports()[0],
            user: config.get_user().unwrap().to_owned(),
            password: String::from_utf8(config.get_password().unwrap().to_vec()).unwrap(),
        }
    }
}
