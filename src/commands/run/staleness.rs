//! How old the list is that a run goes by. Sessions end and begin all the time, and a run revokes those of the list alone.

use crate::cli::{Mode, Settings};
use crate::engine::clock::wall;
use crate::ledger::input_age;
use crate::ledger::resume::Start;
use crate::model::{InputSource, Stamp};
use crate::output::{WEAKENED, format_duration};
use std::time::Duration;

/// A list that is older is worth a warning: whoever signed in since is not in it.
const OLD: Duration = Duration::from_hours(24);

/// How old the input is; `None` for standard input, and if its clock is ahead of ours.
pub(super) fn of(settings: &Settings) -> Option<Duration> {
    match &settings.input.source {
        InputSource::File(path) => between(input_age::at(path)?, wall()),
        InputSource::Stdin | InputSource::Stream(_) => None,
    }
}

fn between(listed: Stamp, now: Stamp) -> Option<Duration> {
    u64::try_from(now.as_millis() - listed.as_millis()).ok().map(Duration::from_millis)
}

/// Warns of an old list before a run begins, and of one that has ended long ago: whatever writes it may have stopped. A run
/// that goes on has no other choice, and a rehearsal may take any list.
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
        let at = Stamp::from_millis;
        assert_eq!(between(at(1_000), at(4_500)), Some(Duration::from_millis(3_500)));
        assert_eq!(between(at(1_000), at(1_000)), Some(Duration::ZERO));
        assert_eq!(between(at(1_001), at(1_000)), None);
    }
}
