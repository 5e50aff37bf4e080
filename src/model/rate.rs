//! Call rates, kept exactly as given.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Per {
    /// `/s`
    Second,
    /// `/min`, the unit of Slack's tiers.
    Minute,
    /// `/h`
    Hour,
}

impl Per {
    fn seconds(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }

    fn symbol(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "s" | "sec" | "second" => Some(Self::Second),
            "m" | "min" | "minute" => Some(Self::Minute),
            "h" | "hr" | "hour" => Some(Self::Hour),
            _ => None,
        }
    }
}

/// Why a text isn't a usable rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateError {
    NoPeriod,
    /// Not `s`, `min` or `h` after the slash.
    UnknownPeriod,
    /// Not a decimal number before the slash.
    NotANumber,
    Negative,
    Zero,
    TooPrecise,
    /// More than 1,000 calls a second.
    TooFast,
    /// Less than one call a day.
    TooSlow,
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPeriod => "a rate needs a period: 20/min, 5/s or 1200/h",
            Self::UnknownPeriod => "the period of a rate is s, min or h, as in 20/min",
            Self::NotANumber => "a rate is a number and a period, as in 20/min, 0.5/s or 1200/h",
            Self::Negative => "a rate can't be negative",
            Self::Zero => "at a rate of zero nothing would ever be sent",
            Self::TooPrecise => "a rate has at most three decimals; a longer period needs fewer, as in 1200/h",
            Self::TooFast => "at most 1000/s is supported; Slack's Tier 2 is about 20/min",
            Self::TooSlow => "less than one call a day would never end",
        })
    }
}

impl std::error::Error for RateError {}

/// Calls per period. At least one a day and at most 1,000 a second, to the thousandth of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// At most 3.6 billion: 1,000 a second, given per hour.
    thousandths: u32,
    per: Per,
}

impl Rate {
    /// The minimum of Slack's Tier 2: 20 calls a minute (slack.md, "Rate limits").
    pub const TIER_2: Self = Self { thousandths: 20_000, per: Per::Minute };

    /// The minimum of Slack's Tier 4: 100 calls a minute.
    pub const TIER_4: Self = Self { thousandths: 100_000, per: Per::Minute };

    /// Default of `--max-rate`: 300 calls a minute.
    pub const AUTO_MAX: Self = Self { thousandths: 300_000, per: Per::Minute };

    /// Whole calls in a period.
    ///
    /// # Errors
    /// [`RateError::Zero`], [`RateError::TooFast`] or [`RateError::TooSlow`].
    pub fn new(calls: u32, per: Per) -> Result<Self, RateError> {
        let thousandths = calls.checked_mul(1000).ok_or(RateError::TooFast)?;
        Self { thousandths, per }.checked()
    }

    fn checked(self) -> Result<Self, RateError> {
        if self.thousandths == 0 {
            return Err(RateError::Zero);
        }
        if self.thousandths_an_hour() > 1_000_000 * 3600 {
            return Err(RateError::TooFast);
        }
        if self.thousandths_an_hour() * 24 < 1000 {
            return Err(RateError::TooSlow);
        }
        Ok(self)
    }

    fn thousandths_an_hour(self) -> u64 {
        u64::from(self.thousandths) * u64::from(3600 / self.per.seconds())
    }

    #[must_use]
    pub fn per_minute(self) -> f64 {
        f64::from(self.thousandths) / 1000.0 * 60.0 / f64::from(self.per.seconds())
    }

    /// The time between two evenly spaced calls, rounded up.
    #[must_use]
    pub fn interval(self) -> Duration {
        let period_in_nanos = u64::from(self.per.seconds()) * 1_000_000_000;
        Duration::from_nanos((period_in_nanos * 1000).div_ceil(u64::from(self.thousandths)))
    }

    /// Compares rates of any periods.
    #[must_use]
    pub fn is_faster_than(self, other: Self) -> bool {
        self.thousandths_an_hour() > other.thousandths_an_hour()
    }

    /// The slower rate; `self` if they are equal.
    #[must_use]
    pub fn slower_of(self, other: Self) -> Self {
        if self.is_faster_than(other) { other } else { self }
    }
}

/// `20/min`, `0.5/s`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.thousandths / 1000, self.thousandths % 1000);
        write!(f, "{whole}")?;
        if rest > 0 {
            write!(f, ".{}", format!("{rest:03}").trim_end_matches('0'))?;
        }
        write!(f, "/{}", self.per.symbol())
    }
}

impl FromStr for Rate {
    type Err = RateError;

    /// Reads `20/min`, `5/s`, `1200/h`, `0.5/s`. Blanks around the parts and the case of the period are ignored.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let Some((count, period)) = text.split_once('/') else {
            thousandths(text.trim())?;
            return Err(RateError::NoPeriod);
        };
        let thousandths = thousandths(count.trim())?;
        let per = Per::parse(period.trim()).ok_or(RateError::UnknownPeriod)?;
        Self { thousandths, per }.checked()
    }
}

