//! Settings from environment variables.

use std::borrow::Cow;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use forge_core::feed::FanOut;
use forge_core::{Error, Result, cluster_of_variable};

use crate::app::NamedCluster;
use crate::auth::Authenticator;
use crate::operators::{self, OperatorToken};
use crate::origin::Origins;

const DATABASE_VARIABLES: [&str; 3] = ["FORGE_DATABASE_URL", "MONGODB_URI", "MONGO_URI"];
/// Every variable of ours that is read somewhere, but for those of other clusters and of the tests.
const VARIABLES: [&str; 18] = [
    "FORGE_ALLOWED_ORIGINS",
    "FORGE_DATABASE_URL",
    "FORGE_FANOUT_PREFIX",
    "FORGE_FANOUT_URL",
    "FORGE_HOST",
    "FORGE_JWT_AUDIENCE",
    "FORGE_JWT_ISSUER",
    "FORGE_JWT_JWKS",
    "FORGE_JWT_PUBLIC_KEY",
    "FORGE_JWT_ROLES",
    "FORGE_JWT_SECRET",
    "FORGE_LOG",
    "FORGE_METRICS",
    "FORGE_OPERATOR_TOKEN",
    "FORGE_PORT",
    "FORGE_PUBLIC_URL",
    "FORGE_SCAN_LOG",
    "FORGE_SLOW_MS",
];
const SCHEMES: [&str; 4] = ["mongodb://", "mongodb+srv://", "embedded:", "memory:"];
const DEFAULT_URL: &str = "embedded:.forge";
const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 4000;

/// Which database, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Database {
    /// The URL. It may hold a password: it is never printed.
    pub(crate) url: String,
    /// The variable that it is from, for messages.
    pub(crate) variable: Cow<'static, str>,
}

/// Everything that the environment says.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) database: Database,
    /// The other clusters that the environment names.
    pub(crate) clusters: Vec<NamedCluster>,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) origins: Origins,
    /// Commands of the database that take this long are logged.
    pub(crate) slow: Option<Duration>,
    /// How callers are known, where the program does not say.
    pub(crate) auth: Authenticator,
    /// Whether `/metrics` answers.
    pub(crate) metrics: bool,
    /// What operators show.
    pub(crate) operator: Option<OperatorToken>,
    /// By what processes tell each other of changes.
    pub(crate) fan_out: Option<SharedFanOut>,
}

/// A [`FanOut`] that the environment names.
#[derive(Clone)]
pub(crate) struct SharedFanOut(pub(crate) Arc<dyn FanOut>);

impl std::fmt::Debug for SharedFanOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedFanOut")
    }
}

impl Settings {
    /// The settings among the variables that `read` finds. A URL that the program gives goes before those.
    ///
    /// # Errors
    /// `bad_request` naming the variable, and what would be right.
    pub(crate) fn read(read: impl Fn(&str) -> Option<String>, url: Option<String>) -> Result<Self> {
        let origins = read("FORGE_ALLOWED_ORIGINS").unwrap_or_default();
        Ok(Self {
            database: database(&read, url)?,
            clusters: Vec::new(),
            host: host(read("FORGE_HOST"))?,
            port: port(read("FORGE_PORT"))?,
            origins: Origins::parse(&origins, read("FORGE_PUBLIC_URL").as_deref())?,
            slow: slow(read("FORGE_SLOW_MS"))?,
            metrics: switch("FORGE_METRICS", read("FORGE_METRICS").as_deref())?,
            operator: read(operators::VARIABLE).map(|token| OperatorToken::new(&token)).transpose()?,
            fan_out: fan_out(&read)?,
            auth: auth(read)?,
        })
    }

    /// The settings of this process.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub(crate) fn from_env(url: Option<String>) -> Result<Self> {
        // Text that is not Unicode cannot be right; its replacement characters make it fail with the variable's name.
        let text = |value: OsString| value.to_string_lossy().into_owned();
        let mut settings = Self::read(|name| std::env::var_os(name).map(text), url)?;
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        let variables: Vec<_> = variables.collect();
        for (name, _) in variables.iter().filter(|(name, _)| is_misspelt(name)) {
            tracing::warn!("{name:?} is set and is no setting; there are: {}", VARIABLES.join(", "));
        }
        settings.clusters = NamedCluster::of_environment(variables.into_iter());
        Ok(settings)
    }
}

