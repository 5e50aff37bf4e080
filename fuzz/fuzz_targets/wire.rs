//! An answer: success is what it must be, and no text of it can move a cursor or hold a token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use slack_revoke::model::{Answer, Stamp};
use slack_revoke::slack::wire::{Headers, reply};

fuzz_target!(|given: (u16, Option<&str>, Option<&str>, &[u8])| {
    let (status, request_id, content_type, body) = given;
    let status = if status % 4 == 0 { 200 } else { status % 600 };
    let headers = Headers { request_id, content_type, ..Headers::default() };
    let reply = reply(status, &headers, body, Stamp::from_millis(0));
    if reply.answer == Answer::Ok {
        assert_eq!(status, 200);
        let json: Value = serde_json::from_slice(body).expect("JSON");
        assert_eq!(json["ok"], true);
    }
    for text in [Some(&reply.detail), reply.request_id.as_ref(), reply.warning.as_ref()].into_iter().flatten() {
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(!text.contains("xoxp-1"), "{text:?}");
    }
});
