use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn now() -> Timestamp {
    Timestamp::from_millis(1_000_000)
}

fn said(status: u16, body: &str) -> Answer {
    reply(status, &Headers::default(), body.as_bytes(), now()).answer
}

fn refused(code: &str) -> Answer {
    Answer::Refused(ErrorCode::from(code))
}

const LIMITED: Answer = Answer::RateLimited { retry_after: None };
const BAD: Answer = Answer::Fault(Fault::BadResponse);

#[test]
fn every_listed_code_is_read_unless_its_status_is_transient() {
    for (text, code) in ErrorCode::LISTED {
        let body = format!(r#"{{"ok":false,"error":"{text}"}}"#);
        let limit = matches!(code, ErrorCode::Ratelimited | ErrorCode::RateLimited);
        for status in [200, 400, 401, 403, 404, 408, 500, 502, 503, 504, 599] {
            let want = match (limit, status) {
                (true, _) => LIMITED,
                (false, 408 | 500..) => Answer::Fault(Fault::Http(status)),
                (false, _) => Answer::Refused(code.clone()),
            };
            assert_eq!(said(status, &body), want, "{text} at {status}");
        }
        assert_eq!(said(429, &body), LIMITED, "{text} at 429");
    }
}

#[test]
fn success_is_a_200_and_an_object_and_ok_exactly_true() {
    for body in [
        r#"{"ok":true}"#,
        " \r\n\t{ \"ok\" : true }\n",
        r#"{"ok":true,"warning":"superfluous_charset","response_metadata":{"warnings":["superfluous_charset"]}}"#,
        r#"{"ok":true,"warning":["odd"],"error":null,"needed":7,"response_metadata":"odd"}"#,
        r#"{"response_metadata":{"messages":[1,"x",{}]},"ok":true,"deep":[[[{"a":1e400}]]]}"#,
    ] {
        assert_eq!(said(200, body), Answer::Ok, "{body}");
        for status in [201, 202, 204, 206, 302, 304, 307, 400, 404, 408, 500, 503] {
            assert_eq!(said(status, body), Answer::Fault(Fault::Http(status)), "{status} {body}");
        }
    }
}

#[test]
fn a_200_of_any_other_shape_is_a_bad_response() {
    for body in [
        "",
        "{}",
        "true",
        "[true]",
        r#"[{"ok":true}]"#,
        r#"{"ok":"true"}"#,
        r#"{"ok":1}"#,
        r#"{"ok":null}"#,
        r#"{"ok":{}}"#,
        r#"{"OK":true}"#,
        r#"{"ok":true"#,
        r#"{"ok":true}}"#,
        r#"{"ok":true}{"ok":true}"#,
        r#"{"ok":true} trailing"#,
        r#"{"ok":true,"ok":false}"#,
        r#"{"ok":false,"ok":true}"#,
        r#"{"ok":true,"error":"a","error":"b"}"#,
        r#"{"ok":false}"#,
        r#"{"ok":false,"error":""}"#,
        r#"{"ok":false,"error":null}"#,
        r#"{"ok":false,"error":{"code":"invalid_auth"}}"#,
        r#"{"ok":false,"error":"\u0007"}"#,
        r#"{"ok":"false","error":"invalid_auth"}"#,
        r#"{"error":"invalid_auth"}"#,
        "\u{feff}{\"ok\":true}",
        "<!DOCTYPE html><html><body>{\"ok\":true}</body></html>",
        "ok=true",
    ] {
        assert_eq!(said(200, body), BAD, "{body}");
    }
    let mut not_utf8 = br#"{"ok":true,"x":"?"}"#.to_vec();
    not_utf8[16] = 0xff;
    assert_eq!(reply(200, &Headers::default(), &not_utf8, now()).answer, BAD);
}

#[test]
fn a_status_without_a_code_of_slacks_is_a_fault_of_that_status() {
    for status in [100, 201, 204, 301, 302, 303, 307, 308, 400, 403, 404, 407, 408, 413, 500, 502, 503, 504, 599] {
        for body in ["", "<html>", r#"{"ok":false}"#, r#"{"error":"x"}"#, r#"{"message":"no"}"#] {
            assert_eq!(said(status, body), Answer::Fault(Fault::Http(status)), "{status} {body}");
        }
    }
    assert_eq!(said(302, r#"{"ok":false,"error":"invalid_auth"}"#), Answer::Fault(Fault::Http(302)));
    for body in
        [r#"{"ok":false,"error":"service_unavailable"}"#, r#"{"ok":false,"error":"brand_new"}"#, r#"{"ok":true}"#]
    {
        assert_eq!(said(503, body), Answer::Fault(Fault::Http(503)), "{body}");
    }
    let reply = reply(500, &Headers::default(), br#"{"ok":false,"error":"brand_new"}"#, now());
    assert_eq!(&*reply.detail, "HTTP 500: brand_new");
}

#[test]
fn a_limit_is_known_by_its_status_or_by_its_code() {
    let headers = Headers { retry_after: Some("30".into()), ..Headers::default() };
    let paused = Answer::RateLimited { retry_after: Some(Duration::from_secs(30)) };
    for (status, body) in [
        (429, ""),
        (429, "<html>"),
        (429, r#"{"ok":true}"#),
        (429, r#"{"ok":false,"error":"invalid_auth"}"#),
        (200, r#"{"ok":false,"error":"ratelimited"}"#),
        (200, r#"{"error":"rate_limited"}"#),
        (200, r#"{"ok":true,"error":"ratelimited"}"#),
        (503, r#"{"ok":false,"error":"rate_limited"}"#),
        (302, r#"{"ok":false,"error":"ratelimited"}"#),
    ] {
        let reply = reply(status, &headers, body.as_bytes(), now());
        assert_eq!((reply.answer, reply.http_status), (paused.clone(), Some(status)), "{status} {body}");
    }
    assert_eq!(said(429, ""), LIMITED);
    assert_eq!(said(200, r#"{"ok":false,"error":"RateLimited"}"#), refused("RateLimited"));
}

#[test]
fn what_slack_says_in_words_is_kept_without_its_control_characters() {
    for (body, detail, warning) in [
        (r#"{"ok":true}"#, "", None),
        (
            r#"{"ok":false,"error":"missing_scope","needed":"admin.users:write","provided":"chat:write"}"#,
            "needed: admin.users:write; provided: chat:write",
            None,
        ),
        (
            r#"{"ok":false,"error":"invalid_arguments","response_metadata":{"messages":["[ERROR] a","b\u001b[31m\u202e",3]}}"#,
            "[ERROR] a; b[31m",
            None,
        ),
        (r#"{"ok":true,"warning":"missing_\u0085charset"}"#, "", Some("missing_charset")),
        (r#"{"ok":true,"warning":""}"#, "", None),
    ] {
        let reply = reply(200, &Headers::default(), body.as_bytes(), now());
        assert_eq!((&*reply.detail, reply.warning.as_deref()), (detail, warning), "{body}");
    }
    let long = format!(r#"{{"ok":false,"error":"x","response_metadata":{{"messages":["{}"]}}}}"#, "m".repeat(9_000));
    assert_eq!(reply(200, &Headers::default(), long.as_bytes(), now()).detail.len(), 500);
}

#[test]
fn the_request_id_and_the_kind_of_page_are_told() {
    let headers = Headers { request_id: Some("ab\u{9b}c"), content_type: Some("text/html"), ..Headers::default() };
    let page = reply(200, &headers, b"<html>", now());
    assert_eq!(page.request_id.as_deref(), Some("abc"));
    assert_eq!(&*page.detail, "an HTML page, not an answer of Slack's (6 bytes)");
    let plain = Headers { content_type: Some("text/plain"), ..headers.clone() };
    assert_eq!(&*reply(200, &plain, b"hello!", now()).detail, "not an answer of Slack's: 6 bytes, text/plain");
    let outage = reply(503, &headers, b"<html>", now());
    assert_eq!(&*outage.detail, "HTTP 503: 6 bytes, text/html");
    assert!(reply(307, &headers, b"", now()).detail.contains("a redirect, not followed"));
    let portal = Headers { location: Some("https://login.corp/a?user=me&token=1#x"), ..headers.clone() };
    assert!(reply(302, &portal, b"", now()).detail.contains("a redirect to https://login.corp/a, not followed"));
}

#[test]
fn an_unlisted_code_is_kept_as_it_came_but_safe() {
    assert_eq!(said(200, r#"{"ok":false,"error":"brand_new"}"#), refused("brand_new"));
    assert_eq!(said(200, r#"{"ok":false,"error":"a\u001bb"}"#), refused("ab"));
    let Answer::Refused(code) = said(200, &format!(r#"{{"ok":false,"error":"{}"}}"#, "e".repeat(9_000))) else {
        panic!("a code");
    };
    assert_eq!(code.as_str().len(), 500);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_none_but_200_is_success(
        status in 100_u16..600,
        body in prop::collection::vec(any::<u8>(), 0..300),
        header in prop::option::of(".{0,30}"),
        now in any::<i64>(),
    ) {
        let headers = Headers { retry_after: header.as_deref().map(Into::into), date: header.as_deref(), ..Headers::default() };
        let reply = reply(status, &headers, &body, Timestamp::from_millis(now));
        // Random bytes are never the one object that means success.
        prop_assert_ne!(reply.answer, Answer::Ok);
    }

    #[test]
    fn random_objects_succeed_only_as_the_rule_says(
        status in prop_oneof![Just(200_u16), Just(429), 100_u16..600],
        ok in prop_oneof![Just("true"), Just("false"), Just("1"), Just("\"true\""), Just("null"), Just("[]")],
        error in prop::option::of(prop_oneof![Just("\"ratelimited\""), Just("\"x\""), Just("null"), Just("5")]),
    ) {
        let error = error.map_or_else(String::new, |error| format!(r#","error":{error}"#));
        let limited = status == 429 || error.contains("ratelimited");
        let answer = said(status, &format!(r#"{{"ok":{ok}{error}}}"#));
        prop_assert_eq!(answer == Answer::Ok, status == 200 && ok == "true" && !limited);
        prop_assert_eq!(matches!(answer, Answer::RateLimited { .. }), limited);
    }
}

#[test]
fn unsafe_characters_are_left_out() {
    for (text, want) in [
        ("plain words", "plain words"),
        ("", ""),
        ("a\u{1b}[31mred\u{1b}[0m", "a[31mred[0m"),
        ("tab\tnewline\r\nend", "tabnewlineend"),
        ("c1\u{9b}31m\u{85}del\u{7f}", "c131mdel"),
        ("a\u{202a}b\u{202e}c\u{2066}d\u{2069}e", "abcde"),
        ("z\u{200b}\u{200d}w\u{feff}\u{2060}", "zw"),
        ("Grüße, 世界 …", "Grüße, 世界 …"),
    ] {
        assert_eq!(&*clean(text), want, "{text:?}");
    }
    assert_eq!(clean(&"x".repeat(501)).len(), 500);
    assert_eq!(clean(&"é".repeat(501)).chars().count(), 500);
}

#[test]
fn a_token_that_is_repeated_to_us_goes_no_further() {
    for (text, want) in [
        ("bad token xoxp-1-2-abc.", "bad token xoxp-…"),
        ("Bearer xoxe.xoxp-1-Mi0y, again xoxb-9", "Bearer xoxe.xoxp-…, again xoxb-…"),
        ("x\u{1b}oxp-1-2", "xoxp-…"),
        ("é xoxp-1 é", "é xoxp-… é"),
        ("xox, xoxp, xoxp- and foxoxp-", "xox, xoxp, xoxp- and foxoxp-"),
    ] {
        assert_eq!(&*clean(text), want, "{text:?}");
    }
    let straddling = format!("{}xoxp-1234567890", "x".repeat(MOST_CHARS - 6));
    assert!(!clean(&straddling).contains("xoxp-1"));
}

proptest! {
    #[test]
    fn no_token_passes(before in "[a-z =\"é]{0,8}", token in "xox[a-z][-.][0-9A-Za-z]{1,12}", after in "([ é\"].*)?") {
        let text = format!("{before}{token}{after}");
        prop_assert!(!clean(&text).contains(&token));
    }

    #[test]
    fn whatever_comes_ends_safe_and_short(text in any::<String>()) {
        let cleaned = clean(&text);
        prop_assert!(cleaned.chars().count() <= MOST_CHARS);
        prop_assert!(!cleaned.chars().any(is_unsafe_to_print));
        prop_assert_eq!(clean(&cleaned), cleaned);
    }
}
