use std::ops::{BitAnd, BitOr, Not};

use super::{Expr, IntoExpr, Parts};

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident => $operator:literal;)*) => {
        impl<T> Expr<T> {
            $($(#[$doc])*
            pub fn $name(self, other: impl IntoExpr<T>) -> Expr<bool> {
                self.with($operator, other.into_expr())
            })*
        }
    };
}
comparisons! {
    /// Whether the values are equal.
    eq => "$eq";
    /// Whether the values differ.
    ne => "$ne";
    /// Whether this value is greater, in the order of BSON values.
    gt => "$gt";
    /// Whether this value is greater or equal, in the order of BSON values.
    gte => "$gte";
    /// Whether this value is less, in the order of BSON values.
    lt => "$lt";
    /// Whether this value is less or equal, in the order of BSON values.
    lte => "$lte";
}

impl<T> Expr<T> {
    /// Whether this value is one of a list.
    pub fn is_in(self, list: impl IntoExpr<Vec<T>>) -> Expr<bool> {
        self.with("$in", list.into_expr())
    }

    /// Whether this value is null or absent.
    pub fn is_null(self) -> Expr<bool> {
        Parts::default().push(self).push(Expr::<T>::new(bson::Bson::Null)).list("$lte")
    }
}

/// Flat: `a & b & c` is one list.
fn join(operator: &str, a: Expr<bool>, b: Expr<bool>) -> Expr<bool> {
    match a.bson {
        bson::Bson::Document(mut form) if matches!(form.get(operator), Some(bson::Bson::Array(_))) => {
            if let Ok(list) = form.get_array_mut(operator) {
                list.push(b.bson);
            }
            Expr { problem: a.problem.or(b.problem), ..Expr::new(form) }
        }
        bson => Expr { bson, ..a }.with(operator, b),
    }
}

impl<R: IntoExpr<bool>> BitAnd<R> for Expr<bool> {
    type Output = Self;
    fn bitand(self, other: R) -> Self {
        join("$and", self, other.into_expr())
    }
}
impl<R: IntoExpr<bool>> BitOr<R> for Expr<bool> {
    type Output = Self;
    fn bitor(self, other: R) -> Self {
        join("$or", self, other.into_expr())
    }
}
impl Not for Expr<bool> {
    type Output = Self;
    fn not(self) -> Self {
        Parts::default().push(self).list("$not")
    }
}
