//! What a client sends, frame by frame (RFC 6455, 5), put together to messages. Does no IO.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::deflate::{self, Unreadable};
use crate::live::queue::Closing;

/// What an idle socket keeps for reading, in bytes. A longer frame gets the room it needs.
pub(super) const IDLE: usize = 512;

/// The most room that is made for what was announced and is not there yet, in bytes.
const AHEAD: usize = 64 * 1024;

/// The longest payload of a control frame, in bytes (RFC 6455, 5.5).
const CONTROL: u64 = 125;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Text(String),
    /// Which nothing here understands.
    Binary,
    Ping(Vec<u8>),
    Pong,
    /// The end, and why, where the client says so.
    Close(Option<CloseCode>),
}

/// The frames of a client, in the order of their bytes.
#[derive(Debug)]
pub(super) struct Frames {
    /// What is read and not yet taken.
    buffer: Vec<u8>,
    /// The beginning of a message whose end is still to come.
    partial: Option<Partial>,
    /// Whether messages may be compressed.
    inflates: bool,
    /// The most bytes of a message, before and after it is inflated.
    longest: usize,
}

#[derive(Debug)]
struct Partial {
    is_text: bool,
    is_compressed: bool,
    bytes: Vec<u8>,
}

impl Frames {
    /// Begins with `early`, which was read already.
    pub(super) fn new(early: &[u8], inflates: bool, longest: usize) -> Self {
        Self { buffer: early.to_vec(), partial: None, inflates, longest }
    }

    /// Where to read more to.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        self.buffer.reserve(IDLE);
        &mut self.buffer
    }

    /// The next message, if all of it is there.
    ///
    /// # Errors
    /// How the socket ends, of which nothing else can be read then.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Closing> {
        loop {
            let mut cursor = Cursor::new(&self.buffer);
            let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Closing::Malformed)?;
            let Some((header, length)) = parsed else { return Ok(None) };
            let start = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
            self.check(&header, length)?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let end = start.saturating_add(length);
            if self.buffer.len() < end {
                self.buffer.reserve((end - self.buffer.len()).min(AHEAD));
                return Ok(None);
            }
            let payload = self.take(start, end, header.mask.unwrap_or_default());
            if let Some(message) = self.add(&header, payload)? {
                return Ok(Some(message));
            }
        }
    }

    /// What can be said of a frame by its header.
    fn check(&self, header: &FrameHeader, length: u64) -> Result<(), Closing> {
        let begins = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        let is_right = header.mask.is_some()
            && !(header.rsv2 || header.rsv3)
            && (!header.rsv1 || (begins && self.inflates))
            && match header.opcode {
                OpCode::Control(_) => header.is_final && length <= CONTROL,
                OpCode::Data(_) => begins == self.partial.is_none(),
            };
        if !is_right {
            return Err(Closing::Malformed);
        }
        let before = self.partial.as_ref().map_or(0, |partial| partial.bytes.len());
        let is_data = matches!(header.opcode, OpCode::Data(_));
        match usize::try_from(length) {
            Ok(length) if !is_data || before.saturating_add(length) <= self.longest => Ok(()),
            _ => Err(Closing::TooLarge),
        }
    }

    /// Takes a payload out of the buffer, without its mask.
    fn take(&mut self, start: usize, end: usize, mask: [u8; 4]) -> Vec<u8> {
        let mut payload = self.buffer[start..end].to_vec();
        payload.iter_mut().enumerate().for_each(|(i, byte)| *byte ^= mask[i % 4]);
        self.buffer.drain(..end);
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE {
            self.buffer = Vec::new();
        }
        payload
    }

    /// The message that ends with this frame, if one does.
    fn add(&mut self, header: &FrameHeader, payload: Vec<u8>) -> Result<Option<Message>, Closing> {
        let kind = match header.opcode {
            OpCode::Control(Control::Ping) => return Ok(Some(Message::Ping(payload))),
            OpCode::Control(Control::Pong) => return Ok(Some(Message::Pong)),
            OpCode::Control(_) => return close(&payload).map(Some),
            OpCode::Data(kind) => kind,
        };
        let partial = match self.partial.take() {
            Some(mut partial) => {
                partial.bytes.extend_from_slice(&payload);
                partial
            }
            None => Partial { is_text: kind == Data::Text, is_compressed: header.rsv1, bytes: payload },
        };
        if header.is_final {
            return self.whole(partial).map(Some);
        }
        self.partial = Some(partial);
        Ok(None)
    }

    fn whole(&self, message: Partial) -> Result<Message, Closing> {
        if !message.is_text {
            return Ok(Message::Binary);
        }
        let bytes = match message.is_compressed {
            true => deflate::inflate(message.bytes, self.longest).map_err(|reason| match reason {
                Unreadable::Malformed => Closing::Malformed,
                Unreadable::TooLong => Closing::TooLarge,
            })?,
            false => message.bytes,
        };
        String::from_utf8(bytes).map(Message::Text).map_err(|_| Closing::NotText)
    }
}

