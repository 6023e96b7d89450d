use std::collections::{BTreeMap, HashMap};

use super::Field;

macro_rules! keyed {
    ($($map:ty),*) => {
        $(impl<M, K, V> Field<M, $map> {
            /// The value at a key: `f.rates.key("eur").gt(1.1)`. A document whose map has no such key is one without the
            /// field.
            ///
            /// Keys are part of the program's text. Maps are not stored with keys that are empty, hold a dot or begin with
            /// `$`, and such a key finds nothing.
            pub fn key(self, key: &'static str) -> Field<M, V> {
                self.at_path(key)
            }
        })*
    };
}

keyed!(BTreeMap<K, V>, HashMap<K, V>, Option<BTreeMap<K, V>>, Option<HashMap<K, V>>);
