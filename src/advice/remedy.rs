//! Slack's codes and what a person does about each: two tables (slack.md, "What each answer means").

use crate::domain::ErrorCode;

/// What a person does about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Remedy {
    GiveToken,
    CheckTokenAndNetwork,
    ReviveAccount,
    NewToken,
    RefreshToken,
    AddScope,
    UseUserToken,
    UseAdmin,
    SetUpTwoFactor,
    GrantRight,
    UseEnterpriseGrid,
    InstallOnOrganisation,
    ChangeNetwork,
    AwaitMigration,
    RestoreKeys,
    GrantWorkspace,
    ChangeIdentifier,
    CheckRows,
    AskPrimaryOwner,
    LeaveBotsOut,
    CheckUser,
    CheckMethod,
    CheckProxy,
    SlowDown,
    AwaitSlack,
    ReadDetail,
}

impl Remedy {
    /// The remedy for a code, by whatever class it stopped the run.
    pub(super) fn of(code: &ErrorCode) -> Self {
        match code {
            ErrorCode::NotAuthed => Self::GiveToken,
            ErrorCode::InvalidAuth => Self::CheckTokenAndNetwork,
            ErrorCode::AccountInactive => Self::ReviveAccount,
            ErrorCode::TokenRevoked => Self::NewToken,
            ErrorCode::TokenExpired => Self::RefreshToken,
            ErrorCode::MissingScope => Self::AddScope,
            ErrorCode::NotAllowedTokenType | ErrorCode::IsBot => Self::UseUserToken,
            ErrorCode::NotAnAdmin => Self::UseAdmin,
            ErrorCode::TwoFactorSetupRequired => Self::SetUpTwoFactor,
            ErrorCode::AdminUnauthorized | ErrorCode::AccessDenied => Self::GrantRight,
            ErrorCode::FeatureNotEnabled => Self::UseEnterpriseGrid,
            ErrorCode::EnterpriseIsRestricted => Self::InstallOnOrganisation,
            ErrorCode::Accesslimited => Self::ChangeNetwork,
            ErrorCode::OrgLoginRequired | ErrorCode::TeamAddedToOrg => Self::AwaitMigration,
            ErrorCode::EkmAccessDenied => Self::RestoreKeys,
            ErrorCode::NoPermission | ErrorCode::TeamAccessNotGranted => Self::GrantWorkspace,
            ErrorCode::InvalidArguments => Self::ChangeIdentifier,
            ErrorCode::UserNotFound
            | ErrorCode::SessionNotFound
            | ErrorCode::SessionExpired
            | ErrorCode::NoActiveSessions => Self::CheckRows,
            ErrorCode::CannotInvalidatePrimaryOwner
            | ErrorCode::CannotResetPrimaryOwner
            | ErrorCode::SessionResetNotAllowed => Self::AskPrimaryOwner,
            ErrorCode::CannotResetBot => Self::LeaveBotsOut,
            ErrorCode::FailedForSomeUsers => Self::CheckUser,
            ErrorCode::UnknownMethod | ErrorCode::MethodDeprecated | ErrorCode::DeprecatedEndpoint => Self::CheckMethod,
            ErrorCode::InvalidArgName
            | ErrorCode::InvalidArrayArg
            | ErrorCode::InvalidCharset
            | ErrorCode::InvalidFormData
            | ErrorCode::InvalidPostType
            | ErrorCode::MissingPostType => Self::CheckProxy,
            ErrorCode::Ratelimited | ErrorCode::RateLimited => Self::SlowDown,
            ErrorCode::ServiceUnavailable
            | ErrorCode::InternalError
            | ErrorCode::FatalError
            | ErrorCode::RequestTimeout
            | ErrorCode::SessionInvalidationFailed
            | ErrorCode::UserSessionResetFailed => Self::AwaitSlack,
            ErrorCode::Other(_) => Self::ReadDetail,
        }
    }

