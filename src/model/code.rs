//! Slack's error codes: name, class and hint of each, in one table.

/// What an error code says about the rows of a run (slack.md, "What each answer means").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodeClass {
    AlreadyGone,
    /// Slack doesn't know the session. What that means depends on earlier attempts.
    NotFound,
    RateLimited,
    /// Worth another attempt; the call may have taken effect.
    Transient,
    /// The row fails; this says nothing about the others.
    Row,
    /// The row fails; five in a row without a success stop the run (the breaker).
    SuspectRow,
    /// Every row of the workspace would fail.
    Workspace,
    /// The token has expired; a fresh one continues the run.
    TokenExpired,
    Run,
    /// A code that only `admin.users.session.list` is documented to return.
    Listing,
}

macro_rules! error_codes {
    ($($variant:ident = $text:literal, $class:ident, $hint:expr;)+) => {
        /// A code of slack.md's table; any other one is kept as received.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $text, "`")] $variant,)+
            Other(Box<str>),
        }

        impl ErrorCode {
            pub const LISTED: &'static [(&'static str, ErrorCode)] = &[$(($text, ErrorCode::$variant)),+];

            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }

            #[must_use]
            pub fn class(&self) -> CodeClass {
                match self {
                    $(Self::$variant => CodeClass::$class,)+
                    Self::Other(_) => CodeClass::SuspectRow,
                }
            }

            /// `meaning: what to do`; empty if there is nothing to do.
            #[must_use]
            pub fn hint(&self) -> &'static str {
                match self {
                    $(Self::$variant => $hint,)+
                    Self::Other(_) => UNLISTED,
                }
            }
        }

        impl From<&str> for ErrorCode {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    other => Self::Other(other.into()),
                }
            }
        }
    };
}

// Hints that several codes share.
const TRANSIENT: &str = "a temporary fault at Slack: see slack-status.com, then continue";
const TOO_FAST: &str = "too many calls at a time: wait a few minutes, then continue with a lower --rate";
const PRIMARY_OWNER: &str =
    "only the primary owner can end these sessions: use that user's token, or remove these rows from the input";
const NO_RIGHT: &str = "the token may not revoke these sessions: its user must be an Org Owner or Org Admin";
const MIGRATION: &str = "the workspace is being moved into an organization: continue when the move is finished";
const NO_ACCESS: &str =
    "the app has no access to the workspace: install it on the organization, including this workspace";
const NOT_A_USER: &str =
    "this isn't a user token, and a bot token (xoxb-…) can never work: use a user token (xoxp-…) of an Org Admin";
const NO_METHOD: &str = "this address doesn't have the method: check --api-url, or get a newer slack-revoke";
const CHANGED_ON_THE_WAY: &str = "the request didn't arrive as it was sent: look for a proxy that changes it";
const WRONG_QUERY: &str =
    "Slack rejected the workspace or the user of this query: check that both ids belong to this organization";
const UNLISTED: &str =
    "Slack's reference doesn't list this code: look it up in Slack's documentation, or ask Slack's support";

