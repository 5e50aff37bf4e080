//! Whether a listing holds every session of its users, so that a user all of whose listed sessions end can be ended as a whole.
//! Pure.

use super::listing::Listing;
use crate::model::{Timestamp, counted, format_duration};
use std::time::Duration;

/// What a listing is compared with.
#[derive(Debug, Clone, Copy)]
pub struct ListingFacts<'a> {
    /// What is known of the input as a listing, and the SHA-256 of the input as it is now.
    pub input: Option<(&'a Listing, &'a str)>,
    /// `None` for a rehearsal, which may be one of any organization.
    pub api_host: Option<&'a str>,
    pub now: Timestamp,
    pub max_age: Duration,
}

/// What a listing that can be used holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListingExtent {
    /// Every session of its users.
    All,
    /// Every session of its users that isn't in the input.
    AllButInput,
}

/// Why a listing can't show whose sessions are all in the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingGap {
    #[error("it isn't finished")]
    Unfinished,
    #[error("it lacks {} that couldn't be read", counted(*.0, "session", "sessions"))]
    Incomplete(u64),
    #[error("it was changed since it was listed")]
    Changed,
    #[error("it was listed with {0}, so it lacks sessions")]
    Filtered(String),
    #[error("it is the other half of a listing, and the input isn't the first half as it was listed")]
    OtherInput,
    #[error("it was listed on {0}")]
    OtherHost(String),
    #[error("it is of the organization {0}")]
    OtherOrganization(String),
    #[error("it is {0} old, and sessions that began since would end without being listed; how many can't be known")]
    TooOld(String),
    #[error("it was listed {0} from now by this clock, so its age isn't known")]
    OfLater(String),
}

impl ListingGap {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooOld(_) => "list again, or allow its age with --max-listing-age, or leave out --bulk",
            Self::OtherInput => {
                "give the -o of that listing as the input, or list everything: slack-revoke list -o FILE"
            }
            Self::Unfinished => "continue it with slack-revoke list --resume, or leave out --bulk",
            Self::OfLater(_) => "set the clock and list again, or leave out --bulk",
            Self::Incomplete(_)
            | Self::Changed
            | Self::Filtered(_)
            | Self::OtherHost(_)
            | Self::OtherOrganization(_) => "list everything again: slack-revoke list -o FILE, or leave out --bulk",
        }
    }
}

impl Listing {
    /// Whether the listing, as it was listed, holds every session of its users, by itself or together with the input.
    ///
    /// # Errors
    /// What it lacks.
    pub fn extent(&self, facts: &ListingFacts<'_>) -> Result<ListingExtent, ListingGap> {
        if !self.is_finished() {
            return Err(ListingGap::Unfinished);
        }
        if !self.complete {
            return Err(ListingGap::Incomplete(self.unreadable));
        }
        if facts.api_host.is_some_and(|here| self.api_host != here) {
            return Err(ListingGap::OtherHost(self.api_host.clone()));
        }
        let extent = self.extent_with(facts)?;
        self.check_age(facts.now, facts.max_age)?;
        Ok(extent)
    }

    /// Fails if it is older than this, or by as much too young, which a wrong clock makes it.
    ///
    /// # Errors
    /// [`ListingGap::TooOld`] or [`ListingGap::OfLater`]
    pub fn check_age(&self, now: Timestamp, max_age: Duration) -> Result<(), ListingGap> {
        let age = now.as_millis().saturating_sub(self.began_at.as_millis());
        let apart = Duration::from_millis(age.unsigned_abs());
        if apart <= max_age {
            return Ok(());
        }
        let gap = if age > 0 { ListingGap::TooOld } else { ListingGap::OfLater };
        Err(gap(format_duration(apart)))
    }

    /// Fails if the file, which has this SHA-256 now, isn't the one that was listed.
    ///
    /// # Errors
    /// [`ListingGap::Changed`]
    pub fn check_content(&self, sha256: &str) -> Result<(), ListingGap> {
        if self.output.sha256.as_deref() == Some(sha256) { Ok(()) } else { Err(ListingGap::Changed) }
    }

    /// Fails if it is of another organization. `None` if Slack didn't say whose the token is.
    ///
    /// # Errors
    /// [`ListingGap::OtherOrganization`]
    pub fn check_organization(&self, here: Option<&str>) -> Result<(), ListingGap> {
        match (&self.organization, here) {
            (Some(listed), Some(here)) if listed != here => Err(ListingGap::OtherOrganization(listed.clone())),
            (Some(_) | None, _) => Ok(()),
        }
    }

