//! The gate of one bucket: its pause and its estimated limit. Every attempt passes it, including retries.

use super::call_window::{CallWindow, MINUTE};
use super::pauses::Pauses;
use super::ports::Permit;
use super::rate_estimator::{RateEstimator, whole};
use super::shared_limit::{AnsweredCall, LimitNews, LimitReport, OtherRuns};
use super::shared_pace::SharedPace;
use super::spacing::Spacing;
use crate::model::RateChoice;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Starts with `start` calls a minute and finds the real limit, up to `most`.
    Auto { start: f64, most: f64 },
    /// One call in every interval, evenly.
    Every(Duration),
    /// As fast as answers arrive; only limited by pauses.
    Unlimited,
}

impl From<RateChoice> for Pace {
    fn from(rate: RateChoice) -> Self {
        match rate {
            RateChoice::Auto { start, max } => Self::Auto { start: start.per_minute(), most: max.per_minute() },
            RateChoice::Fixed(rate) => Self::Every(rate.interval()),
            RateChoice::Unlimited => Self::Unlimited,
        }
    }
}

/// Without a limit, this many calls have to be accepted for each further call in flight. After a 429, only one call
/// is in flight from then on, because a second one might get the next 429.
const PROVEN: u64 = 64;

/// Tolerance for the end of the same pause in the store, whose clock has milliseconds.
const ROUNDING: Duration = Duration::from_millis(10);

#[derive(Debug)]
enum Algorithm {
    Auto {
        estimator: Box<RateEstimator>,
        sent: CallWindow,
        spacing: Option<(f64, Spacing)>,
    },
    /// Applied by the limit of the run, not by the bucket.
    Every(Duration),
    Unlimited {
        accepted: u64,
        was_refused: bool,
    },
}

#[derive(Debug)]
pub struct RateGate {
    algorithm: Algorithm,
    paused_until: Duration,
    held_until: Duration,
    last_refusal: Option<Duration>,
    pauses: Pauses,
    /// If other runs may use the limit.
    shared: Option<SharedPace>,
    /// Whether the algorithm has allowed a call that the store hasn't recorded yet.
    has_place: bool,
}

/// When a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotUntil {
    /// Not before this time.
    Until(Duration),
    /// Not before a call in flight has been answered.
    UntilAnAnswer,
    /// Not before the store has recorded it.
    UntilRecorded,
}

