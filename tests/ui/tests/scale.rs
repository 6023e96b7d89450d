//! What fifty models of ten fields cost. The budget: 800 lines a model, everything that derives expand to included, and
//! 4 s of `cargo check` for all fifty.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const MODELS: usize = 50;
const LINES_PER_MODEL: usize = 800;
const TIME_TO_CHECK: Duration = Duration::from_secs(4);

/// A program of models that refer to each other in a ring.
fn program() -> String {
    let mut source = String::from("use forge::prelude::*;\nfn main() {}\n");
    for i in 0..MODELS {
        let next = (i + 1) % MODELS;
        write!(
            source,
            r#"
            /// Model {i}.
            #[derive(Debug, Clone, Model)]
            #[model(timestamps, soft_delete, index(name, count = -1))]
            pub struct Model{i} {{
                #[model(id)]
                pub id: Id<Model{i}>,
                #[validate(length(min = 1))]
                pub name: String,
                #[validate(range(min = 0))]
                pub count: i32,
                pub price: f64,
                #[model(default)]
                pub open: bool,
                pub city: Option<String>,
                pub seen_at: Option<DateTime>,
                #[model(private)]
                pub tags: Vec<String>,
                #[model(unique)]
                pub code: String,
                pub next_id: Option<Id<Model{next}>>,
                #[model(belongs_to(key = next_id, on_delete = set_null))]
                pub next: BelongsTo<Model{next}>,
            }}
            "#
        )
        .expect("strings take all that is written");
    }
    source
}

/// The compiler on `program`, with the `forge` that this test was built with.
fn compiler(source: &Path) -> Command {
    let deps = std::env::current_exe().expect("a test has a path").parent().expect("in a folder").to_owned();
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.arg(source).args(["--edition", "2024", "--crate-type", "bin", "-L"]);
    command.arg(format!("dependency={}", deps.display()));
    command.arg("--extern").arg(format!("forge={}", newest_forge(&deps).display()));
    command
}

fn newest_forge(deps: &Path) -> PathBuf {
    let files =
        deps.read_dir().expect("the folder of the test").filter_map(Result::ok).map(|entry| entry.path());
    let forges = files.filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libforge-") && name.ends_with(".rlib")
    });
    let newest = forges.max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    newest.expect("the test depends on forge")
}

fn source(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.rs"));
    std::fs::write(&path, program()).expect("the target folder can be written");
    path
}

#[test]
fn a_model_stays_within_its_lines() {
    let source = source("fifty_models_expanded");
    // Only nightly compilers print expansions, and those that believe that they are.
    let output = compiler(&source)
        .arg("-Zunpretty=expanded")
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .expect("rustc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expanded = String::from_utf8(output.stdout).expect("Rust is UTF-8");
    let formatted = syn::parse_file(&expanded).map_or(expanded, |file| prettyplease::unparse(&file));
    let lines = formatted.lines().count() / MODELS;
    assert!(lines <= LINES_PER_MODEL, "{lines} lines a model, everything included");
    println!("{lines} lines a model");
}

#[test]
#[ignore = "measures time, which means something on an idle machine only"]
fn fifty_models_are_checked_in_time() {
    let source = source("fifty_models_checked");
    let begin = Instant::now();
    let output =
        compiler(&source).args(["--emit", "metadata", "-o"]).arg(source.with_extension("rmeta")).output();
    let took = begin.elapsed();
    let output = output.expect("rustc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{took:?} for {MODELS} models");
    assert!(took <= TIME_TO_CHECK, "{took:?}");
}
