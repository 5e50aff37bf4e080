//! A variable whose name is not quite a flag's: its author takes a protection for given that is not.

use super::variables;
use clap::Command;
use std::ffi::OsString;

/// A variable that is set, and the one that is probably meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misspelled {
    set: String,
    meant: String,
}

/// The first variable that would be ignored although a flag's was meant. An empty one says nothing under any name.
pub(super) fn among(command: &Command, set: impl Iterator<Item = (OsString, OsString)>) -> Option<Misspelled> {
    let known = variables::names_in(command);
    let given = set.filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.to_string_lossy().into_owned());
    let found = given.filter_map(|set| meant(&set, &known).map(|meant| Misspelled { meant: meant.to_owned(), set }));
    found.min_by(|one, other| one.set.cmp(&other.set))
}

impl Misspelled {
    pub(super) fn refusal(&self) -> String {
        let Self { set, meant } = self;
        let set = set.escape_debug();
        format!(
            "the environment variable {set} is none of this program's and looks like {meant}: rename or remove it

  It would be ignored, and a protection or a limit with it. Nothing was sent."
        )
    }
}

/// The variable that a name is a slip of, if it is one.
fn meant<'a>(set: &str, known: &'a [String]) -> Option<&'a str> {
    let letters = letters_of(set);
    let is_read = || set == variables::LOG || known.iter().any(|name| name == set);
    if !letters.contains("REVOKE") && !letters.starts_with("SLACK") || is_read() || is_of_kubernetes(set) {
        return None;
    }
    let slips = |name: &&String| {
        let name = letters_of(name);
        Some(strsim::damerau_levenshtein(&letters, &name)).filter(|&slips| slips <= most_slips(&name))
    };
    known.iter().filter_map(|name| Some((slips(&name)?, name))).min().map(|(_, name)| name.as_str())
}

/// Upper case, without what only separates words.
fn letters_of(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

/// Of a short name other words are only a letter or two away.
fn most_slips(letters: &str) -> usize {
    match letters.len().saturating_sub("SLACKREVOKE".len()) {
        0..=2 => 0,
        3..=6 => 1,
        _ => 2,
    }
}

/// What Kubernetes sets in every container where a service is called slack-revoke or begins like it.
fn is_of_kubernetes(name: &str) -> bool {
    let ends = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];
    let is_numbered = |(_, rest): (&str, &str)| rest.starts_with(|first: char| first.is_ascii_digit());
    ends.iter().any(|end| name.ends_with(end))
        || name.contains("_SERVICE_PORT_")
        || name.rsplit_once("_PORT_").is_some_and(is_numbered)
        || name.split_once("_PORT_").is_some_and(is_numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, value: &str) -> Option<String> {
        let set = [(OsString::from(name), OsString::from(value))];
        among(&super::super::command(), set.into_iter()).map(|found| found.meant.replace("SLACK_REVOKE_", ""))
    }

    #[test]
    fn a_slip_of_the_pen_is_told_from_other_words() {
        for (name, want) in [
            ("SLACK_REVOKE_PROTCET", Some("PROTECT")),
            ("SLACK_REVOKE_PROTECTS", Some("PROTECT")),
            ("SLACK_REVOKE_PROTEC", Some("PROTECT")),
            ("SLACK_REVOKE_PROTECTED", Some("PROTECT")),
            ("SLACK_REVOKE_PROTECT_", Some("PROTECT")),
            ("SLACK_REVOKE__PROTECT", Some("PROTECT")),
            ("SLACK_REVOKE-PROTECT", Some("PROTECT")),
            ("SLACK_REVOKE.PROTECT", Some("PROTECT")),
            ("slack_revoke_protect", Some("PROTECT")),
            ("Slack_Revoke_Protect", Some("PROTECT")),
            ("SLACKREVOKE_PROTECT", Some("PROTECT")),
            ("SLAKC_REVOKE_PROTECT", Some("PROTECT")),
            ("SLACK_REVOK_PROTECT", Some("PROTECT")),
            ("SLACK_REVOKED_PROTECT", Some("PROTECT")),
            ("SLACK_REVOKE_ALLOWSELF", Some("ALLOW_SELF")),
            ("SLACK_REVOKE_ALLOW_SELFS", Some("ALLOW_SELF")),
            ("SLACK_REVOKE_MAXFAILURES", Some("MAX_FAILURES")),
            ("SLACK_REVOKE_MAX_FAILURE", Some("MAX_FAILURES")),
            ("SLACK_REVOKE_MAX_FIALURES", Some("MAX_FAILURES")),
            ("SLACK_REVOKE_STRCIT", Some("STRICT")),
            ("SLACK_REVOKE_RATES", Some("RATE")),
            ("SLACK_REVOKE_NOTIP", Some("NOT_IP")),
            ("slack_revoke_ip", Some("IP")),
            ("SLACK_REVOKE_PROTECT", None),
            ("SLACK_REVOKE_VERIFY_OUTPUT", None),
            ("SLACK_REVOKE_USERS", None),
            ("SLACK_REVOKE_LOG", None),
            ("SLACK_REVOKE_TOKEN", None),
            ("SLACK_REVOKE_EXIT_CODE", None),
            ("SLACK_REVOKE_STATUS", None),
            ("SLACK_REVOKE_MODE", None),
            ("SLACK_REVOKE_RUN_ID", None),
            ("SLACK_REVOKE_RESULTS", None),
            ("SLACK_REVOKE_SUMMARY", None),
            ("SLACK_REVOKE_VERSION", None),
            ("SLACK_REVOKE_IMAGE", None),
            ("SLACK_REVOKE_CONFIG", None),
            ("SLACK_REVOKE_HOME", None),
            ("SLACK_REVOKE_ID", None),
            ("SLACK_REVOKE", None),
            ("SLACK_TOKEN", None),
            ("PROTECT", None),
            ("SLACK_REVOKE_PORT", None),
            ("SLACK_REVOKE_PORT_443_TCP", None),
            ("SLACK_REVOKE_PORT_443_TCP_ADDR", None),
            ("SLACK_REVOKE_PORT_443_TCP_PORT", None),
            ("SLACK_REVOKE_PORT_443_TCP_PROTO", None),
            ("SLACK_REVOKE_SERVICE_HOST", None),
            ("SLACK_REVOKE_SERVICE_PORT", None),
            ("SLACK_REVOKE_SERVICE_PORT_HTTPS", None),
            ("SLACK_REVOKE_METRICS_PORT_80_TCP", None),
        ] {
            assert_eq!(found(name, "x").as_deref(), want, "{name}");
        }
        assert_eq!(found("SLACK_REVOKE_PROTCET", ""), None);
    }

    #[test]
    fn every_flags_variable_is_known_and_each_swap_of_its_letters_is_not() {
        let command = super::super::command();
        let known = variables::names_in(&command);
        assert!(known.len() > 50, "{known:?}");
        for name in &known {
            assert_eq!(meant(name, &known), None, "{name}");
            let swapped: Vec<char> = name.chars().collect();
            for at in "SLACK_REVOKE_".len()..name.len() - 1 {
                let mut swapped = swapped.clone();
                swapped.swap(at, at + 1);
                let swapped: String = swapped.into_iter().collect();
                let is_short = name.len() < "SLACK_REVOKE_".len() + 3;
                assert!(is_short || known.contains(&swapped) || meant(&swapped, &known).is_some(), "{swapped}");
            }
        }
    }
}
