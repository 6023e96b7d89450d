//! Whether texts of a socket are compressed: `permessage-deflate` (RFC 7692), without state from one message to the next,
//! in neither direction. So a socket keeps nothing for it, and a result is compressed once for all who see it.

use axum::http::header::SEC_WEBSOCKET_EXTENSIONS;
use axum::http::{HeaderMap, HeaderValue};

const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
const AGREED_WITH_WINDOW: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15";

/// The answer to the first offer that can be kept, if there is one.
pub(super) fn agreed(headers: &HeaderMap) -> Option<HeaderValue> {
    let offers =
        headers.get_all(SEC_WEBSOCKET_EXTENSIONS).into_iter().filter_map(|value| value.to_str().ok());
    let answer = offers.flat_map(|list| list.split(',')).find_map(answer)?;
    Some(HeaderValue::from_static(answer))
}

/// What `offer` is answered with; none where it is of another extension, or nothing that can be kept.
fn answer(offer: &str) -> Option<&'static str> {
    let mut parts = offer.split(';').map(str::trim);
    parts.next().filter(|name| *name == "permessage-deflate")?;
    let (mut seen, mut window) = (Vec::new(), false);
    for parameter in parts {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (parameter, None),
        };
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match (name, value) {
            (
                "server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits",
                None,
            ) => {}
            ("client_max_window_bits", Some(bits)) if (8..=15).any(|n: u8| bits == n.to_string()) => {}
            // A smaller window of ours would be one of this socket alone.
            ("server_max_window_bits", Some("15")) => window = true,
            _ => return None,
        }
    }
    Some(if window { AGREED_WITH_WINDOW } else { AGREED })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(offers: &[&'static str]) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        }
        agreed(&headers)
    }

    #[test]
    fn the_first_offer_that_can_be_kept_is_taken() {
        for offers in [
            &["permessage-deflate"][..],
            &["permessage-deflate; client_max_window_bits"],
            &["permessage-deflate;client_max_window_bits=\"12\" ; server_no_context_takeover"],
            &["x-webkit-deflate-frame, permessage-deflate"],
            &["other; a=b", "permessage-deflate; client_no_context_takeover"],
            &["permessage-deflate; server_max_window_bits=10, permessage-deflate"],
        ] {
            assert_eq!(of(offers).unwrap(), AGREED, "{offers:?}");
        }
        assert_eq!(of(&["permessage-deflate; server_max_window_bits=15"]).unwrap(), AGREED_WITH_WINDOW);
    }

    #[test]
    fn an_offer_that_cannot_be_kept_is_not_taken() {
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits=9",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=08",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; unknown",
        ] {
            assert_eq!(of(&[offer]), None, "{offer}");
        }
    }
}
