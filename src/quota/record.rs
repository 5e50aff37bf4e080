//! The record of one limit, and the exchange with it. Pure: the time is passed in.
//!
//! The record is a log. A run only appends a call if nothing was added that could change its decision, which the
//! engine makes. So each call is made with knowledge of all calls before it.

use super::share::{Lease, share};
use crate::model::{LimitUse, Priority, RunOnLimit, Timestamp};
use serde::{Deserialize, Serialize};

/// Slack counts by the minute.
const MINUTE: i64 = 60_000;

/// In milliseconds. A lease ends if it isn't renewed for this long, so that the share of a dead run becomes free.
pub const LEASE: i64 = 12_000;

/// Maximum number of calls kept: a minute at the default of `--max-rate`. Keeps an exchange well below a millisecond.
const MOST_CALLS: usize = 300;

/// How long a learned rate is used.
const DAY: i64 = 24 * 60 * MINUTE;

/// How long a record has to be kept after the end of its pause, in milliseconds.
pub const LIFETIME: u64 = DAY.unsigned_abs();

/// A pause with the time at which it was requested, so that a clock that is set back doesn't lengthen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPause {
    pub until: Timestamp,
    pub since: Timestamp,
}

/// A rate learned from refusals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearnedRate {
    pub per_minute: f64,
    pub at: Timestamp,
}

