//! Divides an estimate among runs. Pure.

use crate::model::{Priority, Timestamp};
use serde::{Deserialize, Serialize};

/// Minimum share in calls a minute; also the total of all other runs during an incident.
const LEAST: f64 = 1.0;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Identifies the run in calls; later runs have higher numbers.
    pub run: u32,
    pub id: String,
    pub host: String,
    pub priority: Priority,
    pub rows_left: u64,
    /// Whether it can estimate the limit; false for a run with a fixed rate.
    pub may_probe: bool,
    pub renewed_at: Timestamp,
}

/// The share of the run `me`, in calls a minute. Proportional to the remaining rows, with at least one call each.
/// While incidents have rows left, all others together get one call a minute. Shares never add up to more than
/// `estimate`.
#[must_use]
pub fn share(estimate: f64, leases: &[Lease], me: u32) -> f64 {
    let has_rows = |lease: &&Lease| lease.rows_left > 0;
    let Some(own) = leases.iter().filter(has_rows).find(|lease| lease.run == me) else { return 0.0 };
    let of = |priority: Priority| -> Vec<&Lease> {
        leases.iter().filter(has_rows).filter(|lease| lease.priority == priority).collect()
    };
    let (incidents, others) = (of(Priority::Incident), of(Priority::Normal));
    let for_others = match (incidents.is_empty(), others.is_empty()) {
        (true, _) => estimate,
        (false, true) => 0.0,
        (false, false) => LEAST.min(estimate / 2.0),
    };
    match own.priority {
        Priority::Incident => part(estimate - for_others, &incidents, own),
        Priority::Normal => part(for_others, &others, own),
    }
}

/// Runs whose part would be too small get the minimum, and the others divide the rest.
#[expect(clippy::cast_precision_loss, reason = "counts of runs and rows")]
fn part(total: f64, leases: &[&Lease], own: &Lease) -> f64 {
    let least = LEAST.min(total / leases.len() as f64);
    let mut by_rows: Vec<u64> = leases.iter().map(|lease| lease.rows_left).collect();
    by_rows.sort_unstable();
    let (mut rest, mut rows) = (total, by_rows.iter().sum::<u64>() as f64);
    for few in by_rows {
        let few = few as f64;
        if rest * few / rows >= least {
            break;
        }
        (rest, rows) = (rest - least, rows - few);
    }
    if rows > 0.0 { (rest * own.rows_left as f64 / rows).max(least) } else { least }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leases(runs: &[(Priority, u64)]) -> Vec<Lease> {
        let lease = |(run, (priority, rows_left)): (usize, &(Priority, u64))| Lease {
            run: u32::try_from(run).unwrap(),
            id: run.to_string(),
            host: String::new(),
            priority: *priority,
            rows_left: *rows_left,
            may_probe: true,
            renewed_at: Timestamp::from_millis(0),
        };
        runs.iter().enumerate().map(lease).collect()
    }

    fn shares(estimate: f64, leases: &[Lease]) -> Vec<f64> {
        leases.iter().map(|lease| share(estimate, leases, lease.run)).collect()
    }

    #[test]
    fn an_estimate_is_divided_by_rows_left_and_incidents_go_first() {
        use Priority::{Incident, Normal};
        for (estimate, runs, want) in [
            (20.0, &[(Normal, 5)][..], &[20.0][..]),
            (20.0, &[(Normal, 300), (Normal, 100)], &[15.0, 5.0]),
            (20.0, &[(Normal, 5000), (Normal, 10)], &[19.0, 1.0]),
            (20.0, &[(Normal, 9), (Normal, 0)], &[20.0, 0.0]),
            (20.0, &[(Normal, 5000), (Incident, 100)], &[1.0, 19.0]),
            (20.0, &[(Normal, 500), (Normal, 500), (Incident, 100)], &[0.5, 0.5, 19.0]),
            (20.0, &[(Normal, 500), (Incident, 0)], &[20.0, 0.0]),
            (21.0, &[(Incident, 30), (Incident, 10), (Normal, 1)], &[15.0, 5.0, 1.0]),
            (2.0, &[(Normal, 90), (Normal, 5), (Normal, 5), (Normal, 5)], &[0.5, 0.5, 0.5, 0.5]),
            (1.0, &[(Normal, 90), (Incident, 5)], &[0.5, 0.5]),
        ] {
            assert_eq!(shares(estimate, &leases(runs)), want, "{estimate} {runs:?}");
        }
    }

    fn run() -> impl Strategy<Value = (Priority, u64)> {
        (prop_oneof![Just(Priority::Normal), Just(Priority::Incident)], 0_u64..10_000)
    }

    proptest! {
        #[test]
        fn shares_add_up_to_the_estimate_and_nobody_starves(
            estimate in 0.1_f64..2_000.0,
            runs in prop::collection::vec(run(), 1..12),
        ) {
            let leases = leases(&runs);
            let shares = shares(estimate, &leases);
            let with_rows = runs.iter().filter(|(_, rows)| *rows > 0).count();
            let sum: f64 = shares.iter().sum();
            prop_assert!(sum <= estimate * 1.000_001, "{sum}");
            prop_assert!(with_rows == 0 || sum >= estimate * 0.999_999, "{sum}");
            for ((_, rows), share) in runs.iter().zip(&shares) {
                prop_assert_eq!(*rows > 0, *share > 0.0);
            }
            let same = |priority| runs.iter().zip(&shares).filter(move |((own, rows), _)| *own == priority && *rows > 0);
            for priority in [Priority::Normal, Priority::Incident] {
                let mut sorted: Vec<_> = same(priority).map(|((_, rows), share)| (*rows, *share)).collect();
                sorted.sort_by_key(|(rows, _)| *rows);
                prop_assert!(sorted.is_sorted_by(|(_, fewer), (_, more)| *fewer <= *more + 1e-9), "{sorted:?}");
            }
        }
    }
}
