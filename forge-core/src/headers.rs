//! The headers of a request, as what transports hand over.

use std::fmt;
use std::sync::Arc;

/// The headers of a request as text, by lower-case name. Cheap to clone.
///
/// ```
/// use forge_core::RequestHeaders;
///
/// let headers: RequestHeaders = [("Accept-Language", "de"), ("X-Tenant", "a"), ("x-tenant", "b")].into_iter().collect();
/// assert_eq!(headers.get("accept-language"), Some("de"));
/// assert_eq!(headers.get("X-Tenant"), Some("a, b"));
/// assert_eq!(headers.get("cookie"), None);
/// ```
#[derive(Clone, Default)]
pub struct RequestHeaders(Option<Arc<Texts>>);

/// Every request has some: they are one text, and not one for each name and value.
struct Texts {
    /// Names and values, one after the other.
    text: String,
    /// Where each name ends, and its value. A name begins where the value before it ends.
    ends: Vec<(usize, usize)>,
}

/// How many bytes the headers of most programs have, and how many headers there are.
const ROOM: usize = 256;
const COUNT: usize = 8;

impl RequestHeaders {
    /// The value of a header, whatever the case of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|texts| texts.iter())
    }
}

/// Of several values of one name all count, with commas between them.
impl<'a> FromIterator<(&'a str, &'a str)> for RequestHeaders {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(headers: I) -> Self {
        let mut texts = Texts { text: String::with_capacity(ROOM), ends: Vec::with_capacity(COUNT) };
        headers.into_iter().for_each(|(name, value)| texts.add(name, value));
        // Sockets keep theirs for as long as they are open.
        texts.text.shrink_to_fit();
        texts.ends.shrink_to_fit();
        if texts.ends.is_empty() { Self::default() } else { Self(Some(Arc::new(texts))) }
    }
}

/// Values may be secrets: names alone are shown.
impl fmt::Debug for RequestHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

impl Texts {
    fn add(&mut self, name: &str, value: &str) {
        let known = self.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some(at) = known {
            let more = format!(", {value}");
            self.text.insert_str(self.ends[at].1, &more);
            self.ends[at].1 += more.len();
            for (name, value) in &mut self.ends[at + 1..] {
                *name += more.len();
                *value += more.len();
            }
            return;
        }
        let start = self.text.len();
        self.text.push_str(name);
        self.text[start..].make_ascii_lowercase();
        let end = self.text.len();
        self.text.push_str(value);
        self.ends.push((end, self.text.len()));
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |&(name, value)| {
            let pair = (&self.text[start..name], &self.text[name..value]);
            start = value;
            pair
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_name_are_joined_wherever_they_stand() {
        let headers: RequestHeaders =
            [("a", "1"), ("B", "2"), ("A", "3"), ("c", ""), ("b", "4"), ("a", "5")].into_iter().collect();
        let pairs: Vec<_> = headers.iter().collect();
        assert_eq!(pairs, [("a", "1, 3, 5"), ("b", "2, 4"), ("c", "")]);
        assert_eq!(headers.get("C"), Some(""));
    }

    #[test]
    fn values_are_not_shown() {
        let headers: RequestHeaders = [("cookie", "secret")].into_iter().collect();
        assert_eq!(format!("{headers:?}"), r#"{"cookie"}"#);
        assert_eq!(format!("{:?}", RequestHeaders::default()), "{}");
    }
}