/// A call of the last minute. Revisions show when its parts became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CallRow", into = "CallRow")]
pub struct Call {
    run: u32,
    sent_at: Timestamp,
    revision: u64,
    answer: Option<(CallAnswer, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallAnswer {
    pub at: Timestamp,
    /// In milliseconds; `None` if the call was accepted.
    pub pause: Option<u64>,
}

/// The compact stored form of a call.
type CallRow = (u32, i64, u64, Option<(i64, Option<u64>, u64)>);

impl From<CallRow> for Call {
    fn from((run, sent_at, revision, answer): CallRow) -> Self {
        let answer =
            answer.map(|(at, pause, revision)| (CallAnswer { at: Timestamp::from_millis(at), pause }, revision));
        Self { run, sent_at: Timestamp::from_millis(sent_at), revision, answer }
    }
}

impl From<Call> for CallRow {
    fn from(call: Call) -> Self {
        let answer = call.answer.map(|(answer, revision)| (answer.at.as_millis(), answer.pause, revision));
        (call.run, call.sent_at.as_millis(), call.revision, answer)
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BucketRecord {
    /// The first member, so that it can be read if the rest can't.
    pub closed: Option<KnownPause>,
    pub learned: Option<LearnedRate>,
    /// Total rate of all live runs, in calls a minute.
    rate: Option<f64>,
    revision: u64,
    next_run: u32,
    pub leases: Vec<Lease>,
    calls: Vec<Call>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub host: String,
    pub priority: Priority,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub wants_call: bool,
    /// Answered calls with the time at which they were sent.
    pub answers: Vec<(Timestamp, CallAnswer)>,
    /// The end of the pause that the run knows.
    pub closed_until: Timestamp,
    /// The estimated rate, and whether it was learned from a refusal; `None` for a run with a fixed rate.
    pub rate: Option<(f64, bool)>,
    /// Zero ends the lease.
    pub rows_left: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// Whether the call may be made; it is recorded then.
    pub may_call: bool,
    /// Milliseconds until the limit opens; zero if it is open.
    pub closed_for: u64,
    /// Other runs' calls since the last exchange.
    pub sent: Vec<Timestamp>,
    pub answers: Vec<(Timestamp, CallAnswer)>,
    /// Total rate in calls a minute, as estimated by another run; `None` if this run estimates it.
    pub rate: Option<f64>,
    /// The learned rate before this exchange.
    pub learned: Option<LearnedRate>,
    /// This run's share in calls a minute; `None` if it is alone.
    pub share: Option<f64>,
    pub others: u32,
    pub rows_of_others: u64,
    /// Whether another run is an incident.
    pub is_incident: bool,
    /// The revision that this news includes.
    pub revision: u64,
}

impl BucketRecord {
    /// Also returns whether the bytes were damaged; only the pause is kept then, if it can be read. Empty bytes are a
    /// new record. Bytes of a longer record may follow if a process was killed.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> (Self, bool) {
        if bytes.is_empty() {
            return (Self::default(), false);
        }
        let closed = bytes.strip_prefix(br#"{"closed":"#).and_then(first_value);
        let anew = || (Self { closed, ..Self::default() }, true);
        first_value(bytes).map_or_else(anew, |record| (record, false))
    }

    /// # Panics
    /// Never: every record can be encoded.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and text")
    }

    /// Applies a report, and returns what other runs did since the revision `seen`.
    pub fn exchange(&mut self, me: &Member, seen: u64, report: &Report, now: Timestamp) -> News {
        self.prune(now);
        let learned = self.learned;
        let run = self.renew(me, report, now);
        self.take_in(run, report, now);
        let probes = self.prober() == Some(run);
        if let Some((per_minute, is_learned)) = report.rate.filter(|_| probes) {
            self.rate = Some(per_minute);
            self.learned = if is_learned { Some(LearnedRate { per_minute, at: now }) } else { learned };
        }
        let seen = if seen > self.revision { 0 } else { seen };
        let fresh = |revision: u64| revision > seen;
        let others = || self.calls.iter().filter(|call| call.run != run);
        let sent: Vec<_> = others().filter(|call| fresh(call.revision)).map(|call| call.sent_at).collect();
        let answers: Vec<_> = others()
            .filter_map(|call| Some((call.sent_at, call.answer.filter(|(_, revision)| fresh(*revision))?.0)))
            .collect();
        let closed_for = self.closed_for(now);
        let is_news = !sent.is_empty() || answers.iter().any(|(_, answer)| answer.pause.is_some());
        let may_call = report.wants_call && closed_for == 0 && !is_news;
        if may_call {
            self.revision += 1;
            self.calls.push(Call { run, sent_at: now, revision: self.revision, answer: None });
        }
        let others: Vec<&Lease> = self.leases.iter().filter(|lease| lease.run != run && lease.rows_left > 0).collect();
        let shared_with_others = self.rate.filter(|_| !others.is_empty());
        News {
            may_call,
            closed_for,
            sent,
            answers,
            rate: self.rate.filter(|_| !probes),
            learned,
            share: shared_with_others.map(|rate| share(rate, &self.leases, run)),
            others: u32::try_from(others.len()).unwrap_or(u32::MAX),
            rows_of_others: others.iter().map(|lease| lease.rows_left).sum(),
            is_incident: others.iter().any(|lease| lease.priority == Priority::Incident),
            revision: self.revision,
        }
    }

    #[must_use]
    pub fn in_use(mut self, limit: &str, now: Timestamp) -> LimitUse {
        self.prune(now);
        let closed_for = i64::try_from(self.closed_for(now)).unwrap_or(0);
        let run = |lease: Lease| RunOnLimit {
            host: lease.host,
            run_id: lease.id,
            rows_left: lease.rows_left,
            incident: lease.priority == Priority::Incident,
        };
        LimitUse {
            limit: limit.into(),
            runs: self.leases.into_iter().map(run).collect(),
            closed_until: (closed_for > 0).then(|| Timestamp::from_millis(now.as_millis() + closed_for)),
            learned_per_minute: self.learned.map(|learned| learned.per_minute),
            learned_at: self.learned.map(|learned| learned.at),
        }
    }

    /// Milliseconds until the limit opens. A clock that was set back doesn't lengthen a pause.
    #[must_use]
    pub fn closed_for(&self, now: Timestamp) -> u64 {
        let Some(closed) = self.closed else { return 0 };
        let from = now.max(closed.since);
        u64::try_from(closed.until.as_millis() - from.as_millis()).unwrap_or(0)
    }

    /// Closes the limit. A pause is never shortened.
    pub fn close(&mut self, until: Timestamp, now: Timestamp) {
        let stated = u64::try_from(until.as_millis().saturating_sub(now.as_millis())).unwrap_or(0);
        if stated > self.closed_for(now) {
            self.closed = Some(KnownPause { until, since: now });
        }
    }

    /// The run that estimates the limit: the first one of the highest priority.
    fn prober(&self) -> Option<u32> {
        let can = self.leases.iter().filter(|lease| lease.rows_left > 0 && lease.may_probe);
        can.min_by_key(|lease| (lease.priority != Priority::Incident, lease.run)).map(|lease| lease.run)
    }

    /// Removes expired pauses, calls, leases and rates. Times in the future, after a clock was set back, count as
    /// now.
    fn prune(&mut self, now: Timestamp) {
        if self.closed_for(now) == 0 {
            self.closed = None;
        }
        let age = |at: Timestamp| now.as_millis() - at.as_millis();
        self.calls.iter_mut().filter(|call| call.sent_at > now).for_each(|call| call.sent_at = now);
        self.calls.retain(|call| age(call.sent_at) < MINUTE);
        self.calls.drain(..self.calls.len().saturating_sub(MOST_CALLS));
        self.leases.retain(|lease| (-LEASE..LEASE).contains(&age(lease.renewed_at)));
        self.rate = self.rate.filter(|_| !self.leases.is_empty());
        self.learned = self.learned.filter(|learned| age(learned.at) < DAY);
    }

    fn renew(&mut self, me: &Member, report: &Report, now: Timestamp) -> u32 {
        let (rows_left, may_probe) = (report.rows_left, report.rate.is_some());
        let before = self.leases.iter().position(|lease| lease.id == me.id).map(|place| self.leases.remove(place));
        let run = before.map_or_else(
            || {
                self.next_run += 1;
                self.next_run
            },
            |lease| lease.run,
        );
        if rows_left > 0 {
            let Member { id, host, priority } = me.clone();
            self.leases.push(Lease { run, id, host, priority, rows_left, may_probe, renewed_at: now });
        }
        run
    }

    fn take_in(&mut self, run: u32, report: &Report, now: Timestamp) {
        self.close(report.closed_until, now);
        for (sent_at, answer) in &report.answers {
            self.revision += 1;
            let is_it = |call: &&mut Call| call.run == run && call.answer.is_none();
            // The clocks may differ by a millisecond, so the nearest call is used.
            let open = self.calls.iter_mut().filter(is_it);
            let nearest = open.min_by_key(|call| call.sent_at.as_millis().abs_diff(sent_at.as_millis()));
            if let Some(call) = nearest {
                call.answer = Some((*answer, self.revision));
            }
        }
    }
}

fn first_value<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::Deserializer::from_slice(bytes).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000 + millis)
    }

