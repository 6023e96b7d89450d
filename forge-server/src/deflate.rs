//! DEFLATE (RFC 1951) as messages of WebSockets use it (RFC 7692, 7.2): raw blocks that end at a byte, so that what was
//! compressed once for all can stand between what was not.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use forge_core::{Error, Result};

/// Above this, JSON gets smaller by little and slower by much: a result of 4 KB is a fifth after 25 µs.
const LEVEL: u32 = 2;

/// The end of what is flushed to a byte: an empty block without compression, but for its first three bits. It is left
/// out at the end of a message.
pub(crate) const FLUSHED: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// What stands for [`FLUSHED`], left out, where the block before it ended at a byte already.
pub(crate) const END: u8 = 0x00;

/// The longest that a block without compression can be.
const STORED: usize = 0xffff;

/// By how much the room for what is inflated grows.
const STEP: usize = 4 * 1024;

thread_local! {
    // Each has tables of some hundred KiB, which are not made anew for every message.
    static DEFLATER: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(LEVEL), false));
    static INFLATER: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// `bytes` compressed, to a byte: ends with [`FLUSHED`], and refers to nothing before it.
///
/// # Errors
/// `internal` where the library refuses, which it has no reason for.
pub(crate) fn deflate(bytes: &[u8]) -> Result<Vec<u8>> {
    DEFLATER.with_borrow_mut(|deflater| {
        deflater.reset();
        let mut out = Vec::with_capacity(bytes.len() / 4 + 64);
        loop {
            let rest = bytes.get(consumed(deflater.total_in())..).unwrap_or_default();
            deflater
                .compress_vec(rest, &mut out, FlushCompress::Sync)
                .map_err(|error| Error::internal(format!("a text cannot be compressed: {error}")))?;
            // Room that is left says that all of it is out.
            if out.len() < out.capacity() {
                return Ok(out);
            }
            out.reserve(bytes.len() / 4 + 64);
        }
    })
}

/// Adds `bytes` to `out` as blocks without compression.
pub(crate) fn store(bytes: &[u8], out: &mut Vec<u8>) {
    for block in bytes.chunks(STORED) {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
}

/// Why a message cannot be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not DEFLATE.
    Malformed,
    /// It would be longer than allowed.
    TooLong,
}

/// What `message` was before it was compressed: at most `longest` bytes, however few say so.
pub(crate) fn inflate(mut message: Vec<u8>, longest: usize) -> Result<Vec<u8>, Unreadable> {
    message.extend_from_slice(&FLUSHED);
    INFLATER.with_borrow_mut(|inflater| {
        let mut out = Vec::new();
        let mut rest = message.as_slice();
        inflater.reset(false);
        while !rest.is_empty() {
            out.reserve(STEP);
            let before = inflater.total_in();
            let status = inflater
                .decompress_vec(rest, &mut out, FlushDecompress::Sync)
                .map_err(|_| Unreadable::Malformed)?;
            if out.len() > longest {
                return Err(Unreadable::TooLong);
            }
            rest = rest.get(consumed(inflater.total_in() - before)..).unwrap_or_default();
            match status {
                // A block may say that it is the last (RFC 7692, 7.2.3.4), and what was left out comes behind it.
                Status::StreamEnd => inflater.reset(false),
                Status::BufError if out.len() < out.capacity() => return Err(Unreadable::Malformed),
                Status::Ok | Status::BufError => {}
            }
        }
        Ok(out)
    })
}

fn consumed(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(bytes: &[u8]) -> Vec<u8> {
        let mut message = deflate(bytes).unwrap();
        assert!(message.ends_with(&FLUSHED));
        message.truncate(message.len() - FLUSHED.len());
        message
    }

    /// The examples of RFC 7692, 7.2.3.
    #[test]
    fn every_form_of_a_message_is_read() {
        let hello: [(&str, &[u8]); 4] = [
            ("one block", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
            ("no compression", &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00]),
            ("a last block", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]),
            ("two blocks", &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00]),
        ];
        for (what, bytes) in hello {
            assert_eq!(inflate(bytes.to_vec(), 5).as_deref(), Ok(&b"Hello"[..]), "{what}");
        }
        assert_eq!(inflate(vec![END], 0).as_deref(), Ok(&b""[..]), "nothing");
    }

    #[test]
    fn a_message_is_not_inflated_beyond_what_is_allowed() {
        let bomb = message(&vec![b' '; 10_000_000]);
        assert!(bomb.len() < 50_000, "{}", bomb.len());
        assert_eq!(inflate(bomb.clone(), 1_000_000), Err(Unreadable::TooLong));
        assert_eq!(inflate(bomb, 10_000_000).map(|all| all.len()), Ok(10_000_000));
    }

    proptest! {
        #[test]
        fn what_is_compressed_once_stands_between_what_is_not(
            parts in prop::collection::vec((any::<bool>(), prop::collection::vec(0_u8..9, 0..100_000)), 0..4),
        ) {
            let mut text = Vec::new();
            for (compressed, part) in &parts {
                match compressed {
                    true => text.extend(deflate(part).unwrap()),
                    false => store(part, &mut text),
                }
            }
            text.push(END);
            let whole: Vec<u8> = parts.into_iter().flat_map(|(_, part)| part).collect();
            prop_assert_eq!(inflate(text, whole.len()), Ok(whole));
        }

        #[test]
        fn bytes_of_any_kind_come_back_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
            prop_assert_eq!(inflate(message(&bytes), bytes.len()), Ok(bytes.clone()));
            if let Ok(all) = inflate(bytes, 5_000) {
                prop_assert!(all.len() <= 5_000);
            }
        }
    }
}
