//! The steps as files for the migration tools of others.

use std::path::{Path, PathBuf};
use std::{fs, io};

use outbox_core::Pipeline;

use super::{Migrations, row_life};
use crate::Error;

/// The form of a file's name.
#[derive(Clone, Copy)]
enum Naming {
    /// `V1__name.sql`
    Versioned,
    /// `1_name.sql`
    Numbered,
}

impl Migrations {
    /// Writes the steps as files `V1__name.sql`, … for Flyway and refinery, and returns their paths.
    ///
    /// The numbers continue those of the files that the directory has, so that several components, and migrations of
    /// the service, may share one. A step that was written before keeps its file, whatever its number is: after an
    /// update of this library only the new steps are added. The tool keeps its own record: `schema_migration` is not in
    /// the files. Each file of an outbox or its maintenance rejects objects of other roles, as [`apply`](Self::apply)
    /// does.
    ///
    /// # Errors
    /// A file could not be written, or exists with other SQL: applied SQL is never changed.
    pub fn export(&self, directory: &Path) -> Result<Vec<PathBuf>, Error> {
        self.export_as(Naming::Versioned, directory)
    }

    /// Writes the steps as [`export`](Self::export) does, as files `1_name.sql`, … for sqlx.
    ///
    /// # Errors
    /// As [`export`](Self::export).
    pub fn export_for_sqlx(&self, directory: &Path) -> Result<Vec<PathBuf>, Error> {
        self.export_as(Naming::Numbered, directory)
    }

    /// Writes the files that the directory lacks, and returns all paths in order. A file with other SQL is an error,
    /// because it may have been applied.
    fn export_as(&self, naming: Naming, directory: &Path) -> Result<Vec<PathBuf>, Error> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |e| Error::file(path, e)
        };
        let mut folder = Folder::read(directory).map_err(failed(directory))?;
        let mut paths = Vec::new();

        for File { version, name, sql } in self.files() {
            let path = match folder.path_of(&name) {
                Some(path) => path.clone(),
                None => {
                    let path = folder.next_path(naming, &name);
                    fs::write(&path, &sql).map_err(failed(&path))?;
                    path
                }
            };
            if fs::read_to_string(&path).map_err(failed(&path))? != sql {
                let reason = format!("{} holds other SQL: delete the file if it was never applied", path.display());
                return Err(Error::migration(&self.component, version, reason));
            }
            paths.push(path);
        }
        Ok(paths)
    }

    /// Returns a file for each step, and one that switches the triggers if rows are deleted on insert.
    fn files(&self) -> Vec<File> {
        let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name = |name: &str| format!("{}_{name}", self.component).chars().map(legal).collect::<String>();
        let create_schema = || self.publication.is_none().then(|| self.create_schema());

        let mut files: Vec<File> = Vec::new();
        let mut add = |version: i32, title: &str, sql: &str| {
            let create_schema = if files.is_empty() { create_schema() } else { None };
            let statements = [create_schema, self.refuse_foreign(), Some(sql.to_owned())];
            let sql = statements.iter().flatten().map(|sql| format!("{};\n", sql.trim_end_matches(';'))).collect();

            let is_used = files.iter().any(|file| file.name == name(title));
            let name = if is_used { format!("{}_{version}", name(title)) } else { name(title) };
            files.push(File { version, name, sql });
        };
        self.steps.iter().for_each(|step| add(step.version, &step.name, &step.sql));
        if let Some(layout) = self.outbox.as_ref().map(Pipeline::layout)
            && layout.row_life().vanishes()
        {
            add(self.latest + 1, "life of a row", &row_life::switch_sql(layout));
        }
        files
    }
}

struct File {
    version: i32,
    /// The name without number and suffix, of characters that every tool takes.
    name: String,
    sql: String,
}

/// A directory with its migrations, including those of the service.
struct Folder<'a> {
    directory: &'a Path,
    files: Vec<(String, PathBuf)>,
    last: u64,
}

impl<'a> Folder<'a> {
    fn read(directory: &'a Path) -> io::Result<Self> {
        let mut folder = Self { directory, files: Vec::new(), last: 0 };
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let stem = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".sql"));
            let Some(stem) = stem.map(|stem| stem.strip_prefix('V').unwrap_or(stem)) else { continue };

            let end = stem.find(|c: char| !c.is_ascii_digit()).unwrap_or(stem.len());
            let (number, name) = stem.split_at_checked(end).unwrap_or((stem, ""));
            let Ok(number) = number.parse() else { continue };
            folder.last = folder.last.max(number);
            folder.files.push((name.trim_start_matches('_').to_owned(), path));
        }
        Ok(folder)
    }

    fn path_of(&self, name: &str) -> Option<&PathBuf> {
        self.files.iter().find_map(|(found, path)| (found == name).then_some(path))
    }

    fn next_path(&mut self, naming: Naming, name: &str) -> PathBuf {
        self.last = self.last.saturating_add(1);
        self.directory.join(match naming {
            Naming::Versioned => format!("V{}__{name}.sql", self.last),
            Naming::Numbered => format!("{}_{name}.sql", self.last),
        })
    }
}
