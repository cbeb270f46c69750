//! docker-compose.yml: the file by itself.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use xtask::stack::workspace;

use crate::files::{parse, path, program, text, yaml};
use crate::schema::assert_valid;

const FILE: &str = "docker-compose.yml";

/// The services of docker-compose.yml, with the variables of .env in place.
pub(crate) struct Compose {
    document: Value,
    settings: BTreeMap<String, String>,
}

impl Compose {
    pub(crate) fn load() -> Self {
        let settings = text(".env");
        let settings = settings.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { document: yaml(FILE), settings }
    }

    /// Returns the names and definitions of the services that a profile starts.
    pub(crate) fn services(&self, profile: &str) -> BTreeMap<&str, &Value> {
        let all = self.document["services"].as_object().unwrap().iter();
        let is_started = |service: &Value| {
            service.get("profiles").is_none_or(|names| names.as_array().unwrap().contains(&Value::from(profile)))
        };
        all.filter(|(_, service)| is_started(service)).map(|(name, service)| (&**name, service)).collect()
    }

    fn all(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.document["services"].as_object().unwrap().iter().map(|(name, service)| (&**name, service))
    }

    /// Replaces `${NAME:-default}` by the value of .env. A default that differs from .env is an error.
    pub(crate) fn interpolated(&self, text: &str) -> String {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (variable, after) = after.split_once('}').unwrap();
            let (name, default) = variable.split_once(":-").unwrap_or_else(|| panic!("{text} has no default"));
            assert_eq!(self.settings.get(name).map(String::as_str), Some(default), "{name} in .env");
            result.push_str(before);
            result.push_str(default);
            rest = after;
        }
        result + rest
    }
}

/// Returns a service's list of texts, such as its command.
pub(crate) fn list(service: &Value, key: &str) -> Vec<String> {
    let items = service.get(key).and_then(Value::as_array).into_iter().flatten();
    items.map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Returns the source and the target of each file or directory that a service mounts.
pub(crate) fn mounts(service: &Value) -> Vec<(String, String)> {
    let mounts = list(service, "volumes").into_iter().filter(|mount| mount.starts_with("./"));
    mounts
        .map(|mount| {
            let parts: Vec<_> = mount.split(':').collect();
            assert_eq!(parts[2], "ro", "{mount}");
            (parts[0].trim_start_matches("./").to_owned(), parts[1].to_owned())
        })
        .collect()
}

/// Returns the condition under which a service waits for another one.
pub(crate) fn condition<'a>(service: &'a Value, other: &str) -> Option<&'a str> {
    service.get("depends_on")?.get(other)?["condition"].as_str()
}

#[test]
fn the_file_fits_the_compose_schema() {
    let mut document = yaml(FILE);
    // Compose interpolates before it validates.
    let compose = Compose::load();
    interpolate(&mut document, &compose);
    assert_valid("compose.json", FILE, &document);
}

