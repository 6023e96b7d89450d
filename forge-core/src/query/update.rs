use std::future::IntoFuture;
use std::marker::PhantomData;

use bson::{Bson, Document, RawDocumentBuf};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::changes::{Moment, Number, Recorder, Whole, change_methods};
use super::computed::Stages;
use super::loaded::{self, Expected};
use super::nested::{IntoLinks, Links};
use super::{decode, narrow, wrong_outcome};
use crate::db::{Db, Handle};
use crate::error::{Error, Result};
use crate::fields::{Filter, IntoSort};
use crate::ir::{self, Collation, Operation, Outcome, Predicate, Returning, SortKey};
use crate::model::ModelRef;
use crate::record::Record;
use crate::traits::{Changes, Model, PatchRecord};

/// What updates of one and of many have in common.
struct Draft<M> {
    handle: Handle,
    filter: ir::Filter,
    recorder: Recorder,
    pipeline: Vec<Document>,
    with_deleted: bool,
    collation: Option<Collation>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> Draft<M> {
    fn new(handle: Handle, filter: Result<ir::Filter>) -> Self {
        let mut recorder = Recorder::default();
        let filter = filter.unwrap_or_else(|error| {
            recorder.fail(error);
            ir::Filter::Nothing
        });
        let (pipeline, collation) = (Vec::new(), None);
        Self { handle, filter, recorder, pipeline, with_deleted: false, collation, _model: PhantomData }
    }

    fn narrow(&mut self, filter: Filter<M>) {
        narrow(&mut self.filter, &mut self.recorder.error, filter);
    }

    fn into_ir(self) -> Result<(Handle, ir::Update)> {
        let Recorder { mut changes, elements, error, .. } = self.recorder;
        if let Some(error) = error {
            return Err(error);
        }
        loaded::check_changes::<M>(&mut changes, "update")?;
        let model = ModelRef(M::def());
        let mut update = ir::Update::new(model, self.filter);
        (update.changes, update.elements) = (changes, elements);
        (update.pipeline, update.with_deleted) = (self.pipeline, self.with_deleted);
        update.collation = self.collation;
        Ok((self.handle, update))
    }
}

/// Records the changes of a patch, after checking it.
pub(super) fn patch<M: Model>(recorder: &mut Recorder, patch: &M::Patch) {
    let operation = || format!("{}.update", M::def().name);
    let mut changes = Changes::default();
    let checked = crate::validate::check(patch, <M::Patch as Record>::shape(), operation)
        .and_then(|()| patch.changes(&mut changes));
    match checked {
        Ok(()) => recorder.changes.extend(changes.0),
        Err(error) => recorder.fail(error),
    }
}

macro_rules! update_methods {
    ($name:ident) => {
        change_methods!($name<M: Model>, M::Fields = M::FIELDS);

        impl<M: Model> $name<M> {
            fn recorder(&mut self) -> &mut Recorder {
                &mut self.draft.recorder
            }

            /// Sets what the patch gives, after checking it by the model's `#[validate(…)]` rules.
            pub fn patch(mut self, given: M::Patch) -> Self {
                patch::<M>(&mut self.draft.recorder, &given);
                self
            }

            /// Computes the new state from the document itself, in place of other changes. Timestamps and the version
            /// are kept as by other updates; the rules of the model are not looked at.
            pub fn update_with(mut self, stages: impl FnOnce(Stages<M>) -> Stages<M>) -> Self {
                let Stages { stages, error, .. } = stages(Stages::new());
                self.draft.pipeline.extend(stages);
                if let Some(error) = error {
                    self.draft.recorder.fail(error);
                }
                self
            }

            /// Soft-deleted documents as well.
            pub fn with_deleted(mut self) -> Self {
                self.draft.with_deleted = true;
                self
            }
        }
    };
}

macro_rules! collated_update {
    ($name:ident) => {
        impl<M: Model> $name<M> {
            /// How strings compare: in conditions, in the order and in changes of lists. A strength that is not 1 to 5 is a
            /// `bad_request`.
            pub fn collation(mut self, collation: Collation) -> Self {
                if let Err(error) = collation.check() {
                    self.draft.recorder.fail(error);
                }
                self.draft.collation = Some(collation);
                self
            }
        }
    };
}

/// A change to the document with one id; awaiting it gives the document as it is afterwards.
///
/// # Errors
/// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where there is no such document;
/// [`ErrorCode::Validation`](crate::ErrorCode::Validation) where a value breaks a rule of the model;
/// [`ErrorCode::Conflict`](crate::ErrorCode::Conflict) where the document is not as
/// [`if_unchanged`](Update::if_unchanged) expects.
#[must_use = "an update runs when it is awaited"]
pub struct Update<M> {
    draft: Draft<M>,
    before: bool,
    expected: Option<Box<Expected>>,
    links: Links,
}

update_methods!(Update);

impl<M: Model> Update<M> {
    pub(crate) fn new(handle: Handle, id: Result<Bson>) -> Self {
        let draft = Draft::new(handle, id.map(|id| ir::Filter::eq("_id", id)));
        Self { draft, before: false, expected: None, links: Links::default() }
    }

