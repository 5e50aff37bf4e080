//! The error codes that Slack answers with.

macro_rules! error_codes {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// A code of the method's reference or of slack.md's table; every other one is kept as it came.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $text, "`")] $variant,)+
            /// Not listed anywhere.
            Other(Box<str>),
        }

        impl ErrorCode {
            /// Every listed code.
            pub const LISTED: &'static [(&'static str, ErrorCode)] = &[$(($text, ErrorCode::$variant)),+];

            /// The code as Slack writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
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

error_codes! {
    SessionExpired = "session_expired",
    SessionNotFound = "session_not_found",
    Ratelimited = "ratelimited",
    RateLimited = "rate_limited",
    ServiceUnavailable = "service_unavailable",
    InternalError = "internal_error",
    FatalError = "fatal_error",
    RequestTimeout = "request_timeout",
    SessionInvalidationFailed = "session_invalidation_failed",
    UserSessionResetFailed = "user_session_reset_failed",
    UserNotFound = "user_not_found",
    CannotInvalidatePrimaryOwner = "cannot_invalidate_primary_owner",
    CannotResetBot = "cannot_reset_bot",
    CannotResetPrimaryOwner = "cannot_reset_primary_owner",
    SessionResetNotAllowed = "session_reset_not_allowed",
    FailedForSomeUsers = "failed_for_some_users",
    InvalidArguments = "invalid_arguments",
    AdminUnauthorized = "admin_unauthorized",
    AccessDenied = "access_denied",
    OrgLoginRequired = "org_login_required",
    TeamAddedToOrg = "team_added_to_org",
    EkmAccessDenied = "ekm_access_denied",
    NoPermission = "no_permission",
    TeamAccessNotGranted = "team_access_not_granted",
    NotAuthed = "not_authed",
    InvalidAuth = "invalid_auth",
    AccountInactive = "account_inactive",
    TokenRevoked = "token_revoked",
    TokenExpired = "token_expired",
    MissingScope = "missing_scope",
    NotAllowedTokenType = "not_allowed_token_type",
    IsBot = "is_bot",
    NotAnAdmin = "not_an_admin",
    FeatureNotEnabled = "feature_not_enabled",
    EnterpriseIsRestricted = "enterprise_is_restricted",
    TwoFactorSetupRequired = "two_factor_setup_required",
    Accesslimited = "accesslimited",
    UnknownMethod = "unknown_method",
    MethodDeprecated = "method_deprecated",
    DeprecatedEndpoint = "deprecated_endpoint",
    InvalidArgName = "invalid_arg_name",
    InvalidArrayArg = "invalid_array_arg",
    InvalidCharset = "invalid_charset",
    InvalidFormData = "invalid_form_data",
    InvalidPostType = "invalid_post_type",
    MissingPostType = "missing_post_type",
    NoActiveSessions = "no_active_sessions",
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_code_reads_back_as_itself() {
        for (text, code) in ErrorCode::LISTED {
            assert_eq!(&ErrorCode::from(*text), code);
            assert_eq!(code.as_str(), *text);
        }
        assert_eq!(ErrorCode::from("brand_new").as_str(), "brand_new");
    }
}
