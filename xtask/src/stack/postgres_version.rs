use std::fmt;
use std::str::FromStr;

/// A major version of PostgreSQL that the toolkit supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PostgresVersion(u32);

const ALL: [u32; 5] = [14, 15, 16, 17, 18];

/// The versions that every run of the tests has.
const EVERY_RUN: [u32; 2] = [15, 18];

impl PostgresVersion {
    /// Returns the versions that every run of the tests has, the oldest first.
    pub fn of_every_run() -> impl DoubleEndedIterator<Item = Self> {
        Self::all().filter(|version| EVERY_RUN.contains(&version.0))
    }

    /// Returns all supported versions, the oldest first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        ALL.into_iter().map(Self)
    }

    /// Returns the newest one.
    pub fn newest() -> Self {
        Self::all().next_back().unwrap_or(Self(0))
    }

    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

impl FromStr for PostgresVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = text.parse().ok().and_then(|number: u32| Self::all().find(|version| version.0 == number));
        known.ok_or_else(|| {
            let all: Vec<_> = Self::all().map(|version| version.to_string()).collect();
            format!("there are {}", all.join(", "))
        })
    }
}

impl fmt::Display for PostgresVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_read() {
        for version in PostgresVersion::all() {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        assert_eq!("13".parse::<PostgresVersion>(), Err("there are 14, 15, 16, 17, 18".to_owned()));
        assert_eq!(PostgresVersion::newest(), PostgresVersion(18));
    }
}
