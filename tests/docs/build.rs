//! Makes doctests of the guide: each `rust` block of README.md and docs/*.md, inside a handler, with the guide's models.
//!
//! The pages stay free of hidden lines, which readers of the plain files would see. A block with its own `main` is
//! taken as it is; `rust,ignore` blocks are left alone. The tutorial is held by the program that it builds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const BEFORE: &str = "\
# use forge::prelude::*;
# #[allow(unused_imports)] use forge_docs::*;
# #[allow(unused, clippy::all)]
# async fn example(ctx: &forge::MutationCtx) -> forge::Result<()> {
# let db = &ctx.db;
# let (id, job, from, to): (Id<Flight>, Id<Job>, Id<Account>, Id<Account>) = given();
# let (order, page, book): (Id<Order>, Id<Page>, Id<Book>) = given();
# let (date, since, limit): (DateTime, DateTime, DateTime) = given();
# let (origin_id, destination_id, me): (String, String, String) = given();
# let (patch, flights): (FlightPatch, Vec<NewFlight>) = given();
";
const AFTER: &str = "\
# Ok(()) }
# fn main() {}
";

fn main() -> io::Result<()> {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("../..");
    let out = PathBuf::from(std::env::var("OUT_DIR").map_err(io::Error::other)?);
    let mut pages = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("docs"))? {
        pages.push(entry?.path());
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.retain(|page| page.file_stem().is_some_and(|stem| stem != "tutorial"));
    pages.sort();
    println!("cargo::rerun-if-changed={}", root.join("docs").display());
    let mut modules = String::new();
    for page in pages {
        println!("cargo::rerun-if-changed={}", page.display());
        let name = page.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_lowercase();
        let copy = out.join(format!("{name}.md"));
        fs::write(&copy, doctests(&fs::read_to_string(&page)?))?;
        modules
            .push_str(&format!("#[doc = include_str!({copy:?})]\npub mod {} {{}}\n", name.replace('-', "_")));
    }
    fs::write(out.join("pages.rs"), modules)
}

/// The page with its blocks made complete, and nothing else that rustdoc would take for code.
fn doctests(page: &str) -> String {
    let mut text = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let block: Vec<_> = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```")).collect();
        if language == "rust" {
            text.push_str("```rust,no_run\n");
            text.push_str(&completed(&block.join("\n")));
            text.push_str("```\n\n");
        }
    }
    text
}

fn completed(block: &str) -> String {
    // Lines that begin with `#` and a space would be hidden, and `##` is how rustdoc escapes them; attributes have none.
    match block.contains("fn main()") {
        true => format!("{block}\n"),
        false => format!("{BEFORE}{block}\n{AFTER}"),
    }
}
