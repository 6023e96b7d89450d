use std::cell::Cell;

use bson::{Document, doc};

use super::{AsExpr, Computable, Expr, IntoExpr, Parts, lit};

thread_local! {
    /// How many closures over elements are being called, one inside of the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Calls `body` with the name of a variable that none of the closures around it has.
fn binding<R>(body: impl FnOnce(String) -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    let depth = DEPTH.get();
    DEPTH.set(depth + 1);
    let _leave = Leave;
    body(format!("x{depth}"))
}

impl<E> Expr<Vec<E>> {
    /// How many elements it has; the query fails where it is no list.
    pub fn len(self) -> Expr<i32> {
        self.apply("$size")
    }

    /// The first element; nothing, where there is none.
    pub fn first_item(self) -> Expr<Option<E>> {
        self.apply("$first")
    }

    /// The last element; nothing, where there is none.
    pub fn last_item(self) -> Expr<Option<E>> {
        self.apply("$last")
    }

    /// The element at a position, from 0, or from the end where negative; nothing, where there is none.
    pub fn at(self, position: impl IntoExpr<i32>) -> Expr<Option<E>> {
        self.with("$arrayElemAt", position.into_expr())
    }

    /// At most `count` elements from the beginning, or from the end where negative.
    pub fn take(self, count: i32) -> Expr<Vec<E>> {
        self.with("$slice", lit(count))
    }

    /// Whether it holds a value.
    pub fn holds(self, value: impl IntoExpr<E>) -> Expr<bool> {
        Parts::default().push(value.into_expr()).push(self).list("$in")
    }

    /// The elements in reverse.
    pub fn reverse(self) -> Expr<Vec<E>> {
        self.apply("$reverseArray")
    }

    /// These elements, then those of another list.
    pub fn chain(self, other: impl IntoExpr<Vec<E>>) -> Expr<Vec<E>> {
        self.with("$concatArrays", other.into_expr())
    }

    /// The distinct elements of both lists, in no order.
    pub fn union(self, other: impl IntoExpr<Vec<E>>) -> Expr<Vec<E>> {
        self.with("$setUnion", other.into_expr())
    }

    /// The distinct elements that both lists have, in no order.
    pub fn intersection(self, other: impl IntoExpr<Vec<E>>) -> Expr<Vec<E>> {
        self.with("$setIntersection", other.into_expr())
    }

    /// The distinct elements that another list does not have.
    pub fn difference(self, other: impl IntoExpr<Vec<E>>) -> Expr<Vec<E>> {
        self.with("$setDifference", other.into_expr())
    }

    /// The elements for which `test` is true.
    pub fn keep(self, test: impl FnOnce(Expr<E>) -> Expr<bool>) -> Expr<Vec<E>> {
        self.bound("$filter", "cond", test)
    }

    /// What `each` makes of the elements.
    pub fn map<U>(self, each: impl FnOnce(Expr<E>) -> Expr<U>) -> Expr<Vec<U>> {
        self.bound("$map", "in", each)
    }

    fn bound<U, V>(self, operator: &str, part: &str, body: impl FnOnce(Expr<E>) -> Expr<U>) -> Expr<V> {
        let (name, body) = binding(|name| {
            let element = Expr::new(format!("$${name}"));
            (name, body(element))
        });
        let mut form = doc! { "input": self.bson, "as": name };
        form.insert(part, body.bson);
        let mut outer = Document::new();
        outer.insert(operator, form);
        Expr { problem: self.problem.or(body.problem), ..Expr::new(outer) }
    }

    /// One value from all elements: `each` makes the next one from the value so far and an element.
    ///
    /// Inside of `each` no other `fold` can see this one's values.
    pub fn fold<A: AsExpr>(
        self,
        start: A,
        each: impl FnOnce(Expr<A::Type>, Expr<E>) -> Expr<A::Type>,
    ) -> Expr<A::Type> {
        let each = each(Expr::new("$$value"), Expr::new("$$this"));
        Parts::default()
            .push(self)
            .push(start.into_typed())
            .push(each)
            .named("$reduce", &["input", "initialValue", "in"])
    }
}

impl<E: Computable> Expr<Vec<E>> {
    /// The sum of the elements; 0 of none.
    pub fn total(self) -> Expr<E::Sum> {
        self.apply("$sum")
    }

    /// The mean of the elements; nothing of none.
    pub fn mean(self) -> Expr<Option<E::Mean>> {
        self.apply("$avg")
    }

    /// The smallest element; nothing of none.
    pub fn min_item(self) -> Expr<Option<E>> {
        self.apply("$min")
    }

    /// The largest element; nothing of none.
    pub fn max_item(self) -> Expr<Option<E>> {
        self.apply("$max")
    }
}
