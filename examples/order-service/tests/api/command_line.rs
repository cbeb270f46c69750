use std::process::Output;

use outbox_test_support::stack;

use crate::fixture::program;

#[tokio::test]
async fn help_explains_the_program_and_keeps_the_password() {
    let mut command = program::bare();
    command.arg("--help").env("DATABASE_URL", "postgres://u:hunter2@h/d");

    let output = program::output(command).await;
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());

    for part in [
        "order-service setup",
        "order-service demo",
        "PAGE",
        "sslrootcert",
        "replication slot",
        "--database-url",
        "DATABASE_URL",
        "KAFKA_BROKERS",
        "LISTEN",
        "127.0.0.1:8000",
        "MODE",
        "CONNECTOR_CONFIG",
        "CONSUMER_GROUP",
        "LOG_FORMAT",
        "curl",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    assert!(!help.contains("hunter2"), "{help}");
}

#[tokio::test]
async fn wrong_settings_are_refused_by_name() {
    for (arguments, named) in [
        (&["--mode", "both"][..], "--mode"),
        (&["--listen", "8000"], "--listen"),
        (&["--kafka-brokers", "localhost"], "--kafka-brokers"),
        (&["--kafka-brokers", "a:9092,,b:9092"], "--kafka-brokers"),
        (&["--log-format", "xml"], "--log-format"),
        (&["--verbose"], "--verbose"),
        (&["migrate"], "migrate"),
        (&["--kafka-brokers", "a:9092"], "DATABASE_URL"),
        (&["setup"], "DATABASE_URL"),
    ] {
        let mut command = program::bare();
        command.args(arguments);
        let output = program::output(command).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(named), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_named_without_the_password() {
    let stack = stack();
    let server = format!("{}:{}", stack.postgres_host(), stack.postgres_port());
    for (url, part) in [
        ("postgres//u:hunter2=@h/d".to_owned(), "is not the address of a PostgreSQL database"),
        ("postgres://u:hunter2@h:port/d".to_owned(), "is not the address of a PostgreSQL database"),
        ("mysql://u:hunter2@h/d".to_owned(), "is not the address of a PostgreSQL database"),
        ("postgres://u:hunter2@h/d?sslmode=allow".to_owned(), "sslmode=allow is not supported"),
        (String::new(), "is not the address of a PostgreSQL database"),
        ("postgres://u:hunter2@127.0.0.1:1/d".to_owned(), "\"d\" at 127.0.0.1:1; check that PostgreSQL runs there"),
        (format!("postgres://postgres:hunter2@{server}/d"), "password authentication failed"),
        (format!("postgres://postgres:postgres@{server}/nosuch"), "\"nosuch\" does not exist"),
    ] {
        for task in [&[][..], &["setup"]] {
            let output = run(&url, task).await;
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{url}: {error}");
            assert!(error.contains(part) && !error.contains("hunter2"), "{url}: {error}");
        }
    }
}

#[tokio::test]
async fn a_connector_that_would_lose_events_is_refused_with_the_reason() {
    let file = std::env::temp_dir().join(format!("{}.json", uuid::Uuid::now_v7()));
    let lossy = order_service::DEPLOYED.replace("\"u,d,t\"", "\"c,u,d,t\"");
    for (json, part) in [("{", "not the JSON object"), (&*lossy, "skipped.operations")] {
        std::fs::write(&file, json).unwrap();
        let mut command = program::bare();
        command.arg("--connector").arg(&file).args(["--database-url", "postgres://u@127.0.0.1:1/d"]);
        let error = String::from_utf8(program::output(command).await.stderr).unwrap();
        assert!(error.contains("the connector's configuration cannot be used") && error.contains(part), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
}

async fn run(url: &str, arguments: &[&str]) -> Output {
    let mut command = program::bare();
    command.env("DATABASE_URL", url).args(arguments);
    program::output(command).await
}
