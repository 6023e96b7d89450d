//! From a URL to a client: defaults, one clear line for what is wrong, and a first look at the deployment.

use std::time::Duration;

use bson::{Document, doc};
use forge_core::adapter::Capabilities;
use forge_core::{Error, Result};
use mongodb::Client;
use mongodb::error::{Error as DriverError, ErrorKind};
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria};

use super::errors;

/// The database where the URL names none.
const DEFAULT_DATABASE: &str = "forge";
/// MongoDB 6.0, which has pre-images.
const WIRE_VERSION_6_0: i32 = 17;
/// MongoDB 5.0, whose `$lookup` takes fields and a pipeline.
const WIRE_VERSION_5_0: i32 = 13;
/// The code with which servers refuse commands that they do not know.
const COMMAND_NOT_FOUND: i32 = 59;
/// MongoDB 4.2, which has all kinds of transactions.
const WIRE_VERSION_4_2: i32 = 8;

/// A client that has reached its servers once.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) default_database: String,
    pub(super) deployment: Deployment,
}

/// What the first look at the servers has shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deployment {
    pub(super) hosts: Vec<String>,
    pub(super) topology: &'static str,
    pub(super) version: String,
    pub(super) wire_version: i32,
    pub(super) capabilities: Capabilities,
}

pub(super) async fn connect(uri: &str) -> Result<Connected> {
    let mut options = ClientOptions::parse(uri).await.map_err(|error| wrong_uri(uri, &error))?;
    fill_in(&mut options);
    if reads_behind(&options) {
        tracing::warn!(
            "the database URL has a readPreference beside primary: what is read there can be behind what was written, so \
             that live results stay behind, and transactions cannot read there; leave it out"
        );
    }
    let hosts: Vec<String> = options.hosts.iter().map(ToString::to_string).collect();
    let waited = options.server_selection_timeout.unwrap_or_default();
    let default_database = options.default_database.clone().unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
    let client = Client::with_options(options).map_err(|error| wrong_uri(uri, &error))?;
    match look(&client, hosts.clone()).await {
        Ok(deployment) => Ok(Connected { client, default_database, deployment }),
        Err(error) if matches!(*error.kind, ErrorKind::ServerSelection { .. } | ErrorKind::Io(_)) => {
            let message = format!(
                "no MongoDB server answers at {} (tried for {} s); is it running, and are host, replicaSet and tls right in the URL?",
                hosts.join(", "),
                waited.as_secs_f32()
            );
            Err(Error::unavailable(message).with_source(error))
        }
        Err(error) => Err(errors::map(error)),
    }
}

/// A client of the program's own.
pub(super) async fn look_at(client: Client, database: Option<&str>) -> Result<Connected> {
    let named = database.map(str::to_owned);
    let default = || client.default_database().map(|database| database.name().to_owned());
    let default_database = named.or_else(default).unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
    let deployment = look(&client, Vec::new()).await.map_err(errors::map)?;
    Ok(Connected { client, default_database, deployment })
}

/// Forge's defaults, each only where the URL does not say otherwise.
fn fill_in(options: &mut ClientOptions) {
    let most = *options.max_pool_size.get_or_insert(50);
    // 0 is "no limit" to the driver.
    let least = if most == 0 { 5 } else { most.min(5) };
    options.min_pool_size.get_or_insert(least);
    options.connect_timeout.get_or_insert(Duration::from_secs(10));
    options.server_selection_timeout.get_or_insert(Duration::from_secs(10));
    options.retry_reads.get_or_insert(true);
    options.retry_writes.get_or_insert(true);
    options.app_name.get_or_insert_with(|| "forge".to_owned());
}

/// Whether reads may go to members that do not have the newest writes.
fn reads_behind(options: &ClientOptions) -> bool {
    match &options.selection_criteria {
        None | Some(SelectionCriteria::ReadPreference(ReadPreference::Primary)) => false,
        Some(_) => true,
    }
}

/// One line that says what is wrong with the URL, without its password.
fn wrong_uri(uri: &str, error: &DriverError) -> Error {
    let message = match &*error.kind {
        ErrorKind::InvalidArgument { message, .. } | ErrorKind::InvalidTlsConfig { message, .. } => {
            message.clone()
        }
        ErrorKind::DnsResolve { message, .. } => {
            let message = without_password(uri, message);
            return Error::unavailable(format!(
                "the hosts of the database URL cannot be looked up: {message}"
            ));
        }
        kind => kind.to_string(),
    };
    let message = without_password(uri, &message).replace(['\n', '\r'], " ");
    Error::bad_request(format!(
        "the database URL is not right: {message}; it looks like mongodb://user:password@host:27017/database"
    ))
}

