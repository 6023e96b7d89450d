//! What servers answer when something is wrong, and what to do about it. `docs/errors.md` shows the same table.

use forge_core::{Error, ErrorCode};

/// How to get what a standalone server lacks.
pub(crate) const NEEDS_REPLICA_SET: &str = "transactions and change streams need a replica set; one server is enough: \
     start it with `mongod --replSet rs0` and run `rs.initiate()` once in mongosh";

/// A failure that servers name by a code.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The server's codes.
    pub(crate) codes: &'static [i32],
    /// The server's name for it, as in its manual.
    pub(crate) name: &'static str,
    /// Forge's code.
    pub(crate) code: ErrorCode,
    /// What happened, and what to do.
    pub(crate) message: &'static str,
    /// Whether the server's own words are added: they name what was wrong with the request.
    pub(crate) quote: bool,
    /// Where the text is needed to tell: the fault only holds with one of these in it.
    only_with: &'static [&'static str],
}

const fn fault(codes: &'static [i32], name: &'static str, code: ErrorCode, message: &'static str) -> Fault {
    Fault { codes, name, code, message, quote: false, only_with: &[] }
}

const fn quoted(codes: &'static [i32], name: &'static str, code: ErrorCode, message: &'static str) -> Fault {
    Fault { quote: true, ..fault(codes, name, code, message) }
}

/// Words of servers that do not know what they are asked for.
const UNKNOWN: &[&str] = &["unrecognized", "unknown", "not supported", "no such command", "not implemented"];

/// The first that fits holds.
pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        only_with: &["replica set"],
        ..fault(&[20, 263, 40573], "IllegalOperation", ErrorCode::Unsupported, NEEDS_REPLICA_SET)
    },
    fault(
        &[11000, 11001],
        "DuplicateKey",
        ErrorCode::UniqueViolation,
        "a unique index already holds the value: choose another one, or change the document that has it",
    ),
    fault(
        &[112],
        "WriteConflict",
        ErrorCode::Conflict,
        "another transaction changed the same documents at the same time: run the whole transaction again, as \
         db.transaction does",
    ),
    fault(
        &[251],
        "NoSuchTransaction",
        ErrorCode::Conflict,
        "the server ended the transaction, since it lost against another, took too long or its node stepped down: run \
         the whole transaction again, as db.transaction does",
    ),
    fault(
        &[290],
        "TransactionExceededLifetimeLimitSeconds",
        ErrorCode::Timeout,
        "the transaction was open for longer than the server allows (60 s unless set otherwise): make it smaller",
    ),
    fault(
        &[6, 7, 89, 91, 133, 189, 9001, 10107, 11600, 11602, 13435, 13436],
        "NotWritablePrimary",
        ErrorCode::Unavailable,
        "the database is changing its primary, and the driver has tried twice: try again in a moment",
    ),
    fault(
        &[43],
        "CursorNotFound",
        ErrorCode::Unavailable,
        "the server closed the cursor, since nothing was read from it for 10 minutes or its node went away: read again, \
         in smaller pages or faster",
    ),
    fault(
        &[50, 262],
        "MaxTimeMSExpired",
        ErrorCode::Timeout,
        "the database took longer than allowed for this operation: add an index, narrow it, or allow more time",
    ),
    fault(
        &[64],
        "WriteConcernTimeout",
        ErrorCode::Timeout,
        "the write was made, but not enough nodes had confirmed it in time: see whether a node of the replica set lags",
    ),
    quoted(
        &[79, 100],
        "UnsatisfiableWriteConcern",
        ErrorCode::BadRequest,
        "the replica set has not the nodes that the write concern asks for",
    ),
    quoted(
        &[10334, 17280, 17419, 17420],
        "BSONObjectTooLarge",
        ErrorCode::TooLarge,
        "a document would be over the database's limit of 16 MB: move the list that grows into a collection of its own",
    ),
    quoted(
        &[40],
        "ConflictingUpdateOperators",
        ErrorCode::BadRequest,
        "two changes of the update are about the same path, or one is inside of the other: keep one of them",
    ),
    quoted(
        &[85, 86],
        "IndexOptionsConflict",
        ErrorCode::Conflict,
        "an index of this name, or over these fields, is there with other options: `push` shows the difference and \
         rebuilds it",
    ),
    quoted(&[68], "IndexAlreadyExists", ErrorCode::Conflict, "the index is there already: `push` adopts it"),
    Fault {
        only_with: &["not supported"],
        ..quoted(&[67], "CannotCreateIndex", ErrorCode::Unsupported, "the server has no such indexes")
    },
    quoted(
        &[67],
        "CannotCreateIndex",
        ErrorCode::BadRequest,
        "the server cannot make the index: on a sharded collection a unique one must begin with the shard key",
    ),
    fault(
        &[18],
        "AuthenticationFailed",
        ErrorCode::Unauthorized,
        "the database refused the user name or password of its URL",
    ),
    quoted(
        &[13],
        "Unauthorized",
        ErrorCode::Forbidden,
        "the database user may not do this: give it the role",
    ),
    quoted(
        &[280, 286],
        "ChangeStreamHistoryLost",
        ErrorCode::Conflict,
        "the change history after the resume token is gone: make what is derived from it afresh",
    ),
    Fault {
        only_with: UNKNOWN,
        ..quoted(
            &[2, 9, 59, 115, 238, 303],
            "CommandNotFound",
            ErrorCode::Unsupported,
            "the database does not know this",
        )
    },
    quoted(&[40324], "Unrecognized stage", ErrorCode::Unsupported, "the database does not know this"),
    quoted(&[2, 9, 14, 28, 66, 121, 51091], "BadValue", ErrorCode::BadRequest, "the database refused this"),
];

