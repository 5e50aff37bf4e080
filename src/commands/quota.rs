//! The store of the shared limits, as the settings name it.

use crate::cli::{QUOTA_PASSWORD, RemoteSettings, Settings};
use crate::engine::clock::{Clock, wall};
use crate::engine::ports::{LimitNews, LimitReport, QuotaStore};
use crate::model::{LimitUse, QuotaChoice, RateChoice, StoreUrl, Timestamp};
use crate::quota::record::{BucketRecord, Member};
use crate::quota::{self, FileStore, RedisStore, SharedLimits};
use crate::slack::ApiUrl;
use crate::slack::method::{INVALIDATE, RESET_BULK};
use std::time::Duration;

/// What was in the minutes before a command has a time on its clock too.
const PAST: Duration = Duration::from_mins(2);

type Limits<B> = Box<SharedLimits<B, Box<dyn Fn() -> Duration>>>;

/// Where a command shares its limits.
pub enum Quota {
    Files(Limits<FileStore>),
    Redis(Limits<RedisStore>),
    /// There is no place for them, and why.
    Nowhere(Box<str>),
}

impl QuotaStore for Quota {
    async fn exchange(&mut self, report: LimitReport) -> Result<LimitNews, Box<str>> {
        match self {
            Self::Files(limits) => limits.exchange(report).await,
            Self::Redis(limits) => limits.exchange(report).await,
            Self::Nowhere(why) => Err(why.clone()),
        }
    }
}

/// The limits of a run: Slack counts the calls for whole users by themselves.
pub struct RunQuota {
    sessions: Quota,
    users: Quota,
}

impl RunQuota {
    /// The stores for the calls of a run, whose organization is that of `limit`.
    #[must_use]
    pub fn open(settings: &RemoteSettings, limit: &LimitKey<'_>, clock: Clock, run_id: &str) -> Self {
        let of = |method| open(settings, &LimitKey { method, ..*limit }, clock, run_id.to_owned());
        Self { sessions: of(INVALIDATE), users: of(RESET_BULK) }
    }
}

impl QuotaStore for RunQuota {
    async fn exchange(&mut self, report: LimitReport) -> Result<LimitNews, Box<str>> {
        let limits = if report.is_bulk { &mut self.users } else { &mut self.sessions };
        limits.exchange(report).await
    }
}

/// The clock of a command that shares its limits.
#[must_use]
pub fn clock() -> Clock {
    Clock::start_at(PAST)
}

/// Whether other runs may draw on the limits of this command.
#[must_use]
pub fn is_shared(settings: &RemoteSettings) -> bool {
    let is_limited = settings.rate != RateChoice::Unlimited;
    is_limited && !settings.rehearse && settings.calls.quota != QuotaChoice::None
}

/// The store for the calls of one method.
#[must_use]
pub fn open(settings: &RemoteSettings, limit: &LimitKey<'_>, clock: Clock, run_id: String) -> Quota {
    let me = Member { id: run_id, host: host(), priority: settings.calls.priority };
    let (elapsed, scope) = (Box::new(move || clock.elapsed()), limit.scope());
    let opened = match &settings.calls.quota {
        QuotaChoice::Redis(url) => {
            redis(url).map(|store| Quota::Redis(Box::new(SharedLimits::new(store, elapsed, me, scope))))
        }
        QuotaChoice::Auto | QuotaChoice::None => {
            files().map(|store| Quota::Files(Box::new(SharedLimits::new(store, elapsed, me, scope))))
        }
    };
    opened.unwrap_or_else(Quota::Nowhere)
}

fn files() -> Result<FileStore, Box<str>> {
    let folder = quota::folder(|name| std::env::var_os(name).filter(|value| !value.is_empty()));
    folder
        .map(|folder| FileStore::new(folder, wall))
        .ok_or("STATE_DIRECTORY, XDG_STATE_HOME and HOME aren't set".into())
}

fn redis(url: &StoreUrl) -> Result<RedisStore, Box<str>> {
    let password = std::env::var(QUOTA_PASSWORD).ok().filter(|password| !password.is_empty());
    RedisStore::new(url, password.as_deref())
}

/// The methods of a run.
#[must_use]
pub fn methods(settings: &Settings) -> &'static [&'static str] {
    match (settings.input.whole_users, &settings.input.bulk) {
        (true, _) => &[RESET_BULK],
        (false, Some(_)) => &[INVALIDATE, RESET_BULK],
        (false, None) => &[INVALIDATE],
    }
}

/// What Slack counts calls by, but for the workspace.
#[derive(Debug, Clone, Copy)]
pub struct LimitKey<'a> {
    pub api: &'a ApiUrl,
    /// `None` if it is unknown; runs whose organization is unknown share one limit.
    pub organization: Option<&'a str>,
    pub method: &'static str,
}

impl LimitKey<'_> {
    fn scope(&self) -> String {
        format!("{} {} {}", self.api.authority(), self.organization.unwrap_or("unknown"), self.method)
    }

    /// Who draws on the limits of these methods. Without an organization, those of all on this host.
    ///
    /// # Errors
    /// Why it can't be known.
    pub async fn in_use(&self, settings: &RemoteSettings, methods: &[&str]) -> Result<Vec<LimitUse>, Box<str>> {
        let (found, now) = match &settings.calls.quota {
            _ if !is_shared(settings) => return Ok(Vec::new()),
            QuotaChoice::Redis(url) => redis(url)?.look(self.api.authority()).await?,
            QuotaChoice::Auto | QuotaChoice::None => (files()?.look(self.api.authority()), wall()),
        };
        let uses = found.into_iter().filter_map(|found| self.use_of(found, methods, now));
        Ok(uses.filter(|limit| !limit.is_unused()).collect())
    }

    fn use_of(&self, (key, record): (String, BucketRecord), methods: &[&str], now: Timestamp) -> Option<LimitUse> {
        let (organization, limit) = key.split_once(' ')?;
        let is_ours = self.organization.is_none_or(|ours| ours == organization);
        let is_of_method = methods.contains(&limit.split(' ').next().unwrap_or_default());
        (is_ours && is_of_method).then(|| record.in_use(limit, now))
    }
}

/// The machine's name; empty if the system doesn't say.
#[must_use]
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}
