//! Accounts of organizations, with something to hide in each.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forge::__private::schemars::{self, JsonSchema};
use forge::prelude::*;
use forge::query::{Page, Paged};
use forge::server::auth::Jwt;
use forge::server::{App, Limits};
use forge::services::{Connection, ErrorKind, Hooks, Multi, Service, ServiceError};
use forge_tests::http::Answer;
use forge_tests::server::{Counted, TestServer};
use forge_tests::socket::Socket;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What every account keeps in its private fields. It must never leave the server.
pub(crate) const CANARY: &str = "canary-5d21e8b7";
/// What handlers fail with: for the log, and for no client.
pub(crate) const INNER: &str = "inner-8c1f07";
const SECRET: &str = "a secret of thirty-two bytes or more";

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "accounts", timestamps)]
pub(crate) struct Account {
    #[model(id)]
    pub id: Id<Account>,
    #[model(tenant_key)]
    pub org: String,
    #[model(unique)]
    pub handle: String,
    #[validate(range(min = 0))]
    pub points: i32,
    #[model(embed)]
    pub home: Option<Home>,
    #[model(embed_many)]
    pub cards: Vec<Card>,
    /// Embeds that no attribute names.
    #[model(default)]
    pub homes: BTreeMap<String, Home>,
    #[model(default)]
    pub past: Vec<Home>,
    #[model(default)]
    pub place: Place,
    #[model(private, default = CANARY)]
    pub secret: String,
    #[model(readonly, default)]
    pub verified: bool,
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub(crate) struct Home {
    pub city: String,
    #[model(private)]
    pub door: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Place {
    #[default]
    Nowhere,
    At(Home),
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub(crate) struct Card {
    pub label: String,
    #[model(private)]
    pub digits: Option<String>,
}

#[query(auth)]
async fn accounts(ctx: &QueryCtx, least: i32) -> Result<Vec<Account>> {
    let db = ctx.db.tenant(ctx.auth.require()?.to_owned());
    db.find::<Account>().filter(|a| a.points.gte(least)).sort(|a| a.handle.asc()).await
}

#[query(auth)]
async fn account(ctx: &QueryCtx, id: Id<Account>) -> Result<Option<Account>> {
    ctx.db.tenant(ctx.auth.require()?.to_owned()).get::<Account>(id).await
}

#[query(auth)]
async fn account_page(ctx: &QueryCtx, page: Page) -> Result<Paged<Account>> {
    let db = ctx.db.tenant(ctx.auth.require()?.to_owned());
    db.find::<Account>().sort(|a| a.handle.asc()).page(page.at_most(50)).await
}

#[query(auth)]
async fn by_handle(ctx: &QueryCtx, word: String) -> Result<Vec<Account>> {
    let db = ctx.db.tenant(ctx.auth.require()?.to_owned());
    db.find::<Account>().filter(|a| a.handle.contains(word)).await
}

/// How the database runs a search for what is private.
#[query(auth)]
async fn explained(ctx: &QueryCtx) -> Result<Value> {
    let db = ctx.db.tenant(ctx.auth.require()?.to_owned());
    let explanation = db.find::<Account>().filter(|a| a.handle.ne("x")).explain().await?;
    Ok(serde_json::to_value(explanation)?)
}

#[mutation(auth)]
async fn open_account(ctx: &MutationCtx, account: NewAccount) -> Result<Account> {
    ctx.db.tenant(ctx.auth.require()?.to_owned()).insert(account).await
}

#[mutation(auth)]
async fn change_account(ctx: &MutationCtx, id: Id<Account>, patch: AccountPatch) -> Result<Account> {
    ctx.db.tenant(ctx.auth.require()?.to_owned()).update::<Account>(id).patch(patch).await
}

#[mutation(auth)]
async fn close_account(ctx: &MutationCtx, id: Id<Account>) -> Result<Account> {
    ctx.db.tenant(ctx.auth.require()?.to_owned()).delete::<Account>(id).await
}

/// Puts something to find where clients cannot put it.
#[mutation(auth)]
async fn hide(ctx: &MutationCtx, id: Id<Account>) -> Result<()> {
    let db = ctx.db.tenant(ctx.auth.require()?.to_owned());
    let home = Home { city: "Salem".to_owned(), door: Some(CANARY.to_owned()) };
    let card = Card { label: "gold".to_owned(), digits: Some(CANARY.to_owned()) };
    let homes = BTreeMap::from([("rome".to_owned(), home.clone())]);
    let update = db.update::<Account>(id).set(|a| a.homes, homes).set(|a| a.past, vec![home.clone()]);
    let update = update.set(|a| a.place, Place::At(home.clone()));
    update.set(|a| a.home, home).set(|a| a.cards, vec![card]).await.map(drop)
}

#[query]
async fn account_breaks(_ctx: &QueryCtx) -> Result<String> {
    Err(forge::Error::internal(format!("failed at {INNER}")))
}

#[query]
async fn account_panics(_ctx: &QueryCtx) -> Result<String> {
    panic!("{INNER}")
}

fn configured(app: App<Counted>) -> App<Counted> {
    let signed_in = Hooks::new().before([], |mut call| async move {
        let Some(auth) = call.params.caller.auth.clone() else {
            return Err(ServiceError::new(ErrorKind::NotAuthenticated, "sign in first"));
        };
        call.db = call.db.tenant(auth.subject.clone());
        Ok(call)
    });
    let every = [
        "$regex",
        "$options",
        "$exists",
        "$all",
        "$size",
        "$elemMatch",
        "$not",
        "$bitsAllSet",
        "$near",
        "$nearSphere",
        "$geoWithin",
        "$geoIntersects",
    ];
    app.auth(Jwt::secret(SECRET).unwrap().leeway(Duration::ZERO))
        .metrics(true)
        .service(Service::<Account>::new().multi(Multi::ALL).operators(every).hooks(signed_in))
        .service(Service::raw("loose_notes").path("loose_notes").multi(Multi::ALL).operators(every))
}

pub(crate) async fn server() -> TestServer {
    crate::logs::capture();
    TestServer::configured(configured).await
}

pub(crate) async fn server_with(limits: Limits) -> TestServer {
    crate::logs::capture();
    TestServer::configured(|app| configured(app).limits(limits)).await
}

/// A server whose sockets hear of what happens in the services of their organization.
pub(crate) async fn server_with_events() -> TestServer {
    crate::logs::capture();
    TestServer::configured(|app| {
        let org = |connection: &Connection| connection.auth().map(|auth| auth.subject.clone());
        configured(app)
            .on_login(move |connection, channels| {
                if let Some(org) = org(connection) {
                    channels.channel(org).join(connection);
                }
            })
            .publish(|event, channels| event.data["org"].as_str().map(|org| channels.channel(org)))
    })
    .await
}

pub(crate) fn token(org: &str) -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 600;
    let claims = json!({ "sub": org, "exp": seconds });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// Somebody who calls as an organization.
pub(crate) struct Caller<'s> {
    pub server: &'s TestServer,
    pub token: String,
}

impl<'s> Caller<'s> {
    pub(crate) fn new(server: &'s TestServer, org: &str) -> Self {
        Self { server, token: token(org) }
    }

    pub(crate) async fn call(&self, kind: &str, name: &str, args: Value) -> Answer {
        self.server.http().signed(kind, name, &self.token, &args).await
    }

    /// Calls something that succeeds.
    pub(crate) async fn done(&self, kind: &str, name: &str, args: Value) -> Value {
        let answer = self.call(kind, name, args).await;
        assert_eq!(answer.status, 200, "{kind} {name}: {answer:?}");
        answer.json()
    }

    pub(crate) async fn open(&self, handle: &str) -> Value {
        self.done("mutation", "open_account", json!({ "account": account_of(handle) })).await
    }

    /// Asks a service.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.server.http().send(method, &format!("/services/{path}"), &headers, &body).await.unwrap()
    }

    pub(crate) async fn socket(&self) -> Socket {
        let mut socket = self.server.socket().await;
        socket.send(json!({ "op": "auth", "token": self.token })).await;
        socket.expect("ready").await;
        socket
    }
}

pub(crate) fn account_of(handle: &str) -> Value {
    json!({ "handle": handle, "points": 1, "cards": [] })
}
