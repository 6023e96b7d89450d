use std::future::IntoFuture;
use std::marker::PhantomData;

use bson::{Bson, RawDocumentBuf};
use futures_util::future::BoxFuture;

use super::changes::{Moment, Number, Recorder, Whole, change_methods};
use super::loaded;
use super::update::patch;
use super::{decode, narrow, wrong_outcome};
use crate::db::Handle;
use crate::error::{Details, Error, Result};
use crate::fields::{Field, Filter};
use crate::ir::{self, Change, Collation, Operation, Outcome, Returning};
use crate::model::{CREATED_AT, ModelDef, ModelRef, UPDATED_AT};
use crate::traits::Model;

/// How often two upserts of the same key may collide before the collision is reported.
const ATTEMPTS: u32 = 5;

/// A new document, or a change to the one that is there already.
///
/// The document is looked for by the id that was given, by the fields of [`by`](Upsert::by), or by a
/// [`filter`](Upsert::filter). A change replaces what the new document says about its field, so that
/// `db.upsert(page).by(|p| p.url).inc(|p| p.hits, 1)` begins with one hit. Without changes, a document that is there
/// already is left as it is.
///
/// ```ignore
/// let seen = db.upsert(NewPage { url: url.clone(), ..page }).by(|p| p.url).inc(|p| p.hits, 1).await?;
/// println!("{} hits, new: {}", seen.document.hits, seen.inserted);
/// ```
///
/// # Errors
/// [`ErrorCode::Validation`](crate::ErrorCode::Validation) by the rules of the model;
/// [`ErrorCode::UniqueViolation`](crate::ErrorCode::UniqueViolation) where a unique index over other fields is hit;
/// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) where nothing says which document is meant.
#[must_use = "an upsert runs when it is awaited"]
pub struct Upsert<M> {
    handle: Handle,
    document: Result<RawDocumentBuf>,
    filter: ir::Filter,
    /// The paths of `by`.
    keys: Vec<ir::Path>,
    overwrite: bool,
    with_deleted: bool,
    collation: Option<Collation>,
    recorder: Recorder,
    _model: PhantomData<fn() -> M>,
}

/// What tells one document from all others: a field, or a tuple of fields.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell which document is meant",
    label = "not a field",
    note = "`.by` takes a field (`|f| f.email`) or a tuple of fields"
)]
pub trait Key<M> {
    #[doc(hidden)]
    fn paths(&self) -> Vec<ir::Path>;
}

impl<M, T> Key<M> for Field<M, T> {
    fn paths(&self) -> Vec<ir::Path> {
        vec![(*self).path().into()]
    }
}

macro_rules! key_tuples {
    ($(($($name:ident),+))+) => {
        $(impl<M, $($name: Key<M>),+> Key<M> for ($($name,)+) {
            #[allow(non_snake_case, reason = "the type's name is the variable's")]
            fn paths(&self) -> Vec<ir::Path> {
                let ($($name,)+) = self;
                let mut all = Vec::new();
                $(all.extend($name.paths());)+
                all
            }
        })+
    };
}
key_tuples! { (A, B) (A, B, C) (A, B, C, D) }

/// What an upsert did.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Upserted<M> {
    /// The document as it is now.
    pub document: M,
    /// Whether it is new.
    pub inserted: bool,
}

change_methods!(Upsert<M: Model>, M::Fields = M::FIELDS);

impl<M: Model> Upsert<M> {
    pub(crate) fn new(handle: Handle, document: Result<RawDocumentBuf>) -> Self {
        Self {
            handle,
            document,
            filter: ir::Filter::All,
            keys: Vec::new(),
            overwrite: false,
            with_deleted: false,
            collation: None,
            recorder: Recorder::default(),
            _model: PhantomData,
        }
    }

    fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// The document with the same value of this field, or of all fields of the tuple. They should have a unique index:
    /// only that keeps two upserts at the same time from inserting twice.
    pub fn by<K: Key<M>>(mut self, keys: impl FnOnce(&'static M::Fields) -> K) -> Self {
        self.keys.extend(keys(M::FIELDS).paths());
        self
    }

    /// The document that matches; several filters all have to. Values that it asks for by `eq` go into a new document.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        narrow(&mut self.filter, &mut self.recorder.error, filter(M::FIELDS));
        self
    }

    /// A document that is there already gets all values of the new one that no other change is about.
    pub fn overwrite(mut self) -> Self {
        self.overwrite = true;
        self
    }

    /// A soft-deleted document counts as there already, and stays deleted. Without this it is passed over, and a value of a
    /// unique field that it holds is a [`unique_violation`](crate::ErrorCode::UniqueViolation).
    pub fn with_deleted(mut self) -> Self {
        self.with_deleted = true;
        self
    }

    /// How strings compare where the document is looked for, and in changes of lists. A unique index that keeps two upserts
    /// at the same time from inserting twice has the same collation. A strength that is not 1 to 5 is a `bad_request`.
    pub fn collation(mut self, collation: Collation) -> Self {
        if let Err(error) = collation.check() {
            self.recorder.fail(error);
        }
        self.collation = Some(collation);
        self
    }

