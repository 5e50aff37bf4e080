//! The limit of the whole run, across all its buckets.

use super::call_window::MINUTE;
use super::ports::Permit;
use super::rate_estimator::whole;
use super::rate_gate::{NotUntil, Pace};
use super::spacing::Spacing;
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Debug)]
pub struct RunLimit(LimitRule);

#[derive(Debug)]
enum LimitRule {
    /// One call in every interval. `next` is the earliest known time of the next call.
    Every {
        spacing: Spacing,
        next: Duration,
    },
    /// This many calls in any window of `within`.
    AtMost {
        calls: usize,
        within: Duration,
        sent: VecDeque<Duration>,
    },
    Unlimited,
}

impl RunLimit {
    #[must_use]
    pub fn new(pace: Pace, now: Duration) -> Self {
        Self(match pace {
            Pace::Auto { most, .. } => LimitRule::at_most(most),
            Pace::Every(interval) => LimitRule::Every { spacing: Spacing::from(now, interval), next: now },
            Pace::Unlimited => LimitRule::Unlimited,
        })
    }

    /// Returns the permit of `gate` if the run's limit allows a call.
    ///
    /// # Errors
    /// The error of the gate, or when the run's limit allows a call.
    pub fn try_acquire(
        &mut self,
        now: Duration,
        gate: impl FnOnce() -> Result<Permit, NotUntil>,
    ) -> Result<Permit, NotUntil> {
        if let Some(at) = self.0.no_place_before(now) {
            return Err(NotUntil::Until(at));
        }
        let permit = gate()?;
        self.0.take(now).map_err(NotUntil::Until)?;
        Ok(permit)
    }

    /// Maximum number of calls a minute; `None` without a limit.
    #[must_use]
    pub fn per_minute(&self) -> Option<f64> {
        match &self.0 {
            LimitRule::Every { spacing, .. } => Some(MINUTE.as_secs_f64() / spacing.interval().as_secs_f64()),
            #[expect(clippy::cast_precision_loss, reason = "calls of a minute")]
            LimitRule::AtMost { calls, within, .. } => {
                Some(*calls as f64 * MINUTE.as_secs_f64() / within.as_secs_f64())
            }
            LimitRule::Unlimited => None,
        }
    }
}

impl LimitRule {
    /// A window with a whole number of calls: 1.5 a minute become 2 in 80 s.
    #[expect(clippy::cast_precision_loss, reason = "calls of a minute")]
    fn at_most(per_minute: f64) -> Self {
        let calls = whole(per_minute);
        Self::AtMost { calls, within: MINUTE.mul_f64(calls as f64 / per_minute), sent: VecDeque::new() }
    }

    fn no_place_before(&self, now: Duration) -> Option<Duration> {
        let at = match self {
            Self::Every { next, .. } => *next,
            Self::AtMost { calls, within, sent } if sent.len() >= *calls => *sent.front()? + *within,
            Self::AtMost { .. } | Self::Unlimited => return None,
        };
        (at > now).then_some(at)
    }

    fn take(&mut self, now: Duration) -> Result<(), Duration> {
        match self {
            Self::Every { spacing, next } => spacing.take(now).inspect_err(|at| *next = *at),
            Self::AtMost { calls, sent, .. } => {
                if sent.len() >= *calls {
                    sent.pop_front();
                }
                sent.push_back(now);
                Ok(())
            }
            Self::Unlimited => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rate_gate::RateGate;
    use proptest::prelude::*;

    /// The moments of the first calls of two buckets that want to send whenever they may.
    fn sent(pace: Pace, calls: usize) -> Vec<Duration> {
        let mut total = RunLimit::new(pace, Duration::ZERO);
        let mut gates = [RateGate::new(Pace::Unlimited), RateGate::new(Pace::Unlimited)];
        let (mut now, mut sent) = (Duration::ZERO, Vec::new());
        while sent.len() < calls {
            let gate = &mut gates[sent.len() % 2];
            match total.try_acquire(now, || gate.try_acquire(now, 1, 0)) {
                Ok(_) => sent.push(now),
                Err(NotUntil::Until(at)) => now = at,
                Err(NotUntil::UntilAnAnswer | NotUntil::UntilRecorded) => panic!("nothing is in call"),
            }
        }
        sent
    }

    #[test]
    fn a_fixed_rate_is_the_runs_rate_whatever_the_buckets() {
        let sent = sent(Pace::Every(Duration::from_secs(3)), 21);
        assert_eq!(sent.last(), Some(&Duration::from_mins(1)));
    }

    #[test]
    fn a_gate_that_is_closed_uses_up_no_place() {
        for pace in [Pace::Every(Duration::from_secs(3)), Pace::Auto { start: 1.0, most: 1.0 }] {
            let mut total = RunLimit::new(pace, Duration::ZERO);
            let closed = NotUntil::Until(Duration::from_secs(9));
            assert_eq!(total.try_acquire(Duration::ZERO, || Err(closed)).err(), Some(closed));
            assert!(total.try_acquire(Duration::ZERO, || Ok(Permit::issue())).is_ok());
            assert!(total.try_acquire(Duration::ZERO, || Ok(Permit::issue())).is_err());
        }
    }

    proptest! {
        #[test]
        fn never_more_than_the_most_in_any_minute(most in 0.05_f64..400.0) {
            let sent = sent(Pace::Auto { start: 20.0, most }, 900);
            for (first, at) in sent.iter().enumerate() {
                let in_a_minute = sent[first..].iter().take_while(|later| **later < *at + MINUTE).count();
                prop_assert!(in_a_minute <= whole(most), "{in_a_minute}");
            }
            let per_minute = 899.0 * 60.0 / sent[899].as_secs_f64();
            // The last burst is whole, and its time isn't over.
            prop_assert!(per_minute >= 0.99 * most && per_minute <= 2.0 * most, "{per_minute} {most}");
        }
    }
}
