//! The plan id: a digest of everything that decides which sessions a run ends, so that an approval covers exactly
//! that.
//!
//! The SHA-256 of a text with one line per part, so that anybody can recompute it. To add a part:
//! 1. add a field to [`PlanParts`], and what changes it to the test `every_part_changes_the_id`;
//! 2. add a line to [`PlanParts::lines`] that only plans with the part have, so that the ids of all other plans stay as they are;
//! 3. if its other values can be listed, a function in [`OTHERS`]: a run with another id can then say that this part differs.

use super::manifest::Protections;
use crate::files::sha256_hex;
use crate::model::{Delimiter, IdColumn, IdColumns, Identify, SessionKind};
use std::collections::BTreeSet;
use std::fmt;

/// The first line. Increase the number if a line changes its meaning.
const VERSION: &str = "slack-revoke plan 1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanParts {
    /// Of the decompressed content.
    pub content_sha256: String,
    pub content_bytes: u64,
    pub columns: IdColumns,
    pub delimiter: Delimiter,
    /// From `--protect`, without users that are only known with a token.
    pub protections: Protections,
    pub allow_self: bool,
    pub allow_unowned: bool,
    /// Which id is sent with a session.
    pub identify: Identify,
    pub whole_users: bool,
    pub only: Option<SessionKind>,
    /// The SHA-256 of the listing of `--bulk`.
    pub bulk: Option<String>,
    pub api_host: String,
    /// The organization of the token, otherwise its workspace. `None` makes the id valid for every organization.
    pub organization: Option<String>,
}

/// A part that differs between the approved plan and this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub part: &'static str,
    pub planned: Option<String>,
    pub here: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
        write!(f, "{} was {} in the plan and is {} here", self.part, value(&self.planned), value(&self.here))
    }
}

/// Plans with other possible values of a part.
type Others = fn(&PlanParts, &[&str]) -> Vec<PlanParts>;

const OTHERS: [Others; 7] = [
    |plan, _| vec![PlanParts { protections: Protections::default(), ..plan.clone() }],
    |plan, _| vec![PlanParts { allow_self: !plan.allow_self, ..plan.clone() }],
    |plan, _| vec![PlanParts { allow_unowned: !plan.allow_unowned, ..plan.clone() }],
    |plan, _| {
        let kinds = [None, Some(SessionKind::Web), Some(SessionKind::Mobile)];
        let users = kinds.map(|only| PlanParts { whole_users: true, only, ..plan.clone() });
        let sessions = [Identify::Auto, Identify::User, Identify::Team];
        let sessions = sessions.map(|identify| PlanParts { identify, whole_users: false, only: None, ..plan.clone() });
        users.into_iter().chain(sessions).collect()
    },
    |plan, _| vec![PlanParts { bulk: None, ..plan.clone() }],
    |plan, hosts| hosts.iter().map(|host| PlanParts { api_host: (*host).into(), ..plan.clone() }).collect(),
    |plan, _| vec![plan.without_organization()],
];

impl PlanParts {
    /// In lower-case hexadecimal.
    #[must_use]
    pub fn id(&self) -> String {
        sha256_hex(self.text().as_bytes())
    }

    /// The same plan made without a token.
    #[must_use]
    pub fn without_organization(&self) -> Self {
        Self { organization: None, ..self.clone() }
    }

    /// The parts that differ from the plan with the id `planned`, if that plan can be guessed. Empty if it can't:
    /// then the input or the list of `--protect` differs. `hosts` are the usual API hosts.
    #[must_use]
    pub fn differences(&self, planned: &str, hosts: &[&str]) -> Vec<Difference> {
        let with_others = |plans: Vec<Self>, others: &Others| {
            let add = |plan: Self| others(&plan, hosts).into_iter().chain([plan]);
            plans.into_iter().flat_map(add).collect()
        };
        let guesses = OTHERS.iter().fold(vec![self.clone()], with_others);
        let found = guesses.into_iter().find(|plan| plan.id() == planned);
        found.map(|planned| planned.unlike(self)).unwrap_or_default()
    }

    fn unlike(&self, here: &Self) -> Vec<Difference> {
        let (planned, here) = (self.lines(), here.lines());
        let value = |lines: &[(&str, String)], part| {
            lines.iter().find(|(name, _)| *name == part).map(|(_, value)| value.clone())
        };
        let parts: BTreeSet<&str> = planned.iter().chain(&here).map(|(name, _)| *name).collect();
        let compared =
            parts.into_iter().map(|part| Difference { part, planned: value(&planned, part), here: value(&here, part) });
        compared.filter(|compared| compared.planned != compared.here).collect()
    }

