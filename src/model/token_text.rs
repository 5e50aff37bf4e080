//! Removes Slack tokens from texts, so that none gets into a log, a file or a terminal.

use std::borrow::Cow;

/// Prefixes of app-level and workflow tokens. The others begin with `xox`.
const OTHER_KINDS: [&str; 2] = ["xapp-", "xwfp-"];

/// What may follow the kind of a token after a dot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AfterDot {
    /// Another token prefix, as in `xoxe.xoxp-…`. Anything else may be a file name.
    Kind,
    /// Anything, which is safer for answers of a server.
    Anything,
}

/// For typed text: replaces each token by `xoxp-…`.
#[must_use]
pub fn without_tokens(text: &str) -> Cow<'_, str> {
    cut_short(text, AfterDot::Kind)
}

/// For text of others: replaces each token, and everything that could be one, by `xoxp-…`.
#[must_use]
pub fn without_possible_tokens(text: &str) -> Cow<'_, str> {
    cut_short(text, AfterDot::Anything)
}

fn cut_short(text: &str, after_dot: AfterDot) -> Cow<'_, str> {
    let (mut kept, mut rest) = (String::new(), text);
    // Every token begins with an x, which is rare in most texts.
    while let Some((start, kind)) =
        rest.match_indices('x').find_map(|(at, _)| Some((at, kind_of(&rest[at..], after_dot)?)))
    {
        let body = &rest[start + kind..];
        let end = body.find(|char| !is_of_token(char)).unwrap_or(body.len());
        kept.extend([&rest[..start + kind], "…"]);
        rest = &body[end..];
    }
    if kept.is_empty() { text.into() } else { (kept + rest).into() }
}

/// Whether the text begins with a token prefix.
#[must_use]
pub fn begins_as_token(text: &str) -> bool {
    kind_of(text, AfterDot::Kind).is_some()
}

/// The length of the prefix (`xoxp-`, `xoxe.xoxp-`, `xapp-`) if the text begins with a token.
fn kind_of(text: &str, after_dot: AfterDot) -> Option<usize> {
    let is_continued =
        |length: usize| text[length..].starts_with(|char: char| char.is_ascii_alphanumeric()).then_some(length);
    if let Some(kind) = OTHER_KINDS.iter().find(|kind| text.starts_with(**kind)) {
        return is_continued(kind.len());
    }
    let rest = text.strip_prefix("xox")?.strip_prefix(|kind: char| kind.is_ascii_lowercase())?;
    let behind = text.len() - rest.len() + 1;
    match rest.as_bytes().first()? {
        b'-' => is_continued(behind),
        // A rotating token has a second prefix.
        b'.' => kind_of(&rest[1..], after_dot)
            .map(|inner| behind + inner)
            .or_else(|| is_continued(behind).filter(|_| after_dot == AfterDot::Anything)),
        _ => None,
    }
}

/// Letters, digits, and the separators and encoding characters of tokens.
fn is_of_token(char: char) -> bool {
    char.is_ascii_alphanumeric() || "-._%+/=".contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_every_kind_are_cut_short_wherever_they_are() {
        for (text, want) in [
            ("plain words", "plain words"),
            ("xoxp-1-2", "xoxp-…"),
            ("Bearer xoxb-1-a\" x", "Bearer xoxb-…\" x"),
            ("a=xoxe.xoxp-1-abc&b", "a=xoxe.xoxp-…&b"),
            ("xoxe-1-x, xoxa-2-1, xoxc-3, xoxs-4", "xoxe-…, xoxa-…, xoxc-…, xoxs-…"),
            ("d=xoxd-1%2Bab%3D;", "d=xoxd-…;"),
            ("(xapp-1-A2)(xwfp-3)", "(xapp-…)(xwfp-…)"),
            ("foxoxp-1 é xoxoxp-2", "foxoxp-… é xoxoxp-…"),
            ("xox, xoxp, xoxp- xoxo.csv and xapp", "xox, xoxp, xoxp- xoxo.csv and xapp"),
        ] {
            assert_eq!(without_tokens(text), want, "{text:?}");
            assert_eq!(without_tokens(&without_tokens(text)), want, "{text:?}");
        }
        let (file, cut) = ("xoxo.csv, xoxe.abc", "xoxo.…, xoxe.…");
        assert_eq!((&*without_tokens(file), &*without_possible_tokens(file)), (file, cut));
        assert!(begins_as_token("xoxp-1") && begins_as_token("xapp-1") && !begins_as_token(" xoxp-1"));
    }
}