impl RateGate {
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        let algorithm = match pace {
            Pace::Auto { start, most } => Algorithm::Auto {
                estimator: Box::new(RateEstimator::new(start, most)),
                sent: CallWindow::default(),
                spacing: None,
            },
            Pace::Every(interval) => Algorithm::Every(interval),
            Pace::Unlimited => Algorithm::Unlimited { accepted: 0, was_refused: false },
        };
        Self {
            algorithm,
            paused_until: Duration::ZERO,
            held_until: Duration::ZERO,
            last_refusal: None,
            pauses: Pauses::default(),
            shared: None,
            has_place: false,
        }
    }

    /// The gate of a limit that other runs may use.
    #[must_use]
    pub fn shared(pace: Pace) -> Self {
        Self { shared: Some(SharedPace::default()), ..Self::new(pace) }
    }

    /// `rows_left` counts the rows that still need this bucket, `in_flight` its calls.
    ///
    /// # Errors
    /// [`NotUntil`]: during a pause, between two calls, or if the last minute is used up.
    pub fn try_acquire(&mut self, now: Duration, rows_left: u64, in_flight: u64) -> Result<Permit, NotUntil> {
        if now < self.paused_until {
            return Err(NotUntil::Until(self.paused_until));
        }
        let Some(shared) = &mut self.shared else {
            self.algorithm.take_place(now, rows_left, in_flight, self.paused_until, None)?;
            self.algorithm.sent(now);
            return Ok(Permit::issue());
        };
        let rows_left = rows_left + shared.others().rows;
        if !self.algorithm.has_room_for_all(now, rows_left, shared.rate())
            && let Some(at) = shared.no_place_before(now)
        {
            return Err(NotUntil::Until(at));
        }
        if !self.has_place {
            self.algorithm.take_place(now, rows_left, in_flight, self.paused_until, shared.rate())?;
            self.has_place = true;
        }
        if !shared.is_recorded(now) {
            return Err(NotUntil::UntilRecorded);
        }
        self.has_place = false;
        shared.take(now);
        self.algorithm.sent(now);
        Ok(Permit::issue())
    }

    /// The report for other runs; `None` if there is nothing to report. `wants_call`: whether a call waits for it.
    pub fn report(&mut self, now: Duration, wants_call: bool, rows_left: u64) -> Option<LimitReport> {
        let answers = self.shared.as_mut()?.begin_report(now, wants_call)?;
        let rate = match &self.algorithm {
            Algorithm::Auto { estimator, .. } => Some((estimator.next_estimate(), self.last_refusal.is_some())),
            Algorithm::Every(_) | Algorithm::Unlimited { .. } => None,
        };
        Some(LimitReport {
            team: None,
            is_bulk: false,
            wants_call,
            answers,
            paused_until: self.paused_until,
            rate,
            rows_left,
        })
    }

    /// When the next report is due; `None` if the limit isn't shared.
    #[must_use]
    pub fn report_due(&self, now: Duration) -> Option<Duration> {
        self.shared.as_ref().map(|shared| shared.due_at(now))
    }

    /// Applies what other runs did as if this one had done it. Returns their pause, from `now`, if it is longer than
    /// the known one.
    pub fn on_news(&mut self, news: &LimitNews, now: Duration) -> Option<Duration> {
        let Some(shared) = &mut self.shared else { return None };
        shared.on_news(news, now);
        let paused_until = self.paused_until;
        self.algorithm.others_sent(&news.sent);
        self.has_place &= news.sent.is_empty();
        if let (Some((per_minute, age)), Algorithm::Auto { estimator, .. }) = (news.learned, &mut self.algorithm) {
            estimator.expect(per_minute, age, now);
        }
        for answer in &news.answers {
            match answer.pause {
                None => self.accepted_by_any(answer.sent_at, answer.at),
                Some(pause) => drop(self.refused_by_any(answer.sent_at, answer.at, pause)),
            }
        }
        if news.paused_until > self.paused_until + ROUNDING {
            self.close_until(news.paused_until);
        }
        (self.paused_until > paused_until.max(now) + ROUNDING).then(|| self.paused_until.saturating_sub(now))
    }

    /// Notes that the store can't be used.
    pub fn on_no_news(&mut self, now: Duration) {
        if let Some(shared) = &mut self.shared {
            shared.on_failure(now);
        }
    }

    #[must_use]
    pub fn others(&self) -> OtherRuns {
        self.shared.as_ref().map(SharedPace::others).unwrap_or_default()
    }

    fn close_until(&mut self, until: Duration) {
        self.paused_until = self.paused_until.max(until);
        self.has_place = false;
        match &mut self.algorithm {
            Algorithm::Auto { spacing, .. } => *spacing = None,
            Algorithm::Every(_) | Algorithm::Unlimited { .. } => {}
        }
    }

    /// A permit for a probe: a row of a workspace that wasn't paused.
    pub fn issue_past_the_pause(&mut self) -> Permit {
        Permit::issue()
    }

    /// Counts a call of the last minute that was made before the buckets were split.
    pub fn remember(&mut self, sent_at: Duration) {
        if let Algorithm::Auto { estimator, sent, .. } = &mut self.algorithm {
            estimator.remember(sent_at);
            sent.push(sent_at);
        }
    }

    /// Notes that a call sent at `sent_at` was answered at `now`, not with a 429.
    pub fn accepted(&mut self, sent_at: Duration, now: Duration) {
        self.accepted_by_any(sent_at, now);
        if let Some(shared) = &mut self.shared {
            shared.answered(AnsweredCall { sent_at, at: now, pause: None });
        }
    }

    fn accepted_by_any(&mut self, sent_at: Duration, now: Duration) {
        self.pauses.accepted();
        match &mut self.algorithm {
            Algorithm::Auto { estimator, .. } => estimator.on_accepted(sent_at, now),
            Algorithm::Every(_) => {}
            Algorithm::Unlimited { accepted, .. } => *accepted += 1,
        }
    }

    /// Notes a 429 for a call sent at `sent_at` that asks for `pause`. Returns the pause to keep, from `now`.
    ///
    /// The pause is a point in time that only grows. It is longer than `pause` if that was too short before.
    pub fn refused(&mut self, sent_at: Duration, now: Duration, pause: Duration) -> Duration {
        let kept = self.refused_by_any(sent_at, now, pause);
        if let Some(shared) = &mut self.shared {
            shared.answered(AnsweredCall { sent_at, at: now, pause: Some(pause) });
        }
        kept
    }

    fn refused_by_any(&mut self, sent_at: Duration, now: Duration, pause: Duration) -> Duration {
        let is_new = self.last_refusal.is_none_or(|last| sent_at > last);
        let is_explained = match &mut self.algorithm {
            Algorithm::Auto { estimator, .. } => estimator.on_refused(is_new, sent_at, now, pause),
            Algorithm::Every(_) => false,
            Algorithm::Unlimited { was_refused, .. } => {
                *was_refused = true;
                false
            }
        };
        if !is_new {
            self.close_until(now + pause);
            return pause;
        }
        self.last_refusal = Some(now);
        let pause = self.pauses.refused(pause, is_explained);
        self.close_until(now + pause);
        if let Algorithm::Auto { estimator, .. } = &mut self.algorithm {
            estimator.on_pause(pause, now);
        }
        pause
    }

    /// Pauses without changing the estimate, because the server asked for a pause for another reason than a limit.
    pub fn hold(&mut self, now: Duration, pause: Duration) {
        self.held_until = self.held_until.max(now + pause);
        self.close_until(self.held_until);
    }

    /// The end of a pause for another reason than a limit; in the past if there is none.
    #[must_use]
    pub fn held_until(&self) -> Duration {
        self.held_until
    }

    /// The end of the pause; in the past if there is none.
    #[must_use]
    pub fn paused_until(&self) -> Duration {
        self.paused_until
    }

    /// The estimated limit, if a 429 was received.
    #[must_use]
    pub fn learnt(&self) -> Option<f64> {
        match &self.algorithm {
            Algorithm::Auto { estimator, .. } if self.last_refusal.is_some() => Some(estimator.next_estimate()),
            Algorithm::Auto { .. } | Algorithm::Every(_) | Algorithm::Unlimited { .. } => None,
        }
    }

    /// Calls a minute that are allowed now; `None` without a limit.
    #[must_use]
    pub fn per_minute(&self) -> Option<f64> {
        let share = self.shared.as_ref().and_then(SharedPace::share);
        let alone = self.per_minute_alone()?;
        Some(share.map_or(alone, |share| share.min(alone)))
    }

    fn per_minute_alone(&self) -> Option<f64> {
        match &self.algorithm {
            Algorithm::Auto { estimator, .. } => Some(estimator.estimate()),
            Algorithm::Every(interval) => Some(MINUTE.as_secs_f64() / interval.as_secs_f64()),
            Algorithm::Unlimited { .. } => None,
        }
    }
}