error_codes! {
    // code                      name                              class         hint
    SessionExpired               = "session_expired",                 AlreadyGone,  "";
    SessionNotFound              = "session_not_found",               NotFound,
        "the session is gone, or the ids don't belong together: check that session_id and user_id or team_id match";
    Ratelimited                  = "ratelimited",                     RateLimited,  TOO_FAST;
    RateLimited                  = "rate_limited",                    RateLimited,  TOO_FAST;
    ServiceUnavailable           = "service_unavailable",             Transient,    TRANSIENT;
    InternalError                = "internal_error",                  Transient,    TRANSIENT;
    FatalError                   = "fatal_error",                     Transient,    TRANSIENT;
    RequestTimeout               = "request_timeout",                 Transient,    TRANSIENT;
    SessionInvalidationFailed    = "session_invalidation_failed",     Transient,    TRANSIENT;
    UserSessionResetFailed       = "user_session_reset_failed",       Transient,    TRANSIENT;
    UserNotFound                 = "user_not_found",                  Row,
        "the ids may belong to another organization, or be in the wrong columns: list the sessions again";
    CannotInvalidatePrimaryOwner = "cannot_invalidate_primary_owner", Row,          PRIMARY_OWNER;
    CannotResetPrimaryOwner      = "cannot_reset_primary_owner",      Row,          PRIMARY_OWNER;
    SessionResetNotAllowed       = "session_reset_not_allowed",       Row,          PRIMARY_OWNER;
    CannotResetBot               = "cannot_reset_bot",                Row,
        "a bot can't be logged out: remove it from the input, or revoke its app's token";
    FailedForSomeUsers           = "failed_for_some_users",           Row,
        "Slack couldn't log this user out: try the user's sessions one by one, without --whole-users";
    InvalidArguments             = "invalid_arguments",               SuspectRow,
        "most likely the ids have the wrong form: try --identify-by user or --identify-by team";
    AdminUnauthorized            = "admin_unauthorized",              SuspectRow,   NO_RIGHT;
    AccessDenied                 = "access_denied",                   SuspectRow,   NO_RIGHT;
    OrgLoginRequired             = "org_login_required",              Workspace,    MIGRATION;
    TeamAddedToOrg               = "team_added_to_org",               Workspace,    MIGRATION;
    EkmAccessDenied              = "ekm_access_denied",               Workspace,
        "the administrators suspended access through their encryption keys (EKM): ask them, then continue";
    NoPermission                 = "no_permission",                   Workspace,    NO_ACCESS;
    TeamAccessNotGranted         = "team_access_not_granted",         Workspace,    NO_ACCESS;
    NotAuthed                    = "not_authed",                      Run,
        "no token arrived: set SLACK_TOKEN, or use --token-file; check that no proxy removes it";
    InvalidAuth                  = "invalid_auth",                    Run,
        "the token is wrong, or the app allows no calls from this IP address: check both";
    AccountInactive              = "account_inactive",                Run,
        "the token's user or workspace is deactivated: use the token of an active Org Admin";
    TokenRevoked                 = "token_revoked",                   Run,
        "the token was revoked: install the app again, issue a new token, then continue";
    TokenExpired                 = "token_expired",                   TokenExpired,
        "the token expired and no newer one was found: put a fresh one in its place, then continue";
    MissingScope                 = "missing_scope",                   Run,
        "the token lacks the user scope admin.users:write: add it to the app, then install it again";
    NotAllowedTokenType          = "not_allowed_token_type",          Run,          NOT_A_USER;
    IsBot                        = "is_bot",                          Run,          NOT_A_USER;
    BotsNotAllowed               = "bots_not_allowed",                Run,          NOT_A_USER;
    NotAnAdmin                   = "not_an_admin",                    Run,
        "the token's user must be an Org Owner or Org Admin: use such a user's token";
    RestrictedAction             = "restricted_action",               Run,
        "the organization's policy blocks this call: ask an Org Owner";
    FeatureNotEnabled            = "feature_not_enabled",             Run,
        "the method exists for Enterprise Grid only: use a token of the organization";
    EnterpriseIsRestricted       = "enterprise_is_restricted",        Run,
        "the organization doesn't allow this call: ask an Org Owner to allow the app";
    TwoFactorSetupRequired       = "two_factor_setup_required",       Run,
        "the token's user has no two-factor authentication: set it up for that user, then continue";
    Accesslimited                = "accesslimited",                   Run,
        "Slack limits this method on this network: run it from one that the organization allows";
    UnknownMethod                = "unknown_method",                  Run,          NO_METHOD;
    MethodDeprecated             = "method_deprecated",               Run,          NO_METHOD;
    DeprecatedEndpoint           = "deprecated_endpoint",             Run,          NO_METHOD;
    InvalidArgName               = "invalid_arg_name",                Run,          CHANGED_ON_THE_WAY;
    InvalidArrayArg              = "invalid_array_arg",               Run,          CHANGED_ON_THE_WAY;
    InvalidCharset               = "invalid_charset",                 Run,          CHANGED_ON_THE_WAY;
    InvalidFormData              = "invalid_form_data",               Run,          CHANGED_ON_THE_WAY;
    InvalidPostType              = "invalid_post_type",               Run,          CHANGED_ON_THE_WAY;
    MissingPostType              = "missing_post_type",               Run,          CHANGED_ON_THE_WAY;
    NoActiveSessions             = "no_active_sessions",              Listing,      "";
    InvalidCursor                = "invalid_cursor",                  Listing,
        "Slack no longer knows this position in the listing: list again from the start";
    TeamNotFound                 = "team_not_found",                  Listing,      WRONG_QUERY;
    MissingTeam                  = "missing_team",                    Listing,      WRONG_QUERY;
    MissingUser                  = "missing_user",                    Listing,      WRONG_QUERY;
}

