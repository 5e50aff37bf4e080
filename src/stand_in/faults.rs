//! Answers that replace the real ones: random, or scripted for certain sessions.
//!
//! Pure. A draw depends only on the seed, the session and the number of its earlier calls, so that it doesn't depend
//! on the order of calls.

use crate::model::ErrorCode;
use std::collections::HashMap;
use std::time::Duration;

/// The effect of a call with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    None,
    /// The session is ended.
    Done,
}

/// A fault that replaces the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InjectedFault {
    /// HTTP 500 with `internal_error` in JSON.
    InternalError,
    /// HTTP 200 with `fatal_error` in JSON.
    FatalError,
    /// HTTP 503 with an HTML page, as during an outage.
    Unavailable,
    /// HTTP 408 with an empty body.
    RequestTimeout,
    /// HTTP 200 with `request_timeout` in JSON.
    RequestTimeoutCode,
    /// The connection is reset (RST).
    Reset,
    /// The connection ends before the announced body is complete.
    Torn,
    /// HTTP 200 with invalid JSON.
    Garbage,
    /// HTTP 200 with an HTML page, as from a proxy.
    ProxyPage,
    /// The real answer, delayed. With [`Effect::None`] the session is ended after the delay, so that it stays alive
    /// if the client disconnects; with [`Effect::Done`] before it.
    Slow(Duration),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandInReply {
    Ok,
    Refused(ErrorCode),
    Limited,
    Fault(InjectedFault),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptedReply {
    /// HTTP 200 with this code, without effect.
    Refused(ErrorCode),
    Fault(InjectedFault, Effect),
}

/// A scripted reply for a number of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatedReply {
    pub answer: ScriptedReply,
    /// Number of calls that still get it; `None` for all.
    pub times: Option<u32>,
}

impl RepeatedReply {
    #[must_use]
    pub fn always(answer: ScriptedReply) -> Self {
        Self { answer, times: None }
    }

    /// For the next `times` calls.
    #[must_use]
    pub fn first(times: u32, answer: ScriptedReply) -> Self {
        Self { answer, times: Some(times) }
    }

    /// The answer for the next call, if there is one left.
    pub(super) fn next(&mut self) -> Option<ScriptedReply> {
        match &mut self.times {
            None => Some(self.answer.clone()),
            Some(0) => None,
            Some(left) => {
                *left -= 1;
                Some(self.answer.clone())
            }
        }
    }
}

/// Scripted replies. The most specific one left is used: session, then workspace, then all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplyScript {
    pub by_session: HashMap<u64, RepeatedReply>,
    /// By the workspace that the request names.
    pub by_team: HashMap<String, RepeatedReply>,
    pub every: Option<RepeatedReply>,
}

