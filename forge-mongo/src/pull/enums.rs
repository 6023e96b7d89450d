//! Text fields with few values, as enums.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::names;
use super::observe::{Kind, Values};

/// Text fields with at most this many different values are enums.
const FEW: usize = 8;

/// The values of a text field that has a few, each of them often: words alone.
pub(super) fn words(values: &Values) -> Option<&BTreeSet<String>> {
    let texts = &values.texts;
    let few = !values.long_texts && (2..=FEW).contains(&texts.len());
    let repeated = values.present >= 20 && values.present / texts.len().max(1) as u64 >= 5;
    let word = |text: &String| {
        text.bytes().any(|b| b.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- ".contains(&b))
    };
    let variants: BTreeSet<String> = texts.iter().map(|text| variant(text)).collect();
    // Texts that differ in the case of letters alone are no set of names.
    let distinct = variants.len() == texts.len();
    (values.known() == [Kind::Text] && few && repeated && distinct && texts.iter().all(word)).then_some(texts)
}

/// The enum of a field: its values in alphabetical order.
pub(super) fn text(name: &str, of: &str, field: &str, words: &BTreeSet<String>) -> String {
    let mut out = format!(
        "\n/// What `{field}` of `{of}` holds. Guessed: only these were found, and other values could not be read.\n\
         #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]\n\
         #[derive(forge::__private::serde::Serialize, forge::__private::serde::Deserialize)]\n\
         #[derive(forge::__private::schemars::JsonSchema)]\n\
         #[serde(crate = \"forge::__private::serde\")]\n#[schemars(crate = \"forge::__private::schemars\")]\npub enum {name} {{\n"
    );
    for word in words {
        let variant = variant(word);
        if variant != *word {
            let _ = writeln!(out, "    #[serde(rename = {word:?})]");
        }
        let _ = writeln!(out, "    {variant},");
    }
    out.push_str("}\n");
    out
}

fn variant(word: &str) -> String {
    let name = names::pascal(&names::snake(word));
    match name.as_bytes().first() {
        Some(first) if first.is_ascii_alphabetic() && name != "Self" => name,
        _ => format!("V{name}"),
    }
}
