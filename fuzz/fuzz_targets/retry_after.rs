//! `Retry-After`, as it comes through the wire: a second or more, or unreadable.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slack_revoke::model::{Answer, Stamp};
use slack_revoke::slack::wire::{Headers, reply};
use std::time::Duration;

fuzz_target!(|given: (&str, Option<&str>, i64)| {
    let (retry_after, date, now) = given;
    let headers = Headers { retry_after: Some(retry_after.into()), date, ..Headers::default() };
    let reply = reply(429, &headers, b"", Stamp::from_millis(now));
    let Answer::RateLimited { retry_after: pause } = reply.answer else { panic!("429 is a limit") };
    assert!(pause.is_none_or(|pause| pause >= Duration::from_secs(1)), "{pause:?}");
    let digits = retry_after.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(seconds @ 1..=86_400) = retry_after.parse::<u64>().ok().filter(|_| digits) {
        assert_eq!(pause, Some(Duration::from_secs(seconds)));
    }
});