impl Algorithm {
    /// Uses the slot of one call. `rate` is the limit as estimated by another run.
    fn take_place(
        &mut self,
        now: Duration,
        rows_left: u64,
        in_flight: u64,
        opened: Duration,
        rate: Option<f64>,
    ) -> Result<(), NotUntil> {
        match self {
            Self::Every(_) => Ok(()),
            Self::Unlimited { accepted, was_refused } => {
                let places = if *was_refused { 1 } else { 1 + *accepted / PROVEN };
                if in_flight < places { Ok(()) } else { Err(NotUntil::UntilAnAnswer) }
            }
            Self::Auto { estimator, sent, spacing } => {
                estimator.on_time(now, rows_left);
                if in_flight >= estimator.places() {
                    return Err(NotUntil::UntilAnAnswer);
                }
                let per_minute = rate.map_or(estimator.estimate(), |rate| rate.min(estimator.estimate()));
                if let Some(at) = sent.room_for_one(now, whole(per_minute)) {
                    return Err(NotUntil::Until(at));
                }
                let room = whole(per_minute).saturating_sub(sent.count(now));
                let spread = estimator.spread(rows_left, room);
                let spread = if spread > estimator.estimate() { spread } else { per_minute };
                space(spacing, spread, sent.last(), now, opened)
            }
        }
    }

    /// Whether all rows of all runs fit into this minute, so that nothing has to be divided.
    fn has_room_for_all(&mut self, now: Duration, rows_left: u64, rate: Option<f64>) -> bool {
        let Self::Auto { estimator, sent, .. } = self else { return false };
        let room = whole(rate.unwrap_or(estimator.estimate())).saturating_sub(sent.count(now));
        estimator.spread(rows_left, room) > estimator.estimate()
    }

    fn sent(&mut self, now: Duration) {
        if let Self::Auto { estimator, sent, .. } = self {
            estimator.on_sent(now);
            sent.push(now);
        }
    }

    fn others_sent(&mut self, calls: &[Duration]) {
        if let (Self::Auto { estimator, sent, spacing }, false) = (self, calls.is_empty()) {
            for at in calls {
                estimator.on_sent(*at);
                sent.push(*at);
            }
            *spacing = None;
        }
    }
}

fn space(
    spacing: &mut Option<(f64, Spacing)>,
    per_minute: f64,
    last: Option<Duration>,
    now: Duration,
    opened: Duration,
) -> Result<(), NotUntil> {
    #[expect(clippy::float_cmp, reason = "the very rate that the limiter was made for, or another one")]
    let fits = spacing.as_ref().is_some_and(|(made_for, _)| *made_for == per_minute);
    if !fits {
        let interval = MINUTE.div_f64(per_minute);
        // Calls missed during a pause aren't made up for.
        let last = last.map(|last| last.max(opened.saturating_sub(interval)));
        let fresh = last.map_or_else(|| Spacing::from(now, interval), |last| Spacing::after(last, interval));
        *spacing = Some((per_minute, fresh));
    }
    let (_, spacing) = spacing.as_mut().expect("made just now");
    spacing.take(now).map_err(NotUntil::Until)
}
