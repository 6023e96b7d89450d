//! SecantusDB: a MongoDB-compatible server from PyPI, in a virtual environment of its own in the build folder.
//!
//! It is run, never linked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{self, Context as _, Result};

const REQUIREMENT: &str = "SecantusDB==0.7.0b3";
const INSTALL_LIMIT: Duration = Duration::from_secs(300);

/// The server's program below `folder`, installed when this version is not there yet.
pub(super) fn install(folder: &Path) -> Result<PathBuf> {
    let home = folder.join("secantus");
    let program = home.join("bin/secantusd-py");
    let _lock = lock(folder)?;
    // Written last, so that an interrupted installation is done again; with the folder, which its scripts contain.
    let marker = home.join("installed");
    let installed = format!("{REQUIREMENT} in {}", home.display());
    if program.is_file() && fs::read_to_string(&marker).is_ok_and(|found| found == installed) {
        return Ok(program);
    }
    let python = process::on_path("python3").ok_or("no python3 on PATH")?;
    let _ = fs::remove_dir_all(&home);
    let home_text = home.to_string_lossy();
    process::run_within(&mut process::program(python, &["-m", "venv", &home_text]), INSTALL_LIMIT)?;
    let arguments = ["install", "--quiet", "--no-input", "--disable-pip-version-check", REQUIREMENT];
    process::run_within(&mut process::program(home.join("bin/pip"), &arguments), INSTALL_LIMIT)?;
    fs::write(&marker, installed).context(format_args!("writing {}", marker.display()))?;
    Ok(program)
}

/// Held while installing, so that two runs at once do not write the same files.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("secantus.lock");
    let file = File::create(&path).context(format_args!("creating {}", path.display()))?;
    file.lock().context(format_args!("locking {}", path.display()))?;
    Ok(file)
}
