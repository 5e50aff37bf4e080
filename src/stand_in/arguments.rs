//! Reads method, token and arguments of a request as leniently as Slack does.

use super::sessions::SessionOwner;
use crate::model::{ErrorCode, SessionId, SessionKind, TeamId, UserId};
use axum::Json;
use axum::extract::{Form, FromRequest, Request};
use axum::http::{HeaderMap, Method as HttpMethod, header};
use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// Maximum number of users in a bulk call (slack.md, "The sibling methods").
const MOST_USERS: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    Invalidate,
    ResetBulk,
    List,
    ListUsers,
    AuthTest,
}

impl Method {
    pub(super) fn of_path(path: &str) -> Option<Self> {
        match path.strip_prefix("/api/")? {
            "admin.users.session.invalidate" => Some(Self::Invalidate),
            "admin.users.session.resetBulk" => Some(Self::ResetBulk),
            "admin.users.session.list" => Some(Self::List),
            "admin.users.list" => Some(Self::ListUsers),
            "auth.test" => Some(Self::AuthTest),
            _ => None,
        }
    }

    /// Whether it changes something and therefore needs POST.
    pub(super) fn writes(self) -> bool {
        match self {
            Self::Invalidate | Self::ResetBulk => true,
            Self::List | Self::ListUsers | Self::AuthTest => false,
        }
    }

    pub(super) fn scope(self) -> Option<&'static str> {
        match self {
            Self::Invalidate | Self::ResetBulk => Some("admin.users:write"),
            Self::List | Self::ListUsers => Some("admin.users:read"),
            Self::AuthTest => None,
        }
    }
}

/// The arguments of all methods, unchecked.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Arguments {
    #[serde(deserialize_with = "scalar")]
    pub session_id: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub team_id: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub user_id: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub user_ids: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub cursor: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub limit: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub web_only: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub mobile_only: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub is_active: Option<String>,
}

impl Arguments {
    /// The session and the id of its owner.
    ///
    /// # Errors
    /// The text for `response_metadata.messages`.
    pub(super) fn target(&self) -> Result<(u64, SessionOwner<'_>), &'static str> {
        let Some(session) = &self.session_id else { return Err("[ERROR] missing required field: session_id") };
        let session = SessionId::parse(session).map_err(|_| "[ERROR] must be an integer: session_id")?;
        let owner = match (&self.team_id, &self.user_id) {
            (Some(team), None) if TeamId::parse(team).is_ok() => SessionOwner::Team(team),
            (None, Some(user)) if UserId::parse(user).is_ok() => SessionOwner::User(user),
            (Some(_), None) => return Err("[ERROR] invalid value: team_id"),
            (None, Some(_)) => return Err("[ERROR] invalid value: user_id"),
            (Some(_), Some(_)) => return Err("[ERROR] only one of team_id and user_id is allowed"),
            (None, None) => return Err("[ERROR] missing required field: team_id or user_id"),
        };
        Ok((session.get(), owner))
    }

    /// Which sessions of the users are ended.
    ///
    /// # Errors
    /// The text for `response_metadata.messages`.
    pub(super) fn only(&self) -> Result<Option<SessionKind>, &'static str> {
        let is_set = |text: &Option<String>| matches!(text.as_deref(), Some("true" | "1"));
        match (is_set(&self.web_only), is_set(&self.mobile_only)) {
            (false, false) => Ok(None),
            (true, false) => Ok(Some(SessionKind::Web)),
            (false, true) => Ok(Some(SessionKind::Mobile)),
            (true, true) => Err("[ERROR] only one of web_only and mobile_only is allowed"),
        }
    }

    /// The users of a bulk call: 1 to 1,000, separated by commas.
    ///
    /// # Errors
    /// The text for `response_metadata.messages`.
    pub(super) fn users(&self) -> Result<Vec<&str>, &'static str> {
        let Some(users) = &self.user_ids else { return Err("[ERROR] missing required field: user_ids") };
        let users: Vec<&str> = users.split(',').collect();
        if users.len() > MOST_USERS {
            return Err("[ERROR] no more than 1000 items allowed: user_ids");
        }
        if users.iter().any(|user| UserId::parse(user).is_err()) {
            return Err("[ERROR] invalid value: user_ids");
        }
        Ok(users)
    }
}

/// The declared content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Form,
    Json,
    Absent,
    Other,
}

/// Reads the arguments from the query of a GET, otherwise from the body. Also returns the `warning` for the content
/// type (slack.md, "The call").
pub(super) async fn read(request: Request) -> (Result<Arguments, ErrorCode>, Option<&'static str>) {
    if request.method() == HttpMethod::GET {
        return (form(request).await, None);
    }
    let (encoding, charset) = encoding(request.headers());
    match encoding {
        Encoding::Form => (form(request).await, charset.then_some("superfluous_charset")),
        Encoding::Json => (json(request).await, (!charset).then_some("missing_charset")),
        Encoding::Absent if is_empty(request.headers()) => (Ok(Arguments::default()), None),
        Encoding::Absent => (Err(ErrorCode::MissingPostType), None),
        Encoding::Other => (Err(ErrorCode::InvalidPostType), None),
    }
}

