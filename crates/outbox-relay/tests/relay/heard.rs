//! The warnings that a test's relay logs.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

use tracing::level_filters::LevelFilter;

thread_local! {
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The warnings of this thread since the value was created. A test and its relay share one thread.
pub(crate) struct Heard(());

impl Heard {
    pub(crate) fn listen() -> Self {
        // One subscriber for all threads: with one for each, a thread may miss lines that another one saw first.
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let lines = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_ansi(false);
            lines.with_writer(|| OfThread).init();
        });
        LINES.set(Some(Vec::new()));
        Self(())
    }

    pub(crate) fn text(&self) -> String {
        LINES.with_borrow(|lines| String::from_utf8(lines.clone().unwrap_or_default()).unwrap())
    }
}

struct OfThread;

impl Write for OfThread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.iter_mut().for_each(|lines| lines.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