    fn member(id: &str) -> Member {
        Member { id: id.into(), host: "here".into(), priority: Priority::Normal }
    }

    fn report(wants_call: bool) -> Report {
        let nothing = at(-1_000_000);
        Report { wants_call, answers: Vec::new(), closed_until: nothing, rate: Some((20.0, false)), rows_left: 100 }
    }

    /// Two runs with one record.
    #[derive(Default)]
    struct Runs {
        record: BucketRecord,
        seen: [u64; 2],
    }

    impl Runs {
        fn tell(&mut self, run: usize, report: &Report, now: Timestamp) -> News {
            let news = self.record.exchange(&member(["one", "two"][run]), self.seen[run], report, now);
            self.seen[run] = news.revision;
            news
        }
    }

    #[test]
    fn a_call_leaves_only_with_the_knowledge_of_every_call_before() {
        let mut runs = Runs::default();
        assert!(runs.tell(0, &report(true), at(0)).may_call);
        let second = runs.tell(1, &report(true), at(1));
        assert_eq!((second.may_call, second.sent), (false, vec![at(0)]), "it has to decide anew");
        assert!(runs.tell(1, &report(true), at(2)).may_call);
        let first = runs.tell(0, &report(false), at(3));
        assert_eq!((first.sent, first.share, first.others), (vec![at(2)], Some(10.0), 1));
        assert!(runs.tell(0, &report(true), at(4)).may_call, "its own calls are no news");
    }

