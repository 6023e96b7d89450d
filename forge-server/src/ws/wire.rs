//! The direction from the server to the client: frames (RFC 6455, 5), made of what is a socket's own and what it shares.

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut as _};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};

use crate::deflate;
use crate::live::queue::{Closing, Shared, Text};

/// A ping without a payload (RFC 6455, 5.5.2).
const PING: [u8; 2] = [0x89, 0];

/// The longest header of a frame without a mask, in bytes (RFC 6455, 5.2).
const HEADER: usize = 10;

/// Up to how many bytes a frame is put together before it is sent: the system sends one piece by a shorter way than
/// several. A longer one leaves from where its pieces stand.
const GATHERED: usize = 16 * 1024;

thread_local! {
    /// Where frames are put together, one after the other.
    static GATHER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHERED));
}

/// The frames that a client is sent.
pub(crate) struct Wire {
    write: Box<dyn AsyncWrite + Send + Unpin>,
    /// From how many bytes on texts are compressed.
    compress_from: usize,
    /// The frame that was begun and has not gone in full.
    begun: Option<Box<Begun>>,
}

/// A frame on its way.
struct Begun {
    /// Nothing where the header stands before what is the socket's own.
    header: Header,
    /// What is the socket's own.
    first: Vec<u8>,
    /// What is sent to others as well, compressed or not.
    shared: Option<(Arc<Shared>, bool)>,
    last: Cow<'static, [u8]>,
    sent: usize,
}

impl Begun {
    /// A frame as it is.
    fn bytes(first: Vec<u8>) -> Self {
        Self { header: Header::default(), first, shared: None, last: Cow::default(), sent: 0 }
    }

    /// A text frame.
    fn text(text: Text, compress: bool) -> io::Result<Self> {
        let (head, shared, tail) = text.into_pieces();
        let (head, sent) = (head.into_bytes(), 0);
        if !compress {
            let length = head.len() + shared.as_ref().map_or(0, |shared| shared.len()) + tail.len();
            let (header, shared) = (Header::new(false, length)?, shared.map(|shared| (shared, false)));
            return Ok(Self { header, first: head, shared, last: Cow::Borrowed(tail.as_bytes()), sent });
        }
        let Some(shared) = shared else {
            let mut first = deflate::deflate(&head).map_err(io::Error::other)?;
            first.truncate(first.len() - deflate::FLUSHED.len());
            let header = Header::new(true, first.len())?;
            return Ok(Self { header, ..Self::bytes(first) });
        };
        // What is shared is compressed once for all; what is the socket's own stands around it as it is, since it is little.
        let (mut first, mut last) = (Vec::new(), Vec::new());
        deflate::store(&head, &mut first);
        deflate::store(tail.as_bytes(), &mut last);
        last.push(deflate::END);
        let deflated = shared.deflated().map_err(io::Error::other)?.len();
        let header = Header::new(true, first.len() + deflated + last.len())?;
        Ok(Self { header, first, shared: Some((shared, true)), last: Cow::Owned(last), sent })
    }

    fn pieces(&self) -> io::Result<[&[u8]; 4]> {
        let shared = match &self.shared {
            None => &[],
            Some((shared, false)) => shared.as_bytes(),
            Some((shared, true)) => shared.deflated().map_err(io::Error::other)?,
        };
        Ok([self.header.as_bytes(), &self.first, shared, &self.last])
    }

