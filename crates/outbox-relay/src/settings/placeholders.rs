//! `${provider:path:key}` and `${provider:key}`, which Kafka Connect's worker resolves by its config providers.

use std::collections::BTreeMap;
use std::path::Path;

use outbox_net::Properties;

use super::SettingsError;

/// The source of the values of placeholders.
pub(super) trait Surroundings {
    fn variable(&self, name: &str) -> Option<String>;
    fn file(&self, path: &Path) -> std::io::Result<String>;

    /// Returns the provider of a name.
    fn provider(&self, name: &str) -> Option<Provider> {
        Provider::usual(name)
    }
}

/// The config providers of Kafka that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    Environment,
    File,
    Directory,
}

impl Provider {
    /// Returns the provider that is usually called so, in Kafka's documentation and in Strimzi.
    fn usual(name: &str) -> Option<Self> {
        match name {
            "env" | "strimzienv" => Some(Self::Environment),
            "file" | "strimzifile" => Some(Self::File),
            "dir" | "directory" | "strimzidir" => Some(Self::Directory),
            _ => None,
        }
    }

    fn of_class(class: &str) -> Option<Self> {
        match class.rsplit('.').next()? {
            "EnvVarConfigProvider" => Some(Self::Environment),
            "FileConfigProvider" => Some(Self::File),
            "DirectoryConfigProvider" => Some(Self::Directory),
            _ => None,
        }
    }
}

/// The names that a Connect worker gives to its providers (`config.providers`).
#[derive(Clone, Debug, Default)]
pub(super) struct Providers(BTreeMap<String, Option<Provider>>);

impl Providers {
    pub(super) fn of_worker(worker: &Properties) -> Self {
        let names = worker.get("config.providers").unwrap_or_default().split(',').map(str::trim);
        let named = names.filter(|name| !name.is_empty()).map(|name| {
            let class = worker.get(&format!("config.providers.{name}.class")).unwrap_or_default();
            (name.to_owned(), Provider::of_class(class.trim()))
        });
        Self(named.collect())
    }
}

/// An environment with the config providers of a worker.
#[derive(Clone)]
pub(super) struct WithProviders<S> {
    pub(super) surroundings: S,
    pub(super) providers: Providers,
}

impl<S: Surroundings> Surroundings for WithProviders<S> {
    fn variable(&self, name: &str) -> Option<String> {
        self.surroundings.variable(name)
    }

    fn file(&self, path: &Path) -> std::io::Result<String> {
        self.surroundings.file(path)
    }

    fn provider(&self, name: &str) -> Option<Provider> {
        self.providers.0.get(name).copied().unwrap_or_else(|| Provider::usual(name))
    }
}

/// The process's own environment and files.
#[derive(Clone, Copy)]
pub(super) struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> std::io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// Returns the value with its placeholders resolved; the inserted values are not resolved again. `${routedByValue}` has
/// no colon and is no placeholder.
pub(super) fn resolve(key: &str, written: &str, surroundings: &impl Surroundings) -> Result<String, SettingsError> {
    let mut value = String::with_capacity(written.len());
    let mut rest = written;

    while let Some((before, after)) = rest.split_once("${") {
        value.push_str(before);
        let inner = after.split_once('}').filter(|(inner, _)| inner.contains(':'));
        match inner {
            Some((inner, behind)) => {
                value.push_str(&Placeholder { key, inner }.resolve(surroundings)?);
                rest = behind;
            }
            None => {
                value.push_str("${");
                rest = after;
            }
        }
    }

    value.push_str(rest);
    Ok(value)
}

struct Placeholder<'a> {
    key: &'a str,
    inner: &'a str,
}

