use super::Manifest;
use crate::files::atomic::{self, AtomicFile};
use crate::files::{Fingerprint, Hashing, PRIVATE, during};
use crate::ledger::scan::Recorded;
use crate::model::{StatusRows, Tally};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

/// Minimum time between two saves during a run.
const LEAST_BETWEEN: Duration = Duration::from_secs(30);

/// Maximum average write rate, 1.4 GB a day. Manifests with up to about 10,000 users are saved every
/// [`LEAST_BETWEEN`].
const BYTES_A_SECOND: u64 = 16 * 1024;

/// The time until the next save, after one of `bytes`.
#[must_use]
pub fn between_saves(bytes: u64) -> Duration {
    LEAST_BETWEEN.max(Duration::from_secs(bytes.div_ceil(BYTES_A_SECOND)))
}

impl Manifest {
    /// Replaces the manifest at `path`, with mode 0600 and the users as loaded.
    ///
    /// # Errors
    /// If it can't be written; then the old one stays.
    pub fn save(&mut self, path: &Path) -> io::Result<()> {
        let written = self.write(Users::Loaded(&self.per_user), path)?;
        self.sha256 = Some(written.sha256);
        Ok(())
    }

    /// Updates the totals and replaces the manifest at `path`, with the users of `recorded`. Returns its length in
    /// bytes.
    ///
    /// # Errors
    /// As for [`Self::save`].
    pub fn save_counted(&mut self, recorded: &Recorded, path: &Path) -> io::Result<u64> {
        self.count(recorded);
        let Fingerprint { sha256, bytes } = self.write(Users::Counted(recorded.tally()), path)?;
        self.sha256 = Some(sha256);
        Ok(bytes)
    }

    fn write(&self, per_user: Users<'_>, path: &Path) -> io::Result<Fingerprint> {
        debug_assert_eq!(self.sense(), Ok(()), "what is saved must be loadable");
        let write = |file: &mut AtomicFile| {
            // Written directly to the file, because the text may have megabytes.
            let mut out = BufWriter::new(Hashing::new(file));
            serde_json::to_writer_pretty(&mut out, &ManifestText { manifest: self, per_user })?;
            out.write_all(b"\n")?;
            Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?.finish().1)
        };
        atomic::replace(path, PRIVATE, write).map_err(during("write", path))
    }
}

/// The users come last, so that the rest is easy to read.
#[derive(Serialize)]
struct ManifestText<'a> {
    #[serde(flatten)]
    manifest: &'a Manifest,
    per_user: Users<'a>,
}

enum Users<'a> {
    Loaded(&'a BTreeMap<String, StatusRows>),
    Counted(&'a Tally),
}

impl Serialize for Users<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Loaded(users) => users.serialize(serializer),
            Self::Counted(tally) => {
                let users = in_order(|| tally.users().map(|(user, _)| user));
                let rows = |user| StatusRows::some(&tally.of_user(user));
                serializer.collect_map(users.map(|user| (user.as_str(), rows(user))))
            }
        }
    }
}

/// Approximate number of items sorted at a time.
const PART: usize = 16 * 1024;

/// Sampled items per part, to find the bounds between parts.
const SAMPLES: usize = 32;

/// Returns the items in order, one part at a time, because a sorted list of all of them would need too much memory.
/// `items` returns all items, always in the same order.
fn in_order<'a, T: Ord + 'a, I: Iterator<Item = &'a T>>(items: impl Fn() -> I) -> impl Iterator<Item = &'a T> {
    let count = items().count();
    let parts = count.div_ceil(PART);
    let mut sample: Vec<&T> = items().step_by((count / (parts * SAMPLES).max(1)).max(1)).collect();
    sample.sort_unstable();
    let bounds: Vec<&T> = (1..parts).map(|part| sample[part * sample.len() / parts]).collect();
    (0..parts).flat_map(move |part| {
        let from = part.checked_sub(1).map(|before| bounds[before]);
        let to = bounds.get(part).copied();
        let inside = |item: &&T| from.is_none_or(|from| from <= *item) && to.is_none_or(|to| *item < to);
        let mut items: Vec<&T> = items().filter(inside).collect();
        items.sort_unstable();
        items
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn in_parts_or_at_once_it_is_the_same_order(items in prop::collection::hash_set(0_u32..200_000, 0..60_000)) {
            let mut sorted: Vec<&u32> = items.iter().collect();
            sorted.sort_unstable();
            prop_assert!(in_order(|| items.iter()).eq(sorted));
        }
    }

    #[test]
    fn a_part_is_a_part_whatever_the_order_was() {
        let shuffled = |count: u64| (0..count).map(move |n| n * 7919 % count).collect::<Vec<_>>();
        for items in [(0..100_000).collect(), (0..100_000).rev().collect(), shuffled(100_003)] {
            let items: Vec<u64> = items;
            assert!(in_order(|| items.iter()).is_sorted());
            assert_eq!(in_order(|| items.iter()).count(), items.len());
        }
        assert_eq!(in_order(|| [3, 1, 2].iter()).collect::<Vec<_>>(), [&1, &2, &3]);
        assert_eq!(in_order(|| [0; 0].iter()).count(), 0);
    }

    #[test]
    fn large_manifests_are_saved_so_seldom_that_little_is_written() {
        for (bytes, seconds) in [(0, 30), (2_000, 30), (480_000, 30), (491_521, 31), (4_700_000, 287)] {
            assert_eq!(between_saves(bytes), Duration::from_secs(seconds), "{bytes}");
        }
        assert!(between_saves(u64::MAX) > between_saves(4_700_000));
    }
}
