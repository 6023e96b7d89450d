//! Every bound that the server keeps, in one place.

use std::time::Duration;

/// What one client, request or socket may ask for at most.
///
/// [`Limits::default`] suits a public server; every field can be set on its own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Open HTTP connections; more wait until one ends. WebSockets do not count. Default: 20,000.
    pub connections: usize,
    /// The longest that a client may take over the head of a request, and that a connection is kept for the next one.
    /// Default: 30 s.
    pub head: Duration,
    /// The largest HTTP body, in bytes. Default: 1 MiB.
    pub body_bytes: usize,
    /// The largest WebSocket frame from a client, in bytes; a larger one closes the socket with 1009. Default: 1 MiB.
    pub frame_bytes: usize,
    /// From how many bytes on a text is compressed for WebSocket clients that take it so (`permessage-deflate`); what they
    /// all see is compressed once. With [`usize::MAX`] nothing is, and no offer is taken. Default: 1 KiB.
    pub compress_from: usize,
    /// How deep objects and arrays may be nested in what clients send. Default: 64.
    pub depth: usize,
    /// The longest that a client waits for a handler. Default: 30 s.
    pub deadline: Duration,
    /// The longest that a mutation may go on after its caller was told `timeout` or went away. Default: 120 s.
    pub mutation_deadline: Duration,
    /// Calls of one handler that this process runs at the same time, where the handler says nothing else; more wait, and
    /// are refused with `unavailable` when their deadline is over. Default: 10,000.
    pub handler_calls: usize,
    /// Sockets open at the same time. Default: 20,000.
    pub sockets: usize,
    /// Subscriptions of one socket. Default: 1,000.
    pub subscriptions: usize,
    /// The arguments of one subscription, as JSON, in bytes: they are kept as long as it is. Default: 32 KiB.
    pub subscription_bytes: usize,
    /// By how many items the window of a live query may become longer than its first page. Default: 10,000.
    pub window: u64,
    /// Queries and mutations of one socket that are under way at the same time. Default: 64.
    pub calls: usize,
    /// Bytes that wait for one socket before it is closed with 1013. Default: 16 MiB.
    pub queued_bytes: usize,
    /// The longest that a socket may take over one frame before it is closed with 1013. Default: 10 s.
    pub send: Duration,
    /// The silence after which the server pings a socket. Default: 25 s.
    pub heartbeat: Duration,
    /// The silence after which a socket counts as dead. Default: 60 s.
    pub dead: Duration,
    /// How often the token of an open socket is looked at again, so that one which was revoked, or whose roles changed,
    /// is noticed. Default: 60 s.
    pub auth_recheck: Duration,
    /// Live queries that run at the same time, over all sockets; for one socket alone a quarter of them at most. Default: 64.
    pub live_runs: usize,
    /// Databases, beside the default one, whose changes live queries follow at the same time; a subscription that needs
    /// one more has an `unavailable` in place of its result until there is room. On MongoDB each keeps a connection of the
    /// pool busy, of which there are 50 by default (`maxPoolSize`). Default: 32.
    pub feeds: usize,
    /// For how long the changes of such a database are followed after the last live query that read it. Default: 60 s.
    pub feed_idle: Duration,
    /// The shortest time between two runs of one live query. Default: 50 ms. A query that takes longer itself
    /// waits twice its own time, up to [`refresh_max`](Limits::refresh_max).
    pub refresh_min: Duration,
    /// The longest that a change may wait before its live query is run again. Default: 250 ms.
    pub refresh_max: Duration,
    /// The longest that a live result waits for the others that the same commit changes. Default: 100 ms.
    pub hold: Duration,
    /// The longest that the answer to a mutation waits for the change feed, where only the feed knows versions.
    /// Default: 50 ms.
    pub version_wait: Duration,
    /// Scheduled mutations of one database that this process runs at the same time; 0 leaves them to other processes.
    /// Default: 8.
    pub jobs: usize,
    /// How long a scheduled mutation is held by a process without a sign of life: after this, another process runs those
    /// of one that died. The clocks of all processes must agree better than this. Default: 30 s.
    pub job_lease: Duration,
    /// How long a drain may take. Default: 10 s.
    pub drain: Duration,
    /// Over how long the clients of a server that stops are asked to spread their next connections, at most; it is 1 ms
    /// for each open socket. Default: 10 s.
    pub reconnect: Duration,
    /// Answers for `Idempotency-Key`s that are at hand in memory, beside those in the database: as many, and no more than
    /// 64 MiB of them. Default: 10,000.
    pub idempotency_keys: usize,
    /// How long answers for `Idempotency-Key`s are kept. Default: 24 h.
    pub idempotency_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            connections: 20_000,
            head: Duration::from_secs(30),
            body_bytes: MIB,
            frame_bytes: MIB,
            compress_from: 1024,
            depth: 64,
            deadline: Duration::from_secs(30),
            mutation_deadline: Duration::from_secs(120),
            handler_calls: 10_000,
            sockets: 20_000,
            subscriptions: 1_000,
            subscription_bytes: 32 * 1024,
            window: 10_000,
            calls: 64,
            queued_bytes: 16 * MIB,
            send: Duration::from_secs(10),
            heartbeat: Duration::from_secs(25),
            dead: Duration::from_secs(60),
            auth_recheck: Duration::from_secs(60),
            live_runs: 64,
            feeds: 32,
            feed_idle: Duration::from_secs(60),
            refresh_min: Duration::from_millis(50),
            refresh_max: Duration::from_millis(250),
            hold: Duration::from_millis(100),
            version_wait: Duration::from_millis(50),
            jobs: 8,
            job_lease: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            reconnect: Duration::from_secs(10),
            idempotency_keys: 10_000,
            idempotency_age: Duration::from_secs(24 * 60 * 60),
        }
    }
}
