//! The files in which the clients read clocks and open sockets.

use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// The crates that are to run under a deterministic simulation.
const CRATES: [&str; 4] = ["outbox-net", "outbox-wal", "outbox-kafka", "outbox-relay"];
/// The functions that a simulation must replace, and the files that may use them. Times other than that of the day come
/// from tokio's clock, which tests can control.
const EFFECTS: [(&str, &[&str]); 7] = [
    ("SystemTime::now", &["outbox-net/src/client/clock.rs"]),
    ("UNIX_EPOCH.elapsed", &[]),
    ("std::time::Instant", &[]),
    ("std::thread", &[]),
    ("std::net::Tcp", &[]),
    // TCP of both protocols, PostgreSQL's Unix socket, and the address for probes and metrics.
    ("tokio::net", &["outbox-net/src/client/tcp.rs", "outbox-wal/src/socket.rs", "outbox-relay/src/status/server.rs"]),
    ("TcpStream::connect", &[]),
];

#[test]
fn clocks_and_sockets_are_used_in_one_place_for_each_protocol() {
    let mut faults = Vec::new();
    for name in CRATES {
        for file in sources(&root().join("crates").join(name).join("src")) {
            let path = file.strip_prefix(root().join("crates")).unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split_once("#[cfg(test)]\nmod ").map_or(&*text, |(code, _)| code);
            let used = EFFECTS.iter().filter(|(effect, allowed)| code.contains(effect) && !allowed.contains(&&*path));
            faults.extend(used.map(|(effect, _)| format!("{path}: {effect}")));
        }
    }
    assert!(faults.is_empty(), "use the functions of outbox-net for these:\n{}", faults.join("\n"));
}

/// Returns the files of a directory that are no tests.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true if ["tests", "simulation"].contains(&&*name) => {}
            true => found.extend(sources(&path)),
            false if name.ends_with("tests.rs") || !name.ends_with(".rs") => {}
            false => found.push(path),
        }
    }
    found
}
