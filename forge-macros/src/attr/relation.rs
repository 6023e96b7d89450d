//! The relation attributes of fields: `belongs_to(key = …)` and its kin.

use syn::{Expr, Ident, Path};

use super::{Grammar, Item, Slot, Value};
use crate::diag::Diag;
use crate::names;

const RELATION: Grammar = Grammar {
    around: ("#[model(belongs_to(", "))]"),
    of: "a relation",
    keys: &[("key", "key = origin_id"), ("on_delete", "key = origin_id, on_delete = cascade")],
};

const THROUGH: Grammar = Grammar {
    around: ("#[model(many_to_many(", "))]"),
    of: "a relation through a model",
    keys: &[
        ("through", "through = Enrolment, key = student_id, other = course_id"),
        ("key", "through = Enrolment, key = student_id, other = course_id"),
        ("other", "through = Enrolment, key = student_id, other = course_id"),
    ],
};

/// A relation attribute.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(crate) kind: RelationKind,
    /// The field that holds the key: of this struct, of the other model, or of the model between.
    pub(crate) key: Ident,
    /// The model between, of `many_to_many`.
    pub(crate) through: Option<Through>,
    pub(crate) on_delete: Slot<OnDelete>,
}

/// The model between two others.
#[derive(Debug, Clone)]
pub(crate) struct Through {
    pub(crate) model: Path,
    /// Its field that holds the key of the other model.
    pub(crate) other: Ident,
}

/// Which relation attribute it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelationKind {
    BelongsTo,
    HasMany,
    HasOne,
    ReferencesMany,
    ManyToMany,
}

impl RelationKind {
    /// Every kind; of those with one type of field, the most common first.
    pub(crate) const ALL: [Self; 5] =
        [Self::BelongsTo, Self::HasMany, Self::HasOne, Self::ReferencesMany, Self::ManyToMany];

    /// The attribute.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Self::BelongsTo => "belongs_to",
            Self::HasMany => "has_many",
            Self::HasOne => "has_one",
            Self::ReferencesMany => "references_many",
            Self::ManyToMany => "many_to_many",
        }
    }

    /// The type of the field.
    pub(crate) fn wrapper(self) -> &'static str {
        match self {
            Self::BelongsTo => "BelongsTo",
            Self::HasMany | Self::ReferencesMany | Self::ManyToMany => "HasMany",
            Self::HasOne => "HasOne",
        }
    }

    /// Whether the key is a field of this struct.
    pub(crate) fn holds_key(self) -> bool {
        matches!(self, Self::BelongsTo | Self::ReferencesMany)
    }

    /// Whether at most one document is on the other side.
    pub(crate) fn is_to_one(self) -> bool {
        matches!(self, Self::BelongsTo | Self::HasOne)
    }
}

/// What becomes of documents that refer to a deleted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDelete {
    Cascade,
    SetNull,
    Restrict,
    NoAction,
}

impl OnDelete {
    const ALL: [(&'static str, Self); 4] = [
        ("cascade", Self::Cascade),
        ("set_null", Self::SetNull),
        ("restrict", Self::Restrict),
        ("no_action", Self::NoAction),
    ];
}

/// The relation of an attribute; `parts` are the items in its parentheses.
pub(super) fn relation(diag: &Diag, item: &Item, parts: &[Item], kind: RelationKind) -> Option<Relation> {
    if kind == RelationKind::ManyToMany {
        return through(diag, item, parts);
    }
    let (mut key, mut on_delete) = (Slot::default(), Slot::default());
    for part in parts {
        match names::plain(&part.key).as_str() {
            "key" => key.set(diag, part, field(diag, &RELATION, part)),
            "on_delete" if kind.holds_key() => on_delete.set(diag, part, action(diag, part)),
            "on_delete" => misplaced_action(diag, part, kind),
            _ => RELATION.unknown(diag, part),
        }
    }
    if !key.is_set() {
        let example = if kind.holds_key() { "a field of this struct" } else { "a field of the other model" };
        diag.hint(
            item,
            format_args!("`{}` needs a key", kind.attribute()),
            format_args!("write `{}(key = …)` with {example}", kind.attribute()),
        );
    }
    Some(Relation { kind, key: key.get()?.clone(), through: None, on_delete })
}

fn through(diag: &Diag, item: &Item, parts: &[Item]) -> Option<Relation> {
    let (mut model, mut key, mut other) = (Slot::default(), Slot::default(), Slot::default());
    for part in parts {
        match names::plain(&part.key).as_str() {
            "through" => {
                let given = match &part.value {
                    Value::Is(Expr::Path(path)) => Some(path.path.clone()),
                    _ => None,
                };
                if given.is_none() {
                    THROUGH.malformed(diag, part, part, "is the name of a model");
                }
                model.set(diag, part, given);
            }
            "key" => key.set(diag, part, field(diag, &THROUGH, part)),
            "other" => other.set(diag, part, field(diag, &THROUGH, part)),
            "on_delete" => misplaced_action(diag, part, RelationKind::ManyToMany),
            _ => THROUGH.unknown(diag, part),
        }
    }
    for (is_set, name, of) in [
        (model.is_set(), "through", "the model between"),
        (key.is_set(), "key", "the field of the model between that holds the id of this model"),
        (other.is_set(), "other", "the field of the model between that holds the id of the other model"),
    ] {
        if !is_set {
            diag.hint(
                item,
                format_args!("`many_to_many` needs `{name}`, {of}"),
                "write `many_to_many(through = Enrolment, key = student_id, other = course_id)`",
            );
        }
    }
    Some(Relation {
        kind: RelationKind::ManyToMany,
        key: key.get()?.clone(),
        through: Some(Through { model: model.get()?.clone(), other: other.get()?.clone() }),
        on_delete: Slot::default(),
    })
}

fn field(diag: &Diag, grammar: &Grammar, part: &Item) -> Option<Ident> {
    let given = part.ident().cloned();
    if given.is_none() {
        grammar.malformed(diag, part, part, "is the name of a field");
    }
    given
}

fn misplaced_action(diag: &Diag, part: &Item, kind: RelationKind) {
    let holder = if kind == RelationKind::ManyToMany { "model between" } else { "other model" };
    diag.hint(
        part,
        format_args!("`on_delete` is not for `{}`", kind.attribute()),
        format_args!("put it on the `belongs_to` of the {holder}, which holds the key"),
    );
}

fn action(diag: &Diag, item: &Item) -> Option<OnDelete> {
    let name = item.ident().map(names::plain);
    let action =
        OnDelete::ALL.iter().find(|(known, _)| Some(*known) == name.as_deref()).map(|(_, action)| *action);
    if action.is_none() {
        let known = OnDelete::ALL.iter().map(|(known, _)| *known);
        diag.hint(
            item,
            "unknown action of `on_delete`",
            format_args!("it is one of {}, without quotes", names::listed(known)),
        );
    }
    action
}
