//! mongo-java-server: little of MongoDB and fast, for measuring what lies in front of a server. Built once by Maven into
//! the build folder.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Recipe, uri};
use crate::process::{self, Context as _, Result};

/// Where its few lines are.
const SOURCE: &str = "benches/peers/mongo-java-server/pom.xml";
const BUILD_LIMIT: Duration = Duration::from_secs(300);

/// How to start it on `port`, with what it needs below `folder`.
pub(super) fn recipe(port: u16, folder: &Path) -> Result<Recipe> {
    let java = process::on_path("java").ok_or("no java on PATH")?;
    let maven = process::on_path("mvn").ok_or("no mvn (Maven) on PATH")?;
    let home = folder.join("mongo-java-server");
    let jar = home.join("server-1.jar");
    if !jar.is_file() {
        fs::create_dir_all(&home).context(format_args!("creating {}", home.display()))?;
        let pom = process::root().join(SOURCE);
        let pom = pom.to_string_lossy();
        let build = format!("-DbuildDirectory={}", home.display());
        let libraries = format!("-DoutputDirectory={}", home.join("lib").display());
        let goals = ["-q", "-B", "-f", &pom, &build, "package", "dependency:copy-dependencies", &libraries];
        process::run_within(&mut process::program(maven, &goals), BUILD_LIMIT)?;
    }
    let path = format!("{}:{}/lib/*", jar.display(), home.display());
    let arguments = ["-Xmx512m", "-cp", &path, "Main", &port.to_string()].map(OsString::from).to_vec();
    Ok(Recipe {
        name: "mongo-java-server",
        program: java,
        arguments,
        port,
        uri: uri(port),
        initiate: false,
        scratch: folder.join(format!("mongo-java-server-{port}")),
        log: folder.join("mongo-java-server.log"),
    })
}