fn thousandths(text: &str) -> Result<u32, RateError> {
    match text.strip_prefix('-') {
        Some(positive) => decimal(positive).and(Err(RateError::Negative)),
        None => decimal(text),
    }
}

/// A decimal number in thousandths. Not parsed as a float, so NaN and exponents are refused.
fn decimal(text: &str) -> Result<u32, RateError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(RateError::NotANumber);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 3 {
        return Err(RateError::TooPrecise);
    }
    format!("{whole}{fraction:0<3}").parse().map_err(|_| RateError::TooFast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_are_read_or_say_why_not() {
        for (text, want) in [
            ("20/min", Ok("20/min")),
            (" 20 / Min ", Ok("20/min")),
            ("20/m", Ok("20/min")),
            ("20/minute", Ok("20/min")),
            ("5/s", Ok("5/s")),
            ("5/sec", Ok("5/s")),
            ("1200/h", Ok("1200/h")),
            ("1200/hour", Ok("1200/h")),
            ("0.5/s", Ok("0.5/s")),
            ("0.050/s", Ok("0.05/s")),
            ("007/min", Ok("7/min")),
            ("1.5000/min", Ok("1.5/min")),
            ("1000/s", Ok("1000/s")),
            ("3600000/h", Ok("3600000/h")),
            ("0.042/h", Ok("0.042/h")),
            ("20", Err(RateError::NoPeriod)),
            ("0.5", Err(RateError::NoPeriod)),
            ("20/day", Err(RateError::UnknownPeriod)),
            ("20/", Err(RateError::UnknownPeriod)),
            ("20/min/s", Err(RateError::UnknownPeriod)),
            ("", Err(RateError::NotANumber)),
            ("/min", Err(RateError::NotANumber)),
            ("fast", Err(RateError::NotANumber)),
            ("NaN/min", Err(RateError::NotANumber)),
            ("inf/min", Err(RateError::NotANumber)),
            ("1e3/h", Err(RateError::NotANumber)),
            ("1,200/h", Err(RateError::NotANumber)),
            ("+5/s", Err(RateError::NotANumber)),
            (".5/s", Err(RateError::NotANumber)),
            ("5./s", Err(RateError::NotANumber)),
            ("٢٠/min", Err(RateError::NotANumber)),
            ("-5/min", Err(RateError::Negative)),
            ("--5/min", Err(RateError::NotANumber)),
            ("-x/min", Err(RateError::NotANumber)),
            ("0/min", Err(RateError::Zero)),
            ("0.000/s", Err(RateError::Zero)),
            ("0.0001/s", Err(RateError::TooPrecise)),
            ("1001/s", Err(RateError::TooFast)),
            ("99999999999999/h", Err(RateError::TooFast)),
            ("0.041/h", Err(RateError::TooSlow)),
        ] {
            let read = text.parse::<Rate>().map(|rate| rate.to_string());
            assert_eq!(read.as_deref().map_err(|error| *error), want, "{text:?}");
        }
    }

    #[test]
    fn the_interval_is_the_period_over_the_calls() {
        for (text, want) in [
            ("20/min", Duration::from_secs(3)),
            ("0.5/s", Duration::from_secs(2)),
            ("1200/h", Duration::from_secs(3)),
            ("1000/s", Duration::from_millis(1)),
            ("7/s", Duration::from_nanos(142_857_143)),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap().interval(), want, "{text}");
        }
    }

    #[test]
    fn the_constants_are_what_they_say() {
        assert_eq!(Rate::TIER_2, Rate::new(20, Per::Minute).unwrap());
        assert_eq!(Rate::AUTO_MAX, "300/min".parse().unwrap());
        assert_eq!(Rate::new(0, Per::Hour), Err(RateError::Zero));
        assert_eq!(Rate::new(u32::MAX, Per::Hour), Err(RateError::TooFast));
        assert!(!Rate::TIER_2.is_faster_than("1200/h".parse().unwrap()));
        assert_eq!(Rate::TIER_2.slower_of(Rate::AUTO_MAX), Rate::TIER_2);
        assert_eq!(Rate::AUTO_MAX.slower_of(Rate::TIER_2), Rate::TIER_2);
    }

    proptest! {
        #[test]
        fn a_rate_reads_back_as_itself(calls in 1u32..=1000, thousandths in 0u32..1000, per in 0..3usize) {
            let per = [Per::Second, Per::Minute, Per::Hour][per];
            let rate = Rate { thousandths: calls * 1000 + thousandths, per };
            prop_assume!(rate.checked().is_ok());
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            let spaced = 60.0 / rate.interval().as_secs_f64();
            prop_assert!(spaced <= rate.per_minute() * 1.000_000_1 && spaced >= rate.per_minute() * 0.999_99);
        }
    }
}
