//! The estimator's constants, each with its reason. The figures are of the table that `tests/sim` prints.

use crate::engine::call_window::MINUTE;
use std::time::Duration;

/// Held below what was measured, for the jitter of the network: at 20 a minute the 21st call leaves 300 ms after the 60 s
/// are over. It costs 0.5 % of the time; with none, every second call at a sliding log's edge would be a 429.
pub(super) const MARGIN: f64 = 0.995;

/// Where calls at the measured pace are refused all the same, the jitter is greater: the margin grows by this each time...
pub(super) const MARGIN_STEP: f64 = 0.005;

/// ...down to this.
pub(super) const WIDEST_MARGIN: f64 = 0.95;

/// Between two rises. A third of the minute: the trailing count lags the pace, and a slower climb costs more than the
/// one 429 at its end (120 a minute is reached from 20 in five steps, under two minutes). With 15 s a burst is measured
/// for a rate more often: fixed windows that go from 20 to 60 and 10 take x1.95 and not x1.17, and 40 a minute with pauses of 60 s x1.21 and not x1.13.
pub(super) const STEP: Duration = Duration::from_secs(20);

/// One rise while no limit is known.
pub(super) const CLIMB: f64 = 1.5;

/// One rise where the refusal at its end costs more than [`DEAR`]: the pace kept up before it is nearer to the
/// limit. With 1.5, a bucket of 120 that names no pause takes x1.25 and not x1.08.
pub(super) const CAREFUL_CLIMB: f64 = 1.25;

/// A refusal that takes longer than half a step.
pub(super) const DEAR: Duration = Duration::from_secs(10);

/// The rises of a probe, one [`STEP`] each: small first, for the limit is most likely where it was, then as fast as a climb.
pub(super) const PROBE: [f64; 4] = [1.05, 1.10, 1.25, CLIMB];

/// The fall after a refusal that tells nothing but that the pace is too high.
pub(super) const FALL: f64 = 0.8;

/// No single fall is deeper: what was measured in a disturbed minute may be far too little.
pub(super) const DEEPEST_FALL: f64 = 0.4;

/// A probe is not worth more 429s than one in so many calls: pacing.md allows 1 in 100, all told, and the scenarios of 20
/// a minute come to 0.6 to 0.9. With 130 a limit that rises from 20 to 60 is found a probe too late (x1.35).
pub(super) const CALLS_FOR_A_REFUSAL: f64 = 120.0;

/// Below the tier's promise the limit will most likely come back, and every call waited for costs more.
pub(super) const CALLS_BELOW_THE_TIER: f64 = 60.0;

/// A measure not so many calls above what is known to be good is taken for a stored burst, and not for a higher limit.
pub(super) const STORE: f64 = 5.0;

/// A limit so little above the tier's promise is the promise, and the rest was in store.
pub(super) const TOKENS: f64 = 2.5;

/// Enough above it to look closer.
pub(super) const SLIGHTLY_HIGHER: f64 = 1.03;

/// So much above it that it is not what two windows have together.
pub(super) const ACROSS_A_BORDER: f64 = 1.4;

/// The largest store of a token bucket that is reckoned with.
pub(super) const LARGEST_STORE: f64 = 25.0;

/// Pauses are rounded up to whole seconds.
pub(super) const WHOLE_SECONDS: Duration = Duration::from_secs(1);

/// The time between probes is such that no more than this is lost to the pauses that they earn.
pub(super) const PAUSED_SHARE: f64 = 0.025;

/// No probe is begun whose pause would take the losses above this share of the run. Pacing.md allows 3 % of pauses, the
/// initial burst's among them, and 5 % of time above the oracle's: even spacing and the margin take 2.5 % of those.
pub(super) const AFFORDABLE_SHARE: f64 = 0.02;

/// No probe before the pace has been steady for so long.
pub(super) const SHORTEST_WAIT: Duration = MINUTE;

/// The estimate never falls below, unless it starts there: a bucket that takes less than a call a minute is an outage.
pub(super) const LEAST: f64 = 1.0;

/// A pause of more intervals than this was not for the next token: it is a window's, or a fixed one.
pub(super) const LONG_PAUSE: f64 = 2.0;

/// So many calls accepted since the last pause are a rate, however short the time they took: no store is that large. Only
/// paces beyond any tier's come to it inside a step, such as 20 a second.
pub(super) const MANY: u32 = 60;