    /// What is the matter, a colon, and what to do: one line with no full stop. README's table is made of both parts.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::GiveToken => "no token arrived: set SLACK_TOKEN, or use --token-file; see that no proxy removes it",
            Self::CheckTokenAndNetwork => {
                "the token is wrong, or the app allows no calls from this IP address: check both"
            }
            Self::ReviveAccount => "the token's user or workspace is deactivated: use the token of an active Org Admin",
            Self::NewToken => "the token was revoked: install the app again, issue a new token, then continue",
            Self::RefreshToken => {
                "the token expired and no newer one was found: put a fresh one in its place, then continue"
            }
            Self::AddScope => {
                "the token lacks the user scope admin.users:write: add it to the app, then install it again"
            }
            Self::UseUserToken => {
                "this is no user token, and a bot token (xoxb-…) can never do it: use a user token (xoxp-…) of an Org Admin"
            }
            Self::UseAdmin => "the token's user must be an Org Owner or Org Admin: use such a user's token",
            Self::SetUpTwoFactor => {
                "the token's user has no two-factor authentication: set it up for that user, then continue"
            }
            Self::GrantRight => {
                "the token may not revoke these sessions: its user needs to be an Org Owner or Org Admin"
            }
            Self::UseEnterpriseGrid => "the method is for Enterprise Grid alone: use a token of the organisation",
            Self::InstallOnOrganisation => {
                "the organisation does not allow this call: ask an Org Owner to allow the app"
            }
            Self::ChangeNetwork => {
                "Slack limits this method on this network: run it from one that the organisation allows"
            }
            Self::AwaitMigration => "the workspace is being moved into an organisation: continue when the move is done",
            Self::RestoreKeys => {
                "the administrators suspended access by their encryption keys (EKM): ask them, then continue"
            }
            Self::GrantWorkspace => {
                "the app has no access to the workspace: install it on the organisation, with this workspace"
            }
            Self::ChangeIdentifier => {
                "most likely the ids are of the wrong form: try --identify-by user or --identify-by team"
            }
            Self::CheckRows => {
                "the ids may be of another organisation, or in the wrong columns: list the sessions again"
            }
            Self::AskPrimaryOwner => {
                "only the primary owner can end these sessions: use that user's token, or leave them out"
            }
            Self::LeaveBotsOut => "a bot cannot be logged out: leave it out, or revoke its app's token",
            Self::CheckUser => {
                "Slack could not log this user out: try the user's sessions one by one, without --whole-users"
            }
            Self::CheckMethod => {
                "there is no such method at this address: check --api-url, or get a newer slack-revoke"
            }
            Self::CheckProxy => "the request did not arrive as it was sent: look for a proxy that changes it",
            Self::SlowDown => "too many calls at a time: wait for some minutes, then continue with a lower --rate",
            Self::AwaitSlack => "a passing fault of Slack's: see slack-status.com, then continue",
            Self::ReadDetail => {
                "Slack's reference does not list this code: see what stands in the results' detail column"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn what_to_do_names_what_to_change() {
        for (code, want) in [
            ("not_authed", "SLACK_TOKEN"),
            ("invalid_auth", "IP address"),
            ("token_revoked", "new token"),
            ("missing_scope", "admin.users:write"),
            ("is_bot", "xoxp-"),
            ("not_allowed_token_type", "user token"),
            ("feature_not_enabled", "Enterprise Grid"),
            ("invalid_arguments", "--identify-by"),
            ("unknown_method", "--api-url"),
            ("brand_new", "detail"),
        ] {
            let text = Remedy::of(&ErrorCode::from(code)).text();
            assert!(text.contains(want), "{code}: {text}");
        }
    }

    #[test]
    fn no_two_remedies_share_their_words() {
        let mut seen = HashMap::new();
        for (_, code) in ErrorCode::LISTED {
            let remedy = Remedy::of(code);
            assert_ne!(remedy, Remedy::ReadDetail, "{code} is listed");
            assert_eq!(*seen.entry(remedy.text()).or_insert(remedy), remedy);
            assert!(remedy.text().contains(": "), "{code}: {}", remedy.text());
        }
    }
}
