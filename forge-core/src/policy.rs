//! Policies: what a caller may see and change of a model, through whichever door.

use std::fmt;
use std::sync::{Arc, Mutex};

use bson::RawDocument;

use crate::auth::AuthContext;
use crate::codec;
use crate::context::{Caller, Headers, Seen};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::fields;
use crate::ir::Filter;
use crate::model::{DELETED_AT, ModelDef};
use crate::traits::Model;

/// What callers may see and change of `M`: `#[model(policy = OwnNotes)]`.
///
/// It holds for everything that a handler does with its `ctx.db`, also by way of other models: finds, counts, groups,
/// pipelines, includes at each depth, relation filters, live queries and change streams are narrowed to what
/// [`read`](Policy::read) lets through, so that a document which it hides is as if missing; updates and deletes reach
/// what may be read, and each document that is written is shown to [`write`](Policy::write) first.
///
/// What becomes of documents that refer to a deleted one (`on_delete`) is not the caller's choice: neither function is
/// asked about them. Code that is trusted says so: [`Db::without_policies`].
///
/// ```ignore
/// /// Everybody reads what is public, and their own; authors write their own.
/// pub struct OwnNotes;
///
/// impl Policy<Note> for OwnNotes {
///     fn read(caller: &PolicyCtx) -> Result<Filter<Note>> {
///         let public = Filter::<Note>::on(|note| note.public.eq(true));
///         Ok(match caller.auth.subject() {
///             Some(me) => public | Filter::<Note>::on(|note| note.author.eq(me)),
///             None => public,
///         })
///     }
///
///     fn write(caller: &PolicyCtx, write: Write<'_, Note>) -> Result<()> {
///         let me = caller.auth.require()?;
///         write.states().all(|note| note.author == me).then_some(()).ok_or_else(|| Error::forbidden("not your note"))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a policy of `{M}`",
    label = "does not implement `Policy<{M}>`",
    note = "write `impl Policy<{M}> for {Self}` with `read` and `write`"
)]
pub trait Policy<M: Model>: 'static {
    /// The documents that exist for the caller. What this looks at of the caller becomes part of what the result of a
    /// live query depends on.
    ///
    /// Relations may be used in it; they are followed without policies.
    ///
    /// # Errors
    /// What the caller is answered in place of any document.
    fn read(caller: &PolicyCtx) -> Result<fields::Filter<M>>;

    /// Whether the caller may write this. It is asked in the transaction of the write, which an error undoes.
    ///
    /// # Errors
    /// What the caller is answered.
    fn write(caller: &PolicyCtx, write: Write<'_, M>) -> Result<()>;
}

/// One document that is about to be written.
#[derive(Debug, Clone, Copy)]
pub enum Write<'a, M> {
    /// It is new.
    Insert(&'a M),
    /// It is changed.
    Update {
        /// As it is.
        old: &'a M,
        /// As it would be.
        new: &'a M,
    },
    /// It goes, or is marked as deleted.
    Delete(&'a M),
}

impl<'a, M> Write<'a, M> {
    /// The document as it is, where there is one.
    pub fn before(&self) -> Option<&'a M> {
        match self {
            Write::Insert(_) => None,
            Write::Update { old, .. } | Write::Delete(old) => Some(old),
        }
    }

    /// The document as it would be, where it stays.
    pub fn after(&self) -> Option<&'a M> {
        match self {
            Write::Insert(new) | Write::Update { new, .. } => Some(new),
            Write::Delete(_) => None,
        }
    }

    /// Both: what has to hold before and after.
    pub fn states(&self) -> impl Iterator<Item = &'a M> + use<'a, M> {
        self.before().into_iter().chain(self.after())
    }
}

/// The caller, as policies see them.
#[derive(Clone)]
pub struct PolicyCtx {
    /// Who calls.
    pub auth: AuthContext,
    /// The request's headers.
    pub headers: Headers,
}

impl PolicyCtx {
    pub(crate) fn new(caller: &Caller, seen: &Arc<Mutex<Seen>>) -> Self {
        Self { auth: AuthContext::new(caller, seen.clone()), headers: Headers::new(caller, seen.clone()) }
    }
}

/// A policy as data.
#[derive(Clone, Copy)]
pub struct PolicyDef {
    read: fn(&PolicyCtx) -> Result<Filter>,
    write: fn(&PolicyCtx, Option<&RawDocument>, Option<&RawDocument>) -> Result<()>,
}

impl fmt::Debug for PolicyDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PolicyDef")
    }
}

impl PolicyDef {
    /// The policy `P` of `M`.
    pub const fn of<M: Model, P: Policy<M>>() -> Self {
        Self { read: read::<M, P>, write: write::<M, P> }
    }
}

fn read<M: Model, P: Policy<M>>(caller: &PolicyCtx) -> Result<Filter> {
    P::read(caller)?.into_ir()
}