/// `text` with the password of `uri` starred out, where it repeats it, as written or percent-decoded.
fn without_password(uri: &str, text: &str) -> String {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    // The last `@`: one inside of a password should be escaped, which may be just what is wrong.
    let Some((user_info, _)) = rest.rsplit_once('@') else { return text.to_owned() };
    let Some((_, password)) = user_info.split_once(':') else { return text.to_owned() };
    let mut text = text.replace(user_info, "***");
    for secret in [password.to_owned(), percent_decoded(password)] {
        if !secret.is_empty() {
            text = text.replace(&secret, "***");
        }
    }
    // A URL cut at an unescaped `/`, `:` or `@` is quoted in parts.
    for part in password.split(['/', ':', '@', '?']).filter(|part| part.len() > 2) {
        text = text.replace(part, "***");
    }
    text
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

async fn look(client: &Client, hosts: Vec<String>) -> Result<Deployment, DriverError> {
    let admin = client.database("admin");
    let hello = match admin.run_command(doc! { "hello": 1 }).await {
        // Its older name: compatible servers may know no other, and the driver has got on with that.
        Err(error) if is_unknown(&error) => admin.run_command(doc! { "isMaster": 1 }).await?,
        hello => hello?,
    };
    // Not every user may ask for it, and not every server knows it.
    let build = admin.run_command(doc! { "buildInfo": 1 }).await.unwrap_or_default();
    let mut deployment = deployment(hosts, &hello, &build);
    let search = has_search(client).await;
    (deployment.capabilities.search, deployment.capabilities.index_search) = (search, search);
    Ok(deployment)
}

/// Whether the server does not know the command.
fn is_unknown(error: &DriverError) -> bool {
    matches!(&*error.kind, ErrorKind::Command(refused) if refused.code == COMMAND_NOT_FOUND)
}

/// Whether there are search indexes: only deployments that have them know the stage that lists them.
async fn has_search(client: &Client) -> bool {
    let database = client.default_database().unwrap_or_else(|| client.database(DEFAULT_DATABASE));
    let list = doc! { "aggregate": "forge_search", "pipeline": [{ "$listSearchIndexes": {} }], "cursor": {} };
    database.run_command(list).await.is_ok()
}

fn deployment(mut hosts: Vec<String>, hello: &Document, build: &Document) -> Deployment {
    if hosts.is_empty() {
        // The driver does not tell those of a client that the program has made.
        let told = hello.get_array("hosts").into_iter().flatten().filter_map(bson::Bson::as_str);
        hosts.extend(told.map(str::to_owned));
    }
    let (topology, replicated) = if hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid") {
        ("sharded cluster", true)
    } else if hello.contains_key("setName") {
        ("replica set", true)
    } else {
        ("standalone", false)
    };
    let wire_version = hello.get_i32("maxWireVersion").unwrap_or_default();
    let sessions = hello.contains_key("logicalSessionTimeoutMinutes");
    let mut capabilities = Capabilities::default();
    capabilities.transactions = replicated && sessions && wire_version >= WIRE_VERSION_4_2;
    capabilities.change_streams = replicated;
    // Of collections that keep them: push asks for that where the model does.
    capabilities.pre_images = replicated && wire_version >= WIRE_VERSION_6_0;
    capabilities.lookup = wire_version >= WIRE_VERSION_5_0;
    // The one server of those in use that is known to have none.
    capabilities.text = !build.contains_key("secantusVersion");
    let version = build.get_str("version").unwrap_or("unknown");
    let version = match build.get_str("secantusVersion") {
        Ok(secantus) => format!("{version} (SecantusDB {secantus})"),
        Err(_) => version.to_owned(),
    };
    Deployment { hosts, topology, version, wire_version, capabilities }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forge_core::ErrorCode;

    #[tokio::test]
    async fn the_password_is_in_no_message() {
        for uri in [
            "mongodb://u:s3cret%40x@h:1?nonsense",
            "mongodb://u:s3cret@x@h:1/?ssl=maybe",
            "mongodb://u:s3cret/x@h:1/db",
            "mongodb://u:s3cret:x@h",
            "mongodb://u:s3cret@h:port",
            "mongodb://u:s3cret@h/db?maxPoolSize=s3cret",
        ] {
            let Err(error) = connect(uri).await else { panic!("{uri} is accepted") };
            assert_eq!(error.code(), ErrorCode::BadRequest, "{uri}: {error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{uri}: {error}");
            assert!(!error.to_string().contains('\n'), "{uri}: {error}");
        }
    }

    #[tokio::test]
    async fn a_url_that_reads_from_members_behind_the_primary_is_noticed() {
        let of = async |uri: &str| reads_behind(&ClientOptions::parse(uri).await.unwrap());
        for uri in ["mongodb://h/", "mongodb://h/?readPreference=primary"] {
            assert!(!of(uri).await, "{uri}");
        }
        for preference in ["secondary", "secondaryPreferred", "primaryPreferred", "nearest"] {
            assert!(of(&format!("mongodb://h/?readPreference={preference}")).await, "{preference}");
        }
    }

    #[tokio::test]
    async fn the_url_has_the_last_word_on_the_defaults() {
        let mut options = ClientOptions::parse("mongodb://h/?maxPoolSize=3&retryWrites=false").await.unwrap();
        fill_in(&mut options);
        assert_eq!((options.max_pool_size, options.min_pool_size), (Some(3), Some(3)));
        assert_eq!((options.retry_reads, options.retry_writes), (Some(true), Some(false)));
        assert_eq!(options.server_selection_timeout, Some(Duration::from_secs(10)));
    }

    #[tokio::test]
    async fn an_unreachable_server_is_named_with_the_time_tried() {
        let Err(error) = connect("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200").await else {
            panic!("somebody listens on port 1")
        };
        assert_eq!(error.code(), ErrorCode::Unavailable);
        assert!(error.message().contains("127.0.0.1:1") && error.message().contains("0.2 s"), "{error}");
    }

    #[test]
    fn only_replicated_servers_have_transactions_and_change_streams() {
        let base = doc! { "maxWireVersion": 21, "logicalSessionTimeoutMinutes": 30 };
        let can = |hello: &Document| deployment(Vec::new(), hello, &Document::new()).capabilities;
        assert!(!can(&base).transactions && !can(&base).change_streams);
        let mut replica = base.clone();
        replica.insert("setName", "rs0");
        assert!(can(&replica).transactions && can(&replica).change_streams);
    }
}
