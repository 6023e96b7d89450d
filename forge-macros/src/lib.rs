//! The derive and attribute macros of Forge: [`Model`](macro@Model), [`Embed`](macro@Embed), [`query`](macro@query) and
//! [`mutation`](macro@mutation). The pages of the four are the manual of their attributes.
//!
//! Programs use them through the `forge` crate, which re-exports them.
//!
//! Every macro goes through the same steps, a file each: `ast` parses attributes into set-once slots, `check` compares
//! them with each other, `expand` writes. All errors are collected and shown at once, each at the place in the program
//! that causes it; after an error stubs are written, so that the rest of the program still compiles.

mod attr;
mod diag;
mod embed;
mod handler;
mod model;
mod names;
mod projection;
mod spans;
#[cfg(test)]
mod tests;
mod ty;

use proc_macro::TokenStream;

/// Makes a struct the documents of a collection.
///
/// ```ignore
/// use forge::prelude::*;
///
/// /// A flight.
/// #[derive(Debug, Clone, Model)]
/// #[model(timestamps, soft_delete, index(origin_id, date = -1))]
/// pub struct Flight {
///     #[model(id)]
///     pub id: Id<Flight>,
///     pub date: DateTime,
///     #[validate(range(min = -60))]
///     pub delay: i32,
///     pub origin_id: String,
///     #[model(belongs_to(key = origin_id, on_delete = cascade))]
///     pub origin: BelongsTo<Airport>,
/// }
/// ```
///
/// Besides the traits that the rest of Forge needs, this makes, with the visibility of the struct:
///
/// | | |
/// |---|---|
/// | `FlightFields` | the typed fields that closures receive: <code>\|f\| f.delay.gt(5)</code> |
/// | `NewFlight` | what an insert takes: all fields but relations and what Forge keeps; generated ids, fields with a default, and fields that clients cannot write are `Option`s |
/// | `FlightPatch` | a partial change: every field but the id as an `Option`; of an `Option`, an `Option<Option<_>>`, in which the inner none removes the value |
///
/// and `Serialize`, `Deserialize` and `JsonSchema` for all three. In BSON a model has its stored names and all fields; in
/// JSON its client names, without private fields, and with relations that are loaded.
///
/// The types of the fields need `Serialize`, `Deserialize`, `JsonSchema`, `Debug`, `Clone`, `Send` and `Sync`.
///
/// # Attributes of the struct
///
/// | form | meaning |
/// |---|---|
/// | `collection = "flights"` | The collection. Without it: the plural of the struct's name in snake case (`Flight` → `flights`, `City` → `cities`, `FlightLeg` → `flight_legs`). |
/// | `timestamps` | Forge keeps `createdAt` and `updatedAt`, both indexed. Filter and sort by `f.created_at` and `f.updated_at`; declare `created_at: DateTime` to read it. |
/// | `soft_delete` | A delete sets `deletedAt`. Declare `deleted_at: Option<DateTime>` to read it. |
/// | `sync` | Clients may replicate the model. |
/// | `client(a, b)` | Only these fields and relations are for clients; all others are private. |
/// | `policy = OwnNotes` | What callers may see and change: a type that implements `Policy` of this model. |
/// | `index(a, b = -1, …)` | An index over several fields; see below. May be repeated. |
/// | `json_schema`, `json_schema(strict, error)` | The collection checks documents by a `$jsonSchema`: by default it only warns, and lets documents be that were wrong before. |
/// | `view(source = Flight, pipeline = delays)` | A view: only read, made by the stages that `fn delays()` answers with. With `materialized` or `materialized = merge` it is stored, and brought up to date by `db.refresh`. |
/// | `shard_key(tenant_id, id = "hashed", unique)` | By what a cluster divides the collection. |
/// | `crate = "my_forge"` | The path of the `forge` crate, where it has another name. |
///
/// # Attributes of fields
///
/// | form | meaning |
/// |---|---|
/// | `id` | The id, stored as `_id`: exactly one field. `Id<Self>` and `Uuid` are generated where an insert gives none; strings, integers and other scalars must be given. |
/// | `private` | Never leaves the server, and clients cannot write it. |
/// | `readonly` | Clients read it and cannot write it. |
/// | `index`, `index = -1`, `index = "2dsphere"`, `index(unique, …)` | An index of this field, with the options below. |
/// | `unique` | A unique index; sparse where the field is an `Option`. |
/// | `default`, `default = 5` | What an insert stores where nothing is given: `Default::default()`, or the expression. A `&str` does for a `String`, a bare value for an `Option`. |
/// | `text`, `text(weight = 10)` | Part of the collection's text index. For `String`, `Option<String>`, `Vec<String>`. |
/// | `embed` | The type, or the type inside the `Option`, derives [`Embed`](macro@Embed). |
/// | `embed_many` | So does the type inside the `Vec`. |
/// | `belongs_to(key = origin_id)` | On a `BelongsTo<T>`: the field `origin_id` of this struct holds the id of a `T`. With `on_delete = cascade`, `set_null` (an optional key), `restrict` or `no_action`: what becomes of this document when the `T` is deleted; without it, nothing. |
/// | `has_many(key = origin_id)` | On a `HasMany<T>`: the field `origin_id` of `T` holds the id of this document. |
/// | `has_one(key = origin_id)` | On a `HasOne<T>`: the same, for one document at most. |
///
/// # Options of indexes
///
/// In `index(…)` of a struct, the fields come with a kind: `a` (ascending), `a = 1`, `a = -1`, `a = "2dsphere"`, `a = "2d"`,
/// `a = "hashed"`, `a = "text"` or, with its weight, `a = text(10)`. Paths into embeds, as they are stored, stand in quotes:
/// `"home.city" = -1`; `"$**"` is every field. Everywhere, these options may follow:
///
/// | form | meaning |
/// |---|---|
/// | `unique` | No two documents hold the same key. |
/// | `sparse` | Documents without the field are left out. |
/// | `ttl = 3600`, `ttl = "7d"` | Documents expire that long after the date in the only field. Units: s, m, h, d, w. |
/// | `partial = r#"{ "active": true }"#` | Only documents that match this filter, in JSON with stored names. |
/// | `collation(locale = "en", strength = 2)` | How strings compare; without a strength, 3. |
/// | `projection = r#"{ "secret": 0 }"#` | Which fields an index over `"$**"` holds. |
/// | `language = "german"` | The language of a text index. |
/// | `hidden` | Kept up to date, not used by queries. |
/// | `name = "by_name"` | Its name; without one MongoDB's own, `a_1_b_-1`. |
///
/// # serde and validator
///
/// `#[serde(rename_all = "…")]` on the struct (all eight rules), `#[serde(rename = "…")]` and `#[serde(default)]` or
/// `#[serde(default = "function")]` on fields hold for stored and client names alike; a default also stands in for fields
/// that old documents lack. Anything else in `#[serde(…)]` is an error. `createdAt`, `updatedAt` and `deletedAt` are always
/// stored under these names; a rename changes what clients see.
///
/// `#[validate(…)]` on fields takes the rules of the `validator` crate. They are checked on inserts, and on those fields
/// that a partial change holds. Embeds are checked without being told.
#[proc_macro_derive(Model, attributes(model, serde, validate))]
pub fn derive_model(input: TokenStream) -> TokenStream {
    model::derive(input.into()).into()
}

