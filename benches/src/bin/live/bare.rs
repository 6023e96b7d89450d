//! What the system alone takes: a server that writes the same frame to every socket, and does nothing else.

use std::io::{BufRead as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;

use forge_benches::process::{Look, answer};

use crate::Failure;

/// The argument under which the bench is this server; the length of a frame follows.
pub(crate) const BARE: &str = "--bare";
/// What it writes a frame for.
pub(crate) const WRITE: &str = "write";

/// Serves until standard input ends.
pub(crate) fn run(length: usize) -> Result<(), Failure> {
    let frame = update(length)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    answer(&listener.local_addr()?)?;
    let (opened, accepted) = channel::<TcpStream>();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if stream.set_nodelay(true).is_err() || opened.send(stream).is_err() {
                return;
            }
        }
    });
    let mut sockets = Vec::new();
    for line in std::io::stdin().lock().lines() {
        sockets.extend(accepted.try_iter());
        if line? == WRITE {
            sockets.iter_mut().try_for_each(|socket| socket.write_all(&frame))?;
        } else {
            answer(&Look::now(0))?;
        }
    }
    Ok(())
}

/// A frame of `length` bytes that begins as an update does.
fn update(length: usize) -> Result<Vec<u8>, Failure> {
    let payload = length.saturating_sub(4);
    let mut frame = vec![0x81, 126];
    frame.extend(u16::try_from(payload)?.to_be_bytes());
    frame.extend(br#"{"op":"update""#);
    frame.resize(4 + payload, b' ');
    Ok(frame)
}