    /// Changes the document only if it also matches `filter`: compare and set.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        self.draft.narrow(filter(M::FIELDS));
        self
    }

    /// Changes the document only if nobody has since it was read as `loaded`: its `#[model(version)]` must be the same.
    pub fn if_unchanged(mut self, loaded: &M) -> Self {
        match Expected::of(loaded, &mut self.draft.filter) {
            Ok(expected) => self.expected = Some(expected.into()),
            Err(error) => self.draft.recorder.fail(error),
        }
        self
    }

    /// Answers with the document as it was before.
    pub fn before(mut self) -> Self {
        self.before = true;
        self
    }

    /// Creates, connects, disconnects or deletes related documents along with the change, all in one transaction. Only
    /// documents that belong to this one are ever disconnected or deleted.
    ///
    /// ```ignore
    /// db.update::<Author>(id).with(|a| (a.books.create([third]), a.books.disconnect([first.id]))).await?;
    /// ```
    pub fn with<L: IntoLinks<M>>(mut self, links: impl FnOnce(&'static M::Fields) -> L) -> Self {
        self.links.add::<M>(links(M::FIELDS), self.draft.handle.env());
        self
    }
}

impl<M: Model> IntoFuture for Update<M> {
    type Output = Result<M>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        let Self { draft, before, expected, links, .. } = self;
        let (handle, mut update) = match draft.into_ir() {
            Ok(parts) => parts,
            Err(error) => return ready(Err(error)).boxed(),
        };
        update.returning = if before { Returning::Before } else { Returning::After };
        let with_deleted = update.with_deleted;
        if links.is_empty() {
            return Box::pin(async move {
                match handle.execute(Operation::Update(update)).await? {
                    Outcome::Written { document: Some(document), .. } => decode(&document),
                    other => {
                        Err(missed::<M>(&handle, other, expected.as_deref(), with_deleted).boxed().await)
                    }
                }
            });
        }
        Box::pin(async move {
            let db = Db::of(handle);
            let document = db.transaction(async |tx: Db| {
                let mut update = update.clone();
                update.changes.extend(links.changes(&tx).await?);
                let document = run::<M>(&tx.handle, update, expected.as_deref()).await?;
                links.follow::<M>(&tx, &document).await?;
                Ok(document)
            });
            decode(&document.await?)
        })
    }
}

/// Changes one document; answers with the state that was asked for.
async fn run<M: Model>(
    handle: &Handle,
    update: ir::Update,
    expected: Option<&Expected>,
) -> Result<RawDocumentBuf> {
    let with_deleted = update.with_deleted;
    match handle.execute(Operation::Update(update)).await? {
        Outcome::Written { document: Some(document), .. } => Ok(document),
        other => Err(missed::<M>(handle, other, expected, with_deleted).boxed().await),
    }
}

/// Why a change of one document did not answer with it.
async fn missed<M: Model>(
    handle: &Handle,
    outcome: Outcome,
    expected: Option<&Expected>,
    with_deleted: bool,
) -> Error {
    match (outcome, expected) {
        (Outcome::Written { .. }, Some(expected)) => expected.failure(handle, M::def(), with_deleted).await,
        (Outcome::Written { .. }, None) => Error::not_found(format!("no {} has this id", M::def().name)),
        _ => wrong_outcome("update"),
    }
}