fn write<M: Model, P: Policy<M>>(
    caller: &PolicyCtx,
    old: Option<&RawDocument>,
    new: Option<&RawDocument>,
) -> Result<()> {
    let deleted =
        new.is_some_and(|new| M::def().soft_delete && is_deleted(new) && !old.is_some_and(is_deleted));
    let (old, new) = (old.map(state::<M>).transpose()?, new.map(state::<M>).transpose()?);
    let write = match (&old, &new) {
        (Some(old), None) => Write::Delete(old),
        (Some(old), Some(_)) if deleted => Write::Delete(old),
        (Some(old), Some(new)) => Write::Update { old, new },
        (None, Some(new)) => Write::Insert(new),
        (None, None) => return Ok(()),
    };
    P::write(caller, write)
}

fn is_deleted(document: &RawDocument) -> bool {
    document.get_datetime(DELETED_AT).is_ok()
}

fn state<M: Model>(document: &RawDocument) -> Result<M> {
    codec::decode(document).map_err(|error| {
        Error::internal(format!("the policy of {} cannot be asked about a document: {error}", M::def().name))
    })
}

/// For whom a handle reads and writes models with a policy.
#[derive(Clone, Default)]
pub enum PolicyScope {
    /// Nobody was named: models with a policy cannot be used.
    #[default]
    Unset,
    /// For this caller.
    Caller(Arc<PolicyCtx>),
    /// For trusted code: policies are not asked.
    Lifted,
}

impl fmt::Debug for PolicyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PolicyScope::Unset => "unset",
            PolicyScope::Caller(_) => "a caller",
            PolicyScope::Lifted => "lifted",
        })
    }
}

impl PolicyScope {
    /// For this caller, outside of a call.
    pub fn of(caller: &Caller) -> Self {
        Self::asking(caller, &Arc::default())
    }

    fn asking(caller: &Caller, seen: &Arc<Mutex<Seen>>) -> Self {
        PolicyScope::Caller(Arc::new(PolicyCtx::new(caller, seen)))
    }

    /// The documents of `model` that may be read; none where no policy is asked.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`](crate::ErrorCode::Internal) where the model has a policy and nobody is named; what the
    /// policy answers.
    pub fn readable(&self, model: &ModelDef) -> Result<Option<Filter>> {
        self.asked(model)?.map(|(policy, caller)| (policy.read)(caller)).transpose()
    }

    /// Whether a document of `model` may become `new`, from `old`.
    ///
    /// # Errors
    /// As [`readable`](PolicyScope::readable).
    pub fn check(
        &self,
        model: &ModelDef,
        old: Option<&RawDocument>,
        new: Option<&RawDocument>,
    ) -> Result<()> {
        self.asked(model)?.map_or(Ok(()), |(policy, caller)| (policy.write)(caller, old, new))
    }

    /// Whether policies are not asked.
    pub fn is_lifted(&self) -> bool {
        matches!(self, PolicyScope::Lifted)
    }

    fn asked<'a>(&'a self, model: &'a ModelDef) -> Result<Option<(&'a PolicyDef, &'a PolicyCtx)>> {
        let Some(policy) = &model.policy else { return Ok(None) };
        match self {
            PolicyScope::Caller(caller) => Ok(Some((policy, caller))),
            PolicyScope::Lifted => Ok(None),
            PolicyScope::Unset => Err(Error::internal(format!(
                "{0} has a policy, and this database handle speaks for nobody: use the ctx.db of a handler, db.on_behalf_of(…), \
                 or db.without_policies() if the code is trusted with every {0}",
                model.name
            ))),
        }
    }
}

impl<A> Db<A> {
    /// The same database for trusted code: the policies of models are not asked. Tenants stay apart.
    pub fn without_policies(&self) -> Self {
        let mut db = self.clone();
        db.handle.exec.policy = PolicyScope::Lifted;
        db
    }

    /// The same database, with the policies of models asked about this caller: for code that acts for somebody outside of
    /// a handler.
    pub fn on_behalf_of(&self, caller: &Caller) -> Self {
        self.seen_by(caller, &Arc::default())
    }

    /// As [`on_behalf_of`](Db::on_behalf_of), with what policies look at told to `seen`.
    pub(crate) fn seen_by(&self, caller: &Caller, seen: &Arc<Mutex<Seen>>) -> Self {
        let mut db = self.clone();
        if db.catalog().has_policies() {
            db.handle.exec.policy = PolicyScope::asking(caller, seen);
        }
        db
    }

    /// For whom `other` reads and writes.
    pub(crate) fn for_caller_of(mut self, other: &Self) -> Self {
        self.handle.exec.policy = other.handle.exec.policy.clone();
        self
    }

    /// For whom this handle reads and writes models with a policy.
    pub fn policy_scope(&self) -> &PolicyScope {
        &self.handle.exec.policy
    }
}