/// The bearer token, if there is one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn encoding(headers: &HeaderMap) -> (Encoding, bool) {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return (Encoding::Absent, false) };
    let value = value.to_str().unwrap_or_default();
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    let encoding = match kind.trim() {
        "application/x-www-form-urlencoded" => Encoding::Form,
        "application/json" => Encoding::Json,
        _ => Encoding::Other,
    };
    (encoding, parameters.trim_start().to_ascii_lowercase().starts_with("charset="))
}

fn is_empty(headers: &HeaderMap) -> bool {
    !headers.contains_key(header::TRANSFER_ENCODING)
        && headers.get(header::CONTENT_LENGTH).is_none_or(|length| length.as_bytes() == b"0")
}

async fn form(request: Request) -> Result<Arguments, ErrorCode> {
    let form = Form::from_request(request, &()).await;
    form.map(|Form(arguments)| arguments).map_err(|_| ErrorCode::InvalidFormData)
}

async fn json(request: Request) -> Result<Arguments, ErrorCode> {
    let json = Json::from_request(request, &()).await;
    json.map(|Json(arguments)| arguments).map_err(|_| ErrorCode::from("invalid_json"))
}

/// A string or a number. `null` and the empty string count as absent.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Scalar;
    impl de::Visitor<'_> for Scalar {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a number")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok((!text.is_empty()).then(|| text.into()))
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }
        fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
            Ok(Some(format!("{number:e}")))
        }
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Scalar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn arguments(session: &str, team: &str, user: &str) -> Arguments {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Arguments { session_id: some(session), team_id: some(team), user_id: some(user), ..Arguments::default() }
    }

    #[test]
    fn a_session_is_named_by_exactly_one_good_id_beside_it() {
        for (session, team, user, good) in [
            ("1", "T1", "", true),
            ("1", "E1", "", true),
            ("1", "", "W1", true),
            ("1", "T1", "U1", false),
            ("1", "", "", false),
            ("1", "U1", "", false),
            ("1", "", "T1", false),
            ("", "T1", "", false),
            ("1.11228E+12", "T1", "", false),
            ("-1", "T1", "", false),
        ] {
            assert_eq!(arguments(session, team, user).target().is_ok(), good, "{session:?} {team:?} {user:?}");
        }
    }

    #[test]
    fn a_bulk_names_one_to_a_thousand_users() {
        let of = |users: String| Arguments { user_ids: Some(users), ..Arguments::default() };
        let many = |count: usize| vec!["U1"; count].join(",");
        for (arguments, want) in [
            (of("U1".into()), Some(1)),
            (of("U1,W2".into()), Some(2)),
            (of(many(1000)), Some(1000)),
            (of(many(1001)), None),
            (of("U1,".into()), None),
            (of("U1,T2".into()), None),
            (Arguments::default(), None),
        ] {
            assert_eq!(arguments.users().ok().map(|users| users.len()), want, "{:?}", arguments.user_ids);
        }
    }

    #[tokio::test]
    async fn bodies_are_read_by_their_declared_type() {
        let good = || Ok(arguments("12", "T1", ""));
        for (kind, body, want) in [
            ("application/x-www-form-urlencoded", "session_id=12&team_id=T1&other=x", (good(), None)),
            (
                "application/x-www-form-urlencoded; charset=utf-8",
                "session_id=12&team_id=T1",
                (good(), Some("superfluous_charset")),
            ),
            ("application/json; charset=utf-8", r#"{"session_id":12,"team_id":"T1","user_id":null}"#, (good(), None)),
            ("application/json", r#"{"session_id":"12","team_id":"T1"}"#, (good(), Some("missing_charset"))),
            (
                "application/json;charset=UTF-8",
                r#"{"session_id":["12"]}"#,
                (Err(ErrorCode::from("invalid_json")), None),
            ),
            ("text/plain", "session_id=12", (Err(ErrorCode::InvalidPostType), None)),
        ] {
            let request = Request::post("/").header("content-type", kind).body(Body::from(body)).unwrap();
            assert_eq!(read(request).await, want, "{kind}");
        }
        let typeless = Request::post("/").header("content-length", "3").body(Body::from("a=b")).unwrap();
        assert_eq!(read(typeless).await.0, Err(ErrorCode::MissingPostType));
        let empty = Request::post("/").body(Body::empty()).unwrap();
        assert_eq!(read(empty).await.0, Ok(Arguments::default()));
        let query = Request::get("/?session_id=12&team_id=T1").body(Body::empty()).unwrap();
        assert_eq!(read(query).await, (good(), None));
    }

    #[test]
    fn only_a_bearer_token_counts() {
        for (value, want) in
            [("Bearer xoxp-1", Some("xoxp-1")), ("bearer x", Some("x")), ("Basic x", None), ("Bearer ", None)]
        {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(bearer(&headers), want);
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