/// Makes a struct a part of documents: the type of a field with `#[model(embed)]` or `#[model(embed_many)]`.
///
/// ```ignore
/// use forge::prelude::*;
///
/// #[derive(Debug, Clone, Embed)]
/// pub struct Address {
///     #[validate(length(min = 1))]
///     pub city: String,
///     #[model(private)]
///     pub code: Option<String>,
/// }
///
/// #[derive(Debug, Clone, Model)]
/// pub struct Person {
///     #[model(id)]
///     pub id: Id<Person>,
///     #[model(embed)]
///     pub home: Address,
///     #[model(embed_many)]
///     pub past: Vec<Address>,
/// }
/// ```
///
/// Its fields are reached through the model's: `|p| p.home.city.eq("Salem")`, and
/// `|p| p.past.some(|a| a.city.eq("Salem"))`.
///
/// | form | where | meaning |
/// |---|---|---|
/// | `crate = "my_forge"` | struct | The path of the `forge` crate, where it has another name. |
/// | `private` | field | Never leaves the server, and clients cannot write it. |
/// | `readonly` | field | Clients read it and cannot write it. |
/// | `embed`, `embed_many` | field | The field is an embed itself, or a list of them. |
///
/// `#[serde(…)]` and `#[validate(…)]` are as in [`Model`](macro@Model). An embed has no id, no indexes and no relations.
#[proc_macro_derive(Embed, attributes(model, serde, validate))]
pub fn derive_embed(input: TokenStream) -> TokenStream {
    embed::derive(input.into()).into()
}

