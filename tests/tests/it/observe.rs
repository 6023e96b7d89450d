//! What is told about commands: shapes and times, never values.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use forge::ErrorCode;
use forge_tests::conformance;
use forge_tests::models::{Author, NewAuthor, Person, person};

const SECRET: &str = "s3cret";

conformance! {
    async fn hooks_see_every_command_without_its_values(t) {
        t.push().await?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let hook = seen.clone();
        t.db.on_command(move |command| {
            let line = format!("{} {} {}", command.command, command.collection, command.shape);
            hook.lock().unwrap().push((line, command.rows, command.error, command.database.to_owned()));
        });
        t.db.insert(person(SECRET)).await?;
        t.db.find::<Person>().filter(|p| p.name.eq(SECRET) & p.visits.lt(3)).sort(|p| p.age.desc()).limit(2).await?;
        t.db.insert(person(SECRET)).await.unwrap_err();
        let author = NewAuthor { id: 1, name: SECRET.to_owned(), country: None };
        t.db.insert(author).await?;
        t.driver.take();
        t.db.find::<Author>().filter(|a| a.name.eq(SECRET)).include(|a| a.books).await?;
        let sent = t.driver.take().len();
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert!(!format!("{seen:?}").contains(SECRET), "{seen:?}");
        assert!(seen.iter().all(|(.., database)| database == t.name()));
        assert_eq!(seen[0].0, "insert people 1 documents");
        assert!(seen[1].0.starts_with("find people { name: ?, visits: { $lt: ? } } sort { age: -1"), "{}", seen[1].0);
        assert_eq!((seen[1].1, seen[1].2), (Some(1), None));
        let failed = seen.iter().filter(|(line, ..)| line.starts_with("insert people")).nth(1).unwrap();
        assert!(failed.2.is_none_or(|code| code == ErrorCode::UniqueViolation));
        assert_eq!(sent, seen.iter().filter(|(line, ..)| line.starts_with("find authors") || line.contains(" books ")).count());
    }

    async fn slow_commands_are_logged_from_a_threshold_on(t) {
        let log = capture::Log::default();
        let _guard = log.install();
        t.db.find::<Person>().filter(|p| p.name.eq(SECRET)).await?;
        assert_eq!(log.lines("forge::slow"), [""; 0]);
        t.db.log_slower_than(Some(Duration::ZERO));
        t.db.find::<Person>().filter(|p| p.name.eq(SECRET)).await?;
        t.db.log_slower_than(Some(Duration::from_secs(3_600)));
        t.db.find::<Person>().filter(|p| p.name.eq(SECRET)).await?;
        let lines = log.lines("forge::slow");
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("{ name: ? }") && !lines[0].contains(SECRET), "{lines:?}");
    }

    async fn spans_carry_the_names_of_the_conventions(t) {
        let log = capture::Log::default();
        let _guard = log.install();
        t.db.insert(person("Ann")).await?;
        t.db.find::<Person>().filter(|p| p.name.eq(SECRET)).await?;
        t.db.find::<Person>().filter(|p| p.name.eq("Ann")).await?;
        let spans = log.lines("forge::db");
        assert!(!format!("{spans:?}").contains(SECRET), "{spans:?}");
        let system = format!("db.system.name={}", t.adapter.name());
        let namespace = format!("db.namespace={}", t.name());
        for part in [
            "operation", "command", "otel.kind=client", "otel.name=find people", system.as_str(), namespace.as_str(),
            "db.collection.name=people", "db.operation.name=find", "db.operation.name=insert",
            "db.response.returned_rows=1", "db.query.text={ name: ? }",
        ] {
            assert!(spans.iter().any(|span| span.contains(part)), "{part}: {spans:#?}");
        }
    }
}

/// A subscriber that writes everything down, for one thread.
mod capture {
    use std::fmt::{Debug, Write as _};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    #[derive(Clone, Default)]
    pub(super) struct Log {
        lines: Arc<Mutex<Vec<(u64, String, String)>>>,
        next: Arc<AtomicU64>,
    }

    impl Log {
        pub(super) fn install(&self) -> tracing::subscriber::DefaultGuard {
            tracing::subscriber::set_default(self.clone())
        }

        pub(super) fn lines(&self, target: &str) -> Vec<String> {
            let lines = self.lines.lock().unwrap();
            lines.iter().filter(|(_, of, _)| of == target).map(|(.., line)| line.clone()).collect()
        }

        fn add(&self, metadata: &Metadata<'_>, text: String) -> u64 {
            let id = self.next.fetch_add(1, Ordering::SeqCst) + 1;
            self.lines.lock().unwrap().push((id, metadata.target().to_owned(), text));
            id
        }
    }

    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
        fn record_str(&mut self, field: &Field, value: &str) {
            let _ = write!(self.0, " {}={value}", field.name());
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, span: &Attributes<'_>) -> Id {
            let mut fields = Fields(span.metadata().name().to_owned());
            span.record(&mut fields);
            Id::from_u64(self.add(span.metadata(), fields.0))
        }
        fn record(&self, span: &Id, values: &Record<'_>) {
            let mut fields = Fields(String::new());
            values.record(&mut fields);
            let mut lines = self.lines.lock().unwrap();
            if let Some((.., line)) = lines.iter_mut().find(|(id, ..)| *id == span.into_u64()) {
                line.push_str(&fields.0);
            }
        }
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields(String::new());
            event.record(&mut fields);
            self.add(event.metadata(), fields.0);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }
}
