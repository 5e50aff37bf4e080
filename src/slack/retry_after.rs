//! `Retry-After`: seconds or an HTTP date (RFC 9110, section 10.2.3). The longest of several values is used.

use crate::model::{Timestamp, format_duration};
use std::time::{Duration, SystemTime};

/// `Retry-After: 0` means one second (slack.md, "Rate limits").
const LEAST: Duration = Duration::from_secs(1);

/// Ten years. Longer than any run, and short enough that sums of times don't overflow.
const MOST: Duration = Duration::from_hours(10 * 365 * 24);

/// The pause that the header asks for, between one second and ten years; `None` if it can't be read.
///
/// Values joined by commas, as proxies do, are separate values, and fractions are rounded up to a second. A date is
/// measured from the `Date` of the answer, so that a wrong clock on this machine can't shorten the pause; without a
/// `Date`, from `now`.
#[must_use]
pub(super) fn pause(header: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    // Most servers send one number. Only a date has to be compared with another.
    if let Some(asked) = seconds(header.trim_ascii()) {
        return Some(asked.clamp(LEAST, MOST));
    }
    let from = date.and_then(|date| httpdate::parse_http_date(date.trim_ascii()).ok()).unwrap_or_else(|| moment(now));
    let values: Vec<&str> = header.split(',').collect();
    // A date contains a comma after the day of the week.
    let with_its_day = values.windows(2).map(|pair| date_until(&pair.join(","), from));
    let alone = values.iter().map(|value| seconds(value.trim_ascii()).or_else(|| date_until(value, from)));
    alone.chain(with_its_day).flatten().max().map(|asked| asked.clamp(LEAST, MOST))
}

/// Describes an unusual header, with its value; `None` for seconds below ten years and for dates.
#[must_use]
pub(super) fn remark(header: &str) -> Option<String> {
    const SHOWN: usize = 64;
    let shown: String = header.chars().take(SHOWN).collect();
    let whole = |value: &str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match pause(header, None, Timestamp::from_millis(0)) {
        None => Some(format!("Retry-After: {shown:?} can't be read")),
        Some(_) if httpdate::parse_http_date(header.trim_ascii()).is_ok() => None,
        Some(MOST) => Some(format!("Retry-After: {shown:?} is ten years or more if it counts seconds")),
        Some(_) if header.split(',').all(|value| whole(value.trim_ascii())) => None,
        Some(pause) => Some(format!("Retry-After: {shown:?} is read as {}", format_duration(pause))),
    }
}

/// A decimal number, rounded up.
fn seconds(value: &str) -> Option<Duration> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let is_number = !(whole.is_empty() && fraction.is_empty());
    if !is_number || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(MOST.as_secs()) };
    let is_more = fraction.bytes().any(|digit| digit != b'0');
    Some(Duration::from_secs(whole.saturating_add(u64::from(is_more))))
}

fn date_until(value: &str, from: SystemTime) -> Option<Duration> {
    let until = httpdate::parse_http_date(value.trim_ascii()).ok()?;
    Some(until.duration_since(from).unwrap_or(LEAST))
}

/// A time before 1970 becomes 1970.
fn moment(timestamp: Timestamp) -> SystemTime {
    let since_epoch = Duration::from_millis(timestamp.as_millis().max(0).unsigned_abs());
    SystemTime::UNIX_EPOCH.checked_add(since_epoch).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Reads an HTTP date.
#[must_use]
pub(super) fn http_date(date: &str) -> Option<Timestamp> {
    let since_epoch = httpdate::parse_http_date(date.trim_ascii()).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_millis()).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
    const NINETY_LATER: &str = "Wed, 21 Oct 2015 07:29:30 GMT";

    #[test]
    fn an_odd_header_is_quoted_as_it_came() {
        for plain in ["30", " 3 ", "0", "60, 60", DATE] {
            assert_eq!(remark(plain), None, "{plain:?}");
        }
        for (odd, want) in [
            ("1.5", "Retry-After: \"1.5\" is read as 2s"),
            ("1764250000", "Retry-After: \"1764250000\" is ten years or more if it counts seconds"),
            (
                "10000000000000000000000",
                "Retry-After: \"10000000000000000000000\" is ten years or more if it counts seconds",
            ),
            ("soon\u{1b}[1m", "Retry-After: \"soon\\u{1b}[1m\" can't be read"),
            ("-5", "Retry-After: \"-5\" can't be read"),
        ] {
            assert_eq!(remark(odd).as_deref(), Some(want));
        }
    }

    #[test]
    fn seconds_and_dates_are_read_and_all_else_is_not() {
        let now = http_date(DATE).unwrap();
        for (header, date, seconds) in [
            ("30", None, Some(30)),
            (" 3 ", None, Some(3)),
            ("0", None, Some(1)),
            ("007", None, Some(7)),
            ("315360001", None, Some(315_360_000)),
            ("99999999999999999999999999", None, Some(315_360_000)),
            ("-5", None, None),
            ("+5", None, None),
            ("1.5", None, Some(2)),
            ("30.0", None, Some(30)),
            ("29.000001", None, Some(30)),
            ("0.2", None, Some(1)),
            ("30.", None, Some(30)),
            (".5", None, Some(1)),
            ("99999999999999999999999999.5", None, Some(315_360_000)),
            (".", None, None),
            ("1.5.2", None, None),
            ("-1.5", None, None),
            ("1e3", None, None),
            ("soon", None, None),
            ("", None, None),
            ("30, 60", None, Some(60)),
            ("60,30", None, Some(60)),
            ("60, 60", None, Some(60)),
            ("1.2 , , 3", None, Some(3)),
            ("soon, 5", None, Some(5)),
            (",", None, None),
            ("5, Wed, 21 Oct 2015 07:29:30 GMT", None, Some(90)),
            ("Wed, 21 Oct 2015 07:29:30 GMT, 120", None, Some(120)),
            ("Wed, 21 Oct 2015 07:28:20 GMT, Wed, 21 Oct 2015 07:29:30 GMT", None, Some(90)),
            ("Wednesday, 21-Oct-15 07:29:30 GMT", None, Some(90)),
            ("Wed Oct 21 07:29:30 2015, 7", None, Some(90)),
            (NINETY_LATER, None, Some(90)),
            (NINETY_LATER, Some(DATE), Some(90)),
            (NINETY_LATER, Some("Wed, 21 Oct 2015 07:29:00 GMT"), Some(30)),
            (NINETY_LATER, Some("no date"), Some(90)),
            (DATE, Some(NINETY_LATER), Some(1)),
            (DATE, None, Some(1)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", None, Some(315_360_000)),
        ] {
            assert_eq!(pause(header, date, now), seconds.map(Duration::from_secs), "{header:?} {date:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_gives_a_bounded_pause_or_none(header in ".{0,40}", date in ".{0,40}", now in any::<i64>()) {
            if let Some(pause) = pause(&header, Some(&date), Timestamp::from_millis(now)) {
                prop_assert!(pause >= LEAST && pause <= MOST);
            }
        }

        #[test]
        fn whole_seconds_are_kept_exactly(seconds in 1_u64..315_360_000) {
            let asked = pause(&seconds.to_string(), None, Timestamp::from_millis(0));
            prop_assert_eq!(asked, Some(Duration::from_secs(seconds)));
        }
    }
}
