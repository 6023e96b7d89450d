//! Stores in files: where they are, and what may be wrong with them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forge_core::{Env, Error, Result};
use redb::{Database, DatabaseError, StorageError};

use crate::engine::Engine;

/// The name of the file, where the path names a folder.
const FILE_NAME: &str = "forge.redb";

/// The file that `path` means.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    let ends_with_separator = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
    if path.is_dir() || ends_with_separator { path.join(FILE_NAME) } else { path.to_owned() }
}

/// Opens or creates the store in the file at `path`.
pub(crate) fn open(path: &Path, env: Env) -> Result<Arc<Engine>> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::unavailable(format!("cannot create the folder {}: {error}", folder.display()))
                .with_source(error)
        })?;
    }
    // The storage layer panics on some damaged files, where it trusts what a checksum does not cover.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = Database::create(path).map_err(|error| describe(path, error))?;
        Engine::start(crate::store::Database::File(database), env).map_err(|error| at(path, &error))
    }));
    opened.unwrap_or_else(|_| Err(damaged(path, "its structure makes no sense")))
}

fn describe(path: &Path, error: DatabaseError) -> Error {
    let shown = path.display();
    let error = match error {
        DatabaseError::DatabaseAlreadyOpen => {
            return Error::unavailable(format!(
                "the store {shown} is held by another process; stop it, or choose another path"
            ));
        }
        DatabaseError::Storage(StorageError::Io(error)) if is_access(&error) => {
            return Error::unavailable(format!("cannot open the store {shown}: {error}")).with_source(error);
        }
        error => error,
    };
    damaged(path, &error.to_string()).with_source(error)
}

fn is_access(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::PermissionDenied
            | Kind::NotFound
            | Kind::IsADirectory
            | Kind::ReadOnlyFilesystem
            | Kind::StorageFull
    )
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::unavailable(format!(
        "the file {} is damaged or no Forge store ({what}); restore a copy of it, or move it away to start empty",
        path.display()
    ))
}

/// What went wrong after the file was open, with its path.
fn at(path: &Path, error: &Error) -> Error {
    match error.code() {
        forge_core::ErrorCode::Internal => damaged(path, error.message()),
        code => Error::new(code, format!("{}: {}", path.display(), error.message())),
    }
}
