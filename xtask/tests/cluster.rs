//! A Kafka cluster that belongs to a test.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Instant;

use xtask::stack::{ListenerSecurity, Stack};

#[test]
fn brokers_start_and_end() {
    let begin = Instant::now();
    let cluster = Stack::connect().unwrap().kafka_cluster().unwrap();
    let cluster =
        cluster.listener("LOGIN", ListenerSecurity::SaslPlaintext).user("u", "p").authorizer().start().unwrap();
    println!("started {:?} {}", begin.elapsed(), cluster.bootstrap());
    for broker in cluster.brokers() {
        let pid = cluster.pid(broker).unwrap().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        println!("{}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap());
    }
    let begin = Instant::now();
    cluster.kill(2).unwrap();
    println!("killed {:?}", begin.elapsed());
    let begin = Instant::now();
    cluster.start(2).unwrap();
    println!("started {:?}", begin.elapsed());
    let begin = Instant::now();
    cluster.stop(3).unwrap();
    println!("stopped {:?}", begin.elapsed());
    cluster.freeze(1).unwrap();
    cluster.thaw(1).unwrap();
    let begin = Instant::now();
    cluster.start(3).unwrap();
    println!("started {:?}", begin.elapsed());
    let begin = Instant::now();
    drop(cluster);
    println!("dropped {:?}", begin.elapsed());
}
