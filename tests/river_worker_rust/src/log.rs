//! River's log as the JSON lines of Go's slog, so that one reader takes both: `time`, `level`, `msg`, `err`.

use std::fmt::Debug;
use std::io::Write as _;

use riverqueue::jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Writes each event that is at least as severe as the level to standard output.
pub struct JsonLines(pub Level);

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let level = event.metadata().level();
        if *level > self.0 {
            return;
        }
        let mut fields = serde_json::Map::new();
        fields.insert("time".into(), Timestamp::now().to_string().into());
        fields.insert("level".into(), level.as_str().into());
        event.record(&mut Fields(&mut fields));
        // Standard output is the test's pipe or file: when that is gone there is nothing left to tell it to.
        let _ = writeln!(std::io::stdout().lock(), "{}", serde_json::Value::Object(fields));
    }
}

struct Fields<'a>(&'a mut serde_json::Map<String, serde_json::Value>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.insert(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value.to_owned());
    }
}

impl Fields<'_> {
    fn insert(&mut self, field: &Field, value: String) {
        let name = match field.name() {
            "message" => "msg",
            "error" => "err",
            other => other,
        };
        self.0.insert(name.to_owned(), value.into());
    }
}