    fn extent_with(&self, facts: &ListingFacts<'_>) -> Result<ListingExtent, ListingGap> {
        let narrowing = |flag: &&String| match flag.as_str() {
            // All sessions of the users who are listed.
            "users" | "exclude-user" => false,
            // These decide what is asked for, so that the rest is in neither half.
            "team" | "user" => true,
            _ => !self.is_others,
        };
        let flags: Vec<String> = self.filters.keys().filter(narrowing).map(|flag| format!("--{flag}")).collect();
        if !flags.is_empty() {
            return Err(ListingGap::Filtered(flags.join(" and ")));
        }
        if !self.is_others {
            return Ok(ListingExtent::All);
        }
        let is_first_half = facts.input.is_some_and(|(input, sha256)| {
            let others = input.others.as_ref().and_then(|others| others.written.sha256.as_deref());
            input.output.sha256.as_deref() == Some(sha256)
                && others.is_some()
                && others == self.output.sha256.as_deref()
        });
        if is_first_half { Ok(ListingExtent::AllButInput) } else { Err(ListingGap::OtherInput) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::listing::{Filters, OthersFile, Written};

    const HOUR: i64 = 3_600_000;

    fn listing(flags: &[&str], sha256: &str) -> Listing {
        let filters: Filters = flags.iter().map(|flag| ((*flag).to_owned(), vec!["x".to_owned()])).collect();
        let began = Listing::new(Timestamp::from_millis(0), "slack.com".into(), Some("E1".into()), filters);
        let output = Written { bytes: 1, sha256: Some(sha256.into()) };
        Listing { finished_at: Some(Timestamp::from_millis(9)), complete: true, output, ..began }
    }

    /// A first half whose other half has the SHA-256 `b`.
    fn first_half() -> Listing {
        let written = Written { bytes: 1, sha256: Some("b".into()) };
        let others = OthersFile { path: "others.csv".into(), rows: 1, written };
        Listing { others: Some(others), ..listing(&["ip"], "a") }
    }

    #[test]
    fn only_a_whole_unchanged_and_young_listing_is_used() {
        let facts = ListingFacts {
            input: None,
            api_host: Some("slack.com"),
            now: Timestamp::from_millis(HOUR),
            max_age: Duration::from_hours(1),
        };
        let whole = listing(&[], "b");
        let others = |flags| Listing { is_others: true, ..listing(flags, "b") };
        let half = first_half();
        let with_input = ListingFacts { input: Some((&half, "a")), ..facts };
        for (listing, facts, want) in [
            (whole.clone(), facts, Ok(ListingExtent::All)),
            (whole.clone(), ListingFacts { api_host: None, ..facts }, Ok(ListingExtent::All)),
            (listing(&["users", "exclude-user"], "b"), facts, Ok(ListingExtent::All)),
            (Listing { finished_at: None, ..whole.clone() }, facts, Err(ListingGap::Unfinished)),
            (Listing { complete: false, unreadable: 2, ..whole.clone() }, facts, Err(ListingGap::Incomplete(2))),
            (listing(&["ip", "os"], "b"), facts, Err(ListingGap::Filtered("--ip and --os".into()))),
            (
                whole.clone(),
                ListingFacts { api_host: Some("x"), ..facts },
                Err(ListingGap::OtherHost("slack.com".into())),
            ),
            (
                whole,
                ListingFacts { now: Timestamp::from_millis(HOUR + 60_000), ..facts },
                Err(ListingGap::TooOld("1h 1m".into())),
            ),
            (
                Listing { began_at: Timestamp::from_millis(3 * HOUR), ..listing(&[], "b") },
                facts,
                Err(ListingGap::OfLater("2h".into())),
            ),
            (others(&["ip"]), with_input, Ok(ListingExtent::AllButInput)),
            (others(&["ip"]), facts, Err(ListingGap::OtherInput)),
            (others(&["ip"]), ListingFacts { input: Some((&half, "edited")), ..facts }, Err(ListingGap::OtherInput)),
            (others(&["team", "user"]), with_input, Err(ListingGap::Filtered("--team and --user".into()))),
        ] {
            assert_eq!(listing.extent(&facts), want, "{listing:?}");
        }
        assert_eq!((half.check_content("a"), half.check_content("b")), (Ok(()), Err(ListingGap::Changed)));
        let gap = ListingGap::Incomplete(1).to_string();
        assert_eq!(gap, "it lacks 1 session that couldn't be read");
        for (here, want) in
            [(Some("E1"), Ok(())), (None, Ok(())), (Some("E2"), Err(ListingGap::OtherOrganization("E1".into())))]
        {
            assert_eq!(half.check_organization(here), want);
        }
        let stranger = listing(&["ip"], "a");
        assert_eq!(
            others(&["ip"]).extent(&ListingFacts { input: Some((&stranger, "a")), ..facts }),
            Err(ListingGap::OtherInput)
        );
    }
}