impl ErrorCode {
    /// Whether the code shows that no call can end this session or user, so that earlier attempts had no effect
    /// either.
    #[must_use]
    pub fn rules_out_any_effect(&self) -> bool {
        matches!(
            self,
            Self::CannotInvalidatePrimaryOwner
                | Self::CannotResetPrimaryOwner
                | Self::SessionResetNotAllowed
                | Self::CannotResetBot
        )
    }

    /// Whether the code may be about the method that was called: another method may still answer.
    #[must_use]
    pub fn may_be_of_method(&self) -> bool {
        let is_of_token = matches!(
            self,
            Self::NotAuthed
                | Self::InvalidAuth
                | Self::AccountInactive
                | Self::TokenRevoked
                | Self::TwoFactorSetupRequired
        );
        self.class() == CodeClass::Run && !is_of_token
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_listed_code_reads_back_as_itself() {
        for (text, code) in ErrorCode::LISTED {
            assert_eq!(&ErrorCode::from(*text), code);
            assert_eq!(code.as_str(), *text);
        }
        assert_eq!(ErrorCode::from("brand_new").as_str(), "brand_new");
    }

    #[test]
    fn hints_name_what_to_change() {
        for (code, want) in [
            ("not_authed", "SLACK_TOKEN"),
            ("invalid_auth", "IP address"),
            ("token_revoked", "new token"),
            ("missing_scope", "admin.users:write"),
            ("is_bot", "xoxp-"),
            ("bots_not_allowed", "xoxp-"),
            ("restricted_action", "Org Owner"),
            ("feature_not_enabled", "Enterprise Grid"),
            ("invalid_arguments", "--identify-by"),
            ("unknown_method", "--api-url"),
            ("brand_new", "documentation"),
        ] {
            let hint = ErrorCode::from(code).hint();
            assert!(hint.contains(want), "{code}: {hint}");
        }
        for (text, code) in ErrorCode::LISTED {
            let hint = code.hint();
            assert!(hint.is_empty() || hint.matches(": ").count() == 1 && !hint.ends_with('.'), "{text}: {hint}");
        }
    }

    /// The classes and their codes, from the table in slack.md.
    fn documented(page: &str) -> Vec<(CodeClass, &str)> {
        let section = page.split("## What each answer means").nth(1).expect("the section");
        let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        rows.filter_map(|row| row.trim_matches('|').split_once(" | "))
            .flat_map(|(class, rest)| codes_of(class.trim(), rest))
            .collect()
    }

    fn codes_of<'a>(class: &str, rest: &'a str) -> Vec<(CodeClass, &'a str)> {
        let answers = rest.split(" | ").next().unwrap_or_default();
        let quoted = |text: &'a str| text.split('`').skip(1).step_by(2).filter(|code| !code.contains([' ', ':']));
        let all = |class: CodeClass, text: &'a str| quoted(text).map(|code| (class, code)).collect::<Vec<_>>();
        match class {
            // `session_not_found` is in this row only if an earlier attempt was made.
            "already gone" => all(CodeClass::AlreadyGone, answers.split(';').next().unwrap_or_default()),
            "not found" => all(CodeClass::NotFound, answers),
            "rate limited" => all(CodeClass::RateLimited, answers),
            "transient" => all(CodeClass::Transient, answers),
            "row" => {
                let (own, suspect) = answers.split_once("with the breaker").expect("both kinds of row codes");
                [all(CodeClass::Row, own), all(CodeClass::SuspectRow, suspect)].concat()
            }
            "workspace" => all(CodeClass::Workspace, answers),
            "run" => all(CodeClass::Run, answers),
            "listing only" => all(CodeClass::Listing, answers),
            _ => Vec::new(),
        }
    }

    #[test]
    fn the_table_has_the_codes_and_classes_of_slack_md() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/slack.md");
        let Ok(page) = std::fs::read_to_string(&path) else {
            println!("skipped: {} is not there", path.display());
            return;
        };
        let documented = documented(&page);
        assert!(documented.len() >= 50, "only {} codes were found", documented.len());
        for (class, text) in &documented {
            let code = ErrorCode::from(*text);
            let in_other_row = documented.iter().any(|(other, name)| name == text && *other == code.class());
            let is_expiry = (code.class(), *class) == (CodeClass::TokenExpired, CodeClass::Run);
            let is_listed = !matches!(code, ErrorCode::Other(_));
            assert!(is_listed && (in_other_row || is_expiry), "{text}: {class:?} in slack.md");
        }
        for (text, _) in ErrorCode::LISTED {
            assert!(documented.iter().any(|(_, name)| name == text), "{text} is not in slack.md");
        }
    }
}