/// The end as the client says it (RFC 6455, 5.5.1).
fn close(payload: &[u8]) -> Result<Message, Closing> {
    let (code, reason) = match payload {
        [] => return Ok(Message::Close(None)),
        [high, low, reason @ ..] => (CloseCode::from(u16::from_be_bytes([*high, *low])), reason),
        [_] => return Err(Closing::Malformed),
    };
    if !code.is_allowed() {
        return Err(Closing::Malformed);
    }
    std::str::from_utf8(reason).map_err(|_| Closing::NotText)?;
    Ok(Message::Close(Some(code)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// A frame of a client.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
            long @ 126..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
            longer => {
                frame.push(0x80 | 127);
                frame.extend((longer as u64).to_be_bytes());
            }
        }
        frame.extend(KEY);
        frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    /// What is read of `bytes`, which arrive in pieces of `step`.
    fn read(bytes: &[u8], step: usize, inflates: bool, longest: usize) -> Result<Vec<Message>, Closing> {
        let mut frames = Frames::new(&[], inflates, longest);
        let mut messages = Vec::new();
        for piece in bytes.chunks(step) {
            frames.room().extend_from_slice(piece);
            while let Some(message) = frames.next()? {
                messages.push(message);
            }
        }
        assert!(frames.buffer.capacity() <= IDLE.max(8 * 1024) || !frames.buffer.is_empty());
        Ok(messages)
    }

    fn text(text: &str) -> Message {
        Message::Text(text.to_owned())
    }

    proptest! {
        #[test]
        fn messages_are_the_same_however_their_bytes_arrive(
            texts in prop::collection::vec(("\\PC{0,300}", any::<bool>(), 1_usize..5), 0..6),
            step in 1_usize..700,
        ) {
            let mut bytes = Vec::new();
            let mut wanted = Vec::new();
            for (sent, compressed, pieces) in &texts {
                let payload = match compressed {
                    true => [deflate::deflate(sent.as_bytes()).unwrap(), vec![deflate::END]].concat(),
                    false => sent.as_bytes().to_vec(),
                };
                let size = payload.len().div_ceil(*pieces).max(1);
                let parts: Vec<&[u8]> = if payload.is_empty() { vec![&[]] } else { payload.chunks(size).collect() };
                for (i, part) in parts.iter().enumerate() {
                    let opcode = if i == 0 { 0x01 | (u8::from(*compressed) << 6) } else { 0 };
                    bytes.extend(frame(opcode | (u8::from(i + 1 == parts.len()) << 7), part));
                    bytes.extend(frame(0x89, b"?"));
                }
                let pings = parts.len();
                wanted.extend((1..pings).map(|_| Message::Ping(b"?".to_vec())));
                wanted.extend([text(sent), Message::Ping(b"?".to_vec())]);
            }
            prop_assert_eq!(read(&bytes, step, true, 10_000), Ok(wanted));
        }

        #[test]
        fn no_bytes_panic_or_pile_up(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x81), Just(0xc1), Just(0x80)], 0..600),
            step in 1_usize..100,
        ) {
            let mut frames = Frames::new(&[], true, 1_000);
            for piece in bytes.chunks(step) {
                frames.room().extend_from_slice(piece);
                while let Ok(Some(_)) = frames.next() {}
                prop_assert!(frames.buffer.capacity() < 8_000);
            }
        }
    }

    #[test]
    fn compressed_texts_are_read_where_that_was_agreed() {
        // RFC 7692, 7.2.3.1: in one frame, and in two.
        let one = frame(0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        let two = [frame(0x41, &[0xf2, 0x48, 0xcd]), frame(0x80, &[0xc9, 0xc9, 0x07, 0x00])].concat();
        for bytes in [&one, &two] {
            assert_eq!(read(bytes, 1, true, 100), Ok(vec![text("Hello")]));
            assert_eq!(read(bytes, 1, false, 100), Err(Closing::Malformed));
        }
    }

    #[test]
    fn what_breaks_the_protocol_is_told_apart() {
        let compressed = |text: &[u8]| [deflate::deflate(text).unwrap(), vec![deflate::END]].concat();
        let cases: [(&str, Vec<u8>, Closing); 16] = [
            ("no mask", vec![0x81, 0x00], Closing::Malformed),
            ("the second reserved bit", frame(0xa1, b""), Closing::Malformed),
            ("the third reserved bit", frame(0x91, b""), Closing::Malformed),
            ("a compressed ping", frame(0xc9, b""), Closing::Malformed),
            (
                "a compressed end of a text",
                [frame(0x01, b"a"), frame(0xc0, b"b")].concat(),
                Closing::Malformed,
            ),
            ("an opcode that is none", frame(0x83, b""), Closing::Malformed),
            ("a ping in fragments", frame(0x09, b""), Closing::Malformed),
            ("a long ping", frame(0x89, &[0; 126]), Closing::Malformed),
            ("an end without a beginning", frame(0x80, b""), Closing::Malformed),
            ("a text within a text", [frame(0x01, b"a"), frame(0x81, b"b")].concat(), Closing::Malformed),
            ("half a code of the end", frame(0x88, &[3]), Closing::Malformed),
            ("a code that nobody may send", frame(0x88, &1_006_u16.to_be_bytes()), Closing::Malformed),
            ("what is no DEFLATE", frame(0xc1, &[0xff; 20]), Closing::Malformed),
            ("a text that is none", frame(0x81, &[0xc3, 0x28]), Closing::NotText),
            (
                "too much in pieces",
                [frame(0x01, &[b'a'; 60]), frame(0x80, &[b'a'; 60])].concat(),
                Closing::TooLarge,
            ),
            ("too much, compressed", frame(0xc1, &compressed(&[b'a'; 101])), Closing::TooLarge),
        ];
        for (what, bytes, closing) in cases {
            assert_eq!(read(&bytes, 1, true, 100), Err(closing), "{what}");
        }
        let huge = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes(), &KEY].concat();
        assert_eq!(read(&huge, 100, true, usize::MAX - 1), Err(Closing::TooLarge), "as long as can be");
    }

    #[test]
    fn an_announced_length_takes_no_room_before_it_is_there() {
        let mut frames = Frames::new(&frame(0x81, &vec![b'a'; 1_000_000])[..100], false, 2_000_000);
        assert_eq!(frames.next(), Ok(None));
        assert!(frames.room().capacity() < 2 * AHEAD);
    }

    #[test]
    fn ends_and_bytes_are_told() {
        assert_eq!(read(&frame(0x88, b""), 1, false, 9), Ok(vec![Message::Close(None)]));
        let going = [&1_001_u16.to_be_bytes()[..], b"bye"].concat();
        assert_eq!(read(&frame(0x88, &going), 9, false, 9), Ok(vec![Message::Close(Some(CloseCode::Away))]));
        let others = [frame(0x82, b"\xff"), frame(0x8a, b"")].concat();
        assert_eq!(read(&others, 3, false, 9), Ok(vec![Message::Binary, Message::Pong]));
    }
}
