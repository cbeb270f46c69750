use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use outbox_testkit::Postgres;
use rustix::process::{Pid, getpgid, test_kill_process};
use tokio_postgres::NoTls;

use crate::other_process::OtherProcess;
use crate::{connect, show};

/// PostgreSQL's process and the directory that it is in.
struct Traces {
    process: Pid,
    home: PathBuf,
}

impl Traces {
    async fn of(url: &str) -> Self {
        let data = PathBuf::from(show(&connect(url).await, "data_directory").await);
        let pid = fs::read_to_string(data.join("postmaster.pid")).unwrap();
        let process = Pid::from_raw(pid.lines().next().unwrap().parse().unwrap()).unwrap();
        Self { process, home: data.parent().unwrap().to_owned() }
    }

    fn are_gone(&self) -> bool {
        !self.home.exists() && test_kill_process(self.process).is_err()
    }
}

/// The longest wait for the end of a server. Only a test that fails takes that long.
const GONE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_dropped_server_leaves_nothing() {
    let postgres = Postgres::start().await.unwrap();
    let traces = Traces::of(&postgres.url()).await;
    let session = connect(&postgres.url()).await;
    assert!(!traces.are_gone());

    drop(postgres);
    assert!(traces.are_gone());
    assert!(session.batch_execute("SELECT 1").await.is_err());
}

#[tokio::test]
async fn a_killed_process_takes_its_server_along() {
    let mut other = OtherProcess::start("start", &[]);
    let traces = Traces::of(&other.url()).await;
    // Not in a session that would end by itself: the server is in the middle of something.
    let busy = connect(&other.url()).await;
    tokio::spawn(async move { busy.batch_execute("SELECT pg_sleep(600)").await });

    other.kill();
    let killed = Instant::now();
    while !traces.are_gone() {
        assert!(killed.elapsed() < GONE, "{} is still there", traces.home.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_process_killed_halfway_through_a_start_leaves_nothing() {
    for milliseconds in [3, 10, 20, 30, 300] {
        let temporary = tempdir();
        let mut other = OtherProcess::start("start_unwatched", &[("TMPDIR", temporary.0.to_str().unwrap())]);
        std::thread::sleep(Duration::from_millis(milliseconds));
        other.kill();
        let killed = Instant::now();
        while fs::read_dir(&temporary.0).unwrap().next().is_some() {
            assert!(killed.elapsed() < GONE, "after {milliseconds} ms something stays");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[tokio::test]
async fn a_process_that_ends_takes_the_shared_server_along() {
    let mut other = OtherProcess::start("shared", &[]);
    let traces = Traces::of(&other.url()).await;
    other.let_it_end();
    let ended = Instant::now();
    while !traces.are_gone() {
        assert!(ended.elapsed() < GONE, "{} is still there", traces.home.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing() {
    for milliseconds in ["1", "300", "600"] {
        let temporary = tempdir();
        let directory = temporary.0.to_str().unwrap();
        let mut other = OtherProcess::start("give_up", &[("TMPDIR", directory), ("MILLISECONDS", milliseconds)]);
        other.let_it_end();
        let left: Vec<_> = fs::read_dir(&temporary.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, Vec::<PathBuf>::new(), "after {milliseconds} ms");
    }
}

#[tokio::test]
async fn the_terminal_does_not_interrupt_the_server() {
    let postgres = Postgres::shared().await.unwrap();
    let traces = Traces::of(&postgres.url()).await;
    assert_ne!(getpgid(Some(traces.process)).unwrap(), getpgid(None).unwrap());
}

#[tokio::test]
async fn what_was_committed_survives_a_crash() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let session = connect(database.url()).await;
    session.batch_execute("CREATE TABLE t (id int); INSERT INTO t VALUES (7)").await.unwrap();
    let before = Traces::of(&postgres.url()).await;

    postgres.crash().await.unwrap();

    assert!(session.batch_execute("SELECT 1").await.is_err());
    let (client, connection) = tokio_postgres::connect(database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(client.query_one("SELECT id FROM t", &[]).await.unwrap().get::<_, i32>(0), 7);
    let after = Traces::of(&postgres.url()).await;
    assert_ne!(before.process, after.process);
    drop((database, postgres));
    assert!(after.are_gone());
}

struct Temporary(PathBuf);

fn tempdir() -> Temporary {
    use std::os::unix::fs::PermissionsExt as _;
    let name =
        format!("given-up-{}-{:?}", std::process::id(), Instant::now()).replace(|c: char| !c.is_alphanumeric(), "-");
    let path = Path::new("/tmp").join(name);
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).unwrap();
    Temporary(path)
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
