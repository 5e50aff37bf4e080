//! The store of the shared limits, as the settings name it.

use crate::cli::{RemoteSettings, Settings};
use crate::engine::clock::{Clock, wall};
use crate::engine::ports::{LimitNews, LimitReport, QuotaStore};
use crate::model::{LimitUse, QuotaChoice, RateChoice};
use crate::quota::record::{BucketRecord, Member};
use crate::quota::{self, FileStore, SharedLimits};
use crate::slack::ApiUrl;
use crate::slack::method::{INVALIDATE, RESET_BULK};
use std::time::Duration;

/// What was in the minutes before a command has a time on its clock too.
const PAST: Duration = Duration::from_mins(2);

type Elapsed = Box<dyn Fn() -> Duration>;

/// Where a command shares its limits.
pub enum Quota {
    Files(Box<SharedLimits<FileStore, Elapsed>>),
    /// There is no folder for the state of a program.
    Nowhere,
}

impl QuotaStore for Quota {
    async fn exchange(&mut self, report: LimitReport) -> Result<LimitNews, Box<str>> {
        match self {
            Self::Files(limits) => limits.exchange(report).await,
            Self::Nowhere => Err("STATE_DIRECTORY, XDG_STATE_HOME and HOME aren't set".into()),
        }
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
    is_limited && !settings.rehearse && settings.calls.quota == QuotaChoice::Auto
}

/// The store for the calls of one method.
#[must_use]
pub fn open(settings: &RemoteSettings, limit: &LimitKey<'_>, clock: Clock, run_id: String) -> Quota {
    let Some(folder) = folder() else { return Quota::Nowhere };
    let me = Member { id: run_id, host: host(), priority: settings.calls.priority };
    Quota::Files(Box::new(SharedLimits::new(
        FileStore::new(folder, wall),
        Box::new(move || clock.elapsed()),
        me,
        limit.scope(limit.method),
    )))
}

/// The method of a run.
#[must_use]
pub fn method(settings: &Settings) -> &'static str {
    if settings.input.whole_users { RESET_BULK } else { INVALIDATE }
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
    fn scope(&self, method: &str) -> String {
        format!("{} {} {method}", self.api.authority(), self.organization.unwrap_or("unknown"))
    }

    /// Who draws on the limits of these methods. Without an organization, those of all on this host.
    #[must_use]
    pub fn in_use(&self, settings: &RemoteSettings, methods: &[&str]) -> Vec<LimitUse> {
        let Some(folder) = folder().filter(|_| is_shared(settings)) else { return Vec::new() };
        let found = FileStore::new(folder, wall).look(self.api.authority());
        let of_these = |(name, record): (String, BucketRecord)| {
            let (organization, limit) = name.split_once('_')?;
            let is_ours = self.organization.is_none_or(|ours| ours == organization);
            let is_of_method = methods.contains(&limit.split('_').next().unwrap_or_default());
            (is_ours && is_of_method).then(|| record.in_use(&limit.replace('_', " "), wall()))
        };
        found.into_iter().filter_map(of_these).filter(|limit| !limit.is_unused()).collect()
    }
}

fn folder() -> Option<std::path::PathBuf> {
    quota::folder(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

/// The machine's name; empty if the system doesn't say.
#[must_use]
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}
