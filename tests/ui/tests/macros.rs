//! What the macros accept, and what they say about the rest. `TRYBUILD=overwrite` writes the expected messages anew.

#[test]
fn macros_accept_what_they_document_and_explain_the_rest() {
    let cases = trybuild::TestCases::new();
    for folder in ["model", "embed", "projection", "query", "mutation"] {
        cases.pass(format!("{folder}/pass/*.rs"));
        cases.compile_fail(format!("{folder}/fail/*.rs"));
    }
}
