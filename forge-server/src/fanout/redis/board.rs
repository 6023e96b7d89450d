//! What is kept in Redis, and the scripts that change it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, RawDocument, RawDocumentBuf, raw::cstr};
use forge_core::adapter::ResumeToken;
use forge_core::feed::wire;
use forge_core::{Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue};
use tokio::sync::Mutex;

use crate::fanout::{Place, Record};

/// About how many records are kept.
const RECORDS: usize = 10_000;
/// Records in one answer.
const BATCH: usize = 500;
/// How long a reader waits for the next record before it asks again.
const BLOCK: Duration = Duration::from_secs(2);
/// The longest that an answer may take beyond that.
const PATIENCE: Duration = Duration::from_secs(5);

/// KEYS: lease, place. ARGV: owner, milliseconds.
const TAKE: &str = "local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('HMGET', KEYS[2], 'seq', 'token')";

/// KEYS: lease, place, log. ARGV: owner, milliseconds, first number, records, kind, body, token.
///
/// Numbers of a new log begin anywhere, so that nobody takes them for those of one that was lost.
const ADD: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('HSETNX', KEYS[2], 'seq', ARGV[3])
local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 's', seq, 'k', ARGV[5], 'b', ARGV[6])
if ARGV[5] == 'c' then redis.call('HSET', KEYS[2], 'token', ARGV[7])
else redis.call('HSET', KEYS[2], 'up', ARGV[5] == 'd' and '0' or '1') end
return seq";

/// KEYS: lease. ARGV: owner.
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// KEYS: place, log.
const STANDING: &str = "local place = redis.call('HMGET', KEYS[1], 'seq', 'up')
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
return {place[1], place[2], last[1] and last[1][1] or '0-0'}";

/// The log of one database, as one process sees it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Board(Arc<Inner>);

struct Inner {
    client: redis::Client,
    lease_key: String,
    place_key: String,
    log_key: String,
    owner: String,
    lease: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// Where the log stands, for readers.
pub(super) struct Standing {
    pub(super) seq: Option<u64>,
    pub(super) up: bool,
    /// The id of its last record.
    pub(super) last: String,
}

/// A record as it stands in the log.
pub(super) struct Entry {
    pub(super) id: String,
    /// Its number; none where that cannot be read.
    pub(super) seq: Option<u64>,
    /// What it tells, where it can be read.
    pub(super) record: Result<Record>,
}

/// A connection that waits for records.
pub(super) struct Reading {
    connection: MultiplexedConnection,
    log_key: String,
}

impl Board {
    pub(super) fn new(
        client: &redis::Client,
        prefix: &str,
        database: &str,
        owner: String,
        lease: Duration,
    ) -> Self {
        // The braces keep the keys on one node of a cluster.
        let key = |name: &str| format!("{{{prefix}:{database}}}:{name}");
        Self(Arc::new(Inner {
            client: client.clone(),
            lease_key: key("lease"),
            place_key: key("place"),
            log_key: key("log"),
            owner,
            lease,
            connection: Mutex::default(),
        }))
    }

    /// Takes or keeps the lease; none where another process has it.
    pub(super) async fn take(&self) -> Result<Option<Place>> {
        let mut script = script(TAKE, &[&self.0.lease_key, &self.0.place_key]);
        script.arg(&self.0.owner).arg(self.millis());
        let place: Option<(Option<u64>, Option<Vec<u8>>)> = self.ask(&script).await?;
        let Some((seq, token)) = place else { return Ok(None) };
        Ok(Some(Place { seq, token: token.as_deref().and_then(read_token) }))
    }

    /// Adds a record; none where the lease is not held.
    pub(super) async fn add(&self, record: &Record) -> Result<Option<u64>> {
        let (kind, body, token) = match record {
            Record::Up => ("u", Vec::new(), Vec::new()),
            Record::Afresh => ("a", Vec::new(), Vec::new()),
            Record::Down(why) => ("d", why.as_bytes().to_vec(), Vec::new()),
            Record::Commit(commit) => ("c", wire::encode(commit)?.into_bytes(), write_token(&commit.token)?),
        };
        let keys = [&*self.0.lease_key, &*self.0.place_key, &*self.0.log_key];
        let mut script = script(ADD, &keys);
        script.arg(&self.0.owner).arg(self.millis()).arg(first_number()?).arg(RECORDS);
        script.arg(kind).arg(body).arg(token);
        self.ask(&script).await
    }

