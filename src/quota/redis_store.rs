//! Records in Redis or Valkey, for runs on several hosts: one key per limit, changed by compare-and-set, with the
//! server's time.

use super::limits::Backend;
use super::record::{BucketRecord, LIFETIME};
use crate::model::{StoreUrl, Timestamp};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, IntoConnectionInfo, RedisError, RedisResult};
use std::time::Duration;

/// Maximum time for a step, including connecting. After that, the run paces on its own.
const LONGEST: Duration = Duration::from_secs(2);

/// The set of all keys, because a search by pattern would scan everything on the server.
const INDEX: &str = "slack-revoke:limits";

/// The records on one server.
#[derive(Debug)]
pub struct RedisStore {
    client: Client,
    /// Not shared, because `WATCH` applies to a connection.
    connection: Option<MultiplexedConnection>,
    was_unreadable: bool,
}

impl RedisStore {
    /// Connects at the first step. `password` replaces that of the URL.
    ///
    /// # Errors
    /// If the URL is invalid. The error doesn't contain it.
    pub fn new(url: &StoreUrl, password: Option<&str>) -> Result<Self, Box<str>> {
        let address = url.expose().into_connection_info().map_err(|error| error.to_string())?;
        let login = password.map(|password| address.redis_settings().clone().set_password(password));
        let address = login.map_or(address.clone(), |login| address.set_redis_settings(login));
        let client = Client::open(address).map_err(|error| error.to_string())?;
        Ok(Self { client, connection: None, was_unreadable: false })
    }

    /// The records whose keys begin with `scope`, with the rest of their keys, and the server's time.
    ///
    /// # Errors
    /// Why the server can't be used.
    pub async fn look(&mut self, scope: &str) -> Result<(Vec<(String, BucketRecord)>, Timestamp), Box<str>> {
        self.in_time(async |connection: &mut MultiplexedConnection| records(connection, scope).await).await
    }

    /// Uses the connection. If an idle one was closed, repeats the operation with a new one.
    async fn in_time<T>(
        &mut self,
        act: impl AsyncFn(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Box<str>> {
        let kept = self.connection.take();
        let done = async {
            if let Some(mut kept) = kept
                && let Ok(answer) = act(&mut kept).await
            {
                return Ok((answer, kept));
            }
            let mut fresh = self.connect().await?;
            act(&mut fresh).await.map(|answer| (answer, fresh))
        };
        let place = self.client.get_connection_info().addr();
        match tokio::time::timeout(LONGEST, done).await {
            Ok(Ok((answer, connection))) => {
                self.connection = Some(connection);
                Ok(answer)
            }
            Ok(Err(error)) => Err(format!("Redis at {place} can't be used: {}", reason(error)).into()),
            Err(_) => Err(format!("Redis at {place} doesn't answer within {}s", LONGEST.as_secs()).into()),
        }
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let patient = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        self.client.get_multiplexed_async_connection_with_config(&patient).await
    }
}

impl Backend for RedisStore {
    async fn step<T>(&mut self, key: &str, change: impl Fn(&mut BucketRecord, Timestamp) -> T) -> Result<T, Box<str>> {
        let (answer, is_unreadable) = self
            .in_time(async |connection: &mut MultiplexedConnection| exchange(connection, key, &change).await)
            .await?;
        if is_unreadable && !std::mem::replace(&mut self.was_unreadable, true) {
            tracing::warn!("{} can't be read as the state of a rate limit; it begins anew", name_of(key));
        }
        Ok(answer)
    }
}

/// Changes a record, and repeats this if another run changed it meanwhile. Also returns whether the stored record was
/// damaged.
async fn exchange<T>(
    connection: &mut MultiplexedConnection,
    key: &str,
    change: impl Fn(&mut BucketRecord, Timestamp) -> T,
) -> RedisResult<(T, bool)> {
    let name = name_of(key);
    loop {
        let (_, kept, time): (String, Option<Vec<u8>>, ServerTime) =
            redis::pipe().cmd("WATCH").arg(&name).cmd("GET").arg(&name).cmd("TIME").query_async(connection).await?;
        let (mut record, is_unreadable) = BucketRecord::decode(&kept.unwrap_or_default());
        let now = timestamp(time);
        let answer = change(&mut record, now);
        let for_millis = record.closed_for(now).saturating_add(LIFETIME);
        let mut write = redis::pipe();
        write.atomic().cmd("SET").arg(&name).arg(record.encode()).arg("PX").arg(for_millis).ignore();
        write.cmd("SADD").arg(INDEX).arg(key).ignore().cmd("PEXPIRE").arg(INDEX).arg(for_millis);
        let written: Option<(i64,)> = write.query_async(connection).await?;
        if written.is_some() {
            return Ok((answer, is_unreadable));
        }
    }
}

async fn records(
    connection: &mut MultiplexedConnection,
    scope: &str,
) -> RedisResult<(Vec<(String, BucketRecord)>, Timestamp)> {
    let (keys, time): (Vec<String>, ServerTime) =
        redis::pipe().cmd("SMEMBERS").arg(INDEX).cmd("TIME").query_async(connection).await?;
    let mut found = Vec::new();
    for key in keys {
        let Some(rest) = key.strip_prefix(scope).and_then(|rest| rest.strip_prefix(' ')) else { continue };
        let kept: Option<Vec<u8>> = redis::cmd("GET").arg(name_of(&key)).query_async(connection).await?;
        found.extend(kept.map(|kept| (rest.to_owned(), BucketRecord::decode(&kept).0)));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok((found, timestamp(time)))
}

fn reason(error: RedisError) -> String {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return "it refuses the password; check SLACK_REVOKE_QUOTA_PASSWORD, or name and password in SLACK_REVOKE_QUOTA".into();
    }
    let said = error.to_string();
    // Several errors are usually the same.
    match error.into_server_errors().as_deref() {
        Some([(_, first), ..]) if first.code() == "NOAUTH" => {
            "it wants a password; set SLACK_REVOKE_QUOTA_PASSWORD".into()
        }
        Some([(_, first), ..]) => first.to_string(),
        Some([]) | None => said,
    }
}

/// Seconds and microseconds.
type ServerTime = (i64, i64);

fn timestamp((seconds, micros): ServerTime) -> Timestamp {
    Timestamp::from_millis(seconds * 1000 + micros / 1000)
}

fn name_of(key: &str) -> String {
    format!("slack-revoke:{}", key.replace(' ', ":"))
}
