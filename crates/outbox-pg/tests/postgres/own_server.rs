//! Changes to servers that one test starts.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use outbox_pg::tokio_postgres::Config;
use outbox_test_support::connect;
use outbox_testkit::{Postgres, PostgresBuilder};

/// Returns a server of the installed version, and one of the newest.
pub(crate) fn versions() -> [PostgresBuilder; 2] {
    [Postgres::builder(), Postgres::builder().downloaded()]
}

pub(crate) async fn data_directory(server: &Postgres) -> PathBuf {
    let client = connect(&server.url()).await;
    client.query_one("SHOW data_directory", &[]).await.unwrap().get::<_, String>(0).into()
}

/// Returns a hot standby that streams from a server: a copy of its files, which go with the server's own.
pub(crate) async fn standby_of(server: &Postgres, builder: PostgresBuilder) -> Postgres {
    let source = data_directory(server).await;
    let data = source.with_file_name("standby");
    let admin = connect(&server.url()).await;
    admin.execute("SELECT pg_backup_start('standby', true)", &[]).await.unwrap();
    assert!(Command::new("cp").arg("-a").arg(&source).arg(&data).status().unwrap().success());

    let label = "SELECT labelfile FROM pg_backup_stop(false)";
    let label: String = admin.query_one(label, &[]).await.unwrap().get(0);
    for gone in ["postmaster.pid", "postmaster.opts"] {
        fs::remove_file(data.join(gone)).unwrap();
    }
    write_as(&data, "backup_label", &label);
    write_as(&data, "standby.signal", "");

    // The copy has the password of the server that it is of.
    let hba = write_as(&data, "trust.conf", "host all all 127.0.0.1/32 trust\n");
    let config: Config = server.url().parse().unwrap();
    let password = str::from_utf8(config.get_password().unwrap()).unwrap();
    let port = server.address().port();
    builder
        .setting("data_directory", data.display().to_string())
        .setting("hba_file", hba.display().to_string())
        .setting("primary_conninfo", format!("host=127.0.0.1 port={port} user=postgres password={password}"))
        .start()
        .await
        .unwrap()
}

/// Writes a file with the same owner as its directory.
pub(crate) fn write_as(directory: &Path, name: &str, content: &str) -> PathBuf {
    let (path, owner) = (directory.join(name), fs::metadata(directory).unwrap());
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    path
}
