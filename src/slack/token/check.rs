//! Whether a text can be a user token. Slack tells its kinds of tokens apart by their first letters.

use super::{Token, TokenError, TokenSource};
use secrecy::SecretString;

/// The kinds that will not do, most specific first: prefix, and what it is.
const REFUSED: [(&str, &str); 9] = [
    ("xoxb-", "a bot token (xoxb-…), and a bot can never have the user scope admin.users:write"),
    ("xoxe.xoxb-", "a bot token (xoxe.xoxb-…), and a bot can never have the user scope admin.users:write"),
    ("xoxe-", "a refresh token (xoxe-…), which only buys access tokens"),
    ("xapp-", "an app-level token (xapp-…), which acts for no user"),
    ("xoxa-", "a legacy workspace token (xoxa-…), which the admin methods do not accept"),
    ("xoxc-", "the token of a browser session (xoxc-…), which the admin methods do not accept"),
    ("xoxd-", "a browser's cookie (xoxd-…), which is no token of the API"),
    ("xox", "a kind of Slack token that the admin methods do not accept"),
    ("", "something that does not look like a Slack user token"),
];

/// What a token is often copied with, in any case, and how that is said.
const AROUND: [(&str, &str); 8] = [
    ("\"", "it is in quotes"),
    ("'", "it is in quotes"),
    ("\u{201c}", "it is in typographic quotes"),
    ("\u{2018}", "it is in typographic quotes"),
    ("bearer ", "the word Bearer precedes it"),
    ("authorization:", "it is a whole Authorization header"),
    ("slack_token=", "SLACK_TOKEN= precedes it"),
    ("export ", "it is a line of a shell script: SLACK_TOKEN= precedes the token"),
];

/// A user token, or the reason why it is none.
pub(super) fn token(bytes: &[u8], source: &TokenSource) -> Result<Token, TokenError> {
    let origin = || source.clone();
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() {
        return Err(TokenError::Empty { origin: origin() });
    }
    let malformed = |what| TokenError::Malformed { origin: origin(), what };
    // Compared in place: a copy would stay in memory that nobody wipes.
    let begins =
        |around: &str| bytes.get(..around.len()).is_some_and(|start| start.eq_ignore_ascii_case(around.as_bytes()));
    if let Some((_, what)) = AROUND.iter().find(|(around, _)| begins(around)) {
        return Err(malformed(what));
    }
    if bytes.iter().any(u8::is_ascii_whitespace) {
        return Err(malformed("there are blanks or several lines in it"));
    }
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    let text = text.ok_or_else(|| malformed("there are other than ASCII characters in it"))?;
    if ["xoxp-", "xoxe.xoxp-"].iter().any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty())) {
        return Ok(Token { secret: SecretString::from(text), source: origin() });
    }
    let kind = REFUSED.iter().find(|(prefix, _)| text.starts_with(prefix)).map_or("no token", |(_, kind)| kind);
    Err(TokenError::WrongKind { origin: origin(), kind })
}