#[test]
fn the_file_that_the_program_outbox_generates_fits_the_compose_schema() {
    let output = Command::new(program("outbox")).args(["config", "generate", "compose"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document = parse("generated", &String::from_utf8(output.stdout).unwrap());
    assert_valid("compose.json", "generated", &document);
}

fn interpolate(value: &mut Value, compose: &Compose) {
    match value {
        Value::String(text) => *text = compose.interpolated(text),
        Value::Array(items) => items.iter_mut().for_each(|item| interpolate(item, compose)),
        Value::Object(members) => members.values_mut().for_each(|member| interpolate(member, compose)),
        _ => {}
    }
}

#[test]
fn every_mounted_file_build_context_and_target_exists() {
    let compose = Compose::load();
    let dockerfile = text("Dockerfile");
    for (name, service) in compose.all() {
        for (source, _) in mounts(service) {
            assert!(path(&source).exists(), "{name} mounts {source}");
        }
        if let Some(build) = service.get("build") {
            assert!(path(build["context"].as_str().unwrap()).join("Cargo.lock").is_file());
            assert_eq!(build["dockerfile"], "deploy/Dockerfile");
            let target = build["target"].as_str().unwrap();
            assert!(dockerfile.contains(&format!(" AS {target}\n")), "{target} is no target of the Dockerfile");
            for (argument, value) in build["args"].as_object().unwrap() {
                let default = compose.interpolated(value.as_str().unwrap());
                assert!(dockerfile.contains(&format!("ARG {argument}={default}\n")), "{argument}");
            }
        }
    }
}

#[test]
fn every_image_has_an_exact_tag_and_a_digest_and_every_port_is_a_setting_on_loopback() {
    let compose = Compose::load();
    let images: Vec<_> = compose.settings.iter().filter(|(name, _)| name.ends_with("_IMAGE")).collect();
    assert_eq!(images.len(), 8);

    for (name, image) in images {
        let (image, digest) = image.split_once("@sha256:").unwrap();
        assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}: {digest}");
        // The tags of distroless have no versions.
        let tag = image.rsplit_once(':').map(|(_, tag)| tag.trim_start_matches('v'));
        let is_exact = tag.is_some_and(|tag| tag.starts_with(|c: char| c.is_ascii_digit()));
        assert!(is_exact || image.contains("/distroless/"), "{name}: {image}");
    }

    for (name, service) in compose.all() {
        assert!(
            service.get("build").is_some() || service["image"].as_str().unwrap().starts_with("${OUTBOX_"),
            "{name}"
        );
        for port in list(service, "ports") {
            assert!(port.starts_with("127.0.0.1:${OUTBOX_"), "{name}: {port}");
        }
    }
}

/// `docker compose up --wait` takes the end of a one-shot service for a failure, unless another one waits for that end.
#[test]
fn servers_have_health_checks_limits_and_restarts_and_one_shot_services_are_awaited() {
    let compose = Compose::load();
    for profile in ["relay", "debezium"] {
        let services = compose.services(profile);
        for (name, service) in &services {
            assert!(service["deploy"]["resources"]["limits"]["memory"].is_string(), "{name} has no limit");
            if name.starts_with("setup-") {
                let awaits = |other: &&Value| condition(other, name) == Some("service_completed_successfully");
                assert!(services.values().any(awaits), "nobody waits for the end of {name}");
                assert!(service.get("restart").is_none(), "{name}");
                continue;
            }
            assert_eq!(service["restart"], "unless-stopped", "{name}");
            assert!(service["healthcheck"]["test"].is_array(), "{name} has no health check");
        }

        let readers = ["relay", "connect"].into_iter().filter(|name| services.contains_key(name));
        assert_eq!(readers.count(), 1, "one process reads the slot");
    }

    assert_eq!(compose.settings["COMPOSE_PROFILES"], "relay");
    let postgres = list(compose.services("relay")["postgres"], "command").join(" ");
    assert!(postgres.contains("wal_level=logical") && postgres.contains("max_slot_wal_keep_size="), "{postgres}");
}

#[test]
fn the_programs_of_the_images_run_as_nobody_on_a_file_system_that_they_cannot_write() {
    let is_ours = |service: &Value| service.get("build").is_some_and(|build| build["target"] != "connect");
    for (name, service) in Compose::load().all().filter(|(_, service)| is_ours(service)) {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(list(service, "cap_drop"), ["ALL"], "{name}");
    }
    let dockerfile = text("Dockerfile");
    let stages = dockerfile.split("\nFROM ").filter(|stage| stage.starts_with("${RUNTIME_IMAGE}"));
    let stages: Vec<_> = stages.collect();
    assert_eq!(stages.len(), 3);
    assert!(stages.iter().all(|stage| stage.contains("USER 65532:65532")));
}

/// The commands of the Dockerfile name packages and features that exist, and a compiler that is new enough.
#[test]
fn the_images_are_built_from_this_workspace() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(workspace());
    let metadata: Value = serde_json::from_slice(&cargo.output().unwrap().stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = |name: &str| packages.iter().find(|package| package["name"] == name).unwrap();

    let dockerfile = text("Dockerfile");
    let numbers = |version: &str| -> Vec<u32> { version.split('.').map(|number| number.parse().unwrap()).collect() };
    let least = package("order-service")["rust_version"].as_str().unwrap();
    let image = dockerfile.split("ARG RUST_IMAGE=rust:").nth(1).and_then(|image| image.split('-').next()).unwrap();
    assert!(numbers(image) >= numbers(least), "Rust {image} for {least}");
    let commands: Vec<_> = dockerfile.split("cargo build ").skip(1).collect();
    assert_eq!(commands.len(), 3);
    for command in commands {
        let words: Vec<_> = command.split("&&").next().unwrap().split_whitespace().collect();
        let after = |option| words.iter().position(|word| *word == option).map(|position| words[position + 1]);
        let package = package(after("-p").unwrap());
        if let Some(feature) = after("--features") {
            assert!(package["features"].get(feature).is_some(), "{feature}");
        }
        let targets = package["targets"].as_array().unwrap().iter();
        let mut programs = targets.filter(|target| target["kind"][0] == "bin").map(|target| target["name"].as_str());
        let copied = |name: &str| dockerfile.contains(&format!("target/release/{name}"));
        assert!(programs.any(|name| copied(name.unwrap())), "{words:?}");
    }
}
