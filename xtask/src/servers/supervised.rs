//! A server that cannot outlive this process, however this process ends.

use std::fs;
use std::process::{Child, ChildStdin, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Recipe;
use crate::process::{Context as _, Result};

/// Runs the server and ends it when standard input closes. The kernel closes that pipe even when this process is killed,
/// so Ctrl-C, a panic and SIGKILL all end the server, by its own process id.
const SUPERVISOR: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- & server=$!
{ cat <&3 >/dev/null; kill "$server"; sleep 10; kill -9 "$server"; } 2>/dev/null & watch=$!
exec 3<&-
wait "$server"; status=$?
kill "$watch" 2>/dev/null
exit "$status"
"#;

const STOP_LIMIT: Duration = Duration::from_secs(15);

/// A running server; dropping this ends it.
pub(crate) struct Supervised {
    recipe: Recipe,
    supervisor: Child,
    lifeline: Option<ChildStdin>,
}

impl Supervised {
    /// Starts the server and waits until it is ready.
    pub(super) fn start(recipe: Recipe) -> Result<Self> {
        let mut command = recipe.command(&["/bin/sh", "-c", SUPERVISOR, "supervisor"])?;
        let mut supervisor =
            command.stdin(Stdio::piped()).spawn().context(format_args!("starting {}", recipe.name))?;
        let lifeline = supervisor.stdin.take();
        let mut server = Self { recipe, supervisor, lifeline };
        let Self { recipe, supervisor, .. } = &mut server;
        recipe.wait_ready(|| !matches!(supervisor.try_wait(), Ok(None)))?;
        Ok(server)
    }

    /// What was started.
    pub(super) fn recipe(&self) -> &Recipe {
        &self.recipe
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.supervisor.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = fs::remove_dir_all(&self.recipe.scratch);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn supervise(arguments: &[&str]) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISOR, "supervisor"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn the_server_ends_when_its_owner_lets_go() {
        let mut supervisor = supervise(&["sleep", "60"]);
        drop(supervisor.stdin.take());
        let started = Instant::now();
        assert!(!supervisor.wait().unwrap().success());
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_server_that_ends_by_itself_is_noticed() {
        let mut supervisor = supervise(&["sh", "-c", "exit 7"]);
        let lifeline = supervisor.stdin.take();
        assert_eq!(supervisor.wait().unwrap().code(), Some(7));
        drop(lifeline);
    }
}
