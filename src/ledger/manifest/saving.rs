//! Writes a manifest.

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

/// While a run goes on, its manifest is replaced no more often than this: it is for whoever looks in.
const LEAST_BETWEEN: Duration = Duration::from_secs(30);

/// What that may write, on average: 1.4 GB a day. Manifests with up to some 10,000 users come every [`LEAST_BETWEEN`].
const BYTES_A_SECOND: u64 = 16 * 1024;

/// How long to wait with the next manifest after one of so many bytes.
#[must_use]
pub fn between_saves(bytes: u64) -> Duration {
    LEAST_BETWEEN.max(Duration::from_secs(bytes.div_ceil(BYTES_A_SECOND)))
}

impl Manifest {
    /// Replaces the manifest at `path`, readable by its owner alone, with the users as they were loaded.
    ///
    /// # Errors
    /// Where it cannot be written; then the old one stays.
    pub fn save(&mut self, path: &Path) -> io::Result<()> {
        let written = self.write(Users::Loaded(&self.per_user), path)?;
        self.sha256 = Some(written.sha256);
        Ok(())
    }

    /// Takes in how the rows stand and replaces the manifest at `path`, as [`Self::save`] does, with the users of
    /// `recorded`. Gives the bytes that were written.
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
            // Straight into the file: with many users the text has megabytes.
            let mut out = BufWriter::new(Hashing::new(file));
            serde_json::to_writer_pretty(&mut out, &ManifestText { manifest: self, per_user })?;
            out.write_all(b"\n")?;
            Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?.finish().1)
        };
        atomic::replace(path, PRIVATE, write).map_err(during("write", path))
    }
}

/// What is in the file: the users come last, for whoever reads the rest with his own eyes.
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

/// About so many items of a large list are sorted at a time.
const PART: usize = 16 * 1024;

/// Bounds between parts are taken from a sample with so many items for each of them.
const SAMPLES: usize = 32;

/// The items in order, a part after the other: a list of all of them would be the largest thing in memory. `items` gives
/// each item once, in any order but always the same one.
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
