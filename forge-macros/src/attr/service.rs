//! `service(…)` on structs.

use syn::{Expr, ExprLit, Lit, LitStr};

use super::{Grammar, Item, Slot, Value};
use crate::diag::Diag;
use crate::names;

const SERVICE: Grammar = Grammar {
    around: ("#[model(service(", "))]"),
    of: "a service",
    keys: &[
        ("path", "path = \"people\""),
        ("paginate", "paginate(default = 10, max = 50)"),
        ("multi", "multi = [create, patch]"),
        ("methods", "methods = [find, get]"),
        ("operators", "operators = [regex, options]"),
        ("disabled_operators", "disabled_operators = [rename, unset]"),
        ("filters", "filters = [nor]"),
        ("id", "id = \"slug\""),
        ("events", "events = [typing]"),
        ("estimated_count", "estimated_count"),
    ],
};

const PAGINATE: Grammar = Grammar {
    around: ("#[model(service(paginate(", ")))]"),
    of: "pages",
    keys: &[("default", "default = 10"), ("max", "max = 50")],
};

const METHODS: &[&str] = &["find", "get", "create", "update", "patch", "remove"];
const MULTI: &[&str] = &["create", "patch", "remove"];
const OPERATORS: &[&str] = &[
    "regex",
    "options",
    "exists",
    "all",
    "size",
    "elemMatch",
    "not",
    "nor",
    "type",
    "mod",
    "bitsAllSet",
    "bitsAllClear",
    "bitsAnySet",
    "bitsAnyClear",
    "near",
    "nearSphere",
    "geoWithin",
    "geoIntersects",
];
/// What patches may hold.
const UPDATES: &[&str] = &[
    "set",
    "unset",
    "inc",
    "mul",
    "min",
    "max",
    "currentDate",
    "push",
    "addToSet",
    "pull",
    "pullAll",
    "pop",
    "bit",
    "rename",
    "setOnInsert",
];
/// What every query may have at the top.
const RESERVED: &[&str] = &["limit", "skip", "sort", "select", "or", "and"];

/// What `service(…)` says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Service {
    pub(crate) path: Slot<String>,
    pub(crate) page: Option<u64>,
    pub(crate) max_page: Option<u64>,
    pub(crate) multi: Slot<Vec<String>>,
    pub(crate) methods: Slot<Vec<String>>,
    pub(crate) operators: Slot<Vec<String>>,
    pub(crate) disabled_operators: Slot<Vec<String>>,
    pub(crate) filters: Slot<Vec<String>>,
    pub(crate) id: Slot<LitStr>,
    pub(crate) events: Slot<Vec<String>>,
    pub(crate) estimated_count: Slot<()>,
}

/// `service`, `service(path = "people", paginate(default = 10), …)`.
pub(super) fn service(diag: &Diag, grammar: &Grammar, item: &Item) -> Option<Service> {
    let mut service = Service::default();
    if matches!(item.value, Value::Flag) {
        return Some(service);
    }
    let mut paginate = Slot::default();
    for part in &grammar.list(diag, item)? {
        match names::plain(&part.key).as_str() {
            "path" => service.path.set(diag, part, path(diag, part)),
            "paginate" => paginate.set(diag, part, pages(diag, part)),
            "multi" if matches!(part.value, Value::Flag) => {
                service.multi.set(diag, part, Some(MULTI.iter().map(|name| (*name).to_owned()).collect()));
            }
            "multi" => service.multi.set(diag, part, words(diag, part, Some(MULTI))),
            "methods" => service.methods.set(diag, part, words(diag, part, Some(METHODS))),
            "operators" => service.operators.set(diag, part, words(diag, part, Some(OPERATORS))),
            "disabled_operators" => {
                service.disabled_operators.set(diag, part, words(diag, part, Some(UPDATES)));
            }
            "filters" => service.filters.set(diag, part, filters(diag, part)),
            "id" => service.id.set(diag, part, SERVICE.string(diag, part)),
            "events" => service.events.set(diag, part, words(diag, part, None)),
            "estimated_count" => service.estimated_count.set(diag, part, SERVICE.flag(diag, part)),
            _ => SERVICE.unknown(diag, part),
        }
    }
    (service.page, service.max_page) = paginate.get().copied().unwrap_or_default();
    Some(service)
}

fn path(diag: &Diag, part: &Item) -> Option<String> {
    let given = SERVICE.string(diag, part)?;
    let path = given.value();
    let sound = |segment: &str| {
        !segment.is_empty() && !segment.contains(|c: char| c.is_whitespace() || matches!(c, '?' | '#' | '%'))
    };
    if path.split('/').all(sound) {
        return Some(path);
    }
    SERVICE.malformed(diag, part, &given, "is parts between slashes, without a slash at the ends");
    None
}

/// `paginate(default = 10, max = 50)`.
fn pages(diag: &Diag, part: &Item) -> Option<(Option<u64>, Option<u64>)> {
    let (mut default, mut max) = (Slot::default(), Slot::default());
    for part in &SERVICE.list(diag, part)? {
        let slot = match names::plain(&part.key).as_str() {
            "default" => &mut default,
            "max" => &mut max,
            _ => {
                PAGINATE.unknown(diag, part);
                continue;
            }
        };
        let count = part.integer().and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        if count.is_none() {
            PAGINATE.malformed(diag, part, part, "is a whole number from 1");
        }
        slot.set(diag, part, count);
    }
    let (default, max) = (default.get().copied(), max.get().copied());
    if let (Some(usual), Some(most)) = (default, max)
        && usual > most
    {
        diag.hint(part, "the usual page is longer than the longest", "make `default` at most `max`");
    }
    Some((default, max))
}

fn filters(diag: &Diag, part: &Item) -> Option<Vec<String>> {
    let names = words(diag, part, None)?;
    if let Some(name) = names.iter().find(|name| RESERVED.contains(&name.as_str())) {
        diag.hint(
            part,
            format_args!("`${name}` is a parameter of every query"),
            "name other parameters: `$nor`, or one that a hook takes out of the query",
        );
        return None;
    }
    Some(names)
}

/// The names of a `key = [a, b]`, which may stand in quotes and with `$`; each of `known`, where that is given.
fn words(diag: &Diag, part: &Item, known: Option<&[&str]>) -> Option<Vec<String>> {
    let Value::Is(Expr::Array(list)) = &part.value else {
        SERVICE.malformed(diag, part, part, "is a list of names in brackets");
        return None;
    };
    let mut names: Vec<(String, &Expr)> = Vec::new();
    let mut sound = true;
    for item in &list.elems {
        let name = match item {
            Expr::Path(path) => path.path.get_ident().map(names::plain),
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        };
        let name = name.map(|name| name.trim_start_matches('$').to_owned()).filter(|name| !name.is_empty());
        let Some(name) = name else {
            SERVICE.malformed(diag, part, item, "is a list of names in brackets");
            sound = false;
            continue;
        };
        if let Some(known) = known.filter(|known| !known.contains(&name.as_str())) {
            let meant = names::closest(&name, known.iter().copied());
            let meant = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
            let key = names::plain(&part.key);
            diag.hint(
                item,
                format_args!("`{key}` of a service knows no `{name}`{meant}"),
                format_args!("it knows {}", names::listed(known.iter().copied())),
            );
            sound = false;
        } else if let Some((_, first)) = names.iter().find(|(first, _)| *first == name) {
            diag.duplicate(&name, first, item);
            sound = false;
        } else {
            names.push((name, item));
        }
    }
    sound.then(|| names.into_iter().map(|(name, _)| name).collect())
}
