use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

/// The memory that fetched bytes use together, over all partitions: counted until the last record in them is dropped.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    used: AtomicUsize,
    /// The notification that memory was returned.
    freed: Notify,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most, used: AtomicUsize::new(0), freed: Notify::new() }))
    }

    /// Returns how many bytes are not used.
    pub(super) fn left(&self) -> usize {
        self.0.most.saturating_sub(self.used())
    }

    pub(super) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Counts bytes, also if that exceeds the budget.
    pub(super) fn reserve(&self, bytes: usize) -> Reserved {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
        Reserved { budget: self.clone(), bytes }
    }

    /// Counts bytes until they, and all slices of them, are dropped.
    pub(super) fn counted(&self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        let reserved = self.reserve(bytes.as_ref().len());
        reserved.hold(bytes)
    }

    /// Waits until a part is given back.
    pub(super) async fn freed(&self) {
        self.0.freed.notified().await;
    }
}

/// A part of the budget; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Reserved {
    budget: Budget,
    bytes: usize,
}

impl Reserved {
    /// Counts these bytes instead of the reserved ones, until they and all slices of them are dropped.
    pub(super) fn hold(mut self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        let size = bytes.as_ref().len();
        let used = &self.budget.0.used;
        used.fetch_add(size, Ordering::Relaxed);
        used.fetch_sub(std::mem::replace(&mut self.bytes, size), Ordering::Relaxed);
        Bytes::from_owner(ReservedBytes { bytes, _reserved: self })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.0.freed.notify_one();
    }
}

struct ReservedBytes<B> {
    bytes: B,
    _reserved: Reserved,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for ReservedBytes<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_until_their_last_slice_is_dropped() {
        let budget = Budget::new(100);
        let reserved = budget.reserve(80);
        assert_eq!(budget.left(), 20);
        let held = reserved.hold(Bytes::from(vec![0; 30]));
        assert_eq!(budget.left(), 70);
        let slice = held.slice(..1);
        drop(held);
        let large = budget.counted(vec![0; 200]);
        assert_eq!((budget.used(), budget.left()), (230, 0));
        drop((slice, large));
        assert_eq!(budget.left(), 100);
    }
}
