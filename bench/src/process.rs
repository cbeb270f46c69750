//! The resources that a process has used, as Linux reports them; nothing on other systems.

use std::fs;

use serde::Serialize;
use xtask::stack::{Service, Stack};

use crate::Outcome;

/// Seconds of processor time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct CpuSeconds {
    /// The relay's process, or the worker with Debezium.
    pub(crate) engine: Option<f64>,
    /// All of the server's processes, ended ones among them.
    pub(crate) postgres: Option<f64>,
    pub(crate) kafka: Option<f64>,
}

impl CpuSeconds {
    /// Returns what these brokers and the process have used so far.
    pub(crate) fn now(stack: &Stack, brokers: &[u32], engine: Option<u32>) -> Outcome<Self> {
        let postgres = stack.pid(Service::Postgres)?;
        let children = postgres.map(children).unwrap_or_default();
        let ended = postgres.and_then(|pid| Stat::read(pid).map(|stat| stat.own + stat.ended_children));
        let alive: f64 = children.into_iter().filter_map(|pid| Stat::read(pid).map(|stat| stat.own)).sum();
        let own = |pid| Stat::read(pid).map(|stat| stat.own);
        Ok(Self {
            engine: engine.and_then(own),
            postgres: ended.map(|ended| ended + alive),
            kafka: brokers.iter().map(|pid| own(*pid)).sum(),
        })
    }

    /// Returns the sum, if all parts are known.
    pub(crate) fn total(self) -> Option<f64> {
        Some(self.engine? + self.postgres? + self.kafka?)
    }

    /// Returns what was used since `start`. An engine that did not run at that time has used all of it since.
    pub(crate) fn since(self, before: Self) -> Self {
        let difference = |now: Option<f64>, before: Option<f64>| Some(now? - before.unwrap_or(0.0));
        Self {
            engine: difference(self.engine, before.engine),
            postgres: difference(self.postgres, before.postgres),
            kafka: difference(self.kafka, before.kafka),
        }
    }
}

/// Returns the most memory that was ever resident, in MiB.
pub(crate) fn peak_resident_mb(pid: u32) -> Option<f64> {
    memory(pid, "VmHWM:")
}

/// Returns the memory that is resident now, in MiB.
pub(crate) fn resident_mb(pid: u32) -> Option<f64> {
    memory(pid, "VmRSS:")
}

/// Returns the seconds of processor time that a process has used.
pub(crate) fn used_seconds(pid: u32) -> Option<f64> {
    Stat::read(pid).map(|stat| stat.own)
}

fn memory(pid: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}

struct Stat {
    parent: u32,
    own: f64,
    ended_children: f64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The program's name, in parentheses, may itself hold blanks and parentheses.
        let (_, after_name) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = after_name.split(' ').collect();
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        let seconds = |at: usize| fields.get(at)?.parse::<f64>().ok().map(|ticks| ticks / per_second);
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: seconds(11)? + seconds(12)?,
            ended_children: seconds(13)? + seconds(14)?,
        })
    }
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| Stat::read(*pid).is_some_and(|stat| stat.parent == parent))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_a_name_with_parentheses() {
        let stat = Stat::parse("42 (a) S) b) R 7 1 1 0 -1 0 0 0 0 0 200 100 50 25 20 0 1 0 123456 0 0").unwrap();
        let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(stat.parent, 7);
        assert!((stat.own - 300.0 * tick).abs() < 1e-9, "{}", stat.own);
        assert!((stat.ended_children - 75.0 * tick).abs() < 1e-9, "{}", stat.ended_children);
    }
}
