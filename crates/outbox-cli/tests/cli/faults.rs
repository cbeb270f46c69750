//! Servers that do not answer, locks that are held, readers that go away, and signals.

use std::process::Stdio;
use std::time::Duration;

use outbox_test_support::{TestEnv, stack};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::consumer::Stock;
use crate::fixture::{program, run, run_at};

/// The longest wait for the end of a program. Only a test that fails takes that long.
const END: Duration = Duration::from_secs(300);

/// Starts a server that accepts connections, and never answers.
async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Sends a signal, and returns the exit code.
async fn signalled(mut child: Child, signal: &str) -> Option<i32> {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    tokio::time::timeout(END, child.wait()).await.expect("it ends").unwrap().code()
}

#[tokio::test]
async fn a_server_that_accepts_and_does_not_answer_is_given_up_by_every_command() {
    let (_postgres, postgres) = silent().await;
    let (_kafka, kafka) = silent().await;
    let url = format!("postgres://operator:secret@{postgres}/shop");
    let commands: [&[&str]; 10] = [
        &["slot", "list"],
        &["slot", "create", "outbox"],
        &["consumer", "status", "stock"],
        &["dead-letters", "list", "stock"],
        &["events", "verify", "--brokers", &kafka],
        &["events", "tail", "--source", "table"],
        &["events", "tail", "--topic", "orders", "--brokers", &kafka],
        &["replay", "list"],
        &["migrate", "plan"],
        &["uninstall"],
    ];

    for command in commands {
        let arguments = [command, &["--timeout", "0.3"]].concat();
        let variables = [("DATABASE_URL", &*url)];
        let ran = tokio::time::timeout(END, run(&arguments, &variables)).await;
        let ran = ran.unwrap_or_else(|_| panic!("{command:?} does not end"));
        assert!(ran.code == 4 && ran.stderr.starts_with("error: "), "{command:?}: {ran:?}");
        assert!(!ran.stderr.contains("secret"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_lock_is_waited_for_as_long_as_for_a_server() {
    let stock = Stock::new().await;
    let holder = stock.env.client().await;
    holder.batch_execute("BEGIN; LOCK TABLE outbox.outbox_message, outbox.consumer_position").await.unwrap();

    let run = async |command: &[&str]| run_at(&stock.env, &[command, &["--timeout", "5"]].concat()).await;
    let (event, status, letters, doctor) = tokio::join!(
        run(&["events", "show", "01890a5d-ac96-774b-bcce-b302099a8057"]),
        run(&["consumer", "status", "stock"]),
        run(&["dead-letters", "list", "stock"]),
        run(&["doctor", "--group", "stock"]),
    );
    for locked in [event, status, letters] {
        assert!(locked.code == 4 && locked.stderr.contains("lock timeout"), "{locked:?}");
    }
    assert!(doctor.text(1).contains("lock timeout"), "{doctor:?}");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let env = TestEnv::builder().slot().build().await;
    let mut list = program(&["slot", "list"]);
    let mut child = list.env("DATABASE_URL", env.url()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    // An error has its own exit code, also if nobody reads it.
    let mut child = program(&["slot", "list"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().await.unwrap().code(), Some(2));
}

#[tokio::test]
async fn supervision_ends_by_a_signal_while_the_worker_does_not_answer() {
    let (worker, address) = silent().await;
    let mut supervise = program(&["connector", "supervise", "--connect-url", &format!("http://{address}")]);
    let child = supervise.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _request = worker.accept().await.unwrap();
    assert_eq!(signalled(child, "-INT").await, Some(0));
}

#[tokio::test]
async fn supervision_warns_of_a_name_that_no_connector_has() {
    let mut supervise = program(&["connector", "supervise", "no-such-connector"]);
    supervise.env("CONNECT_URL", stack().connect_url()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = supervise.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let warning = lines.next_line().await.unwrap().unwrap();
    assert!(warning.contains("no-such-connector does not exist"), "{warning}");
    // Nobody reads its warnings any more.
    drop(lines);
    assert_eq!(signalled(child, "-TERM").await, Some(0));
}

#[tokio::test]
async fn a_page_in_place_of_kafka_connect_is_no_empty_list() {
    let (listener, address) = silent().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            _ = stream.read(&mut request).await;
            let page = "<html>sign in</html>";
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len());
            _ = stream.write_all(answer.as_bytes()).await;
        }
    });

    let listed = run(&["connector", "list", "--connect-url", &format!("http://{address}")], &[]).await;
    assert!(listed.code == 4 && listed.stderr.contains("check --connect-url"), "{listed:?}");
}

#[tokio::test]
async fn wrong_arguments_are_explained_and_reach_no_server() {
    let commands: [(&[&str], &str); 9] = [
        (&["slot", "advance", "outbox", "--to", "yesterday"], "--to"),
        (&["slot", "list", "--timeout", "1e18"], "at most"),
        (&["slot", "list", "--output", "yaml"], "possible values"),
        (&["slot", "list", "--database-url", "mysql://localhost/shop"], "cannot be used"),
        (&["events", "show", ""], "empty"),
        (&["events", "verify", "--from", "yesterday"], "2026-05-01T12:00:00Z"),
        (&["consumer", "move", "stock", "orders", "0"], "--to"),
        (&["dead-letters", "retry", "stock"], "--all"),
        (&["connector", "apply", "shop", "/no/such/file.json"], "/no/such/file.json"),
    ];
    for (command, text) in commands {
        let ran = run(command, &[]).await;
        assert!(ran.code == 2 && ran.stderr.contains(text), "{command:?}: {ran:?}");
    }
}
