//! `pull`: what is in a database, as models.

use std::path::{Path, PathBuf};

use forge_core::adapter::PullSettings;
use forge_core::{Error, Result, Runtime};

use crate::console;

/// The arguments of `pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The most documents of each collection that are looked at
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,
    /// The folder for the files
    #[arg(long, default_value = "src/models")]
    out: PathBuf,
    /// Only this collection; may be repeated
    #[arg(long = "collection", value_name = "NAME")]
    collections: Vec<String>,
    /// Write over files that are there
    #[arg(long)]
    force: bool,
}

/// Writes one file for each collection, and a `mod.rs`.
///
/// # Errors
/// `conflict` for a file that is there, without `--force`; what the database and the file system answer.
pub(super) async fn pull(runtime: &Runtime, args: Args) -> Result<()> {
    let db = runtime.db();
    let mut settings = PullSettings::default();
    (settings.sample, settings.collections) = (args.sample, args.collections);
    let files = db.adapter().pull(db.name(), &settings).await?;
    if let Some(taken) = files.iter().map(|file| args.out.join(&file.name)).find(|path| path.exists())
        && !args.force
    {
        return Err(Error::conflict(format!(
            "{} is there already; nothing is written. Give another folder with --out, or write over it with --force",
            taken.display()
        )));
    }
    std::fs::create_dir_all(&args.out).map_err(|error| refused(&args.out, error))?;
    for file in &files {
        let path = args.out.join(&file.name);
        std::fs::write(&path, &file.text).map_err(|error| refused(&path, error))?;
        console::out(&path.display().to_string());
    }
    Ok(())
}

fn refused(path: &Path, error: std::io::Error) -> Error {
    Error::bad_request(format!("{} cannot be written: {error}", path.display())).with_source(error)
}
