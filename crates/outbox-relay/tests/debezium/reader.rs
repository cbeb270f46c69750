use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use outbox_core::bytes::Bytes;
use outbox_core::connector::HeartbeatRecord;
use outbox_core::layout::{ColumnValue, Row};
use outbox_core::record::Record;
use outbox_core::{ConnectorConfig, Error, Pipeline};
use postgres::{Client, NoTls};
use serde_json::Value;
use xtask::stack::Stack;

use crate::batch::Logged;
use crate::broker::Broker;
use crate::comparison::{Difference, compare, compare_relayed};
use crate::configuration::router;
use crate::stand_in::{self, StandIn};

const PATIENCE: Duration = Duration::from_secs(90);
/// A record that has not come this long after the last row's record will not come.
const SETTLED: Duration = Duration::from_secs(3);
pub(crate) const PARTITIONS: i32 = 3;

/// One connector, and the pipeline that reports what it should write.
pub(crate) struct Reader {
    name: String,
    pipeline: Pipeline,
    config: Value,
    /// The topics that it has written to.
    topics: Mutex<BTreeSet<String>>,
    relay: Mutex<Option<StandIn>>,
    is_relayed: bool,
}

/// One row's two records.
pub(crate) struct Outcome {
    pub(crate) debezium: Option<Record>,
    pub(crate) pipeline: Result<Record, Error>,
}

impl Reader {
    pub(crate) fn new(name: String, pipeline: Pipeline) -> Self {
        let config = serde_json::to_value(pipeline.config()).unwrap();
        let topics = Mutex::new(BTreeSet::from([stand_in::dead_letters(&name)]));
        // Where an expression decides, the relay's topics have no names of their own.
        let is_relayed = pipeline.config().get(&router("route.topic.regex")).is_none();
        Self { name, pipeline, config, topics, relay: Mutex::new(None), is_relayed }
    }

    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.config[key] = value.into();
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Leaves the relay out, for what the connector alone takes.
    pub(crate) fn without_relay(&mut self) {
        self.is_relayed = false;
    }

    pub(crate) fn connect_to(&mut self, url: &str) {
        let config = ConnectorConfig::from_json(&self.config.to_string()).unwrap();
        self.config = serde_json::to_value(config.with_database_url(url).unwrap()).unwrap();
    }

