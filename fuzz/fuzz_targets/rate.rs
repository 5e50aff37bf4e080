//! A rate: refused, or shown as a text that reads back to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slack_revoke::model::Rate;

fuzz_target!(|text: &str| {
    let Ok(rate) = text.parse::<Rate>() else { return };
    assert!(rate.per_minute() > 0.0 && rate.per_minute().is_finite());
    assert_eq!(rate.to_string().parse(), Ok(rate), "{text:?} is shown as {rate}");
});
