//! A wire between a driver and a server that can be cut.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};

/// Passes bytes on between a port of its own and a server.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    shut: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy to `target`, as in `127.0.0.1:27017`.
    pub async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(Vec::<AbortHandle>::new()));
        let shut = Arc::new(AtomicBool::new(false));
        let refuses = shut.clone();
        let (open, target) = (connections.clone(), target.to_owned());
        let accepting = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                if refuses.load(Ordering::SeqCst) {
                    continue;
                }
                let target = target.clone();
                let passing = tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(&target).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
                open.lock().unwrap().push(passing.abort_handle());
            }
        });
        Self { address, connections, shut, accepting }
    }

    /// The URL of the server through the proxy.
    pub fn through(&self, uri: &str) -> String {
        let (scheme, rest) = uri.split_once("://").unwrap();
        let (authority, options) = rest.split_once('/').unwrap_or((rest, ""));
        let user = authority.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
        // Otherwise the driver would ask the server for its own address, and pass the proxy by.
        let direct = match (options.contains("directConnection="), options.contains('?')) {
            (true, _) => "",
            (false, true) => "&directConnection=true",
            (false, false) => "?directConnection=true",
        };
        format!("{scheme}://{user}{}/{options}{direct}", self.address)
    }

    /// Breaks every connection. New ones work.
    pub fn cut(&self) -> usize {
        let open = std::mem::take(&mut *self.connections.lock().unwrap());
        open.iter().for_each(AbortHandle::abort);
        open.len()
    }

    /// Breaks every connection, and new ones at once, until it is opened.
    pub fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Lets new connections work again.
    pub fn open(&self) {
        self.shut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// The host and port in a URL of one server.
pub fn host_of(uri: &str) -> String {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.contains(':') { host.to_owned() } else { format!("{host}:27017") }
}
