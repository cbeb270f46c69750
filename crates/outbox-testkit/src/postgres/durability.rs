/// The data that survives when the machine, not only the server, stops all of a sudden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing is forced to the disk. What was committed survives [`Postgres::crash`](crate::Postgres::crash) and a
    /// killed server, but no power failure, after which there would be no test to continue either.
    #[default]
    Relaxed,
    /// As in production: each commit waits for the disk. For measurements.
    Full,
}

impl Durability {
    /// Returns the settings of `postgresql.conf`. `synchronous_commit` stays on in both: without it a commit reaches a
    /// logical replication stream only with the WAL writer's next round, up to 200 ms later.
    pub(super) fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Relaxed => &[("fsync", "off"), ("full_page_writes", "off")],
            Self::Full => &[],
        }
    }
}