    fn poll(&mut self, write: &mut (dyn AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let [header, first, shared, last] = self.pieces()?;
            let mut left = Buf::chain(header, first).chain(shared).chain(last);
            left.advance(self.sent);
            let mut write = Pin::new(&mut *write);
            if !left.has_remaining() {
                // Of a connection that keeps back what is written to it.
                return write.poll_flush(cx);
            }
            let sent = if left.remaining() <= GATHERED {
                GATHER.with_borrow_mut(|gathered| {
                    gathered.clear();
                    gathered.put(left);
                    write.as_mut().poll_write(cx, gathered)
                })
            } else {
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = left.chunks_vectored(&mut slices);
                write.as_mut().poll_write_vectored(cx, &slices[..filled])
            };
            match ready!(sent)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
    }
}

/// The header of a frame.
#[derive(Default)]
struct Header {
    bytes: [u8; HEADER],
    length: usize,
}

impl Header {
    /// That of a text frame whose payload has `length` bytes.
    fn new(rsv1: bool, length: usize) -> io::Result<Self> {
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), rsv1, ..FrameHeader::default() };
        let mut bytes = [0; HEADER];
        let mut left = bytes.as_mut_slice();
        header.format(length as u64, &mut left).map_err(io::Error::other)?;
        let length = HEADER - left.len();
        Ok(Self { bytes, length })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Wire {
    /// The frames to `write`; texts are compressed from `compress_from` bytes on.
    pub(crate) fn new(write: Box<dyn AsyncWrite + Send + Unpin>, compress_from: usize) -> Self {
        Self { write, compress_from, begun: None }
    }

    /// Whether a frame was begun and has not gone in full.
    pub(crate) fn is_at_a_frame(&self) -> bool {
        self.begun.is_some()
    }

    /// Sends the rest of the frame that was begun.
    pub(crate) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(begun) = &mut self.begun else { return Poll::Ready(Ok(())) };
        let sent = ready!(begun.poll(&mut self.write, cx));
        self.begun = None;
        Poll::Ready(sent)
    }

    /// Begins a text frame, where none is begun: what cannot go at once is the rest.
    pub(crate) fn poll_text(&mut self, text: Text, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let compress = text.len() >= self.compress_from;
        self.begin(Begun::text(text, compress)?, cx)
    }

    /// Begins to send bytes as they are, where no frame is begun.
    pub(crate) fn poll_bytes(&mut self, bytes: Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.begin(Begun::bytes(bytes), cx)
    }

    fn begin(&mut self, mut frame: Begun, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = frame.poll(&mut self.write, cx);
        if sent.is_pending() {
            self.begun = Some(Box::new(frame));
        }
        sent
    }

    /// Sends a text frame.
    pub(super) async fn text(&mut self, text: Text) -> io::Result<()> {
        poll_fn(|cx| self.poll_rest(cx)).await?;
        self.begun = Some(Box::new(Begun::text(text, false)?));
        poll_fn(|cx| self.poll_rest(cx)).await
    }

    /// Says why this is the end.
    pub(super) async fn close(&mut self, reason: Closing) -> io::Result<()> {
        let (code, reason) = match reason {
            Closing::ByClient => return Ok(()),
            Closing::GoingAway => (CloseCode::Away, "the server is stopping"),
            Closing::Malformed => (CloseCode::Protocol, "these are no frames of a WebSocket client"),
            Closing::NotText => (CloseCode::Invalid, "the text is not UTF-8"),
            Closing::TooLarge => (CloseCode::Size, "the frame is too large"),
            Closing::TooSlow => (CloseCode::Again, "frames are taken too slowly"),
        };
        self.refuse(code, reason).await
    }

    /// Says why there is nothing to come.
    pub(super) async fn refuse(&mut self, code: CloseCode, reason: &str) -> io::Result<()> {
        // What follows the code has at most 123 bytes (RFC 6455, 5.5).
        let reason = &reason[..reason.floor_char_boundary(123)];
        let frame = Frame::close(Some(CloseFrame { code, reason: reason.into() }));
        self.write.write_all(&written(frame)?).await
    }

    /// Ends this direction.
    pub(super) async fn end(&mut self) {
        let _ = self.write.shutdown().await;
    }
}

/// A frame that asks whether the client is there.
pub(super) fn ping() -> Vec<u8> {
    PING.to_vec()
}

pub(super) fn written(frame: Frame) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
