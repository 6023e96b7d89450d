//! What a handler saw of its caller, as part of the key under which results are shared.

use std::collections::BTreeSet;
use std::sync::Arc;

use forge_core::Caller;
use forge_core::auth::{Auth, SeenAuth};
use forge_core::context::Seen;
use serde_json::{Map, Value, json};

use crate::json::{canonical, short_hash};

/// How many headers, roles or claims are named, at most. Arguments may decide which of them a handler looks at, and clients
/// choose the arguments: beyond this all of them count.
const MOST_NAMES: usize = 32;

/// The facts named by `seen`, with this caller's values: equal for callers who get equal results. None where the handler
/// looks at nothing, so that everybody shares.
pub(crate) fn view(caller: &Caller, seen: &Seen) -> Option<Arc<str>> {
    if *seen == Seen::default() {
        return None;
    }
    let mut facts = Map::new();
    let headers = seen.headers.iter().map(|name| (name.clone(), caller.headers.get(name).into()));
    facts.insert("headers".into(), Value::Object(headers.collect()));
    if seen.all_headers {
        let all = caller.headers.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        facts.insert("allHeaders".into(), short_hash(canonical(&all).as_bytes()).to_string().into());
    }
    facts.insert("auth".into(), identity(caller.auth.as_deref(), &seen.auth).into());
    if seen.window {
        facts.insert("more".into(), caller.more.after.into());
    }
    if seen.window_before {
        facts.insert("before".into(), caller.more.before.into());
    }
    Some(canonical(&facts).into())
}

fn identity(auth: Option<&Auth>, seen: &SeenAuth) -> Map<String, Value> {
    let mut facts = Map::new();
    if seen.signed_in {
        facts.insert("signedIn".into(), auth.is_some().into());
    }
    if seen.subject {
        facts.insert("subject".into(), auth.map(|auth| auth.subject.as_str()).into());
    }
    let has = |role: &String| auth.is_some_and(|auth| auth.roles.contains(role));
    let roles = seen.roles.iter().map(|role| (role.clone(), has(role).into()));
    facts.insert("roles".into(), Value::Object(roles.collect()));
    if seen.all_roles {
        facts.insert("allRoles".into(), json!(auth.map(|auth| &auth.roles)));
    }
    // A list, since a claim that is null is not one that is missing.
    let claim =
        |name: &String| auth.and_then(|auth| auth.claims.get(name)).into_iter().cloned().collect::<Value>();
    let claims = seen.claims.iter().map(|name| (name.clone(), claim(name)));
    facts.insert("claims".into(), Value::Object(claims.collect()));
    if seen.all_claims {
        facts.insert("allClaims".into(), json!(auth.map(|auth| &auth.claims)));
    }
    if seen.expiry {
        let expires = auth.and_then(|auth| auth.expires_at);
        facts.insert("expires".into(), expires.map(forge_core::DateTime::millis).into());
    }
    facts
}

/// Whether `wide` holds everything in `narrow`.
pub(crate) fn covers(wide: &Seen, narrow: &Seen) -> bool {
    let mut both = wide.clone();
    extend(&mut both, narrow);
    both == *wide
}

/// Adds everything in `more` to `seen`, which stays bounded.
pub(crate) fn extend(seen: &mut Seen, more: &Seen) {
    seen.all_headers |= more.all_headers;
    add(&mut seen.headers, &more.headers, &mut seen.all_headers);
    seen.window |= more.window;
    seen.window_before |= more.window_before;
    let (auth, more) = (&mut seen.auth, &more.auth);
    auth.signed_in |= more.signed_in;
    auth.subject |= more.subject;
    auth.all_roles |= more.all_roles;
    auth.all_claims |= more.all_claims;
    auth.expiry |= more.expiry;
    add(&mut auth.roles, &more.roles, &mut auth.all_roles);
    add(&mut auth.claims, &more.claims, &mut auth.all_claims);
}

