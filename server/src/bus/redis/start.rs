//! Before the first message: a Redis that is far away is spoken to under TLS, and none keeps what
//! passes.

use std::collections::HashMap;
use std::net::IpAddr;

use redis::aio::ConnectionManager;
use redis::{Client, ConnectionAddr, RedisError};

use super::{ANSWER_MAX, RedisConfig};

/// What must be set so that nothing that passes through is written down, and what for.
const KEEPS_NOTHING: [(&str, &str); 3] =
    [("save", ""), ("appendonly", "no"), ("slowlog-max-len", "0")];

/// Why the bus cannot be used. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address.
    #[error("the setting `bus` is not an address of a Redis")]
    Address(#[source] RedisError),
    /// Others on the way could read it.
    #[error("the setting `bus` names a Redis beyond this machine without TLS: use rediss://")]
    Plain,
    /// Nobody there, or not for us.
    #[error("the Redis of the setting `bus` cannot be reached, or refuses this user")]
    Unreachable(#[source] RedisError),
    /// It counts, but does not pass on.
    #[error(
        "the Redis of the setting `bus` lets this user not subscribe: allow them `subscribe`, `unsubscribe` and `ping`"
    )]
    Deaf,
    /// It writes down what passes.
    #[error(
        "the Redis of the setting `bus` has `{setting} {found}`: set `{setting} {}`, or say bus_allow_persistence",
        if wanted.is_empty() { "\"\"" } else { wanted }
    )]
    Keeps {
        /// Name in redis.conf.
        setting: &'static str,
        /// Its value there.
        found: String,
        /// Its value as it must be.
        wanted: &'static str,
    },
    /// It does not tell.
    #[error(
        "the Redis of the setting `bus` does not tell whether it writes to disk: allow this user `config|get`, or say bus_allow_persistence"
    )]
    Untold(#[source] RedisError),
    /// Whoever has this user's password could watch.
    #[error(
        "the Redis of the setting `bus` lets this user watch everything (MONITOR): take that from them by ACL, or say bus_allow_persistence"
    )]
    Monitor,
    /// Too old, or not allowed.
    #[error(
        "the Redis of the setting `bus` does not take the server's function: it must be Redis 7 or later, and allow this user `function|load` and `fcall`"
    )]
    Function(#[source] RedisError),
}

pub(super) fn client(config: &RedisConfig) -> Result<Client, StartError> {
    let client = Client::open(config.url.as_str()).map_err(StartError::Address)?;
    if let ConnectionAddr::Tcp(host, _) = client.get_connection_info().addr()
        && !is_loopback(host)
    {
        return Err(StartError::Plain);
    }
    Ok(client)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A log of commands, a snapshot or a watcher would keep what nobody sweeps.
pub(super) async fn check_it_keeps_nothing(
    client: &Client,
    calls: &mut ConnectionManager,
) -> Result<(), StartError> {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET");
    for (setting, _) in KEEPS_NOTHING {
        ask.arg(setting);
    }
    let told: HashMap<String, String> = ask.query_async(calls).await.map_err(StartError::Untold)?;
    for (setting, wanted) in KEEPS_NOTHING {
        let found = told.get(setting).cloned().unwrap_or_default();
        if found != wanted {
            return Err(StartError::Keeps { setting, found, wanted });
        }
    }
    if may_monitor(client).await { Err(StartError::Monitor) } else { Ok(()) }
}

/// On a connection of its own, which is closed at once.
async fn may_monitor(client: &Client) -> bool {
    let watch = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("MONITOR").exec_async(&mut connection).await
    };
    match tokio::time::timeout(ANSWER_MAX, watch).await {
        Ok(Err(error)) => error.code() != Some("NOPERM"),
        Ok(Ok(())) | Err(_) => true,
    }
}