    /// Lets others lead at once.
    pub(super) async fn release(&self) {
        let mut script = script(RELEASE, &[&self.0.lease_key]);
        script.arg(&self.0.owner);
        if let Err(error) = self.ask::<i64>(&script).await {
            tracing::debug!(%error, "the lease of the fan-out is left to run out");
        }
    }

    /// Begins to read.
    pub(super) async fn read(&self) -> Result<(Reading, Standing)> {
        let mut connection = self.connect().await?;
        let script = script(STANDING, &[&self.0.place_key, &self.0.log_key]);
        let (seq, up, last): (Option<u64>, Option<u8>, String) =
            script.query_async(&mut connection).await.map_err(unreachable)?;
        let reading = Reading { connection, log_key: self.0.log_key.clone() };
        Ok((reading, Standing { seq, up: up == Some(1), last }))
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let mut kept = self.0.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer = command.query_async(&mut connection).await.map_err(unreachable)?;
        *kept = Some(connection);
        Ok(answer)
    }

    async fn connect(&self) -> Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(BLOCK + PATIENCE));
        self.0.client.get_multiplexed_async_connection_with_config(&config).await.map_err(unreachable)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.0.lease.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Reading {
    /// The records after the one with this id; none after a while in which none came.
    pub(super) async fn next(&mut self, id: &str) -> Result<Vec<Entry>> {
        type Entries = Vec<(String, Fields)>;
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(BATCH).arg("BLOCK").arg(BLOCK.as_millis() as u64);
        command.arg("STREAMS").arg(&self.log_key).arg(id);
        let streams: Option<Vec<(String, Entries)>> =
            command.query_async(&mut self.connection).await.map_err(unreachable)?;
        let entries = streams.into_iter().flatten().flat_map(|(_, entries)| entries);
        Ok(entries.map(|(id, fields)| Entry { id, seq: number(&fields), record: parse(&fields) }).collect())
    }
}

/// The fields of a record. Not all records need be Forge's.
type Fields = HashMap<Vec<u8>, Vec<u8>>;

fn field<'f>(fields: &'f Fields, name: &[u8]) -> &'f [u8] {
    fields.get(name).map(Vec::as_slice).unwrap_or_default()
}

fn number(fields: &Fields) -> Option<u64> {
    std::str::from_utf8(field(fields, b"s")).ok()?.parse().ok()
}

fn parse(fields: &Fields) -> Result<Record> {
    let body = field(fields, b"b");
    Ok(match field(fields, b"k") {
        b"u" => Record::Up,
        b"a" => Record::Afresh,
        b"d" => Record::Down(String::from_utf8_lossy(body).into()),
        b"c" => Record::Commit(Arc::new(wire::decode(body)?)),
        _ => {
            return Err(Error::internal(
                "a record of the fan-out is of a kind that this version does not know",
            ));
        }
    })
}

fn script(text: &str, keys: &[&str]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(text).arg(keys.len()).arg(keys);
    command
}

/// Below 2⁵², so that numbers stay exact in scripts.
fn first_number() -> Result<u64> {
    let random = getrandom::u64().map_err(|error| Error::internal(format!("no randomness: {error}")))?;
    Ok(random >> 12)
}

fn write_token(token: &ResumeToken) -> Result<Vec<u8>> {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("t"), bson::RawBson::try_from(token.0.clone())?);
    Ok(document.into_bytes())
}

/// The place that was kept; none where it cannot be read: whoever leads begins afresh then.
fn read_token(bytes: &[u8]) -> Option<ResumeToken> {
    let token = RawDocument::from_bytes(bytes).ok()?.get("t").ok()??;
    Bson::try_from(token).ok().map(ResumeToken)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreachable(error: redis::RedisError) -> Error {
    Error::unavailable(format!("the fan-out's Redis: {error}"))
}
