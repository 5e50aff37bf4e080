//! The age of the input. Sessions begin all the time, and a run only revokes those of its list.

use crate::cli::{Mode, Settings};
use crate::engine::clock::wall;
use crate::ledger::input_age;
use crate::ledger::resume::Start;
use crate::model::{InputSource, Timestamp};
use crate::output::{WEAKENED, format_duration};
use std::time::Duration;

/// An older list causes a warning, because later sessions aren't in it.
const OLD: Duration = Duration::from_hours(24);

/// `None` for standard input, and if the time is in the future.
pub(super) fn of(settings: &Settings) -> Option<Duration> {
    match &settings.input.source {
        InputSource::File(path) => between(input_age::at(path)?, wall()),
        InputSource::Stdin | InputSource::Stream(_) => None,
    }
}

fn between(listed: Timestamp, now: Timestamp) -> Option<Duration> {
    u64::try_from(now.as_millis() - listed.as_millis()).ok().map(Duration::from_millis)
}

/// Warns about an old list at the start of a run, and about one whose rows have all ended, because its source may
/// have stopped. Not for other resumed runs, which have no choice, and rehearsals.
pub(super) fn warn(settings: &Settings, start: &Start, rows: u64) {
    let Some(age) = of(settings).filter(|age| settings.mode == Mode::Run && *age > OLD) else { return };
    let age = format_duration(age);
    match start {
        Start::Fresh(_) => tracing::warn!(
            target: WEAKENED,
            "the input is {age} old, and sessions that began since are not in it; list them again with: slack-revoke list -o \
             FILE, and the filters that it was made with"
        ),
        Start::Continue { done, .. } if done.len() >= rows => tracing::warn!(
            target: WEAKENED,
            "the input is {age} old and every row of it has ended; check whether new lists still arrive"
        ),
        Start::Continue { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_from_the_future_has_no_age() {
        let at = Timestamp::from_millis;
        assert_eq!(between(at(1_000), at(4_500)), Some(Duration::from_millis(3_500)));
        assert_eq!(between(at(1_000), at(1_000)), Some(Duration::ZERO));
        assert_eq!(between(at(1_001), at(1_000)), None);
    }
}
