use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::java::Java;
use super::search::on_path;
use super::task::Task;
use crate::stack::error::StackError;
use crate::stack::paths;

const KAFKA: &str = "4.3.1";
const DEBEZIUM: &str = "3.7.0.Final";
const JMX_EXPORTER: &str = "1.0.1";
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

/// Jars that Kafka Connect shares with its plugins; a plugin's own copies would clash.
const SHARED_WITH_PLUGINS: &str = "kafka-clients,connect-api,slf4j-api,lz4-java,snappy-java,\
                                   zstd-jni,jakarta.ws.rs-api";

struct Artifact {
    group: &'static str,
    name: &'static str,
    version: &'static str,
}

/// Returns the directory of the jars of Kafka and Kafka Connect.
pub(crate) fn kafka(task: &Task<'_>, dist: &Path, java: &Java) -> Result<PathBuf, StackError> {
    let artifact = |group, name, version| Artifact { group, name, version };
    let artifacts = [
        artifact("org.apache.kafka", "kafka_2.13", KAFKA),
        artifact("org.apache.kafka", "connect-runtime", KAFKA),
        artifact("org.apache.kafka", "connect-json", KAFKA),
        artifact("org.apache.kafka", "kafka-tools", KAFKA),
        // Without it, nothing is logged.
        artifact("org.slf4j", "slf4j-simple", "1.7.36"),
    ];

    let directory = kafka_directory(dist);
    once(&directory, |partial| {
        task.report(&format!("getting Kafka and Kafka Connect {KAFKA} (mvn)"));
        let maven = Maven::find(java)?;
        maven.copy(task, &artifacts, "", partial, partial)
    })?;
    Ok(directory)
}

/// Returns the plugin directory that holds Debezium's connector.
pub(crate) fn debezium(task: &Task<'_>, dist: &Path, java: &Java) -> Result<PathBuf, StackError> {
    let connector = Artifact { group: "io.debezium", name: "debezium-connector-postgres", version: DEBEZIUM };
    let directory = debezium_directory(dist);
    once(&directory, |partial| {
        task.report(&format!("getting Debezium's PostgreSQL connector {DEBEZIUM} (mvn)"));
        let maven = Maven::find(java)?;
        let jars = partial.join(connector.name);
        maven.copy(task, &[connector], SHARED_WITH_PLUGINS, partial, &jars)
    })?;
    Ok(directory)
}

/// Returns the jar of the JMX exporter, an agent that shows a JVM's metrics to Prometheus. The images have the same.
pub(crate) fn jmx_exporter(task: &Task<'_>, dist: &Path, java: &Java) -> Result<PathBuf, StackError> {
    let agent = Artifact { group: "io.prometheus.jmx", name: "jmx_prometheus_javaagent", version: JMX_EXPORTER };
    let directory = dist.join(format!("jmx-exporter-{JMX_EXPORTER}"));
    let jar = directory.join(format!("{}-{JMX_EXPORTER}.jar", agent.name));
    once(&directory, |partial| Maven::find(java)?.copy(task, &[agent], "", partial, partial))?;
    Ok(jar)
}

/// Returns whether Kafka and Debezium were downloaded before.
pub(super) fn has_all(dist: &Path) -> bool {
    kafka_directory(dist).is_dir() && debezium_directory(dist).is_dir()
}

fn kafka_directory(dist: &Path) -> PathBuf {
    dist.join(format!("kafka-with-tools-{KAFKA}"))
}

fn debezium_directory(dist: &Path) -> PathBuf {
    dist.join(format!("debezium-{DEBEZIUM}"))
}

/// Fills a directory, unless it exists. It is renamed after it is filled, so a partial one is never visible.
pub(crate) fn once(directory: &Path, fill: impl FnOnce(&Path) -> Result<(), StackError>) -> Result<(), StackError> {
    if directory.is_dir() {
        return Ok(());
    }
    let mut partial = directory.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(StackError::file("remove", &partial))?;
    }
    paths::create(&partial)?;
    fill(&partial)?;
    fs::rename(&partial, directory).map_err(StackError::file("rename", &partial))
}

#[derive(Debug)]
pub(crate) struct Maven<'a> {
    program: PathBuf,
    java: &'a Java,
}

