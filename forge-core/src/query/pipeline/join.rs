use bson::doc;

use super::{Columns, Documents, Part, Pipeline, checked_name};
use crate::error::{Error, Result};
use crate::fields::{Field, Filter, ToMany, ToOne};
use crate::ir::{self, Lookup, Source, Stage};
use crate::model::{ModelRef, RelationDef};
use crate::query::expr::{Expr, IntoExpr, NamedExpr};
use crate::traits::Model;

/// A relation of `M` that a pipeline can join.
pub trait Joins<M> {
    /// The other model.
    type Target: Model;
    #[doc(hidden)]
    fn position(self) -> usize;
    #[doc(hidden)]
    fn with_deleted_ones(&self) -> bool;
}

macro_rules! joins {
    ($name:ident) => {
        impl<M, T: Model> Joins<M> for $name<M, T> {
            type Target = T;
            fn position(self) -> usize {
                self.index()
            }
            fn with_deleted_ones(&self) -> bool {
                (*self).sees_deleted()
            }
        }

        impl<M: Model, T: Model> $name<M, T> {
            /// The value of a field of the joined document (of several ones the list of values), after a `lookup`.
            pub fn joined<U>(self, field: impl FnOnce(&'static T::Fields) -> Field<T, U>) -> Expr<U> {
                let relation = M::def().relations[self.index()].name;
                crate::query::expr::path(format!("{relation}.{}", field(T::FIELDS).path()))
            }

            /// The joined document as a whole, or the list of them, after a `lookup`.
            pub fn joined_whole<U>(self) -> Expr<U> {
                crate::query::expr::path(M::def().relations[self.index()].name)
            }
        }
    };
}
joins!(ToOne);
joins!(ToMany);

/// A join along a relation. To-one relations give a document, or nothing; to-many ones a list.
fn along(relation: &'static RelationDef, mut from: Source) -> Lookup {
    let target = relation.name.to_owned();
    let equal = match relation.through {
        // Documents of the third model, each exchanged for the one that it refers to.
        Some(through) => {
            let mut between = Source::new(ModelRef((through.model)()));
            let inner = Lookup {
                from,
                equal: Some((through.foreign.into(), relation.foreign.into())),
                variables: Vec::new(),
                target: "to".to_owned(),
                single: true,
            };
            between.stages = vec![
                Stage::Lookup(inner),
                Stage::Match(ir::Filter::Field("to".into(), ir::Predicate::Exists(true))),
                Stage::Plain(doc! { "$replaceWith": "$to" }),
            ];
            from = between;
            (relation.local(), through.local)
        }
        None => (relation.local(), relation.foreign),
    };
    let equal = Some((equal.0.into(), equal.1.into()));
    Lookup { from, equal, variables: Vec::new(), target, single: relation.is_to_one() }
}

impl<M: Model, H> Pipeline<Documents<M>, H> {
    /// Related documents beside each document, in a field with the name of the relation: one document, or nothing, for
    /// to-one relations, a list for the others.
    pub fn lookup<J: Joins<M>>(self, relation: impl FnOnce(&'static M::Fields) -> J) -> Self {
        self.lookup_with(relation, |related| related)
    }

    /// As [`lookup`](Self::lookup), of what stages make of the related documents.
    pub fn lookup_with<J: Joins<M>, S>(
        self,
        relation: impl FnOnce(&'static M::Fields) -> J,
        stages: impl FnOnce(Pipeline<Documents<J::Target>>) -> Pipeline<S>,
    ) -> Self {
        let relation = relation(M::FIELDS);
        let with_deleted = relation.with_deleted_ones();
        let stage = source::<J::Target, S>(stages).map(|mut from| {
            from.with_deleted |= with_deleted;
            Stage::Lookup(along(&M::def().relations[relation.position()], from))
        });
        self.attempt(stage)
    }
}

/// What stages make of all documents of a model.
fn source<T: Model, S>(stages: impl FnOnce(Pipeline<Documents<T>>) -> Pipeline<S>) -> Result<Source> {
    stages(Pipeline::over(Source::new(ModelRef(T::def())), None::<Part>)).into_source()
}

impl<R: Columns, H> Pipeline<R, H> {
    /// Documents of another model beside each document, in a field of that name: a list. What the stages need of the
    /// document is bound to names, which they see as [`var`](crate::query::expr::var)s.
    ///
    /// ```ignore
    /// db.pipeline::<Airport>().lookup_where::<Flight, _, _>(
    ///     "worst",
    ///     |a| [a.iata.named("iata")],
    ///     |flights| flights.match_expr(|f| f.origin_id.expr().eq(var("iata"))).sort(|f| f.delay.desc()).limit(3),
    /// )
    /// ```
    pub fn lookup_where<T: Model, V: IntoIterator<Item = NamedExpr>, S>(
        self,
        name: impl Into<String>,
        variables: impl FnOnce(&'static R::Fields) -> V,
        stages: impl FnOnce(Pipeline<Documents<T>>) -> Pipeline<S>,
    ) -> Self {
        let target = name.into();
        let lookup = || {
            checked_name(&target, true)?;
            let variable = |NamedExpr { name, value }: NamedExpr| {
                if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
                    let problem =
                        format!("the name of a variable begins with a small letter, unlike {name:?}");
                    return Err(Error::bad_request(problem));
                }
                Ok((checked_name(&name, false)?.to_owned(), value?))
            };
            let variables = variables(R::fields()).into_iter().map(variable).collect::<Result<_>>()?;
            Ok(Stage::Lookup(Lookup {
                from: source::<T, S>(stages)?,
                equal: None,
                variables,
                target: target.clone(),
                single: false,
            }))
        };
        let stage = lookup();
        self.attempt(stage)
    }

    /// What stages make of the documents of another model, after the documents so far.
    pub fn union_with<T: Model, S>(self, stages: impl FnOnce(Pipeline<Documents<T>>) -> Pipeline<S>) -> Self {
        let stage = source::<T, S>(stages).map(Stage::Union);
        self.attempt(stage)
    }

    /// What is reached from each document, in a field of that name: the documents of `T` whose field `to` has the value
    /// of `start`, then those that their field `from` leads to, and so on. Cycles end.
    pub fn graph_lookup<T: Model, V, X, Y>(
        self,
        name: impl Into<String>,
        start: impl FnOnce(&'static R::Fields) -> V,
        from: impl FnOnce(&'static T::Fields) -> Field<T, X>,
        to: impl FnOnce(&'static T::Fields) -> Field<T, Y>,
        reach: Reach<T>,
    ) -> Self
    where
        V: IntoExpr<X>,
    {
        let target = name.into();
        let graph = || {
            checked_name(&target, true)?;
            if let Some(error) = reach.error {
                return Err(error);
            }
            Ok(Stage::Graph(ir::Graph {
                model: ModelRef(T::def()),
                filter: reach.filter,
                with_deleted: reach.with_deleted,
                start: start(R::fields()).into_expr().into_bson()?,
                connect_from: from(T::FIELDS).path().into(),
                connect_to: to(T::FIELDS).path().into(),
                target: target.clone(),
                max_depth: reach.max_depth,
                depth_field: reach.depth_field,
            }))
        };
        let stage = graph();
        self.attempt(stage)
    }
}

/// How far [`graph_lookup`](Pipeline::graph_lookup) goes through documents of `T`.
pub struct Reach<T> {
    max_depth: Option<u32>,
    depth_field: Option<String>,
    filter: ir::Filter,
    with_deleted: bool,
    error: Option<Error>,
    _model: std::marker::PhantomData<fn() -> T>,
}

impl<T: Model> Reach<T> {
    /// As far as it goes.
    pub fn everything() -> Self {
        Self {
            max_depth: None,
            depth_field: None,
            filter: ir::Filter::All,
            with_deleted: false,
            error: None,
            _model: std::marker::PhantomData,
        }
    }

    /// At most so many steps after the first one.
    pub fn steps(mut self, most: u32) -> Self {
        self.max_depth = Some(most);
        self
    }

    /// Tells the number of its step, from 0, in a field of each reached document.
    pub fn depth(mut self, name: impl Into<String>) -> Self {
        self.depth_field = Some(name.into());
        self
    }

    /// Through soft-deleted documents as well.
    pub fn with_deleted(mut self) -> Self {
        self.with_deleted = true;
        self
    }

    /// Only through documents that match.
    pub fn filter(mut self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Self {
        match filter(T::FIELDS).into_ir() {
            Ok(filter) => self.filter.narrow(filter),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }
}