impl Placeholder<'_> {
    fn resolve(&self, surroundings: &impl Surroundings) -> Result<String, SettingsError> {
        let (provider, rest) = self.inner.split_once(':').unwrap_or_default();
        let (path, name) = rest.split_once(':').unwrap_or(("", rest));
        match surroundings.provider(provider) {
            Some(Provider::Environment) if path.is_empty() => surroundings
                .variable(name)
                .ok_or_else(|| self.unresolved(format!("the environment has no variable {name}, or it is not UTF-8"))),
            Some(Provider::Environment) => Err(self.unresolved("a variable is written ${env:NAME}")),
            Some(Provider::File) if path.is_empty() => Err(self.unresolved("a file's key is written ${file:/path:key}")),
            Some(Provider::File) => {
                let text = surroundings
                    .file(Path::new(path))
                    .map_err(|e| self.unresolved(format!("the file {path} cannot be read")).caused_by(e))?;
                Properties::parse(&text)
                    .get(name)
                    .map(str::to_owned)
                    .ok_or_else(|| self.unresolved(format!("the properties file {path} has no key {name}")))
            }
            Some(Provider::Directory) if path.is_empty() => {
                Err(self.unresolved("a file of a directory is written ${dir:/path:file}"))
            }
            Some(Provider::Directory) => surroundings
                .file(&Path::new(path).join(name))
                .map_err(|e| self.unresolved(format!("the file {name} of {path} cannot be read")).caused_by(e)),
            None => Err(self.unresolved(format!(
                "there is no provider {provider} here: use ${{env:NAME}}, ${{file:/path:key}} or ${{dir:/path:file}}, or \
                 name the provider in the worker's properties with --worker-config"
            ))),
        }
    }

    fn unresolved(&self, reason: impl Into<String>) -> SettingsError {
        SettingsError::unresolved(self.key, format!("${{{}}}", self.inner), reason)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An environment with one variable and one file.
    #[derive(Clone, Copy)]
    pub(in crate::settings) struct Fixed;

    impl Surroundings for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            (name == "SECRET").then(|| "hunter2-${env:OTHER}".to_owned())
        }

        fn file(&self, path: &Path) -> std::io::Result<String> {
            if path == Path::new("/run/db.properties") {
                return Ok("password = hunter2\\u0021\nwith\\:colon=x\n".into());
            }
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn placeholders_stand_for_variables_and_keys_of_files() {
        let resolved = |written| resolve("k", written, &Fixed).unwrap();
        assert_eq!(resolved("${env:SECRET}"), "hunter2-${env:OTHER}", "once is enough");
        assert_eq!(
            resolved("a ${file:/run/db.properties:password} ${env::SECRET}."),
            "a hunter2! hunter2-${env:OTHER}."
        );
        for kept in ["events.${routedByValue}", "$1 ${", "${}", "$${x}", "{env:SECRET}"] {
            assert_eq!(resolved(kept), kept);
        }
        assert_eq!(resolved("${dir:/run:db.properties}"), "password = hunter2\\u0021\nwith\\:colon=x\n");
        assert_eq!(resolved("${x}${file:/run/db.properties:password}${y}"), "${x}hunter2!${y}");
    }

    #[test]
    fn a_worker_names_its_providers() {
        let worker = Properties::parse(
            "config.providers=mine, vault\nconfig.providers.mine.class=org.apache.kafka.common.config.provider.FileConfigProvider\n\
             config.providers.vault.class=com.example.VaultConfigProvider\n",
        );
        let surroundings = WithProviders { surroundings: Fixed, providers: Providers::of_worker(&worker) };
        let resolved = |written| resolve("k", written, &surroundings);
        assert_eq!(resolved("${mine:/run/db.properties:password}").unwrap(), "hunter2!");
        assert_eq!(resolved("${strimzienv:SECRET}").unwrap(), "hunter2-${env:OTHER}");
        assert!(resolved("${vault:a:b}").unwrap_err().to_string().contains("vault"));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (written, named) in [
            ("x${env:NONE}", "NONE"),
            ("${env:path:SECRET}", "${env:NAME}"),
            ("${file:/nowhere:k}", "/nowhere"),
            ("${file:/run/db.properties:user}", "user"),
            ("${file:password}", "${file:/path:key}"),
            ("${dir:password}", "${dir:/path:file}"),
            ("${dir:/nowhere:password}", "/nowhere"),
            ("${vault:a:b}", "vault"),
        ] {
            let error = resolve("database.password", written, &Fixed).unwrap_err();
            let shown = error.to_string();
            assert_eq!(error.key(), Some("database.password"), "{shown}");
            assert!(shown.contains(named) && !shown.contains("hunter2"), "{shown}");
        }
    }
}
