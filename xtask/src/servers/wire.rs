//! As much of MongoDB's wire protocol as it takes to see whether a server is ready.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::process::{Context as _, Result};

const OP_MSG: i32 = 2013;
/// A reply to the two commands sent here is a few hundred bytes; more is not MongoDB's protocol.
const MAX_REPLY: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(5);

/// A BSON value, of the kinds that the commands below need.
enum Value<'a> {
    Int(i32),
    Text(&'a str),
    Document(Vec<(&'a str, Value<'a>)>),
    Array(Vec<(&'a str, Value<'a>)>),
}

/// Whether the server on `port` of this machine is a primary that takes writes. Asked by the command's older name, which
/// every server knows.
pub(crate) fn is_primary(port: u16) -> Result<bool> {
    let reply = call(port, &[("isMaster", Value::Int(1)), ("$db", Value::Text("admin"))])?;
    Ok(contains(&reply, b"\x08ismaster\0\x01"))
}

/// Makes the server on `port` the only member of the replica set `name`.
pub(crate) fn initiate(port: u16, name: &str) -> Result<()> {
    let host = format!("{}:{port}", Ipv4Addr::LOCALHOST);
    let member = vec![("_id", Value::Int(0)), ("host", Value::Text(&host))];
    let config =
        vec![("_id", Value::Text(name)), ("members", Value::Array(vec![("0", Value::Document(member))]))];
    call(port, &[("replSetInitiate", Value::Document(config)), ("$db", Value::Text("admin"))])?;
    Ok(())
}

/// Sends one command and returns the bytes of the document that answers it.
fn call(port: u16, command: &[(&str, Value<'_>)]) -> Result<Vec<u8>> {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let mut socket = TcpStream::connect_timeout(&address, TIMEOUT).context("connecting")?;
    socket.set_read_timeout(Some(TIMEOUT)).context("setting a timeout")?;
    socket.write_all(&message(command)?).context("sending")?;
    let mut length = [0; 4];
    socket.read_exact(&mut length).context("reading")?;
    let rest = usize::try_from(i32::from_le_bytes(length)).unwrap_or(0).saturating_sub(4);
    if !(17..=MAX_REPLY).contains(&rest) {
        return Err("the reply is not of MongoDB's protocol".into());
    }
    let mut reply = vec![0; rest];
    socket.read_exact(&mut reply).context("reading")?;
    // What remains of the header is 12 bytes, then 4 of flags and 1 for the section's kind.
    Ok(reply.split_off(17))
}

/// An `OP_MSG` with one body section.
fn message(command: &[(&str, Value<'_>)]) -> Result<Vec<u8>> {
    let body = document(command)?;
    let mut out = Vec::with_capacity(body.len() + 21);
    for word in [length(body.len() + 21)?, 1, 0, OP_MSG, 0] {
        out.extend(word.to_le_bytes());
    }
    out.push(0);
    out.extend(body);
    Ok(out)
}

fn document(fields: &[(&str, Value<'_>)]) -> Result<Vec<u8>> {
    let mut out = vec![0; 4];
    for (key, value) in fields {
        let (kind, bytes) = match value {
            Value::Int(number) => (0x10, number.to_le_bytes().to_vec()),
            Value::Text(text) => (0x02, string(text)?),
            Value::Document(fields) => (0x03, document(fields)?),
            Value::Array(items) => (0x04, document(items)?),
        };
        out.push(kind);
        out.extend(key.as_bytes());
        out.push(0);
        out.extend(bytes);
    }
    out.push(0);
    let total = length(out.len())?;
    out[..4].copy_from_slice(&total.to_le_bytes());
    Ok(out)
}

fn string(text: &str) -> Result<Vec<u8>> {
    let mut out = length(text.len() + 1)?.to_le_bytes().to_vec();
    out.extend(text.as_bytes());
    out.push(0);
    Ok(out)
}

fn length(bytes: usize) -> Result<i32> {
    i32::try_from(bytes).context("a message of 2 GiB")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that answers one command with `body` as the document's bytes.
    fn answering(body: &'static [u8]) -> (u16, thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            socket.read_exact(&mut length).unwrap();
            let mut request = vec![0; usize::try_from(i32::from_le_bytes(length)).unwrap() - 4];
            socket.read_exact(&mut request).unwrap();
            let mut reply = i32::try_from(body.len() + 21).unwrap().to_le_bytes().to_vec();
            reply.extend([0; 17]);
            reply.extend(body);
            socket.write_all(&reply).unwrap();
            request
        });
        (port, server)
    }

    #[test]
    fn the_question_is_a_well_formed_message_and_a_primary_is_recognized() {
        let (port, server) = answering(b"\x10\0\0\0\x08ismaster\0\x01\0");
        assert_eq!(is_primary(port), Ok(true));
        let request = server.join().unwrap();
        assert_eq!(request[8..12], OP_MSG.to_le_bytes());
        assert_eq!(request[17..], *b"\x22\0\0\0\x10isMaster\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0");
    }

    #[test]
    fn a_secondary_is_not_ready() {
        let (port, _server) = answering(b"\x10\0\0\0\x08ismaster\0\x00\0");
        assert_eq!(is_primary(port), Ok(false));
    }

    #[test]
    fn nobody_listening_is_an_error() {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        assert!(is_primary(port).is_err());
    }
}