/// A change to the first document that matches; awaiting it gives the document as it is afterwards, where there was one.
#[must_use = "an update runs when it is awaited"]
pub struct UpdateFirst<M> {
    draft: Draft<M>,
    sort: Vec<SortKey>,
    before: bool,
}

update_methods!(UpdateFirst);
collated_update!(UpdateFirst);

impl<M: Model> UpdateFirst<M> {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { draft: Draft::new(handle, Ok(ir::Filter::All)), sort: Vec::new(), before: false }
    }

    /// Only documents that match; several filters all have to.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        self.draft.narrow(filter(M::FIELDS));
        self
    }

    /// Which one is the first. Ties are broken by the id.
    pub fn sort<S: IntoSort<M>>(mut self, sort: impl FnOnce(&'static M::Fields) -> S) -> Self {
        self.sort.extend(sort(M::FIELDS).into_sort());
        self
    }

    /// Answers with the document as it was before.
    pub fn before(mut self) -> Self {
        self.before = true;
        self
    }
}

impl<M: Model> IntoFuture for UpdateFirst<M> {
    type Output = Result<Option<M>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (handle, update) = self.draft.into_ir()?;
            let returning = if self.before { Returning::Before } else { Returning::After };
            let update = ir::Update { returning, sort: self.sort, ..update };
            match handle.execute(Operation::Update(update)).await? {
                Outcome::Written { document, .. } => document.map(|document| decode(&document)).transpose(),
                _ => Err(wrong_outcome("update_first")),
            }
        })
    }
}

/// A change to every document that matches; awaiting it gives how many matched.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) without a filter, unless [`all`](UpdateMany::all) was called.
#[must_use = "an update runs when it is awaited"]
pub struct UpdateMany<M> {
    draft: Draft<M>,
    all: bool,
}

update_methods!(UpdateMany);
collated_update!(UpdateMany);

impl<M: Model> UpdateMany<M> {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { draft: Draft::new(handle, Ok(ir::Filter::All)), all: false }
    }

    /// Only documents that match; several filters all have to.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        self.draft.narrow(filter(M::FIELDS));
        self
    }

    /// Every document of the collection is meant.
    pub fn all(mut self) -> Self {
        self.all = true;
        self
    }
}

impl<M: Model> IntoFuture for UpdateMany<M> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            require_filter::<M>("update_many", &self.draft.filter, self.all)?;
            let (handle, update) = self.draft.into_ir()?;
            match handle.execute(Operation::Update(ir::Update { many: true, ..update })).await? {
                Outcome::Written { matched, .. } => Ok(matched),
                _ => Err(wrong_outcome("update_many")),
            }
        })
    }
}

/// A filter that came out as "everything" is refused unless everything was asked for by name.
pub(super) fn require_filter<M: Model>(operation: &str, filter: &ir::Filter, all: bool) -> Result<()> {
    if !all && finds_everything(filter) {
        let name = M::def().name;
        return Err(Error::bad_request(format!(
            "{operation}::<{name}>() has no filter; call .all() if every {name} is meant"
        )));
    }
    Ok(())
}

/// Whether a condition leaves nothing out, whatever the documents are.
fn finds_everything(filter: &ir::Filter) -> bool {
    match filter {
        ir::Filter::All => true,
        ir::Filter::And(list) => list.iter().all(finds_everything),
        ir::Filter::Or(list) => list.iter().any(finds_everything),
        ir::Filter::Not(inner) => finds_nothing(inner),
        ir::Filter::Field(_, Predicate::NotIn(values)) => values.is_empty(),
        _ => false,
    }
}

fn finds_nothing(filter: &ir::Filter) -> bool {
    match filter {
        ir::Filter::Nothing => true,
        ir::Filter::And(list) => list.iter().any(finds_nothing),
        ir::Filter::Or(list) => list.iter().all(finds_nothing),
        ir::Filter::Not(inner) => finds_everything(inner),
        ir::Filter::Field(_, Predicate::In(values)) => values.is_empty(),
        _ => false,
    }
}
