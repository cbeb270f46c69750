use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use outbox_core::layout::Row;
use outbox_core::{ConnectorConfig, Loss, Pipeline, TableLayout};
use outbox_test_support::{TestEnv, stack};
use postgres::{Client, NoTls};
use xtask::stack::Stack;

use crate::comparison::Difference;
use crate::reader::{Outcome, Reader};
use crate::rows;

/// A table in its own database, and the connectors that read it.
pub(crate) struct DebeziumEnv {
    stack: Stack,
    env: TestEnv,
    client: Client,
    layout: TableLayout,
    readers: Vec<Reader>,
    pause: Duration,
}

impl DebeziumEnv {
    /// Creates a fixture; `columns` is the body of CREATE TABLE.
    pub(crate) fn new(layout: TableLayout, columns: &str) -> Self {
        let mut fixture = Self::without_table(layout);
        let table = fixture.layout.qualified_name();
        let create = format!(
            "SET TimeZone = 'UTC'; CREATE SCHEMA IF NOT EXISTS {}; CREATE TABLE {table} ({columns});
             CREATE PUBLICATION outbox FOR TABLE {table} WITH (publish = 'insert')",
            fixture.layout.schema()
        );
        fixture.client.batch_execute(&create).unwrap();
        fixture
    }

    /// Creates a fixture whose table and publication are made elsewhere, before [`start`](Self::start).
    pub(crate) fn without_table(layout: TableLayout) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let env = runtime.block_on(TestEnv::builder().database().build());
        let client = Client::connect(env.url(), NoTls).unwrap();
        Self { stack: stack(), env, client, layout, readers: vec![], pause: Duration::ZERO }
    }

    pub(crate) fn database_url(&self) -> &str {
        self.env.url()
    }

    /// Adds a connector: the recommended one, and what is changed in it.
    pub(crate) fn reader(&mut self, name: &str, change: impl FnOnce(ConnectorConfig) -> ConnectorConfig) {
        self.reader_named(name, |config, _| change(config));
    }

    /// Adds a reader as [`reader`](Self::reader) does, if the change needs the connector's name.
    pub(crate) fn reader_named(&mut self, name: &str, change: impl FnOnce(ConnectorConfig, &str) -> ConnectorConfig) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // The connector's offsets outlive it, so no later one may have its name.
        let started = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let name = format!("{name}_{started}_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let config = ConnectorConfig::recommended(&self.layout)
            // Read without a library for Kafka's codecs.
            .with("producer.override.compression.type", "none")
            .with("slot.name", name.as_str())
            .with("topic.prefix", name.as_str())
            .with("topic.creation.default.partitions", "3")
            .with("topic.creation.default.replication.factor", "1")
            .with("transforms.outbox.route.topic.replacement", format!("{name}.${{routedByValue}}"));

        let losses = [Loss::JsonExpansion, Loss::NullableColumns];
        let pipeline = Pipeline::accepting(&losses, change(config, &name), self.layout.clone()).unwrap();
        self.readers.push(Reader::new(name, pipeline));
    }

    /// Sets a key that the connector alone has: the pipeline would refuse it.
    pub(crate) fn for_connector_only(&mut self, key: &str, value: &str) {
        let reader = self.readers.last_mut().unwrap();
        reader.set(key, value);
        reader.without_relay();
    }

    pub(crate) fn pause_between_rows(&mut self, pause: Duration) {
        self.pause = pause;
    }

    /// Returns the pipeline of the first connector.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        self.readers[0].pipeline()
    }

    /// Returns the layout with the defaults that the catalogue reports.
    pub(crate) fn layout_with_defaults(&mut self) -> TableLayout {
        let sql = "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
                   JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = $1::text::regclass";
        let defaults = self.client.query(sql, &[&self.layout.qualified_name()]).unwrap();
        defaults
            .iter()
            .fold(self.layout.clone(), |layout, row| layout.default_expression(row.get(0), row.get(1)).unwrap())
    }

    /// Reads the defaults of the table. To be called before readers are added.
    pub(crate) fn read_defaults(&mut self) {
        self.layout = self.layout_with_defaults();
    }

    /// Inserts rows when all connectors read, and compares what became of them; the last row has to become a record
    /// in every pipeline.
    pub(crate) fn differences(&mut self, inserts: &[String]) -> Vec<Difference> {
        self.insert(inserts);
        let rows = self.rows();
        self.differences_of(&rows)
    }

    /// Returns the rows of the table as they are stored.
    pub(crate) fn rows(&mut self) -> Vec<Row> {
        rows::of(&mut self.client, &self.layout)
    }

    /// Returns the differences as [`differences`](Self::differences) does, of rows that were stored since
    /// [`start`](Self::start), in this order.
    pub(crate) fn differences_of(&self, rows: &[Row]) -> Vec<Difference> {
        assert!(!rows.is_empty());
        let (readers, stack) = (&self.readers, &self.stack);
        thread::scope(|scope| {
            let readers: Vec<_> =
                readers.iter().map(|reader| scope.spawn(|| reader.differences(stack, rows))).collect();
            readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
        })
    }

    /// Returns when all connectors read: what is stored from then on becomes records.
    pub(crate) fn start(&mut self) {
        let url = self.env.url().to_owned();
        for reader in &mut self.readers {
            reader.connect_to(&url);
        }
        thread::scope(|scope| {
            for reader in &self.readers {
                scope.spawn(|| reader.start(&self.stack, self.env.url()));
            }
        });
    }

    fn insert(&mut self, inserts: &[String]) {
        self.start();
        for insert in inserts {
            let sql = format!("INSERT INTO {} {insert}", self.layout.qualified_name());
            self.client.batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            thread::sleep(self.pause);
        }
    }

    /// Checks that [`differences`](Self::differences) finds none.
    pub(crate) fn compare(mut self, inserts: &[String]) {
        let differences = self.differences(inserts);
        assert!(differences.is_empty(), "{} differences: {differences:#?}", differences.len());
    }
}

