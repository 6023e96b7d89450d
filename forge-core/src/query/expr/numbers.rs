use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use super::{Expr, IntoExpr, Parts, lit};
use crate::fields::Field;
use crate::types::{Decimal, Int64};

/// Numbers that expressions and aggregates compute with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a number",
    label = "only numbers are computed with"
)]
pub trait Computable {
    /// The type of a sum: wide enough for many of them.
    type Sum;
    /// The type of a mean or a quotient.
    type Mean;
}

macro_rules! computable {
    ($($type:ty => $sum:ty, $mean:ty;)*) => {
        $(impl Computable for $type {
            type Sum = $sum;
            type Mean = $mean;
        }
        impl Computable for Option<$type> {
            type Sum = $sum;
            type Mean = $mean;
        })*
    };
}
computable! {
    i32 => i64, f64;
    u32 => i64, f64;
    i64 => i64, f64;
    f32 => f64, f64;
    f64 => f64, f64;
    Decimal => Decimal, Decimal;
    Int64 => Int64, f64;
}

macro_rules! operators {
    ($($trait:ident $method:ident $operator:literal;)*) => {
        $(impl<T: Computable, R: IntoExpr<T>> $trait<R> for Expr<T> {
            type Output = Expr<T>;
            fn $method(self, other: R) -> Expr<T> {
                self.with($operator, other.into_expr())
            }
        }
        impl<M, T: Computable, R: IntoExpr<T>> $trait<R> for Field<M, T> {
            type Output = Expr<T>;
            fn $method(self, other: R) -> Expr<T> {
                self.expr().with($operator, other.into_expr())
            }
        })*
    };
}
operators! {
    Add add "$add";
    Sub sub "$subtract";
    Mul mul "$multiply";
    Rem rem "$mod";
}

/// A quotient is a double (of decimals a decimal), whatever is divided; by zero the query fails.
impl<T: Computable, R: IntoExpr<T>> Div<R> for Expr<T> {
    type Output = Expr<T::Mean>;
    fn div(self, other: R) -> Expr<T::Mean> {
        self.with("$divide", other.into_expr())
    }
}
impl<M, T: Computable, R: IntoExpr<T>> Div<R> for Field<M, T> {
    type Output = Expr<T::Mean>;
    fn div(self, other: R) -> Expr<T::Mean> {
        self.expr() / other
    }
}
impl<T: Computable> Neg for Expr<T> {
    type Output = Self;
    fn neg(self) -> Self {
        Parts::default().push(lit(0)).push(self).list("$subtract")
    }
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident => $operator:literal;)*) => {
        impl<T: Computable> Expr<T> {
            $($(#[$doc])*
            pub fn $name(self) -> Expr<T> {
                self.apply($operator)
            })*
        }
    };
}
functions! {
    /// The number without its sign.
    abs => "$abs";
    /// The largest whole number that is not above this one.
    floor => "$floor";
    /// The smallest whole number that is not below this one.
    ceil => "$ceil";
}

impl<T: Computable> Expr<T> {
    /// The number with `places` digits behind the point (before it, where negative); halves go to the even neighbour.
    pub fn round(self, places: i32) -> Expr<T> {
        self.with("$round", lit(places))
    }

    /// The number with `places` digits behind the point, the rest cut off.
    pub fn trunc_to(self, places: i32) -> Expr<T> {
        self.with("$trunc", lit(places))
    }

    /// The number to a power.
    pub fn pow(self, exponent: impl IntoExpr<T>) -> Expr<T> {
        self.with("$pow", exponent.into_expr())
    }

    /// The square root; the query fails for negative numbers.
    pub fn sqrt(self) -> Expr<T::Mean> {
        self.apply("$sqrt")
    }

    /// The natural logarithm; the query fails for numbers that are not above 0.
    pub fn ln(self) -> Expr<f64> {
        self.apply("$ln")
    }

    /// The lower end of the bin of this width, counted from 0, in which the number is: 37 in bins of 10 is 30.
    pub fn bin(self, width: impl IntoExpr<T>) -> Expr<T> {
        // By remainders, so that whole numbers stay whole; twice, so that those below 0 go down as well.
        let width = width.into_expr();
        let rest: Expr<T> = self.clone().with("$mod", width.clone());
        let rest: Expr<T> = rest.with("$add", width.clone());
        self.with("$subtract", rest.with::<T, T>("$mod", width))
    }
}

impl<M, T: Computable> Field<M, T> {
    /// The lower end of the bin of this width, counted from 0, in which the number is: 37 in bins of 10 is 30.
    pub fn bin(self, width: impl IntoExpr<T>) -> Expr<T> {
        self.expr().bin(width)
    }
}
