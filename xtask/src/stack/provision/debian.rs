use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::search::on_path;
use super::task::Task;
use crate::stack::error::StackError;

/// The package manager of Debian and its derivatives, if this process may use it.
#[derive(Debug)]
pub(crate) struct Debian {
    apt_get: PathBuf,
    updated: Cell<bool>,
}

impl Debian {
    pub(crate) fn detect() -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !Path::new("/etc/debian_version").exists() {
            return None;
        }
        Some(Self { apt_get: on_path("apt-get")?, updated: Cell::new(false) })
    }

    pub(crate) fn install(&self, task: &Task<'_>, packages: &[&str]) -> Result<(), StackError> {
        let names = packages.join(" ");
        if !self.updated.get() {
            task.report("updating the list of packages (apt-get update)");
            task.run_patiently("update the list of packages", |_| self.command(&["update"]))?;
            self.updated.set(true);
        }
        task.report(&format!("installing {names} (apt-get install)"));
        task.run_patiently(&format!("install {names}"), |_| {
            let mut command = self.command(&["install", "-y", "--no-install-recommends"]);
            command.args(packages);
            command
        })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.apt_get);
        command
            .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // In this run level, packages do not start the services that they install.
            .env("RUNLEVEL", "1");
        command
    }
}
