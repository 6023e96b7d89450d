//! Addresses, ports and signals.

use std::io;
use std::net::SocketAddr;

use forge_core::{Error, Result};
use tokio::net::{TcpListener, TcpSocket, lookup_host};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Takes the address, without accepting connections yet.
///
/// # Errors
/// One line that names `FORGE_HOST` or `FORGE_PORT`.
pub(crate) async fn reserve(host: &str, port: u16) -> Result<TcpSocket> {
    let unknown = |why: &dyn std::fmt::Display| {
        Error::bad_request(format!("FORGE_HOST: {host} is no address here: {why}"))
    };
    let mut addresses = lookup_host((host, port)).await.map_err(|error| unknown(&error))?;
    let address: SocketAddr = addresses.next().ok_or_else(|| unknown(&"the name has no address"))?;
    let bound = || -> io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A server that was just stopped leaves connections behind that would keep the port for minutes.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    bound().map_err(|error| refused(address, error))
}

/// Starts to accept connections.
///
/// # Errors
/// As [`reserve`].
pub(crate) fn listen(socket: TcpSocket, port: u16) -> Result<TcpListener> {
    let address = socket.local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], port)));
    socket.listen(BACKLOG).map_err(|error| refused(address, error))
}

fn refused(address: SocketAddr, error: io::Error) -> Error {
    let port = address.port();
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "FORGE_PORT: another program listens on {address}; stop it, or set FORGE_PORT to a free port (0 takes any)"
        ),
        io::ErrorKind::PermissionDenied => {
            format!(
                "FORGE_PORT: listening on port {port} needs more rights; set FORGE_PORT to one from 1024 up"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "FORGE_HOST: {} is no address of this machine; 127.0.0.1 and 0.0.0.0 always are",
                address.ip()
            )
        }
        _ => format!("FORGE_HOST, FORGE_PORT: cannot listen on {address}: {error}"),
    };
    Error::unavailable(text).with_source(error)
}

/// Ends when the program is asked to stop: SIGINT, and SIGTERM where there is one.
pub(crate) async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_told_before_anything_else_happens() {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let error = reserve("127.0.0.1", port).await.unwrap_err();
        assert!(error.to_string().starts_with("FORGE_PORT: another program listens on"), "{error}");
    }

    #[tokio::test]
    async fn port_0_takes_any() {
        let listener = listen(reserve("localhost", 0).await.unwrap(), 0).unwrap();
        assert_ne!(listener.local_addr().unwrap().port(), 0);
    }

    #[tokio::test]
    async fn an_address_of_another_machine_names_the_variable() {
        let error = reserve("192.0.2.1", 0).await.unwrap_err();
        assert!(error.to_string().starts_with("FORGE_HOST: 192.0.2.1"), "{error}");
    }
}
