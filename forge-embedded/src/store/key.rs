//! Keys in memory.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// How long a key may be to need no memory of its own: keys of documents and of most index entries are shorter.
const INLINE: usize = 46;

/// The bytes of a key. A transaction copies the nodes that it changes, and with them their keys: that takes no more than
/// moving them, where they are short.
#[derive(Clone)]
pub(crate) enum KeyBytes {
    Short { len: u8, bytes: [u8; INLINE] },
    Long(Arc<[u8]>),
}

impl KeyBytes {
    /// A copy of `key`.
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..key.len()), u8::try_from(key.len())) {
            (Some(short), Ok(len)) => {
                short.copy_from_slice(key);
                Self::Short { len, bytes }
            }
            _ => Self::Long(Arc::from(key)),
        }
    }

    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for KeyBytes {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Ord for KeyBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl PartialOrd for KeyBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for KeyBytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for KeyBytes {}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_length_keep_their_bytes_and_their_order() {
        let long = [7; 2 * INLINE];
        let keys: Vec<_> = (0..long.len()).map(|length| KeyBytes::new(&long[..length])).collect();
        for (length, key) in keys.iter().enumerate() {
            assert_eq!(key.as_slice(), &long[..length]);
            assert_eq!(key, &key.clone());
        }
        assert!(keys.is_sorted());
        assert!(KeyBytes::new(&[8]) > KeyBytes::new(&long));
        assert_eq!(size_of::<KeyBytes>(), 48);
    }
}
