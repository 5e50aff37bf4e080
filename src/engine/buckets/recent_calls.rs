//! The calls of the last minute by workspace, until it is known which rows share a limit.

use crate::engine::call_window::MINUTE;
use crate::model::TeamId;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Calls in order, and their number per workspace, which is needed at every call.
#[derive(Debug, Default)]
pub(super) struct RecentCalls {
    calls: VecDeque<(Duration, TeamId)>,
    of_team: HashMap<TeamId, usize>,
}

impl RecentCalls {
    /// Adds a call, and drops those that are at least a minute old.
    pub fn push(&mut self, now: Duration, team: &TeamId) {
        self.calls.push_back((now, team.clone()));
        match self.of_team.get_mut(team) {
            Some(count) => *count += 1,
            None => drop(self.of_team.insert(team.clone(), 1)),
        }
        while self.calls.front().is_some_and(|(at, _)| *at + MINUTE <= now)
            && let Some((_, team)) = self.calls.pop_front()
        {
            self.one_less(&team);
        }
    }

    /// Removes a call that was refused.
    pub fn take_back(&mut self, sent_at: Duration, team: &TeamId) {
        let refused = |(at, of): &(Duration, TeamId)| *at == sent_at && of == team;
        if let Some(place) = self.calls.iter().rposition(refused) {
            self.calls.remove(place);
            self.one_less(team);
        }
    }

    fn one_less(&mut self, team: &TeamId) {
        match self.of_team.get_mut(team) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => drop(self.of_team.remove(team)),
            None => {}
        }
    }

    pub fn count(&self, team: &TeamId) -> usize {
        self.of_team.get(team).copied().unwrap_or(0)
    }

    pub fn moments(&self, team: &TeamId) -> impl Iterator<Item = Duration> {
        self.calls.iter().filter(move |(_, of)| of == team).map(|(at, _)| *at)
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_counts_are_those_of_the_calls(steps in prop::collection::vec((0_u64..20, 0_u8..4, any::<bool>()), 0..200)) {
            let (mut recent, mut now) = (RecentCalls::default(), Duration::ZERO);
            for (seconds, number, back) in steps {
                let team = TeamId::parse(&format!("T{number}")).unwrap();
                if back {
                    recent.take_back(now, &team);
                } else {
                    now += Duration::from_secs(seconds);
                    recent.push(now, &team);
                }
                for number in 0..4 {
                    let team = TeamId::parse(&format!("T{number}")).unwrap();
                    prop_assert_eq!(recent.count(&team), recent.moments(&team).count());
                    prop_assert!(recent.moments(&team).all(|at| at + MINUTE > now));
                }
            }
        }
    }
}
