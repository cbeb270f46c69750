use std::fmt;
use std::str::FromStr;

/// A major version of PostgreSQL that the toolkit supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PostgresVersion(u32);

/// The versions, and the builds that Maven Central has of them.
const BUILDS: [(u32, &str); 5] = [(14, "14.23.0"), (15, "15.18.0"), (16, "16.14.0"), (17, "17.10.0"), (18, "18.6.0")];

impl PostgresVersion {
    /// Returns all supported versions, the oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        BUILDS.iter().map(|(version, _)| Self(*version))
    }

    /// Returns the newest one.
    pub(crate) fn newest() -> Self {
        Self::all().last().unwrap_or(Self(0))
    }

    /// Returns the number of the build to download.
    pub(crate) fn build(self) -> &'static str {
        BUILDS.iter().find(|(version, _)| *version == self.0).map_or("", |(_, build)| build)
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
    fn each_version_is_read_and_has_a_build() {
        for version in PostgresVersion::all() {
            assert_eq!(version.to_string().parse(), Ok(version));
            assert!(version.build().starts_with(&format!("{version}.")));
        }
        assert_eq!("13".parse::<PostgresVersion>(), Err("there are 14, 15, 16, 17, 18".to_owned()));
        assert_eq!(PostgresVersion::newest(), PostgresVersion(18));
    }
}