impl<'a> Maven<'a> {
    pub(crate) fn find(java: &'a Java) -> Result<Self, StackError> {
        let program = on_path("mvn").ok_or_else(|| StackError::new("there is no `mvn` in PATH: install Maven"))?;
        Ok(Self { program, java })
    }

    /// Copies the jars of the artifacts and of all that they need.
    fn copy(
        &self,
        task: &Task<'_>,
        artifacts: &[Artifact],
        without: &str,
        project: &Path,
        into: &Path,
    ) -> Result<(), StackError> {
        let pom = project.join("pom.xml");
        paths::write(&pom, &render(artifacts))?;

        let names: Vec<&str> = artifacts.iter().map(|artifact| artifact.name).collect();
        task.run_patiently(&format!("get {}", names.join(", ")), |attempt| {
            let mut command = self.command(attempt, "copy-dependencies");
            command
                .current_dir(project)
                .arg("-f")
                .arg(&pom)
                .arg("-DincludeScope=runtime")
                .arg(format!("-DexcludeArtifactIds={without}"))
                .arg(format!("-DoutputDirectory={}", into.display()));
            command
        })
    }

    fn command(&self, attempt: u32, goal: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-q", "-B", "-Dstyle.color=never"]).arg(format!("{PLUGIN}:{goal}"));
        if attempt > 1 {
            // Maven caches failed downloads, and would not try them again.
            command.arg("-U");
        }
        if let Some(home) = &self.java.home {
            command.env("JAVA_HOME", home);
        }
        command
    }
}

fn render(artifacts: &[Artifact]) -> String {
    let mut dependencies = String::new();
    for artifact in artifacts {
        let Artifact { group, name, version } = artifact;
        // Writing to a String cannot fail.
        let _ = writeln!(
            dependencies,
            "    <dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>\
             <version>{version}</version></dependency>"
        );
    }
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  \
         <modelVersion>4.0.0</modelVersion>\n  \
         <groupId>outbox</groupId>\n  <artifactId>stack</artifactId>\n  <version>1</version>\n  \
         <packaging>pom</packaging>\n  \
         <dependencies>\n{dependencies}  </dependencies>\n</project>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_names_each_artifact() {
        let pom = render(&[Artifact { group: "g", name: "n", version: "1" }]);
        assert_eq!(pom.matches("<dependency>").count(), 1);
        assert!(pom.contains("<groupId>g</groupId><artifactId>n</artifactId><version>1</version></dependency>"));
    }

    #[test]
    fn the_image_of_kafka_connect_has_what_the_tests_run() {
        let deployed = |file: &str| fs::read_to_string(paths::workspace().join("deploy").join(file)).unwrap();
        assert!(deployed(".env").contains(&format!("\nOUTBOX_KAFKA_IMAGE=apache/kafka:{KAFKA}@sha256:")));
        assert!(deployed("connect/pom.xml").contains(&format!("<version>{DEBEZIUM}</version>")));
        assert!(deployed("connect/plugin.sha256").contains(&format!("debezium-connector-postgres-{DEBEZIUM}.jar")));
        let build = deployed("Dockerfile");
        for part in [PLUGIN, SHARED_WITH_PLUGINS, &format!("jmx_prometheus_javaagent:{JMX_EXPORTER}")] {
            assert!(build.contains(part), "{part}");
        }
    }

    #[test]
    fn an_aborted_download_is_begun_anew() {
        let root = std::env::temp_dir().join(format!("outbox-once-{}", std::process::id()));
        let directory = root.join("kafka-1.2");
        let broken = once(&directory, |partial| {
            fs::write(partial.join("half.jar"), "").unwrap();
            Err(StackError::new("aborted"))
        });

        assert!(broken.is_err());
        assert!(!directory.exists());
        once(&directory, |partial| {
            assert!(!partial.join("half.jar").exists());
            fs::write(partial.join("whole.jar"), "").unwrap();
            Ok(())
        })
        .unwrap();

        once(&directory, |_| panic!("it is there already")).unwrap();
        assert!(directory.join("whole.jar").exists());
        fs::remove_dir_all(&root).unwrap();
    }
}
