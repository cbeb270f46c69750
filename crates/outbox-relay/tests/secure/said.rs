use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// The log of this thread, from the finest level on.
pub(crate) struct Said {
    text: Text,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Said {
    pub(crate) fn listen() -> Self {
        let text = Text::default();
        let lines = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(text.clone())
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(lines) }
    }

    /// Notes a value and its `Debug` text.
    pub(crate) fn note(&self, value: &dyn std::fmt::Debug) {
        _ = writeln!(self.text.clone(), "{value:?} {value:#?}");
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn without(&self, secrets: &[&str]) {
        let text = self.text();
        assert!(text.contains("outbox"), "nothing was heard: {text}");
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in\n{text}");
            // Bytes are shown as numbers.
            let bytes = format!("{:?}", secret.as_bytes());
            assert!(!text.contains(bytes.trim_matches(['[', ']'])), "the bytes of {secret} are in\n{text}");
        }
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Text {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