/// Whether a variable looks like one of ours, and is none.
fn is_misspelt(name: &str) -> bool {
    let ours = name.starts_with("FORGE_") && !name.starts_with("FORGE_TEST_");
    ours && cluster_of_variable(name).is_none() && !VARIABLES.contains(&name)
}

#[cfg(feature = "jwt")]
fn auth(read: impl Fn(&str) -> Option<String>) -> Result<Authenticator> {
    Ok(Authenticator::new(crate::auth::Jwt::from_settings(read)?.map(|jwt| Arc::new(jwt) as _)))
}

#[cfg(not(feature = "jwt"))]
fn auth(read: impl Fn(&str) -> Option<String>) -> Result<Authenticator> {
    let set = ["FORGE_JWT_SECRET", "FORGE_JWT_PUBLIC_KEY", "FORGE_JWT_JWKS"]
        .into_iter()
        .find(|name| read(name).is_some());
    set.map_or(Ok(Authenticator::default()), |name| {
        Err(Error::bad_request(format!(
            "{name} is set, and the program was built without the cargo feature `jwt`"
        )))
    })
}

#[cfg(feature = "redis")]
fn fan_out(read: &impl Fn(&str) -> Option<String>) -> Result<Option<SharedFanOut>> {
    let Some(url) = read("FORGE_FANOUT_URL") else { return Ok(None) };
    let fan_out = crate::RedisFanOut::new(url.trim()).map_err(|error| error.context("FORGE_FANOUT_URL"))?;
    let fan_out = match read("FORGE_FANOUT_PREFIX") {
        Some(prefix) => fan_out.prefix(prefix.trim()),
        None => fan_out,
    };
    Ok(Some(SharedFanOut(Arc::new(fan_out))))
}

#[cfg(not(feature = "redis"))]
fn fan_out(read: &impl Fn(&str) -> Option<String>) -> Result<Option<SharedFanOut>> {
    read("FORGE_FANOUT_URL").map_or(Ok(None), |_| {
        Err(Error::bad_request(
            "FORGE_FANOUT_URL is set, and the program was built without the cargo feature `redis`",
        ))
    })
}

fn database(read: &impl Fn(&str) -> Option<String>, url: Option<String>) -> Result<Database> {
    let set = || DATABASE_VARIABLES.into_iter().find_map(|name| Some((name, read(name)?)));
    let (variable, url) = match url {
        Some(url) => ("the URL given to App::database", url),
        None => set().unwrap_or(("FORGE_DATABASE_URL", DEFAULT_URL.to_owned())),
    };
    let database = Database { url: url.trim().to_owned(), variable: variable.into() };
    check_url(&database).map(|()| database)
}

/// Whether it begins like the URL of a database.
///
/// # Errors
/// `bad_request` naming the variable, and what would be right.
pub(crate) fn check_url(Database { url, variable }: &Database) -> Result<()> {
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        let what = if url.is_empty() { "is empty" } else { "is no database URL" };
        return Err(Error::bad_request(format!(
            "{variable} {what}; it begins with mongodb://, mongodb+srv://, embedded: (and a folder), or memory:"
        )));
    }
    if url == "embedded:" {
        return Err(Error::bad_request(format!(
            "{variable} names no folder; write it as in embedded:.forge"
        )));
    }
    Ok(())
}

fn host(value: Option<String>) -> Result<String> {
    match value.map(|host| host.trim().to_owned()) {
        None => Ok(DEFAULT_HOST.to_owned()),
        Some(host) if host.is_empty() || host.contains(['/', ' ']) => Err(Error::bad_request(
            "FORGE_HOST is no address; write one as in 127.0.0.1, 0.0.0.0 or localhost",
        )),
        Some(host) => Ok(host),
    }
}

