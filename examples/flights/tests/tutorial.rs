//! The tutorial shows code that compiles: every block of it stands in the program that is built from it.

const TUTORIAL: &str = include_str!("../../../docs/tutorial.md");
const PROGRAM: &str = include_str!("../examples/tutorial.rs");
const PAGE: &str = include_str!("../examples/index.html");

/// The code blocks in `language`.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    TUTORIAL.split(&*fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn every_block_of_the_tutorial_is_in_its_program() {
    for (language, source) in [("rust", PROGRAM), ("html", PAGE)] {
        let blocks = blocks(language);
        assert!(!blocks.is_empty(), "the tutorial has no {language}");
        for block in blocks {
            assert!(source.contains(block.trim()), "not in the program:\n{block}");
        }
    }
}

#[test]
fn the_program_has_nothing_that_the_tutorial_leaves_out() {
    let shown: String = blocks("rust").concat();
    let code = PROGRAM
        .lines()
        .filter(|line| !line.starts_with("//!") && !line.starts_with("#![") && !line.is_empty());
    for line in code {
        assert!(shown.contains(line), "not in the tutorial: {line}");
    }
}
