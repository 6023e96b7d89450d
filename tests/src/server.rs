//! The application of [`app`](crate::app), served in this process, on a port of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use forge::adapter::Adapter;
use forge::feed::FanOut;
use forge::server::auth::AuthResolver;
use forge::server::databases::RequestHeaders;
use forge::server::{App, Limits, Platform};
use forge::{Catalog, Db, Env, Result};
use forge_embedded::EmbeddedDriver;
use forge_mongo::{Driver, MongoAdapter};
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Counting;
use crate::engine::random;
use crate::http::Client;
use crate::socket::Socket;

/// The drivers that servers of this process are about to open, by URL: a platform is a type, and holds nothing.
static DRIVERS: Mutex<Option<HashMap<String, Arc<Counting>>>> = Mutex::new(None);

fn with_drivers<T>(work: impl FnOnce(&mut HashMap<String, Arc<Counting>>) -> T) -> T {
    work(DRIVERS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// A server under test.
#[derive(Debug)]
pub struct TestServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its driver, which counts.
    pub driver: Arc<Counting>,
    /// Its database, past handlers.
    pub db: Db,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<()>>,
}

impl TestServer {
    /// A server in memory with the usual limits.
    pub async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    /// A server in memory with `limits`.
    pub async fn with(limits: Limits) -> Self {
        Self::set_up(Self::memory(), |app| app.limits(limits)).await
    }

    /// A server in memory where callers are known by `resolver`.
    pub async fn with_auth(resolver: impl AuthResolver) -> Self {
        Self::set_up(Self::memory(), |app| app.auth(resolver)).await
    }

    /// A server in memory that tells its metrics.
    pub async fn with_metrics() -> Self {
        Self::set_up(Self::memory(), |app| app.metrics(true)).await
    }

    /// A server in memory that tells others of changes, and is told.
    pub async fn with_fan_out(fan_out: impl FanOut) -> Self {
        Self::set_up(Self::memory(), |app| app.fan_out(fan_out)).await
    }

    /// Another server on the same database, in touch with the others.
    pub async fn joined(&self, limits: Limits, fan_out: impl FanOut) -> Self {
        Self::set_up(self.driver.clone(), |app| app.limits(limits).fan_out(fan_out)).await
    }

    /// A server in memory with a database for each tenant, whom the header `x-tenant` names.
    pub async fn with_tenants() -> Self {
        let resolver = async |headers: RequestHeaders| {
            Ok(headers.get("x-tenant").map(|tenant| format!("tenant_{tenant}")))
        };
        Self::set_up(Self::memory(), |app| app.databases(resolver)).await
    }

    /// A server in memory that `configure` sets up, with another cluster in memory that handlers know as `archive`.
    pub async fn with_archive(configure: impl FnOnce(App<Counted>) -> App<Counted>) -> Self {
        let url = format!("memory:{:016x}", random());
        with_drivers(|drivers| drop(drivers.insert(url.clone(), Self::memory())));
        Self::set_up(Self::memory(), |app| configure(app).cluster("archive", url)).await
    }

    /// A server in memory that `configure` sets up.
    pub async fn configured(configure: impl FnOnce(App<Counted>) -> App<Counted>) -> Self {
        Self::set_up(Self::memory(), configure).await
    }

    /// A server on `driver`.
    pub async fn on(driver: Arc<dyn Driver>) -> Self {
        let database = driver.default_database().to_owned();
        Self::set_up(Arc::new(Counting::new(driver, database)), |app| app).await
    }

    fn memory() -> Arc<Counting> {
        let inner = EmbeddedDriver::memory(forge::system_env()).unwrap();
        Arc::new(Counting::new(Arc::new(inner), "forge".to_owned()))
    }

    /// Another server on the same database.
    pub async fn beside(&self, limits: Limits) -> Self {
        Self::set_up(self.driver.clone(), |app| app.limits(limits)).await
    }

    async fn set_up(driver: Arc<Counting>, configure: impl FnOnce(App<Counted>) -> App<Counted>) -> Self {
        let url = format!("memory:{:016x}", random());
        with_drivers(|drivers| drop(drivers.insert(url.clone(), driver.clone())));
        let server = configure(App::new().database(url)).build().await.unwrap();
        let db = server.db().clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
        driver.take();
        Self { address, driver, db, stop: Some(stop), serving }
    }

    /// A client.
    pub fn http(&self) -> Client {
        Client(self.address)
    }

    /// A socket.
    pub async fn socket(&self) -> Socket {
        Socket::open(self.address).await
    }

    /// Asks it to stop.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Ends it at once, without closing the database.
    pub fn vanish(self) {
        self.serving.abort();
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What it ended with.
    pub async fn ended(self) -> Result<()> {
        tokio::time::timeout(crate::socket::PATIENCE, self.serving).await.unwrap().unwrap()
    }
}

/// Opens the driver that a test put into its list.
#[derive(Debug)]
pub struct Counted;

impl Platform for Counted {
    fn connect(url: String, catalog: Arc<Catalog>, _: Env) -> BoxFuture<'static, Result<Arc<dyn Adapter>>> {
        let driver = with_drivers(|drivers| drivers.remove(&url));
        Box::pin(async move {
            let driver =
                driver.ok_or_else(|| forge::Error::internal(format!("no driver is meant for {url}")))?;
            Ok(Arc::new(MongoAdapter::new(driver, catalog)) as Arc<dyn Adapter>)
        })
    }

    fn env() -> Env {
        forge::system_env()
    }
}
