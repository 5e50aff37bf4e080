//! `application/x-www-form-urlencoded`, without a charset parameter (slack.md, "The call").

/// A form body under construction.
#[derive(Debug, Default)]
pub(super) struct Form(String);

impl Form {
    /// An empty form with room for one call's arguments.
    #[must_use]
    pub(super) fn new() -> Self {
        Self(String::with_capacity(64))
    }

    /// Adds one argument. The name is one of ours and needs no encoding.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            self.push_encoded(byte);
        }
        self
    }

    /// The body's text.
    #[must_use]
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Everything but RFC 3986's unreserved characters as `%XX`, which every form reader understands.
    fn push_encoded(&mut self, byte: u8) {
        const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            self.0.push(char::from(byte));
        } else {
            self.0.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn arguments_are_joined_and_encoded() {
        assert_eq!(Form::new().finish(), "");
        let form = Form::new().with("session_id", "12345").with("team_id", "T1234");
        assert_eq!(form.finish(), "session_id=12345&team_id=T1234");
        assert_eq!(Form::new().with("cursor", "dXNlcj==+/&é").finish(), "cursor=dXNlcj%3D%3D%2B%2F%26%C3%A9");
    }

    proptest! {
        #[test]
        fn any_value_stays_one_value(value in any::<String>()) {
            let form = Form::new().with("a", &value).finish();
            prop_assert!(!form[2..].contains(['&', '=', '+', ' ']));
            let mut url = reqwest::Url::parse("http://localhost/").unwrap();
            url.set_query(Some(&form));
            prop_assert_eq!(url.query_pairs().next().unwrap().1, value);
        }
    }
}