fn slow(value: Option<String>) -> Result<Option<Duration>> {
    let Some(value) = value else { return Ok(None) };
    let millis = value.trim().parse().map_err(|_| {
        let shown: String = value.chars().take(32).collect();
        Error::bad_request(format!(
            "FORGE_SLOW_MS is {shown:?}; it must be a number of milliseconds, as in 100"
        ))
    })?;
    Ok(Some(Duration::from_millis(millis)))
}

/// Something that is off unless it is switched on.
fn switch(name: &str, value: Option<&str>) -> Result<bool> {
    match value.map(str::trim) {
        None | Some("" | "off" | "false" | "0") => Ok(false),
        Some("on" | "true" | "1") => Ok(true),
        Some(_) => Err(Error::bad_request(format!("{name} is neither on nor off; write one of the two"))),
    }
}

fn port(value: Option<String>) -> Result<u16> {
    let Some(value) = value else { return Ok(DEFAULT_PORT) };
    value.trim().parse().map_err(|_| {
        let shown: String = value.chars().take(32).collect();
        Error::bad_request(format!(
            "FORGE_PORT is {shown:?}; it must be a number from 0 to 65535 (0 takes any free port)"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings> {
        Settings::read(
            |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()),
            None,
        )
    }

    #[test]
    fn without_variables_it_is_the_embedded_engine_on_the_loopback() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.database.url, "embedded:.forge");
        assert_eq!((settings.host.as_str(), settings.port), ("127.0.0.1", 4000));
    }

    #[test]
    fn variables_that_nothing_reads_are_noticed() {
        for name in ["FORGE_PROT", "FORGE_JWT_KEY", "FORGE_DATABASE_URI", "FORGE_"] {
            assert!(is_misspelt(name), "{name}");
        }
        for name in ["FORGE_PORT", "FORGE_DATABASE_URL_ARCHIVE", "FORGE_TEST_SEED", "PORT", "forge_port"] {
            assert!(!is_misspelt(name), "{name}");
        }
        let documented = include_str!("../../docs/configuration.md");
        let cell = |name: &str| {
            documented.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")))
        };
        for name in VARIABLES {
            assert!(cell(name), "{name} is not in docs/configuration.md");
        }
    }

    #[test]
    fn slow_commands_are_logged_from_a_number_of_milliseconds_on() {
        assert_eq!(read(&[]).unwrap().slow, None);
        assert_eq!(read(&[("FORGE_SLOW_MS", "250")]).unwrap().slow, Some(Duration::from_millis(250)));
        assert!(read(&[("FORGE_SLOW_MS", "soon")]).unwrap_err().message().contains("FORGE_SLOW_MS"));
    }

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let mongo = ("MONGO_URI", "mongodb://c");
        let all = [mongo, ("MONGODB_URI", "mongodb://b"), ("FORGE_DATABASE_URL", "memory:")];
        assert_eq!(read(&all).unwrap().database.url, "memory:");
        let database = read(&all[..2]).unwrap().database;
        assert_eq!((database.url.as_str(), &*database.variable), ("mongodb://b", "MONGODB_URI"));
        assert_eq!(read(&[mongo]).unwrap().database.variable, "MONGO_URI");
    }

    #[test]
    fn a_wrong_setting_is_named_in_one_line_without_secrets() {
        for (name, value) in [
            ("MONGODB_URI", "postgres://user:hunter2@host"),
            ("FORGE_DATABASE_URL", ""),
            ("FORGE_DATABASE_URL", "embedded:"),
            ("FORGE_PORT", "70000"),
            ("FORGE_PORT", "http"),
            ("FORGE_HOST", "http://localhost"),
            ("FORGE_ALLOWED_ORIGINS", "*"),
            ("FORGE_METRICS", "perhaps"),
            ("FORGE_PUBLIC_URL", "app.example.com"),
            ("FORGE_OPERATOR_TOKEN", "short"),
            ("FORGE_FANOUT_URL", "http://user:hunter2@host"),
        ] {
            let message = read(&[(name, value)]).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
            assert!(!message.contains('\n') && !message.contains("hunter2"), "{message}");
        }
    }
}
