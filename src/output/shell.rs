//! Command lines to be pasted into a shell. Pure.

use super::text::clean;
use crate::model::without_tokens;
use std::ffi::{OsStr, OsString};

/// The typed command with one `--resume`, at the end or before a `--`. Not added if there is `--resume-or-start`.
///
/// Tokens in words (`--token-command "echo xoxp-…"`) are removed. Settings from the environment aren't included. A
/// word with unprintable characters or invalid UTF-8 is written as `$'…'` with octal bytes, which bash, zsh and
/// POSIX.1-2024 read back exactly.
#[must_use]
pub fn resume_command(argv: &[OsString]) -> String {
    let flags_end = argv.iter().position(|word| word == "--").unwrap_or(argv.len());
    let (flags, rest) = argv.split_at(flags_end);
    let resumes = flags.iter().any(|word| word == "--resume" || word == "--resume-or-start");
    let resume = (!resumes).then(|| "--resume".to_owned());
    words(flags).into_iter().chain(resume).chain(words(rest)).collect::<Vec<_>>().join(" ")
}

/// Flags that don't apply to a run of other rows, and whether they have a value.
const OF_THIS_RUN: [(&str, bool); 7] = [
    ("--output", true),
    ("--remaining", true),
    ("--resume", false),
    ("--resume-or-start", false),
    ("--confirm-users", true),
    ("--plan-id", true),
    ("--approved-by", true),
];

/// The command for a new run of the file of remaining rows, with the typed flags. `input` is the input as typed.
#[must_use]
pub fn retry_command(argv: &[OsString], input: &OsStr, remaining: &OsStr) -> String {
    let place = input_in(argv, input);
    let mut kept: Vec<OsString> = Vec::new();
    let mut typed = argv.iter().enumerate();
    while let Some((at, word)) = typed.next() {
        if Some(at) == place {
            kept.push(remaining.to_owned());
            continue;
        }
        match of_this_run(word) {
            Some(Dropped { rest, takes_next }) => {
                kept.extend(rest);
                if takes_next {
                    typed.next();
                }
            }
            None => kept.push(word.clone()),
        }
    }
    command_line(&kept)
}

/// The index of the input. A word after a flag may be its value, so it is only used if there is no other.
fn input_in(argv: &[OsString], input: &OsStr) -> Option<usize> {
    let is_flag = |word: &OsString| word.as_encoded_bytes().starts_with(b"-") && word != "-" && word != "--";
    let places = || (1..argv.len()).filter(|at| argv[*at] == input);
    places().find(|at| !is_flag(&argv[at - 1])).or_else(|| places().next_back())
}

struct Dropped {
    /// The rest of combined short flags, such as `-y` of `-yo`.
    rest: Option<OsString>,
    takes_next: bool,
}

fn of_this_run(word: &OsStr) -> Option<Dropped> {
    let text = word.to_string_lossy();
    let gone = |takes_next| Some(Dropped { rest: None, takes_next });
    if let Some((_, takes)) = OF_THIS_RUN.iter().find(|(flag, _)| *flag == text) {
        return gone(*takes);
    }
    if text.split_once('=').is_some_and(|(flag, _)| OF_THIS_RUN.iter().any(|(known, takes)| *takes && *known == flag)) {
        return gone(false);
    }
    // `-o FILE`, `-oFILE`, and after short flags without a value.
    let short = text.strip_prefix('-').filter(|short| !short.starts_with('-'))?;
    let at = short.find('o').filter(|at| short[..*at].bytes().all(|flag| b"nqvy".contains(&flag)))?;
    let rest = (at > 0).then(|| OsString::from(format!("-{}", &short[..at])));
    Some(Dropped { rest, takes_next: at + 1 == short.len() })
}

#[must_use]
pub fn command_line(argv: &[OsString]) -> String {
    words(argv).join(" ")
}

/// Quoted for a shell, without tokens.
fn words(argv: &[OsString]) -> Vec<String> {
    argv.iter()
        .map(|word| word.to_str().map_or_else(|| quoted(word), |text| quoted(without_tokens(text).as_ref().as_ref())))
        .collect()
}

/// Quotes a word for a POSIX shell.
#[must_use]
pub fn quoted(word: &OsStr) -> String {
    let Some(text) = word.to_str().filter(|text| clean(text) == *text) else { return escaped(word) };
    if !text.is_empty() && text.bytes().all(is_bare) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Characters without a special meaning in any shell. `~` and `=` have one at the start of a word.
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_./:,%+@".contains(&byte)
}

fn escaped(word: &OsStr) -> String {
    let mut text = String::from("$'");
    for &byte in word.as_encoded_bytes() {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.extend(['\\', octal(byte >> 6), octal(byte >> 3), octal(byte)]),
        }
    }
    text.push('\'');
    text
}