    /// The text whose digest is the id.
    fn text(&self) -> String {
        self.lines().into_iter().fold(format!("{VERSION}\n"), |text, (name, value)| format!("{text}{name} {value}\n"))
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("input", format!("{} {}", self.content_sha256, self.content_bytes)),
            ("columns", self.columns()),
            ("--protect", self.protections()),
            ("--allow-self", yes_or_no(self.allow_self)),
            ("--allow-unowned", yes_or_no(self.allow_unowned)),
            ("mode", self.mode()),
        ];
        lines.extend(self.bulk.as_ref().map(|listing| ("--bulk", listing.clone())));
        lines.extend([("host", self.api_host.clone())]);
        lines.extend(self.organization.as_ref().map(|organization| ("organization", organization.clone())));
        lines
    }

    fn columns(&self) -> String {
        let column = |id: IdColumn| {
            let at = self.columns.of(id).map_or_else(|| "-".into(), |index| (index + 1).to_string());
            format!("{}={at}", id.as_str())
        };
        let ids = [IdColumn::Session, IdColumn::User, IdColumn::Team].map(column);
        format!("{} delimiter={:#04x}", ids.join(" "), self.delimiter.byte())
    }

    fn protections(&self) -> String {
        let named = self.protections.named();
        let Protections { users, sessions, addresses, .. } = &named;
        match named.ids() {
            0 => "none".into(),
            _ => format!(
                "users={} sessions={} addresses={} {}",
                users.len(),
                sessions.len(),
                addresses.len(),
                named.sha256()
            ),
        }
    }

    fn mode(&self) -> String {
        match (self.whole_users, self.only) {
            (true, None) => "whole users".into(),
            (true, Some(kind)) => format!("whole users, only {}", kind.as_str()),
            (false, _) => format!("sessions by {}", self.identify.as_str()),
        }
    }
}

