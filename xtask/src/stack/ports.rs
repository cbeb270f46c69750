use std::net::{TcpListener, UdpSocket};

use serde::{Deserialize, Serialize};

use super::error::StackError;

/// Below the range that systems give to outgoing connections. A server that is stopped for a
/// while could otherwise lose its port to a client: even to one that tries to reach it.
const ANY: std::ops::Range<u16> = 20_000..32_000;

/// The ports of the servers, all on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) postgres: u16,
    pub(crate) kafka: u16,
    /// Missing in the state of a stack that an earlier version started.
    #[serde(default)]
    pub(crate) kafka2: u16,
    #[serde(default)]
    pub(crate) kafka3: u16,
    pub(crate) controller: u16,
    pub(crate) connect: u16,
}

impl Ports {
    /// Takes each wanted port if it is free, else another one; 0 wants any.
    pub(crate) fn choose(wanted: Self, report: fn(&str)) -> Result<Self, StackError> {
        let mut held = Vec::new();
        let mut choose = |name: &str, port: u16| {
            let listener = match listen(port) {
                Some(listener) => listener,
                None => any_free()?,
            };
            let chosen =
                listener.local_addr().map_err(|error| StackError::caused("cannot read a port's number", error))?.port();
            if port != 0 && chosen != port {
                report(&format!("port {port} for {name} is taken: using {chosen} instead"));
            }
            // Held until all are chosen, so that no two get the same.
            held.push(listener);
            Ok::<_, StackError>(chosen)
        };
        Ok(Self {
            postgres: choose("PostgreSQL", wanted.postgres)?,
            kafka: choose("Kafka", wanted.kafka)?,
            kafka2: choose("Kafka 2", wanted.kafka2)?,
            kafka3: choose("Kafka 3", wanted.kafka3)?,
            controller: choose("Kafka's controller", wanted.controller)?,
            connect: choose("Kafka Connect", wanted.connect)?,
        })
    }
}

/// Returns whether a server could listen on the port now.
pub(crate) fn is_free(port: u16) -> bool {
    listen(port).is_some()
}

/// Returns a port from 20000 to 31999 on which no process listens.
pub fn free_port() -> Result<u16, StackError> {
    any_free()?
        .local_addr()
        .map(|address| address.port())
        .map_err(|error| StackError::caused("cannot read a port's number", error))
}

/// A TCP port that [`free_port`] gives to no other caller as long as this value lives, also while its server does not
/// run.
///
/// The mark is a UDP socket of the same number: servers need the TCP port only, and every process sees the mark.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    number: u16,
    _mark: UdpSocket,
}

impl ReservedPort {
    pub(crate) fn any() -> Result<Self, StackError> {
        find_free(|port| listen(port).and(mark(port)).map(|mark| Self { number: port, _mark: mark }))
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

fn listen(port: u16) -> Option<TcpListener> {
    if port == 0 {
        return None;
    }
    TcpListener::bind(("127.0.0.1", port)).ok()
}

fn mark(port: u16) -> Option<UdpSocket> {
    UdpSocket::bind(("127.0.0.1", port)).ok()
}

fn any_free() -> Result<TcpListener, StackError> {
    find_free(|port| mark(port).and(listen(port)))
}

/// Returns the first success of `attempt` for a port of the range, from a place that differs by process and time.
fn find_free<T>(attempt: impl Fn(u16) -> Option<T>) -> Result<T, StackError> {
    let span = ANY.end - ANY.start;
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.subsec_micros())
        .wrapping_add(std::process::id());
    let first = u16::try_from(seed % u32::from(span)).unwrap_or(0);
    (0..span)
        .find_map(|step| {
            let offset = (u32::from(first) + u32::from(step)) % u32::from(span);
            attempt(ANY.start + u16::try_from(offset).ok()?)
        })
        .ok_or_else(|| StackError::new(format!("no free TCP port on 127.0.0.1 from {} to {}", ANY.start, ANY.end - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_given_once_and_can_be_listened_on() {
        let reserved: Vec<_> = (0..50).map(|_| ReservedPort::any().unwrap()).collect();
        let numbers: std::collections::BTreeSet<_> = reserved.iter().map(ReservedPort::number).collect();
        assert_eq!(numbers.len(), reserved.len());
        assert!(!numbers.contains(&free_port().unwrap()));
        assert!(listen(reserved[0].number()).is_some());
    }

    #[test]
    fn a_taken_port_is_replaced_and_a_free_one_is_kept() {
        let taken = any_free().unwrap();
        let taken_port = taken.local_addr().unwrap().port();
        let free = free_port().unwrap();
        let wanted = Ports { postgres: taken_port, kafka: free, kafka2: 0, kafka3: 0, controller: 0, connect: 0 };
        let ports = Ports::choose(wanted, |_| {}).unwrap();
        assert_eq!(ports.kafka, free);
        let mut all = [taken_port, ports.postgres, ports.kafka, ports.kafka2, ports.controller, ports.connect];
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
    }
}