    /// Returns when the connector reads its slot: rows inserted from then on become records.
    pub(crate) fn start(&self, stack: &Stack, database: &str) {
        self.topics.lock().unwrap().extend(self.heartbeat_topics());
        let connect = stack.connect_rest();
        connect.put_config(&self.name, &self.config).unwrap();
        connect.wait_running(&self.name, PATIENCE).unwrap();
        let mut client = Client::connect(database, NoTls).unwrap();
        if self.is_relayed {
            let create = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
            client.execute(create, &[&stand_in::slot(self.pipeline.slot().as_str())]).unwrap();
            let config = ConnectorConfig::from_json(&self.config.to_string()).unwrap();
            let relay = StandIn::start(&config, stack.kafka_bootstrap());
            *self.relay.lock().unwrap() = Some(relay);
        }

        let sql = "SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active";
        let deadline = Instant::now() + PATIENCE;

        while client.query_opt(sql, &[&self.pipeline.slot().as_str()]).unwrap().is_none() {
            assert!(Instant::now() < deadline, "{} does not read its slot", self.name);
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns what became of each row.
    pub(crate) fn outcomes(&self, stack: &Stack, rows: &[Row]) -> Vec<Outcome> {
        let expected = self.expected(rows);
        let mut logged = self.read(stack, &expected, "");
        let outcomes = expected.into_iter().map(|(id, pipeline)| {
            let debezium = logged.remove(&id).unwrap_or_default().pop().map(|found| found.record);
            Outcome { debezium, pipeline }
        });
        outcomes.collect()
    }

    fn expected(&self, rows: &[Row]) -> Vec<(String, Result<Record, Error>)> {
        rows.iter().map(|row| (event_id(row), self.pipeline.encode(row))).collect()
    }

    pub(crate) fn differences(&self, stack: &Stack, rows: &[Row]) -> Vec<Difference> {
        let expected = self.expected(rows);
        let logged = self.read(stack, &expected, "");
        let mut differences = vec![];
        if self.is_relayed {
            let relayed = self.read(stack, &expected, stand_in::PREFIX);
            for (id, pipeline) in &expected {
                let debezium = logged.get(id).and_then(|found| found.first());
                if let (Ok(pipeline), Some(debezium)) = (pipeline, debezium) {
                    let relayed = relayed.get(id).map_or(&[][..], Vec::as_slice);
                    differences.extend(compare_relayed(&self.name, id, pipeline, debezium, relayed));
                }
            }
            differences.extend(self.unexpected(&expected, &relayed));
            differences.extend(self.order(&expected, &relayed));
        }

        for (id, expected) in &expected {
            let found = logged.get(id).map_or(&[][..], Vec::as_slice);
            differences.extend(compare(&self.name, id, expected.as_ref(), found));
        }

        differences.extend(self.unexpected(&expected, &logged));
        differences.extend(self.order(&expected, &logged));
        differences
    }

    /// Records of events that nobody stored.
    fn unexpected(
        &self,
        expected: &[(String, Result<Record, Error>)],
        logged: &BTreeMap<String, Vec<Logged>>,
    ) -> Vec<Difference> {
        let ids: BTreeSet<_> = expected.iter().map(|(id, _)| id).collect();
        let strange = logged.iter().filter(|(id, _)| !ids.contains(id));
        strange.map(|(id, found)| Difference::new(&self.name, id, "event", &found, &"none")).collect()
    }

    /// Reads the records of each event. If one is missing, the last event's record has been there for a while.
    fn read(
        &self,
        stack: &Stack,
        expected: &[(String, Result<Record, Error>)],
        prefix: &str,
    ) -> BTreeMap<String, Vec<Logged>> {
        let topics: BTreeSet<_> = topics(expected).into_iter().map(|topic| format!("{prefix}{topic}")).collect();
        self.topics.lock().unwrap().extend(topics.iter().cloned());

        let mut broker = Broker::connect(&stack.kafka_bootstrap());
        let mut offsets: BTreeMap<(&String, i32), i64> =
            topics.iter().flat_map(|topic| (0..PARTITIONS).map(move |partition| ((topic, partition), 0))).collect();

        let mut logged: BTreeMap<String, Vec<Logged>> = BTreeMap::new();
        let (last, deadline) = (&expected.last().unwrap().0, Instant::now() + PATIENCE);
        let mut settled = None;

        loop {
            for ((topic, partition), offset) in &mut offsets {
                for found in broker.fetch(topic, *partition, *offset) {
                    *offset = found.offset + 1;
                    if let Some((_, Some(id))) = found.record.headers.iter().find(|(name, _)| name == "id") {
                        logged.entry(text_of(id)).or_default().push(found);
                    }
                }
            }

            let is_there = |(id, record): &(String, Result<Record, Error>)| record.is_err() || logged.contains_key(id);
            if logged.contains_key(last) {
                let settled = *settled.get_or_insert_with(|| Instant::now() + SETTLED);
                if expected.iter().all(is_there) || Instant::now() >= settled {
                    return logged;
                }
            }

            if Instant::now() >= deadline {
                let status = stack.connect_rest().status(&self.name).unwrap();
                panic!("the last row's record of {} did not come: {status:#}", self.name);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Checks that the events of one partition lie there in the order of their rows.
    fn order(
        &self,
        expected: &[(String, Result<Record, Error>)],
        logged: &BTreeMap<String, Vec<Logged>>,
    ) -> Option<Difference> {
        let mut last: BTreeMap<(&str, i32), i64> = BTreeMap::new();
        for (id, _) in expected {
            for found in logged.get(id).into_iter().flatten() {
                let place = (found.record.topic.as_str(), found.partition);
                if last.insert(place, found.offset).is_some_and(|before| before > found.offset) {
                    return Some(Difference::new(&self.name, id, "order", &"later", &"earlier"));
                }
            }
        }
        None
    }

    pub(crate) fn heartbeats(&self, stack: &Stack) -> usize {
        let mut broker = Broker::connect(&stack.kafka_bootstrap());
        let [topic, _] = self.heartbeat_topics();
        (0..PARTITIONS).map(|partition| broker.fetch(&topic, partition, 0).len()).sum()
    }

    /// Returns the topics of the connector's heartbeats and of the relay's.
    fn heartbeat_topics(&self) -> [String; 2] {
        let config = ConnectorConfig::from_json(&self.config.to_string()).unwrap();
        [config.clone(), stand_in::beside(&config)].map(|config| {
            let record = HeartbeatRecord::from_config(&config).ok().flatten();
            record.map_or_else(|| format!("none-of-{}", self.name), |record| record.topic().to_owned())
        })
    }

    /// Compares the first heartbeats of the connector and of the relay: their places, and all but their times.
    pub(crate) fn heartbeat_difference(&self, stack: &Stack) -> Option<Difference> {
        let mut broker = Broker::connect(&stack.kafka_bootstrap());
        let deadline = Instant::now() + PATIENCE;
        let [debezium, relayed] = self.heartbeat_topics().map(|topic| {
            loop {
                let found = (0..PARTITIONS).flat_map(|partition| broker.fetch(&topic, partition, 0)).next();
                if let Some(found) = found {
                    return shown_heartbeat(&found);
                }
                assert!(Instant::now() < deadline, "there are no heartbeats in {topic}");
                thread::sleep(Duration::from_millis(50));
            }
        });
        (debezium != relayed).then(|| Difference::new(&self.name, "heartbeat", "the relay's", &debezium, &relayed))
    }

    pub(crate) fn failure(&self, stack: &Stack) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = stack.connect_rest().status(&self.name).unwrap();
            if let Some(trace) = status["tasks"][0]["trace"].as_str() {
                return trace.to_owned();
            }
            assert!(Instant::now() < deadline, "the task goes on: {status:#}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn remove(&self, stack: &Stack) {
        if let Some(relay) = self.relay.lock().unwrap().take() {
            relay.stop();
        }
        let removed = stack.connect_rest().delete(&self.name);
        let topics: Vec<_> = self.topics.lock().unwrap().iter().cloned().collect();
        Broker::connect(&stack.kafka_bootstrap()).delete_topics(&topics);
        if let Err(error) = removed {
            eprintln!("the connector {} stays behind: {error:?}", self.name);
        }
    }
}

/// Returns a heartbeat with a word in place of its time, and without the prefix of the relay's topics.
fn shown_heartbeat(found: &Logged) -> String {
    let Record { topic, key, value, headers, timestamp, .. } = &found.record;
    let text = |bytes: Option<&Bytes>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    let value = text(value.as_ref()).unwrap();
    let time: String =
        value.chars().rev().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let time: String = time.chars().rev().collect();
    let age = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis().abs_diff(time.parse().unwrap());
    let is_near = timestamp.is_some_and(|timestamp| timestamp.abs_diff(time.parse().unwrap()) < 60_000);
    assert!(age < 300_000 && is_near, "{found:?}");

    let key = text(key.as_ref());
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name, text(value.as_ref()))).collect();
    let value = value.replace(&time, "time");
    format!("{topic} {} {key:?} {value} {headers:?}", found.partition).replace(stand_in::PREFIX, "")
}

fn topics(expected: &[(String, Result<Record, Error>)]) -> BTreeSet<String> {
    expected.iter().filter_map(|(_, record)| record.as_ref().ok()).map(|record| record.topic.clone()).collect()
}

/// Returns the text of a header, which may be JSON with or without a schema.
pub(crate) fn text_of(header: &[u8]) -> String {
    let text = String::from_utf8(header.to_vec()).unwrap();
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::String(text)) => text,
        Ok(Value::Object(with_schema)) => with_schema["payload"].as_str().unwrap().to_owned(),
        _ => text,
    }
}

/// Returns the event's id, which is the first column.
fn event_id(row: &Row) -> String {
    match &row.values()[0] {
        ColumnValue::Uuid(id) => id.to_string(),
        ColumnValue::Integer(id) => id.to_string(),
        ColumnValue::Text(id) => id.clone(),
        other => panic!("{other:?}"),
    }
}