impl DebeziumEnv {
    /// Returns how many heartbeats the first connector wrote while its records were compared.
    pub(crate) fn heartbeats_after_comparing(mut self, inserts: &[String]) -> usize {
        let differences = self.differences(inserts);
        assert!(differences.is_empty(), "{} differences: {differences:#?}", differences.len());
        self.readers[0].heartbeats(&self.stack)
    }

    /// Compares the heartbeats of each connector with the relay's.
    pub(crate) fn compare_heartbeats(mut self, inserts: &[String]) {
        self.insert(inserts);
        let differences: Vec<_> =
            self.readers.iter().filter_map(|reader| reader.heartbeat_difference(&self.stack)).collect();
        assert!(differences.is_empty(), "{differences:#?}");
    }

    /// Returns what the first connector and its pipeline made of each row.
    pub(crate) fn outcomes(mut self, inserts: &[String]) -> Vec<Outcome> {
        self.insert(inserts);
        let rows = rows::of(&mut self.client, &self.layout);
        self.readers[0].outcomes(&self.stack, &rows)
    }

    /// Returns the trace of the first connector's task, which fails at one of these rows.
    pub(crate) fn failure(mut self, inserts: &[String]) -> String {
        self.insert(inserts);
        self.readers[0].failure(&self.stack)
    }
}

impl Drop for DebeziumEnv {
    fn drop(&mut self) {
        thread::scope(|scope| {
            for reader in &self.readers {
                scope.spawn(|| reader.remove(&self.stack));
            }
        });
    }
}

/// Returns the id of the row of that number.
pub(crate) fn id(index: usize) -> String {
    format!("00000000-0000-4000-8000-{index:012}")
}

/// The columns that every table has, less the payload.
pub(crate) const COLUMNS: &str =
    "id uuid PRIMARY KEY, aggregate_type text NOT NULL, aggregate_id text NOT NULL, event_type text NOT NULL";

/// Returns the row of that number; `rest` are the values behind those of [`COLUMNS`].
pub(crate) fn event(index: usize, rest: &str) -> String {
    format!("VALUES ('{}', 'order', 'key-{index}', 'OrderCreated', {rest})", id(index))
}