    #[test]
    fn a_refusal_closes_the_limit_for_all_and_outlives_the_run() {
        let mut runs = Runs::default();
        assert!(runs.tell(0, &report(true), at(0)).may_call);
        let refused = CallAnswer { at: at(200), pause: Some(30_000) };
        let told = Report { answers: vec![(at(0), refused)], closed_until: at(30_200), ..report(false) };
        runs.tell(0, &told, at(201));
        let news = runs.tell(1, &report(true), at(1_000));
        assert_eq!((news.may_call, news.closed_for), (false, 29_200));
        assert_eq!(news.answers, [(at(0), refused)]);
        // The first run died. Its lease ends; the pause and the calls of the minute don't.
        let news = runs.tell(1, &report(true), at(20_000));
        assert_eq!((news.may_call, news.closed_for, news.others), (false, 10_200, 0));
        let mut later = Runs { record: runs.record.clone(), ..Runs::default() };
        assert_eq!(later.tell(0, &report(false), at(30_300)).sent, [at(0)]);
        assert!(runs.tell(1, &report(true), at(30_200)).may_call);
    }

    #[test]
    fn a_clock_that_jumps_makes_no_pause_longer_than_it_was() {
        let mut record = BucketRecord::default();
        record.close(at(60_000), at(0));
        for (now, left) in [(0, 60_000), (10_000, 50_000), (-3_600_000, 60_000), (60_000, 0), (9_000_000, 0)] {
            assert_eq!(record.closed_for(at(now)), left, "{now}");
        }
        record.close(at(20_000), at(10_000));
        assert_eq!(record.closed_for(at(10_000)), 50_000, "a shorter pause changes nothing");
    }

    #[test]
    fn the_first_run_finds_out_and_the_others_follow() {
        let mut runs = Runs::default();
        let learned = Report { rate: Some((37.0, true)), ..report(false) };
        assert_eq!(runs.tell(0, &learned, at(0)).rate, None);
        let news = runs.tell(1, &Report { rate: Some((300.0, false)), ..report(false) }, at(10));
        assert_eq!((news.rate, news.share), (Some(37.0), Some(18.5)));
        assert_eq!(news.learned, Some(LearnedRate { per_minute: 37.0, at: at(0) }));
        // The first run ends.
        runs.tell(0, &Report { rows_left: 0, ..report(false) }, at(20));
        let news = runs.tell(1, &report(false), at(30));
        assert_eq!((news.rate, news.share, news.others), (None, None, 0));
        let learned = |runs: &Runs| runs.record.learned.map(|learned| learned.per_minute);
        assert_eq!(learned(&runs), Some(37.0));
        runs.tell(1, &report(false), at(DAY + 1));
        assert_eq!(learned(&runs), None, "too old");
    }

    #[test]
    fn a_record_reads_back_as_it_was_written_and_its_pause_comes_first() {
        let mut runs = Runs::default();
        runs.tell(0, &report(true), at(0));
        runs.record.close(at(90), at(1));
        let text = serde_json::to_string(&runs.record).unwrap();
        assert!(text.starts_with(r#"{"closed":{"until":"#), "{text}");
        assert_eq!(serde_json::from_str::<BucketRecord>(&text).unwrap(), runs.record);
    }

    proptest! {
        /// For any actions of two runs and any forward jumps of the clock: no call during a pause, and the record
        /// stays small.
        #[test]
        fn no_call_is_recorded_inside_a_pause(steps in prop::collection::vec((0_usize..2, 0_i64..40_000, 0_u64..3), 1..80)) {
            let (mut runs, mut now, mut closed) = (Runs::default(), 0, 0);
            for (run, passed, kind) in steps {
                now += passed;
                let mut told = report(kind > 0);
                if kind == 2 {
                    closed = closed.max(now + 15_000);
                    told.closed_until = at(now + 15_000);
                }
                let news = runs.tell(run, &told, at(now));
                prop_assert_eq!(news.closed_for, u64::try_from(closed - now).unwrap_or(0));
                prop_assert!(!news.may_call || now >= closed);
                prop_assert!(runs.record.leases.len() <= 2 && runs.record.calls.iter().all(|call| call.sent_at > at(now - MINUTE)));
            }
        }
    }
}
