//! `#[validate(…)]`: the rules that have no meaning for a part of a document. The rest is validator's own to check.

use super::super::ast::Field;
use crate::diag::Diag;
use crate::{attr, names};

/// Reports rules that cannot hold for partial changes.
pub(super) fn check(field: &Field, diag: &Diag) {
    for rule in attr::named(&field.validate, "validate", "#[validate(length(min = 1))]", diag) {
        match names::plain(&rule.key).as_str() {
            "required" => diag.hint(
                &rule.key,
                format_args!("`{}` is not required by a rule, but by its type", field.name),
                "a field that is not an `Option` is required: change the type, and remove the rule",
            ),
            "must_match" => diag.hint(
                &rule.key,
                "`must_match` compares two fields, and a partial change may hold one of them",
                "compare them in the handler",
            ),
            _ => {}
        }
    }
}

/// Whether one of the rules goes into the field's own rules.
pub(crate) fn is_nested(field: &Field) -> bool {
    // What is malformed was reported by `check`.
    let ignored = Diag::new();
    let nested =
        attr::named(&field.validate, "validate", "", &ignored).iter().any(|rule| rule.key == "nested");
    ignored.check().is_ok() && nested
}
