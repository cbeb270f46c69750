use std::time::SystemTime;

use bytes::{BufMut, BytesMut};

use super::error::Error;
use crate::Lsn;

/// The head of what the walsender wraps (PostgreSQL, "Streaming Replication Protocol").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// The plugin's message follows.
    Data {
        start: Lsn,
        end: Lsn,
    },
    Keepalive {
        end: Lsn,
        reply: bool,
    },
}

impl Head {
    /// Returns the end of the server's WAL.
    pub(super) fn end(self) -> Lsn {
        match self {
            Self::Data { end, .. } | Self::Keepalive { end, .. } => end,
        }
    }
}

/// The length of what comes before the plugin's message.
pub(super) const DATA_HEAD: usize = 25;

pub(super) fn head(body: &[u8]) -> Result<Head, Error> {
    let lsn = |at: usize| {
        let bytes = body.get(at..)?.first_chunk()?;
        Some(Lsn::new(u64::from_be_bytes(*bytes)))
    };
    let head = match body.first() {
        Some(b'w') if body.len() >= DATA_HEAD => lsn(1).zip(lsn(9)).map(|(start, end)| Head::Data { start, end }),
        Some(b'k') => lsn(1).zip(body.get(17)).map(|(end, reply)| Head::Keepalive { end, reply: *reply == 1 }),
        _ => None,
    };
    head.ok_or_else(|| Error::protocol("a message of the walsender"))
}

/// Returns a standby status update. Nothing confirmed yet is 0, which leaves the slot where it is.
pub(super) fn update(confirmed: Lsn, asks_for_reply: bool) -> BytesMut {
    let mut out = BytesMut::with_capacity(39);
    out.put_u8(b'd');
    out.put_u32(38);
    out.put_u8(b'r');
    // Written, flushed, applied: one and the same, so that the server reports what lies between in keepalives.
    for _ in 0..3 {
        out.put_u64(confirmed.as_u64());
    }
    out.put_i64(now());
    out.put_u8(u8::from(asks_for_reply));
    out
}

/// Returns microseconds since 2000.
fn now() -> i64 {
    const EPOCH: u128 = 946_684_800_000_000;
    let unix = SystemTime::UNIX_EPOCH.elapsed().map_or(EPOCH, |elapsed| elapsed.as_micros());
    i64::try_from(unix.saturating_sub(EPOCH)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_update_is_what_the_protocol_says() {
        let out = update(Lsn::new(7), true);
        assert_eq!(out.len(), 39);
        assert_eq!(&out[..6], b"d\0\0\0\x26r");
        assert_eq!(&out[6..14], &7_u64.to_be_bytes());
        assert_eq!(out[38], 1);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_head_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = head(&bytes);
        }
    }
}
