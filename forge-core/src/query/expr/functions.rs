use bson::{Bson, Document, doc};
use serde::Serialize;

use super::{AsExpr, Expr, IntoExpr, NamedExpr, Parts, literal};

/// A value of the program. Nothing in it is taken for a path or an operator.
pub fn lit<T: Serialize + 'static>(value: T) -> Expr<T> {
    literal(&value)
}

/// The value at a path that no typed field has: computed by an earlier stage, or joined.
///
/// The type is the caller's word: it is checked where results are decoded.
pub fn path<T>(path: impl AsRef<str>) -> Expr<T> {
    let path = path.as_ref();
    if path.is_empty() || path.starts_with('$') || path.split('.').any(str::is_empty) {
        let problem = format!("{path:?} is not the path of a field");
        return Expr { problem: Some(problem.into()), ..Expr::new(Bson::Null) };
    }
    Expr::new(format!("${path}"))
}

/// A variable that `lookup_with` binds.
pub fn var<T>(name: impl AsRef<str>) -> Expr<T> {
    Expr::new(format!("$${}", name.as_ref()))
}

/// The whole document.
pub fn root<T>() -> Expr<T> {
    Expr::new("$$ROOT")
}

/// The moment at which the query began, by the database's clock.
pub fn now() -> Expr<crate::types::DateTime> {
    Expr::new("$$NOW")
}

/// No value: a field that is set to it is left out.
pub fn removed<T>() -> Expr<T> {
    Expr::new("$$REMOVE")
}

/// An expression in MongoDB's own form. It must not come from a client.
pub fn raw<T>(expression: impl Into<Bson>) -> Expr<T> {
    Expr::new(expression)
}

/// `then` where `test` is true, else `otherwise`.
pub fn cond<E: AsExpr>(
    test: impl IntoExpr<bool>,
    then: E,
    otherwise: impl IntoExpr<E::Type>,
) -> Expr<E::Type> {
    Parts::default().push(test.into_expr()).push(then.into_typed()).push(otherwise.into_expr()).list("$cond")
}

/// The value of the first case whose test is true.
///
/// ```
/// use forge_core::query::expr::{path, switch};
///
/// let class = switch()
///     .case(path::<i32>("delay").gt(60), "very late")
///     .case(path::<i32>("delay").gt(15), "late")
///     .otherwise("fine");
/// # let _: forge_core::query::Expr<String> = class;
/// ```
pub fn switch() -> Switch {
    Switch
}

/// A switch without cases yet; see [`switch`].
#[must_use = "a switch has cases"]
pub struct Switch;

impl Switch {
    /// The first case. It says of which type all of them are.
    pub fn case<E: AsExpr>(self, test: impl IntoExpr<bool>, then: E) -> Case<E::Type> {
        Case { branches: Vec::new(), problem: None, _type: std::marker::PhantomData }
            .case(test, then.into_typed())
    }
}

/// Cases so far; see [`switch`].
#[must_use = "cases end with `otherwise`"]
pub struct Case<T> {
    branches: Vec<Bson>,
    problem: Option<std::sync::Arc<str>>,
    _type: std::marker::PhantomData<fn() -> T>,
}

impl<T> Case<T> {
    /// One more case.
    pub fn case(mut self, test: impl IntoExpr<bool>, then: impl IntoExpr<T>) -> Self {
        let (test, then) = (test.into_expr(), then.into_expr());
        self.branches.push(doc! { "case": test.bson, "then": then.bson }.into());
        self.problem = self.problem.or(test.problem).or(then.problem);
        self
    }

    /// What it is where no case is.
    pub fn otherwise(self, value: impl IntoExpr<T>) -> Expr<T> {
        let value = value.into_expr();
        let form = doc! { "$switch": { "branches": self.branches, "default": value.bson } };
        Expr { problem: self.problem.or(value.problem), ..Expr::new(form) }
    }
}

/// A document of named values.
pub fn object<T>(fields: impl IntoIterator<Item = NamedExpr>) -> Expr<T> {
    let mut form = Document::new();
    let mut problem = None;
    for NamedExpr { name, value } in fields {
        match value {
            Ok(value) => drop(form.insert(name, value)),
            Err(error) => problem = problem.or(Some(error.message().into())),
        }
    }
    Expr { problem, ..Expr::new(form) }
}

/// A list of values.
pub fn array<E: AsExpr>(items: impl IntoIterator<Item = E>) -> Expr<Vec<E::Type>> {
    let parts = items.into_iter().fold(Parts::default(), |parts, item| parts.push(item.into_typed()));
    Expr { problem: parts.problem, ..Expr::new(parts.list) }
}

impl<T> Expr<T> {
    /// This value as text: `$toString`. Null stays null.
    pub fn to_text(self) -> Expr<Option<String>> {
        self.apply("$toString")
    }

    /// This value as a whole number of 32 bits; the query fails where that cannot be.
    pub fn to_i32(self) -> Expr<Option<i32>> {
        self.apply("$toInt")
    }

    /// This value as a whole number of 64 bits; the query fails where that cannot be.
    pub fn to_i64(self) -> Expr<Option<i64>> {
        self.apply("$toLong")
    }

    /// This value as a double; the query fails where that cannot be.
    pub fn to_f64(self) -> Expr<Option<f64>> {
        self.apply("$toDouble")
    }

    /// This value as a decimal; the query fails where that cannot be.
    pub fn to_decimal(self) -> Expr<Option<crate::types::Decimal>> {
        self.apply("$toDecimal")
    }

    /// This value as a moment; the query fails where that cannot be.
    pub fn to_date(self) -> Expr<Option<crate::types::DateTime>> {
        self.apply("$toDate")
    }

    /// The name of the type of this value in BSON: `"int"`, `"string"`, `"missing"`.
    pub fn type_name(self) -> Expr<String> {
        self.apply("$type")
    }

    /// The value of a field of this value, which is a document.
    pub fn get<U>(self, field: impl AsRef<str>) -> Expr<U> {
        let field = field.as_ref();
        match &self.bson {
            // A path goes on, as it does in arrays of documents.
            Bson::String(path) if path.starts_with('$') => {
                Expr { problem: self.problem.clone(), ..Expr::new(format!("{path}.{field}")) }
            }
            _ => Expr {
                problem: self.problem,
                ..Expr::new(doc! { "$getField": { "field": { "$literal": field }, "input": self.bson } })
            },
        }
    }

    /// This document with the fields of another one, which win.
    pub fn merge(self, other: impl IntoExpr<T>) -> Expr<T> {
        self.with("$mergeObjects", other.into_expr())
    }
}

impl<T> Expr<Option<T>> {
    /// This value, or `otherwise` where it is null or absent.
    pub fn or(self, otherwise: impl IntoExpr<T>) -> Expr<T> {
        self.with("$ifNull", otherwise.into_expr())
    }
}