impl ReplyScript {
    /// The answer for a call, which is used up.
    pub(super) fn next_reply(&mut self, session: u64, team: Option<&str>) -> Option<ScriptedReply> {
        let by_session = self.by_session.get_mut(&session).and_then(RepeatedReply::next);
        let by_team = || team.and_then(|team| self.by_team.get_mut(team)).and_then(RepeatedReply::next);
        by_session.or_else(by_team).or_else(|| self.every.as_mut().and_then(RepeatedReply::next))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultRates {
    pub seed: u64,
    /// Only this many first calls of a session may get a fault; `None` for all.
    pub first_calls: Option<u32>,
    shares: Vec<FaultRate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FaultRate {
    fault: InjectedFault,
    effect: Effect,
    per_mille: u32,
}

impl FaultRates {
    /// Without faults.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Adds a fault for `per_mille` of a thousand calls.
    ///
    /// # Panics
    /// If the shares add up to more than a thousand.
    #[must_use]
    pub fn with(mut self, fault: InjectedFault, effect: Effect, per_mille: u32) -> Self {
        self.shares.push(FaultRate { fault, effect, per_mille });
        assert!(self.shares.iter().map(|share| share.per_mille).sum::<u32>() <= 1000, "shares over a thousand");
        self
    }

    /// Restricts faults to the first `calls` of each session.
    #[must_use]
    pub fn on_first_calls(mut self, calls: u32) -> Self {
        self.first_calls = Some(calls);
        self
    }

    /// The fault of a call after `seen` earlier calls of the session.
    #[must_use]
    pub fn draw(&self, session: u64, seen: u32) -> Option<(InjectedFault, Effect)> {
        if self.shares.is_empty() || self.first_calls.is_some_and(|calls| seen >= calls) {
            return None;
        }
        let mut draw = per_mille(self.seed, session, seen);
        for share in &self.shares {
            match draw.checked_sub(share.per_mille) {
                None => return Some((share.fault, share.effect)),
                Some(rest) => draw = rest,
            }
        }
        None
    }
}

/// A uniform draw from a thousand.
pub(super) fn per_mille(seed: u64, session: u64, call: u32) -> u32 {
    let mixed = mix(mix(seed ^ mix(session)).wrapping_add(u64::from(call)));
    u32::try_from(mixed % 1000).expect("below a thousand")
}

/// The finalizer of splitmix64, so that similar ids give very different results.
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GONE: ScriptedReply = ScriptedReply::Refused(ErrorCode::SessionNotFound);

    #[test]
    fn the_narrowest_answer_left_decides() {
        let mut script = ReplyScript::default();
        script.by_session.insert(1, RepeatedReply::first(2, ScriptedReply::Fault(InjectedFault::Reset, Effect::Done)));
        script.by_team.insert("T1".into(), RepeatedReply::first(1, GONE));
        script.every = Some(RepeatedReply::always(ScriptedReply::Refused(ErrorCode::FatalError)));
        let reset = Some(ScriptedReply::Fault(InjectedFault::Reset, Effect::Done));
        let fatal = Some(ScriptedReply::Refused(ErrorCode::FatalError));
        for want in [reset.clone(), reset, Some(GONE), fatal.clone(), fatal.clone()] {
            assert_eq!(script.next_reply(1, Some("T1")), want);
        }
        assert_eq!(script.next_reply(2, None), fatal);
        assert_eq!(ReplyScript::default().next_reply(1, Some("T1")), None);
    }

    #[test]
    fn shares_are_met_closely_and_only_on_the_first_calls() {
        let faults = FaultRates::seeded(7)
            .with(InjectedFault::Unavailable, Effect::None, 30)
            .with(InjectedFault::Reset, Effect::Done, 100)
            .on_first_calls(2);
        let drawn: Vec<_> = (0..10_000).map(|n| faults.draw(1_112_275_520_242 + n, 1)).collect();
        let of = |what| drawn.iter().filter(|&&fault| fault == Some(what)).count();
        assert!((230..370).contains(&of((InjectedFault::Unavailable, Effect::None))));
        assert!((900..1100).contains(&of((InjectedFault::Reset, Effect::Done))));
        assert!((0..10_000).all(|session| faults.draw(session, 2).is_none()));
    }

    #[test]
    #[should_panic(expected = "shares over a thousand")]
    fn more_trouble_than_calls_is_refused() {
        let _ = FaultRates::default().with(InjectedFault::Reset, Effect::None, 600).with(
            InjectedFault::Torn,
            Effect::Done,
            401,
        );
    }

    proptest! {
        #[test]
        fn all_of_the_calls_can_be_trouble_and_none_can(session: u64, seen: u32, seed: u64) {
            let all = FaultRates::seeded(seed).with(InjectedFault::Garbage, Effect::None, 1000);
            prop_assert_eq!(all.draw(session, seen), Some((InjectedFault::Garbage, Effect::None)));
            let none = FaultRates::seeded(seed).with(InjectedFault::Garbage, Effect::None, 0);
            prop_assert_eq!(none.draw(session, seen), None);
        }
    }
}