/// What the code and the words of a server mean; none for what is not known.
pub(crate) fn find(code: i32, text: &str) -> Option<&'static Fault> {
    let text = text.to_ascii_lowercase();
    FAULTS.iter().find(|fault| {
        fault.codes.contains(&code)
            && (fault.only_with.is_empty() || fault.only_with.iter().any(|sign| text.contains(sign)))
    })
}

impl Fault {
    /// The message, with the server's words where they help.
    pub(crate) fn message(&self, text: &str) -> String {
        if self.quote { format!("{} ({}): {text}", self.message, self.name) } else { self.message.to_owned() }
    }

    /// The error.
    pub(crate) fn error(&self, text: &str) -> Error {
        Error::new(self.code, self.message(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_in_the_documentation_with_its_code() {
        let page = include_str!("../../docs/errors.md");
        for Fault { codes, name, code, .. } in FAULTS {
            let row = page.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
            let row = row.unwrap_or_else(|| panic!("docs/errors.md has no row for {name}"));
            assert!(row.contains(&format!("`{code}`")), "{row}");
            for code in *codes {
                assert!(row.contains(&code.to_string()), "{row} lacks {code}");
            }
        }
    }

    #[test]
    fn faults_are_told_apart_by_code_and_words() {
        let of = |code, text| find(code, text).map(|fault| fault.code);
        let standalone = "Transaction numbers are only allowed on a replica set member or mongos";
        assert_eq!(of(20, standalone), Some(ErrorCode::Unsupported));
        assert_eq!(of(20, "something else"), None);
        assert_eq!(
            of(67, "cannot create unique index over { a: 1 } with shard key"),
            Some(ErrorCode::BadRequest)
        );
        assert_eq!(of(67, "hashed indexes are not supported"), Some(ErrorCode::Unsupported));
        assert_eq!(of(2, "unknown operator: $foo"), Some(ErrorCode::Unsupported));
        assert_eq!(of(2, "$size must be a whole number"), Some(ErrorCode::BadRequest));
        assert_eq!(of(8_000, "something else"), None);
        for (code, expected) in [
            (11000, ErrorCode::UniqueViolation),
            (251, ErrorCode::Conflict),
            (112, ErrorCode::Conflict),
            (10107, ErrorCode::Unavailable),
            (43, ErrorCode::Unavailable),
            (85, ErrorCode::Conflict),
            (86, ErrorCode::Conflict),
            (40, ErrorCode::BadRequest),
            (10334, ErrorCode::TooLarge),
            (17419, ErrorCode::TooLarge),
            (50, ErrorCode::Timeout),
        ] {
            assert_eq!(of(code, "x"), Some(expected), "{code}");
        }
    }

    #[test]
    fn the_missing_replica_set_comes_with_the_command_that_makes_one() {
        let text = "Transaction numbers are only allowed on a replica set member or mongos";
        let error = find(20, text).map(|fault| fault.error(text)).unwrap();
        assert!(
            error.message().contains("mongod --replSet rs0") && error.message().contains("rs.initiate()")
        );
    }
}