/// Adds `more` to the names of what was looked at. Where all of it was, or is taken for it, none is named.
fn add(names: &mut BTreeSet<String>, more: &BTreeSet<String>, all: &mut bool) {
    if !*all {
        names.extend(more.iter().cloned());
    }
    *all |= names.len() > MOST_NAMES;
    if *all {
        names.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forge_core::DateTime;

    fn caller(pairs: &[(&str, &str)]) -> Caller {
        Caller { headers: pairs.iter().copied().collect(), ..Caller::default() }
    }

    fn signed_in(auth: Auth) -> Caller {
        Caller { auth: Some(Arc::new(auth)), ..Caller::default() }
    }

    #[test]
    fn only_what_was_seen_tells_callers_apart() {
        let mut seen = Seen::default();
        let (a, b) = (caller(&[("lang", "de"), ("key", "1")]), caller(&[("lang", "de"), ("key", "2")]));
        assert_eq!(view(&a, &seen), None);
        seen.headers.insert("lang".into());
        assert_eq!(view(&a, &seen), view(&b, &seen));
        seen.headers.insert("key".into());
        assert_ne!(view(&a, &seen), view(&b, &seen));
    }

    #[test]
    fn an_absent_header_is_not_an_empty_one() {
        let mut seen = Seen::default();
        seen.headers.insert("lang".into());
        assert_ne!(view(&caller(&[]), &seen), view(&caller(&[("lang", "")]), &seen));
        assert_ne!(view(&caller(&[]), &seen), view(&caller(&[("lang", "null")]), &seen));
    }

    #[test]
    fn each_fact_of_an_identity_counts_alone() {
        let base = || Auth::new("ann").role("r").claim("c", 1);
        let until = |millis| base().expires_at(DateTime::from_millis(millis));
        type See = fn(&mut SeenAuth);
        // What is looked at, one who differs in it from `base`, and one who does not.
        let cases: [(See, Caller, Caller); 8] = [
            (|seen| seen.signed_in = true, Caller::default(), signed_in(Auth::new("bob"))),
            (|seen| seen.subject = true, signed_in(Auth::new("bob")), signed_in(Auth::new("ann"))),
            (
                |seen| seen.roles.extend(["r".to_owned()]),
                Caller::default(),
                signed_in(Auth::new("bob").role("r")),
            ),
            (|seen| seen.roles.extend(["x".to_owned()]), signed_in(base().role("x")), Caller::default()),
            (
                |seen| seen.all_roles = true,
                signed_in(base().role("x")),
                signed_in(Auth::new("bob").role("r")),
            ),
            (
                |seen| seen.claims.extend(["c".to_owned()]),
                signed_in(base().claim("c", "1")),
                signed_in(until(5)),
            ),
            (
                |seen| seen.all_claims = true,
                signed_in(base().claim("d", 1)),
                signed_in(Auth::new("bob").claim("c", 1)),
            ),
            (|seen| seen.expiry = true, signed_in(until(5)), Caller::default()),
        ];
        for (at, (see, other, alike)) in cases.into_iter().enumerate() {
            let mut seen = Seen::default();
            see(&mut seen.auth);
            let of = |caller: &Caller| view(caller, &seen).unwrap();
            assert_ne!(of(&signed_in(base())), of(&other), "case {at}");
            assert_eq!(of(&signed_in(base())), of(&alike), "case {at}");
        }
    }

    #[test]
    fn a_claim_that_is_null_is_not_a_missing_one() {
        let mut seen = Seen::default();
        seen.auth.claims.insert("c".into());
        let (null, none) = (Auth::new("a").claim("c", Value::Null), Auth::new("a"));
        assert_ne!(view(&signed_in(null), &seen), view(&signed_in(none), &seen));
    }

    #[test]
    fn everything_that_can_be_seen_is_covered_only_by_itself() {
        let all: [fn(&mut Seen); 11] = [
            |seen| seen.headers.extend(["h".to_owned()]),
            |seen| seen.all_headers = true,
            |seen| seen.window = true,
            |seen| seen.window_before = true,
            |seen| seen.auth.signed_in = true,
            |seen| seen.auth.subject = true,
            |seen| seen.auth.roles.extend(["r".to_owned()]),
            |seen| seen.auth.all_roles = true,
            |seen| seen.auth.claims.extend(["c".to_owned()]),
            |seen| seen.auth.all_claims = true,
            |seen| seen.auth.expiry = true,
        ];
        for see in all {
            let mut one = Seen::default();
            see(&mut one);
            assert!(!covers(&Seen::default(), &one), "{one:?}");
            let mut extended = Seen::default();
            extend(&mut extended, &one);
            assert_eq!(extended, one);
        }
    }

    #[test]
    fn names_that_clients_choose_are_bounded_and_what_they_tell_apart_stays_apart() {
        type See = fn(&mut Seen, String);
        type Names = fn(&Seen) -> (usize, bool);
        let cases: [(See, Names); 3] = [
            (|seen, name| _ = seen.headers.insert(name), |seen| (seen.headers.len(), seen.all_headers)),
            (
                |seen, name| _ = seen.auth.roles.insert(name),
                |seen| (seen.auth.roles.len(), seen.auth.all_roles),
            ),
            (
                |seen, name| _ = seen.auth.claims.insert(name),
                |seen| (seen.auth.claims.len(), seen.auth.all_claims),
            ),
        ];
        let is = |name: &str| Caller {
            headers: [(name, "1")].into_iter().collect(),
            ..signed_in(Auth::new("a").role(name).claim(name, 1))
        };
        for (see, names) in cases {
            let mut seen = Seen::default();
            for at in 0..10_000 {
                let mut more = Seen::default();
                see(&mut more, format!("n{at}"));
                extend(&mut seen, &more);
                assert!(covers(&seen, &more));
            }
            assert_eq!(names(&seen), (0, true));
            assert_ne!(view(&is("n7"), &seen), view(&is("n8"), &seen));
            assert_ne!(view(&is("n9999"), &seen), view(&Caller::default(), &seen));
            assert_eq!(view(&is("n7"), &seen), view(&is("n7"), &seen));
        }
    }
}