/// Makes a struct a part of a model: what `.project::<…>()` reads, and nothing else is sent by the database.
///
/// ```ignore
/// use forge::prelude::*;
///
/// #[derive(Debug, Projection)]
/// #[projection(model = Airport)]
/// pub struct AirportCard {
///     pub iata: String,
///     pub name: String,
///     #[projection(path = address.city)]
///     pub city: Option<String>,
///     #[projection(count = departures)]
///     pub flights: u64,
///     pub departures: Vec<FlightCard>,
/// }
///
/// let cards = db.find::<Airport>().include(|a| a.departures.limit(3)).project::<AirportCard>().await?;
/// ```
///
/// Every field is read from the field of the model with its name, or from the one that `path` names. The compiler checks
/// that the model has it and that the types agree: a field is read as its own type or an `Option` of it, a relation to one
/// as `Option<P>`, a relation to many as `Vec<P>`, where `P` is a model or another projection.
///
/// | form | where | meaning |
/// |---|---|---|
/// | `model = Airport` | struct | The model. Required. |
/// | `crate = "my_forge"` | struct | The path of the `forge` crate, where it has another name. |
/// | `path = address.city` | field | The field of the model, where it has another name or is inside of an embed. |
/// | `count = departures` | field | The number of related documents: a `u64`. |
///
/// It makes `Serialize` and `JsonSchema`, by the names of the struct; `#[serde(rename = "…")]` and
/// `#[serde(rename_all = "…")]` change them. What is private in the model is read, and does not reach clients.
#[proc_macro_derive(Projection, attributes(projection, serde))]
pub fn derive_projection(input: TokenStream) -> TokenStream {
    projection::derive(input.into()).into()
}

/// Makes a function a query: callers run it by its name, and its results can be live.
///
/// ```ignore
/// use forge::prelude::*;
///
/// /// Delayed flights, worst first.
/// #[query]
/// async fn delayed(ctx: &QueryCtx, #[validate(range(min = 0))] minutes: i32) -> Result<Vec<Flight>> {
///     ctx.db.find::<Flight>().filter(|f| f.delay.gt(minutes)).sort(|f| f.delay.desc()).limit(50).await
/// }
/// ```
///
/// The function is async and takes `&QueryCtx` first, whose database only reads. The parameters after it are the arguments:
/// values of their own (not references), each with `Deserialize` and `JsonSchema`, and checked by `#[validate(…)]` rules.
/// An `Option` may be left out by callers; unknown arguments are refused. Comments on parameters describe them to clients.
/// It answers with a `Result<T>`, where `T` has `Serialize` and `JsonSchema`. It stays an ordinary function, too.
///
/// | form | meaning |
/// |---|---|
/// | `#[query]` | Clients may call it. |
/// | `#[query(internal)]` | Only other handlers may call it; from outside it is as if missing. |
/// | `#[query(crate = "my_forge")]` | The path of the `forge` crate, where it has another name. |
///
/// Handlers of a library crate are found only if the program names the crate: `use my_handlers as _;`.
#[proc_macro_attribute]
pub fn query(options: TokenStream, item: TokenStream) -> TokenStream {
    handler::attribute(handler::Kind::Query, options.into(), &item.into()).into()
}

/// Makes a function a mutation: callers run it by its name, and it may write.
///
/// ```ignore
/// use forge::prelude::*;
///
/// /// Cancels a flight.
/// #[mutation(transaction)]
/// async fn cancel(ctx: &MutationCtx, id: Id<Flight>) -> Result<Flight> {
///     ctx.db.delete::<Flight>(id).await
/// }
/// ```
///
/// All that is said of [`query`](macro@query) holds, but that the context is a `&MutationCtx`, whose database also writes.
///
/// | form | meaning |
/// |---|---|
/// | `#[mutation]` | Clients may call it. |
/// | `#[mutation(internal)]` | Only other handlers may call it; from outside it is as if missing. |
/// | `#[mutation(transaction)]` | It runs in a transaction, again after a conflict: all of its writes are made, or none. |
/// | `#[mutation(cron = "30 3 * * 1")]` | It also runs by itself, as [`cron`](macro@cron) says. |
/// | `#[mutation(crate = "my_forge")]` | The path of the `forge` crate, where it has another name. |
#[proc_macro_attribute]
pub fn mutation(options: TokenStream, item: TokenStream) -> TokenStream {
    handler::attribute(handler::Kind::Mutation, options.into(), &item.into()).into()
}

/// Makes a function a mutation that runs by itself, once for all processes of the program.
///
/// ```ignore
/// use forge::prelude::*;
///
/// /// Every Monday at 03:30 UTC.
/// #[cron("30 3 * * 1", transaction)]
/// async fn tidy(ctx: &MutationCtx) -> Result<u64> {
///     let limit = ctx.db.env().now() - Duration::from_secs(90 * 86_400);
///     ctx.db.delete_many::<Flight>().filter(|f| f.date.lt(limit)).await
/// }
/// ```
///
/// The expression is that of cron: minute, hour, day of the month, month, day of the week, in UTC; a sixth field in front
/// is the second. What follows it are the options of [`mutation`](macro@mutation); clients cannot call it. A time at which
/// no process ran is made up for once, at the next start. A run that fails is tried again.
#[proc_macro_attribute]
pub fn cron(options: TokenStream, item: TokenStream) -> TokenStream {
    handler::cron(options.into(), &item.into()).into()
}
