//! The two directions of a WebSocket. What the protocol answers by itself, and everything else, is written by the writer
//! alone, so that reading and writing share nothing and a frame leaves from where it stands.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};

use super::frames::{Frames, IDLE, Message};
use crate::deflate;
use crate::live::outbox::{Closing, Outbox, Text};

/// The longest header of a frame without a mask, in bytes (RFC 6455, 5.2).
const HEADER: usize = 10;

/// What a client says.
pub(super) struct Incoming {
    read: Box<dyn AsyncRead + Send + Unpin>,
    frames: Frames,
    outbox: Arc<Outbox>,
}

impl Incoming {
    /// The messages from `read`. Answers of the protocol go to `outbox`.
    pub(super) fn new(read: Box<dyn AsyncRead + Send + Unpin>, frames: Frames, outbox: Arc<Outbox>) -> Self {
        Self { read, frames, outbox }
    }

    /// The next message. Nothing is lost where waiting for it is given up.
    ///
    /// # Errors
    /// How the socket ends; none where there is nobody to tell.
    pub(super) async fn next(&mut self) -> Result<Message, Option<Closing>> {
        loop {
            if let Some(message) = self.frames.next()? {
                self.answer(&message)?;
                return Ok(message);
            }
            if !matches!(self.read.read_buf(self.frames.room()).await, Ok(1..)) {
                return Err(None);
            }
        }
    }

    /// What the protocol asks for (RFC 6455, 5.5.1 and 5.5.2).
    fn answer(&self, message: &Message) -> Result<(), Option<Closing>> {
        let frame = match message {
            Message::Ping(payload) => Frame::pong(payload.clone()),
            Message::Close(code) => Frame::close(code.map(|code| CloseFrame { code, reason: "".into() })),
            Message::Text(_) | Message::Binary | Message::Pong => return Ok(()),
        };
        self.outbox.reply(&written(frame).map_err(|_| None)?);
        Ok(())
    }

    /// Reads and forgets. A connection that is dropped while something waits to be read is reset, and the client might
    /// never see what was written last.
    pub(super) async fn drain(mut self) {
        let mut buffer = [0; IDLE];
        while matches!(self.read.read(&mut buffer).await, Ok(1..)) {}
    }
}

/// The frames that a client is sent.
pub(super) struct Outgoing {
    write: Box<dyn AsyncWrite + Send + Unpin>,
    /// From how many bytes on texts are compressed.
    compress_from: usize,
}

impl Outgoing {
    pub(super) fn new(write: Box<dyn AsyncWrite + Send + Unpin>, compress_from: usize) -> Self {
        Self { write, compress_from }
    }

    /// Sends a text frame.
    pub(super) async fn text(&mut self, text: &Text) -> io::Result<()> {
        if text.len() >= self.compress_from {
            return self.compressed(text).await;
        }
        let [head, result, tail] = text.pieces();
        self.pieces(false, head.as_bytes(), result.as_bytes(), tail.as_bytes()).await
    }

    /// Sends a text frame, compressed. What is shared was compressed once for all; what is the socket's own stands around
    /// it as it is, where it is little.
    async fn compressed(&mut self, text: &Text) -> io::Result<()> {
        let [head, _, tail] = text.pieces();
        let Some(shared) = text.shared() else {
            let whole = deflate::deflate(head.as_bytes()).map_err(io::Error::other)?;
            let end = whole.len() - deflate::FLUSHED.len();
            return self.pieces(true, &[], &whole[..end], &[]).await;
        };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        deflate::store(head.as_bytes(), &mut before);
        deflate::store(tail.as_bytes(), &mut after);
        after.push(deflate::END);
        self.pieces(true, &before, shared.deflated().map_err(io::Error::other)?, &after).await
    }

    async fn pieces(&mut self, rsv1: bool, head: &[u8], result: &[u8], tail: &[u8]) -> io::Result<()> {
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), rsv1, ..FrameHeader::default() };
        let mut first = Vec::with_capacity(HEADER + head.len());
        let length = head.len() + result.len() + tail.len();
        header.format(length as u64, &mut first).map_err(io::Error::other)?;
        first.extend_from_slice(head);
        if result.is_empty() {
            return self.write.write_all(&first).await;
        }
        let mut frame = Buf::chain(first.as_slice(), result).chain(tail);
        self.write.write_all_buf(&mut frame).await
    }

    /// Sends bytes as they are.
    pub(super) async fn reply(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write.write_all(bytes).await
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
        let _ = self.write.shutdown().await;
    }

    async fn frame(&mut self, frame: Frame) -> io::Result<()> {
        self.write.write_all(&written(frame)?).await
    }
}

fn written(frame: Frame) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
