//! The two directions of a WebSocket. `tungstenite` reads; what it answers by itself, and everything else, is written by
//! the writer alone, so that reading and writing share nothing and a frame leaves from where it stands.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use crate::live::outbox::{Closing, Outbox, Text};

/// What an idle socket keeps for reading, in bytes. A longer frame gets the room it needs.
const READ_BUFFER: usize = 512;

/// The longest header of a frame without a mask, in bytes (RFC 6455, 5.2).
const HEADER: usize = 10;

/// The frames that a client sends.
pub(super) struct Incoming(WebSocketStream<Source>);

impl Incoming {
    /// Frames of at most `longest` bytes from `read`, after `early`. Answers of the protocol go to `outbox`.
    pub(super) async fn new(
        read: Box<dyn AsyncRead + Send + Unpin>,
        early: &[u8],
        outbox: Arc<Outbox>,
        longest: usize,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(longest))
            .max_frame_size(Some(longest));
        let source = Source { read, outbox };
        // A copy: as they are, these bytes would keep all of what the request was read into.
        let early = early.to_vec();
        Self(WebSocketStream::from_partially_read(source, early, Role::Server, Some(config)).await)
    }

    /// The next message; none at the end of the connection.
    pub(super) async fn next(&mut self) -> Option<Result<Message, Error>> {
        self.0.next().await
    }

    /// Reads and forgets. A connection that is dropped while something waits to be read is reset, and the client might
    /// never see what was written last.
    pub(super) async fn drain(self) {
        let mut source = self.0.into_inner();
        let mut buffer = [0; READ_BUFFER];
        while matches!(source.read.read(&mut buffer).await, Ok(1..)) {}
    }
}

/// Where frames are read from. What is written to it waits in the outbox.
struct Source {
    read: Box<dyn AsyncRead + Send + Unpin>,
    outbox: Arc<Outbox>,
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(context, buffer)
    }
}

impl AsyncWrite for Source {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outbox.reply(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The frames that a client is sent.
pub(super) struct Outgoing(pub(super) Box<dyn AsyncWrite + Send + Unpin>);

impl Outgoing {
    /// Sends a text frame.
    pub(super) async fn text(&mut self, text: &Text) -> io::Result<()> {
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        let [head, result, tail] = text.pieces();
        let mut first = Vec::with_capacity(HEADER + head.len());
        header.format(text.len() as u64, &mut first).map_err(io::Error::other)?;
        first.extend_from_slice(head.as_bytes());
        if result.is_empty() {
            return self.0.write_all(&first).await;
        }
        let mut frame = Buf::chain(first.as_slice(), result.as_bytes()).chain(tail.as_bytes());
        self.0.write_all_buf(&mut frame).await
    }

    /// Sends bytes as they are.
    pub(super) async fn reply(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// Asks whether the client is there.
    pub(super) async fn ping(&mut self) -> io::Result<()> {
        self.frame(Frame::ping(Bytes::new())).await
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
        self.frame(Frame::close(Some(CloseFrame { code, reason: reason.into() }))).await
    }

    /// Ends this direction.
    pub(super) async fn end(&mut self) {
        let _ = self.0.shutdown().await;
    }

    async fn frame(&mut self, frame: Frame) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(frame.len());
        frame.format(&mut bytes).map_err(io::Error::other)?;
        self.0.write_all(&bytes).await
    }
}

/// How a socket ends whose client sent something that cannot be read; none where there is nobody to tell.
pub(super) fn ending(error: &Error) -> Option<Closing> {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Some(Closing::TooLarge),
        Error::Utf8(_) => Some(Closing::NotText),
        Error::Protocol(_) => Some(Closing::Malformed),
        _ => None,
    }
}