fn octal(byte: u8) -> char {
    char::from(b'0' + (byte & 7))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt;
    use std::process::Command;

    fn resumed(words: &[&str]) -> String {
        resume_command(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn resume_is_added_once_before_a_double_dash() {
        for (typed, want) in [
            (&["slack-revoke", "run", "a.csv", "--yes"][..], "slack-revoke run a.csv --yes --resume"),
            (&["slack-revoke", "run", "--resume", "a.csv"], "slack-revoke run --resume a.csv"),
            (&["slack-revoke", "run", "--resume-or-start", "a.csv"], "slack-revoke run --resume-or-start a.csv"),
            (&["slack-revoke", "run", "--", "-odd.csv"], "slack-revoke run --resume -- -odd.csv"),
            (&["slack-revoke", "run", "--", "--resume"], "slack-revoke run --resume -- --resume"),
            (&["s", "run", "my list.csv", "--reason", "it's"], r"s run 'my list.csv' --reason 'it'\''s' --resume"),
            (&["s", "run", "-o", "", "--rate=20/min"], "s run -o '' '--rate=20/min' --resume"),
            (&["s", "run", "~/x.csv", "$HOME;rm"], "s run '~/x.csv' '$HOME;rm' --resume"),
            (&["s", "run", "a\u{1b}[2J'\\b"], r"s run $'a\033[2J\'\\b' --resume"),
        ] {
            assert_eq!(resumed(typed), want);
        }
    }

    #[test]
    fn the_retry_command_drops_only_flags_of_this_run() {
        for (typed, want) in [
            (&["s", "run", "a.csv", "--yes"][..], "s run r.csv --yes"),
            (&["s", "run", "-o", "a.out", "--resume", "a.csv", "-q"], "s run r.csv -q"),
            (&["s", "run", "-yo", "a.out", "a.csv"], "s run -y r.csv"),
            (&["s", "run", "-yoa.out", "a.csv", "--output=x"], "s run -y r.csv"),
            (&["s", "run", "a.csv", "--resume-or-start", "--remaining", "x", "-j", "4"], "s run r.csv -j 4"),
            (&["s", "run", "--reason", "a.csv", "--", "a.csv"], "s run --reason a.csv -- r.csv"),
            (
                &["s", "run", "a.csv", "--whole-users", "--confirm-users=3", "--plan-id", "p", "--approved-by=d"],
                "s run r.csv --whole-users",
            ),
            (&["s", "run", "--protect", "oo.txt", "a.csv", "--only", "web"], "s run --protect oo.txt r.csv --only web"),
            (&["s", "run", "-", "-y", "-o", "x"], "s run - -y"),
        ] {
            let argv: Vec<_> = typed.iter().map(OsString::from).collect();
            assert_eq!(retry_command(&argv, OsStr::new("a.csv"), OsStr::new("r.csv")), want);
        }
        let argv: Vec<_> = ["s", "run", "-", "-y", "-o", "x"].iter().map(OsString::from).collect();
        assert_eq!(retry_command(&argv, OsStr::new("-"), OsStr::new("r.csv")), "s run r.csv -y");
    }

    #[test]
    fn a_token_that_was_typed_into_a_command_is_not_repeated() {
        for (typed, want) in [
            (&["s", "--token-command", "echo xoxp-1-2-SECRET"][..], "s --token-command 'echo xoxp-…'"),
            (
                &["s", "--token-command=printf xoxe.xoxp-1-SECRET|tr a b"],
                "s '--token-command=printf xoxe.xoxp-…|tr a b'",
            ),
            (&["s", "--token-command", "pass slack/xoxo"], "s --token-command 'pass slack/xoxo'"),
            (&["s", "--on-finish", "curl -H Bearer\\ xoxb-1-SECRET"], r"s --on-finish 'curl -H Bearer\ xoxb-…'"),
            (&["s", "--reason=see xapp-1-SECRET"], "s '--reason=see xapp-…'"),
        ] {
            let typed: Vec<_> = typed.iter().map(OsString::from).collect();
            assert_eq!(command_line(&typed), want);
            assert_eq!(resume_command(&typed), format!("{want} --resume"));
        }
    }

    #[test]
    fn a_name_that_is_not_text_is_kept_exactly() {
        let name = OsString::from_vec(b"caf\xe9.csv".to_vec());
        assert_eq!(quoted(&name), r"$'caf\351.csv'");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_each_word_back(bytes in proptest::collection::vec(1_u8..=255, 0..40)) {
            let word = OsString::from_vec(bytes.clone());
            let script = format!("printf %s {}", quoted(&word));
            let read = Command::new("bash").env("LC_ALL", "C").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(read.stdout, bytes);
        }

        #[test]
        fn what_is_shown_is_safe_to_show(word in any::<OsString>()) {
            let shown = quoted(&word);
            prop_assert_eq!(clean(&shown), shown.as_str());
        }
    }
}