fn yes_or_no(given: bool) -> String {
    if given { "yes" } else { "no" }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EmailAddress, SessionId, UserId};
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn plan() -> PlanParts {
        PlanParts {
            content_sha256: "0a".repeat(32),
            content_bytes: 1_234,
            columns: IdColumns { session: Some(1), team: Some(0), ..IdColumns::default() },
            delimiter: Delimiter::COMMA,
            protections: Protections::default(),
            allow_self: false,
            allow_unowned: false,
            identify: Identify::Auto,
            whole_users: false,
            only: None,
            bulk: None,
            api_host: "slack.com".into(),
            organization: Some("E0ACME".into()),
        }
    }

    fn protect(users: &[&str], sessions: &[u64], addresses: &[&str]) -> Protections {
        Protections {
            users: users.iter().filter_map(|user| UserId::parse(user).ok()).collect(),
            sessions: sessions.iter().map(|session| SessionId::from(*session)).collect(),
            addresses: addresses.iter().filter_map(|address| EmailAddress::parse(address)).collect(),
            ..Protections::default()
        }
    }

    /// One change of each part.
    fn changes() -> Vec<PlanParts> {
        let plan = plan();
        let whole = |only| PlanParts { whole_users: true, only, ..self::plan() };
        let columns = |session, user, team| IdColumns { session, user, team, email: None };
        vec![
            PlanParts { content_sha256: "0b".repeat(32), ..plan.clone() },
            PlanParts { content_bytes: 1_235, ..plan.clone() },
            PlanParts { columns: columns(Some(0), None, Some(1)), ..plan.clone() },
            PlanParts { columns: columns(Some(1), Some(0), None), ..plan.clone() },
            PlanParts { columns: columns(Some(1), None, None), ..plan.clone() },
            PlanParts { delimiter: Delimiter::TAB, ..plan.clone() },
            PlanParts { protections: protect(&["U1"], &[], &[]), ..plan.clone() },
            PlanParts { protections: protect(&["U2"], &[], &[]), ..plan.clone() },
            PlanParts { protections: protect(&["U1", "U2"], &[], &[]), ..plan.clone() },
            PlanParts { protections: protect(&[], &[1], &[]), ..plan.clone() },
            PlanParts { protections: protect(&[], &[], &["a@b"]), ..plan.clone() },
            PlanParts { allow_self: true, ..plan.clone() },
            PlanParts { allow_unowned: true, ..plan.clone() },
            PlanParts { identify: Identify::User, ..plan.clone() },
            PlanParts { identify: Identify::Team, ..plan.clone() },
            whole(None),
            whole(Some(SessionKind::Web)),
            whole(Some(SessionKind::Mobile)),
            PlanParts { bulk: Some("0c".repeat(32)), ..plan.clone() },
            PlanParts { bulk: Some("0d".repeat(32)), ..plan.clone() },
            PlanParts { api_host: "slack-gov.com".into(), ..plan.clone() },
            PlanParts { organization: Some("E0OTHER".into()), ..plan.clone() },
            plan.without_organization(),
            plan,
        ]
    }

    #[test]
    fn every_part_changes_the_id() {
        let mut known = HashMap::new();
        for plan in changes() {
            assert_eq!(plan.id().len(), 64);
            let other = known.insert(plan.id(), plan.clone());
            assert_eq!(other, None, "{plan:?}");
        }
    }

    /// `printf 'slack-revoke plan 1\ninput …' | sha256sum`
    #[test]
    fn the_id_is_the_sha256_of_documented_lines() {
        let named = PlanParts { protections: protect(&["U1"], &[7], &["jane@example.com"]), ..plan() };
        let text = format!(
            "slack-revoke plan 1\ninput {} 1234\ncolumns session_id=2 user_id=- team_id=1 delimiter=0x2c\n\
             --protect users=1 sessions=1 addresses=1 {}\n--allow-self no\n--allow-unowned no\nmode sessions by auto\n\
             host slack.com\norganization E0ACME\n",
            "0a".repeat(32),
            // printf 'U1\n7\njane@example.com\n' | sha256sum
            "5dd7fbcadb2e9ab2dd6704dbb51e3bde71c384b2d4a714bcd66c6e813aeaba07"
        );
        assert_eq!(named.text(), text);
    }

    /// Users that are only known with a token.
    #[test]
    fn what_a_plan_without_a_token_cannot_know_is_no_part() {
        let named = protect(&["U1"], &[], &["jane@example.com"]);
        let with = |protections| PlanParts { protections, ..plan() }.id();
        let known = Protections {
            users_of_addresses: UserId::parse("U5").into_iter().collect(),
            own_users: UserId::parse("U6").into_iter().collect(),
            ..named.clone()
        };
        assert_eq!(with(named), with(known));
    }

    #[test]
    fn a_part_that_differs_is_named_with_both_values() {
        let here = PlanParts { protections: protect(&["U1"], &[], &[]), ..plan() };
        let hosts = ["slack.com", "slack-gov.com"];
        for (planned, want) in [
            (plan(), vec!["--protect was none in the plan and is users=1"]),
            (PlanParts { allow_self: true, ..here.clone() }, vec!["--allow-self was yes in the plan and is no here"]),
            (PlanParts { allow_unowned: true, ..here.clone() }, vec!["--allow-unowned was yes"]),
            (
                PlanParts { whole_users: true, only: Some(SessionKind::Web), ..here.clone() },
                vec!["mode was whole users, only web in the plan and is sessions by auto here"],
            ),
            (PlanParts { identify: Identify::Team, ..here.clone() }, vec!["mode was sessions by team"]),
            (
                PlanParts { api_host: "slack-gov.com".into(), organization: None, ..here.clone() },
                vec![
                    "host was slack-gov.com in the plan and is slack.com",
                    "organization was none in the plan and is E0ACME",
                ],
            ),
            (PlanParts { content_bytes: 1, ..here.clone() }, vec![]),
            (PlanParts { protections: protect(&["U2"], &[], &[]), ..here.clone() }, vec![]),
            (here.clone(), vec![]),
        ] {
            let found = here.differences(&planned.id(), &hosts);
            assert_eq!(found.len(), want.len(), "{found:?}");
            for (found, want) in found.iter().zip(want) {
                assert!(found.to_string().starts_with(want), "{found}: {want}");
            }
        }
    }

    proptest! {
        /// No two plans have the same text, whatever their values are.
        #[test]
        fn other_parts_give_another_id(one in 0..24_usize, other in 0..24_usize, allow_self: bool, host in "[a-z.]{1,9}", organization in proptest::option::of("[ET][A-Z0-9]{1,9}")) {
            let change = |index: usize| {
                let plan = changes().swap_remove(index);
                PlanParts { allow_self, api_host: host.clone(), organization: organization.clone(), ..plan }
            };
            let (one, other) = (change(one), change(other));
            prop_assert_eq!(one == other, one.id() == other.id());
        }
    }
}
