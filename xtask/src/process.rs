//! Running other programs: always without standard input, always with their output shown.

use std::fmt::Display;
use std::fs;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The result of a task; the error is the sentence shown to the person who ran it.
pub(crate) type Result<T, E = String> = std::result::Result<T, E>;

/// Adds what was being done to an error.
pub(crate) trait Context<T> {
    /// The same result, its error prefixed with `what`.
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The build folder.
pub(crate) fn build_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// The folder `below` the build folder, created when missing.
pub(crate) fn target_dir(below: &str) -> Result<PathBuf> {
    let folder = build_dir().join(below);
    fs::create_dir_all(&folder).context(format_args!("creating {}", folder.display()))?;
    Ok(folder)
}

/// Whether a continuous integration service runs this (`CI` set to something other than `false` or nothing).
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// The same cargo that runs this task, in the workspace's folder.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root()).args(arguments).stdin(Stdio::null());
    // Cargo tells this program about its own package. Build scripts watch those variables: left in place, everything
    // above such a package is built anew whenever `cargo` and `cargo xtask` take turns.
    for (variable, _) in std::env::vars_os() {
        if variable.to_str().is_some_and(describes_this_package) {
            command.env_remove(variable);
        }
    }
    command
}

/// Whether Cargo sets this variable for the package that it runs.
fn describes_this_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || matches!(variable, "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH")
}

/// A program with its arguments, in the workspace's folder.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root()).args(arguments).stdin(Stdio::null());
    command
}

/// Where `name` is on `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The command as a person would type it, the program by its bare name.
pub(crate) fn describe(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs `command` to its end; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.status().context(describe(command))?;
    check(command, status)
}

/// Runs `command`, hands every line of its standard output to `on_line` and passes it through.
pub(crate) fn stream(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<ExitStatus> {
    announce(command);
    let mut child = command.stdout(Stdio::piped()).spawn().context(describe(command))?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no standard output to read")?);
    let mut out = io::stdout().lock();
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).context("reading output")? > 0 {
        out.write_all(&line).and_then(|()| out.flush()).context("writing output")?;
        on_line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    child.wait().context(describe(command))
}

/// Runs `command` for at most `limit`; past that it is ended and counts as failed.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    announce(command);
    let mut child = command.spawn().context(describe(command))?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context(describe(command))? {
            return check(command, status);
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("`{}` did not end within {} s", describe(command), limit.as_secs()));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// What `command` prints, without the white space around it; `None` when it fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// An error unless `status` is success.
pub(crate) fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { Err(format!("`{}` failed ({status})", describe(command))) }
}

fn announce(command: &Command) {
    eprintln!("$ {}", describe(command));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_described_by_its_bare_name_and_arguments() {
        let mut command = Command::new("/usr/local/bin/cargo");
        command.args(["test", "--workspace"]);
        assert_eq!(describe(&command), "cargo test --workspace");
    }

    #[test]
    fn context_comes_before_the_error() {
        let failed: Result<(), &str> = Err("refused");
        assert_eq!(failed.context("connecting"), Err("connecting: refused".to_owned()));
    }

    #[test]
    fn cargo_is_called_without_the_variables_of_this_package() {
        let removed: Vec<_> = cargo(&["build"])
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .filter_map(|(name, _)| name.to_str().map(str::to_owned))
            .collect();
        assert!(removed.contains(&"CARGO_MANIFEST_DIR".to_owned()), "{removed:?}");
        assert!(removed.contains(&"CARGO_PKG_NAME".to_owned()), "{removed:?}");
        assert!(
            !removed.iter().any(|name| name == "CARGO_HOME" || name == "CARGO_TARGET_DIR"),
            "{removed:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn streamed_lines_arrive_whole_and_the_exit_code_is_kept() {
        let mut lines = Vec::new();
        let status = stream(&mut program("sh", &["-c", "printf 'a\\nb\\n'; exit 3"]), |line| {
            lines.push(line.to_owned());
        });
        assert_eq!(lines, ["a", "b"]);
        assert_eq!(status.unwrap().code(), Some(3));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_past_its_limit_is_ended() {
        let error = run_within(&mut program("sleep", &["30"]), Duration::from_millis(100)).unwrap_err();
        assert!(error.contains("did not end"), "{error}");
    }
}
