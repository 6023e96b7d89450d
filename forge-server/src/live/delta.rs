//! The difference between two results, as an RFC 6902 patch.
//!
//! Texts are compared as they are: parts that are spelled the same are skipped without a look inside, and what a patch
//! adds is copied from the new text, so that no number changes its spelling on the way.

mod list;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::ShortHash;

/// How to get from one result to the next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delta {
    /// The hash of the result that the patch is for.
    pub(crate) from: ShortHash,
    /// The operations, separated by commas: what stands between the brackets of the patch.
    pub(crate) operations: Box<str>,
}

/// The operations that make `new` of `old`, both JSON; none where they would not be shorter than `new` itself.
pub(crate) fn operations(old: &str, new: &str) -> Option<Box<str>> {
    let mut patch = Patch { path: String::new(), out: String::new(), limit: new.len() };
    patch.value(serde_json::from_str(old).ok()?, serde_json::from_str(new).ok()?).ok()?;
    patch.out.pop();
    (patch.out.len() + 2 < new.len()).then(|| patch.out.into())
}

/// The patch is as long as what it patches.
#[derive(Debug)]
struct TooLong;

type Patched = Result<(), TooLong>;

/// A patch in the making.
struct Patch {
    /// Where in the document, as a JSON pointer whose characters are escaped for a JSON string.
    path: String,
    /// Operations, each followed by a comma.
    out: String,
    /// The length at which `out` is given up.
    limit: usize,
}

impl Patch {
    /// Makes the value at the current path `new`.
    fn value(&mut self, old: &RawValue, new: &RawValue) -> Patched {
        if old.get() == new.get() {
            return Ok(());
        }
        let (start, limit) = (self.out.len(), self.limit);
        // What replacing the whole would cost bounds what its parts may.
        let whole =
            start + self.path.len() + new.get().len() + r#"{"op":"replace","path":"","value":},"#.len();
        self.limit = limit.min(whole);
        let parts = self.parts(old.get(), new.get());
        self.limit = limit;
        match parts {
            Some(Ok(())) => Ok(()),
            Some(Err(TooLong)) | None => {
                self.out.truncate(start);
                self.write("replace", None, Some(new.get()))
            }
        }
    }

    /// Patches part by part, where both values have parts.
    fn parts(&mut self, old: &str, new: &str) -> Option<Patched> {
        let length = self.path.len();
        let patched = match (old.as_bytes().first()?, new.as_bytes().first()?) {
            (b'{', b'{') => self.object(&members(old)?, &members(new)?),
            (b'[', b'[') => list::patch(self, &items(old)?, &items(new)?),
            _ => return None,
        };
        self.path.truncate(length);
        Some(patched)
    }

    fn object(&mut self, old: &[Member<'_>], new: &[Member<'_>]) -> Patched {
        for (key, _) in old.iter().filter(|(key, _)| find(new, key).is_none()) {
            self.at(key, |patch| patch.write("remove", None, None))?;
        }
        for (position, (key, value)) in new.iter().enumerate() {
            // Results of one type have their members in one order.
            let before = old.get(position).filter(|(known, _)| known == key).or_else(|| find(old, key));
            self.at(key, |patch| match before {
                Some((_, before)) => patch.value(before, value),
                None => patch.write("add", None, Some(value.get())),
            })?;
        }
        Ok(())
    }

    /// Does `work` one level deeper.
    fn at(&mut self, key: &str, work: impl FnOnce(&mut Self) -> Patched) -> Patched {
        let length = self.path.len();
        self.push(key);
        let done = work(self);
        self.path.truncate(length);
        done
    }

    fn push(&mut self, key: &str) {
        self.path.push('/');
        for character in key.chars() {
            match character {
                '~' => self.path.push_str("~0"),
                '/' => self.path.push_str("~1"),
                '"' | '\\' => self.path.extend(['\\', character]),
                control if (control as u32) < 0x20 => {
                    self.path.push_str(&format!("\\u{:04x}", control as u32));
                }
                plain => self.path.push(plain),
            }
        }
    }

    /// Writes an operation at the current path.
    fn write(&mut self, op: &str, from: Option<&str>, value: Option<&str>) -> Patched {
        for part in [r#"{"op":""#, op, r#"","path":""#, &self.path, "\""] {
            self.out.push_str(part);
        }
        if let Some(from) = from {
            self.out.extend([r#","from":""#, from, "\""]);
        }
        if let Some(value) = value {
            self.out.extend([r#","value":"#, value]);
        }
        self.out.push_str("},");
        // As long as a replacement of the whole is no gain, but no loss either.
        if self.out.len() <= self.limit { Ok(()) } else { Err(TooLong) }
    }
}

type Member<'a> = (Cow<'a, str>, &'a RawValue);

fn find<'m, 'a>(members: &'m [Member<'a>], key: &str) -> Option<&'m Member<'a>> {
    members.iter().find(|(known, _)| known == key)
}

fn items(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// The members of an object, in their order.
fn members(text: &str) -> Option<Vec<Member<'_>>> {
    serde_json::from_str::<Members<'_>>(text).ok().map(|members| members.0)
}

struct Members<'a>(Vec<Member<'a>>);

/// A key, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests;
