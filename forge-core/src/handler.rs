//! Handlers: their definitions, collected at link time, and the registry that finds them by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use validator::Validate;

use crate::auth::{AuthContext, Guard};
use crate::context::{Call, MutationCtx, QueryCtx};
use crate::error::{Error, Result};
use crate::record::{Record, Role, Shape};

/// A handler, as `#[query]` and `#[mutation]` describe it.
pub struct HandlerDef {
    /// The name by which clients call it: the function's.
    pub name: &'static str,
    /// Whether it reads or writes.
    pub kind: HandlerKind,
    /// Only other handlers may call it; from outside it is as if missing.
    pub internal: bool,
    /// Who may call it, by whichever way.
    pub guard: Guard,
    /// It runs in a transaction.
    pub transaction: bool,
    /// How long and how often at a time it runs.
    pub limits: HandlerLimits,
    /// When it runs by itself, as a cron expression in UTC.
    pub cron: Option<&'static str>,
    /// The documentation comment of the function.
    pub docs: &'static str,
    /// The description of its arguments.
    pub args: fn() -> &'static Shape,
    /// The JSON Schema of its result.
    pub returns: fn(&mut SchemaGenerator) -> Schema,
    /// Decodes the arguments, runs the function, encodes the result.
    #[doc(hidden)]
    pub call: fn(Invocation) -> BoxFuture<'static, Result<Json>>,
}

impl fmt::Debug for HandlerDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerDef")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("internal", &self.internal)
            .field("guard", &self.guard)
            .field("transaction", &self.transaction)
            .finish_non_exhaustive()
    }
}

impl HandlerDef {
    /// Lets the caller pass, where they may call the handler.
    pub(crate) fn admit(&self, call: &Call) -> Result<()> {
        self.guard.check(&AuthContext::new(&call.caller, call.seen.clone()))
    }

    /// Runs the handler.
    pub(crate) async fn run(&self, call: Call, args: Box<RawValue>) -> Result<Json> {
        (self.call)(Invocation { call, args }).await
    }
}

/// What a handler may use: `#[mutation(deadline = "5s", concurrency = 8)]`. Where nothing is said, the server's own limits
/// hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct HandlerLimits {
    /// The longest that a caller waits. A mutation with a transaction is undone when it takes longer.
    pub deadline: Option<Duration>,
    /// How many calls of it one process runs at a time; others wait.
    pub concurrency: Option<u32>,
}

impl HandlerLimits {
    /// None of its own.
    pub const NONE: Self = Self { deadline: None, concurrency: None };

    /// The same with a deadline, in milliseconds.
    #[must_use]
    pub const fn deadline(self, millis: u64) -> Self {
        Self { deadline: Some(Duration::from_millis(millis)), ..self }
    }

    /// The same for so many calls at a time.
    #[must_use]
    pub const fn concurrency(self, calls: u32) -> Self {
        Self { concurrency: Some(calls), ..self }
    }
}

/// Whether a handler reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HandlerKind {
    /// It reads; its results can be live.
    Query,
    /// It writes.
    Mutation,
}

impl HandlerKind {
    /// `"query"` or `"mutation"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            HandlerKind::Query => "query",
            HandlerKind::Mutation => "mutation",
        }
    }
}

inventory::collect!(HandlerDef);

/// A result as JSON text, made once and shared by everybody who receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(pub Arc<str>);

/// One call of a handler.
#[doc(hidden)]
pub struct Invocation {
    pub(crate) call: Call,
    pub(crate) args: Box<RawValue>,
}

impl Invocation {
    /// The context and checked arguments of a query.
    ///
    /// # Errors
    /// `bad_request` or `validation`, naming the argument.
    pub fn query<A: ArgsRecord>(self) -> Result<(QueryCtx, A)> {
        let args = decode_args::<A>(&self.args)?;
        Ok((QueryCtx::new(self.call), args))
    }

    /// The context and checked arguments of a mutation.
    ///
    /// # Errors
    /// `bad_request` or `validation`, naming the argument.
    pub fn mutation<A: ArgsRecord>(self) -> Result<(MutationCtx, A)> {
        let args = decode_args::<A>(&self.args)?;
        Ok((MutationCtx::new(self.call), args))
    }
}

