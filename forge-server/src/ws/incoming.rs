//! The direction from the client to the server.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tungstenite::protocol::frame::{CloseFrame, Frame};

use super::frames::{Frames, IDLE, Message};
use super::wire::written;
use crate::live::outbox::Outbox;
use crate::live::queue::Closing;

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
        match message {
            Message::Ping(payload) => {
                self.outbox.reply(written(Frame::pong(payload.clone())).map_err(|_| None)?);
            }
            Message::Close(code) => {
                let frame = Frame::close(code.map(|code| CloseFrame { code, reason: "".into() }));
                self.outbox.answer_end(written(frame).map_err(|_| None)?);
            }
            Message::Text(_) | Message::Binary | Message::Pong => {}
        }
        Ok(())
    }

    /// Reads and forgets. A connection that is dropped while something waits to be read is reset, and the client might
    /// never see what was written last.
    pub(super) async fn drain(mut self) {
        let mut buffer = [0; IDLE];
        while matches!(self.read.read(&mut buffer).await, Ok(1..)) {}
    }
}