    /// Changes what the patch gives, after checking it by the model's `#[validate(…)]` rules.
    #[allow(clippy::needless_pass_by_value, reason = "as updates take it")]
    pub fn patch(mut self, given: M::Patch) -> Self {
        patch::<M>(&mut self.recorder, &given);
        self
    }

    fn into_ir(self) -> Result<(Handle, ir::Update)> {
        if let Some(error) = self.recorder.error {
            return Err(error);
        }
        let document = self.document?;
        let mut filter = self.filter;
        let mut keys = self.keys;
        if keys.is_empty() && filter == ir::Filter::All {
            keys.extend(given_id::<M>()?);
        }
        for path in keys {
            filter.narrow(same(M::def().name, &document, &path)?);
        }
        let mut changes = self.recorder.changes;
        loaded::check_changes::<M>(&mut changes, "upsert")?;
        if self.overwrite {
            overwrite(M::def(), &document, &mut changes)?;
        }
        let update = ir::Update {
            changes,
            elements: self.recorder.elements,
            upsert: Some(document),
            with_deleted: self.with_deleted,
            collation: self.collation,
            returning: Returning::After,
            ..ir::Update::new(ModelRef(M::def()), filter)
        };
        Ok((self.handle, update))
    }
}

impl<M: Model> IntoFuture for Upsert<M> {
    type Output = Result<Upserted<M>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (handle, update) = self.into_ir()?;
            let paths = equal_paths(&update.filter);
            let mut attempt = 1;
            loop {
                match handle.execute(Operation::Update(update.clone())).await {
                    Ok(Outcome::Written { document: Some(document), upserted, .. }) => {
                        return Ok(Upserted { document: decode(&document)?, inserted: upserted });
                    }
                    // MongoDB always has the new state. Where another server answers a race with nothing, it may have
                    // been made or not: made again, it could count twice.
                    Ok(Outcome::Written { .. }) => {
                        return Err(Error::conflict(format!(
                            "the database does not say whether the upsert of this {} was made, as another came at the \
                             same time: read it before trying again",
                            M::def().name
                        )));
                    }
                    Ok(_) => return Err(wrong_outcome("upsert")),
                    // Somebody else inserted the same key since it was looked for: now it is there. Inside a
                    // transaction the failure has ended it.
                    Err(error) if attempt < ATTEMPTS && !handle.in_transaction() && lost(&error, &paths) => {
                        attempt += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }
}

/// The id's path, where inserts give the id.
fn given_id<M: Model>() -> Result<Option<ir::Path>> {
    if M::def().id_field().default == crate::model::Default::Generated {
        let name = M::def().name;
        return Err(Error::bad_request(format!(
            "upsert::<{name}>() does not say which {name} is meant: its ids are generated; add .by(|f| …) or .filter(|f| …)"
        )));
    }
    Ok(Some("_id".into()))
}

/// The condition that a document has the same value at `path`.
fn same(model: &str, document: &RawDocumentBuf, path: &ir::Path) -> Result<ir::Filter> {
    let document = bson::Document::try_from(document)?;
    let mut parts = path.split('.');
    let first = parts.next().and_then(|part| document.get(part));
    let value = parts.fold(first, |value, part| value?.as_document()?.get(part));
    match value {
        None | Some(Bson::Null) => Err(Error::bad_request(format!(
            "an upsert of {model} by {path} needs a value for it, and the new {model} has none"
        ))),
        Some(value) => Ok(ir::Filter::eq(path.clone(), value.clone())),
    }
}

/// Sets what the new document says, where no change is about it.
fn overwrite(def: &ModelDef, document: &RawDocumentBuf, changes: &mut Vec<Change>) -> Result<()> {
    let kept = ["_id", CREATED_AT, UPDATED_AT, def.version.unwrap_or("_id")];
    let mut more = Vec::new();
    for (name, value) in bson::Document::try_from(document)? {
        let within = |path: &str| path.split('.').next() == Some(name.as_str());
        let changed = changes
            .iter()
            .any(|change| within(change.path()) || change.other_path().is_some_and(|p| within(p)));
        if !changed && !kept.contains(&name.as_str()) {
            more.push(Change::Set(name.into(), value));
        }
    }
    changes.extend(more);
    Ok(())
}

/// The paths that a condition compares with one value.
fn equal_paths(filter: &ir::Filter) -> Vec<String> {
    match filter {
        ir::Filter::And(list) => list.iter().flat_map(equal_paths).collect(),
        ir::Filter::Field(path, ir::Predicate::Eq(_)) => vec![path.to_string()],
        _ => Vec::new(),
    }
}

/// Whether an insert hit the unique index of the very key that was looked for.
fn lost(error: &Error, paths: &[String]) -> bool {
    match error.details() {
        Details::Unique { fields, .. } => !fields.is_empty() && fields.iter().all(|f| paths.contains(f)),
        _ => false,
    }
}