/// The generated struct of a handler's arguments.
#[doc(hidden)]
pub trait ArgsRecord: Record + Validate + for<'de> Deserialize<'de> + Send + 'static {}
impl<T: Record + Validate + for<'de> Deserialize<'de> + Send + 'static> ArgsRecord for T {}

fn decode_args<A: ArgsRecord>(raw: &RawValue) -> Result<A> {
    let shape = A::shape();
    debug_assert_eq!(shape.role, Role::Args);
    let args: A = serde_json::from_str(raw.get()).map_err(|error| {
        let text = error.to_string();
        // The position counts within the arguments alone, which the caller may not have sent as such.
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
        let text = match text.strip_prefix("at `") {
            Some(rest) => format!("argument `{rest}"),
            None => text.to_owned(),
        };
        Error::bad_request(format!("{}: {text}", shape.name))
    })?;
    crate::validate::check(&args, shape, || shape.name.to_owned())?;
    Ok(args)
}

/// Types that callers can send as an argument: they deserialize and have a JSON Schema.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    label = "callers cannot send this",
    note = "an argument implements `Deserialize` and `JsonSchema`: scalars, `String`, `Option`, `Vec`, models and embeds do"
)]
pub trait Argument: for<'de> Deserialize<'de> + schemars::JsonSchema + Send + 'static {}
impl<T: for<'de> Deserialize<'de> + schemars::JsonSchema + Send + 'static> Argument for T {}

/// What a handler answers: a `Result` of something that serializes and has a JSON Schema.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the answer of a handler",
    label = "callers cannot receive this",
    note = "a handler answers with `Result<T>`, where `T` implements `Serialize` and `JsonSchema`"
)]
pub trait Answer {
    /// What callers receive.
    type Value: Serialize + schemars::JsonSchema;

    /// The value, or why there is none.
    fn into_result(self) -> Result<Self::Value>;
}
impl<T: Serialize + schemars::JsonSchema, E: Into<Error>> Answer for Result<T, E> {
    type Value = T;

    fn into_result(self) -> Result<T> {
        self.map_err(Into::into)
    }
}

/// The schema of an argument.
#[doc(hidden)]
pub fn argument_schema<T: Argument>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The schema of what an answer holds.
#[doc(hidden)]
pub fn answer_schema<A: Answer>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<A::Value>()
}

/// Encodes what a handler answers.
#[doc(hidden)]
pub fn encode_answer<A: Answer>(answer: A) -> Result<Json> {
    let value = answer.into_result()?;
    let text = serde_json::to_string(&value)
        .map_err(|e| Error::internal(format!("the result has no JSON form: {e}")).with_source(e))?;
    Ok(Json(text.into()))
}

/// Every handler of the program, by name.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    handlers: BTreeMap<&'static str, &'static HandlerDef>,
}

impl Registry {
    /// The handlers that are linked into the program.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub fn collect() -> Result<Self> {
        Self::new(inventory::iter::<HandlerDef>)
    }

    /// These handlers.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`](crate::ErrorCode::Internal) where two have the same name.
    pub fn new(handlers: impl IntoIterator<Item = &'static HandlerDef>) -> Result<Self> {
        let mut all = BTreeMap::new();
        for handler in handlers {
            if all.insert(handler.name, handler).is_some() {
                return Err(Error::internal(format!("two handlers are named {}; rename one", handler.name)));
            }
        }
        Ok(Self { handlers: all })
    }

    /// Every handler, by name.
    pub fn iter(&self) -> impl Iterator<Item = &'static HandlerDef> {
        self.handlers.values().copied()
    }

    /// A handler that clients may call.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound), the same for internal, missing and wrong-kind ones.
    pub fn public(&self, kind: HandlerKind, name: &str) -> Result<&'static HandlerDef> {
        self.any(kind, name).ok().filter(|handler| !handler.internal).ok_or_else(|| not_found(kind, name))
    }

    /// A handler that other handlers may call.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound).
    pub fn any(&self, kind: HandlerKind, name: &str) -> Result<&'static HandlerDef> {
        self.handlers
            .get(name)
            .copied()
            .filter(|handler| handler.kind == kind)
            .ok_or_else(|| not_found(kind, name))
    }
}

fn not_found(kind: HandlerKind, name: &str) -> Error {
    let shown: String = name.chars().take(64).collect();
    Error::not_found(format!("there is no {} named `{shown}`", kind.as_str()))
}
