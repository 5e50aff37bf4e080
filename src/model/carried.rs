//! Compares the records of a results file with the rows of the input. All rows and their lines are summed up in one
//! number, so that a million rows need no memory. Only if the sums differ are the records compared one by one.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A sum over rows, each with its line and its columns of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried(u64);

impl Carried {
    /// `fields` are those of the header's columns.
    pub fn row<'a>(line: u64, fields: impl Iterator<Item = &'a str>) -> Self {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        fields.for_each(|field| field.hash(&mut hasher));
        Self(hasher.finish())
    }

    /// A sum, because rows end in any order.
    pub fn add(&mut self, row: Self) {
        self.0 = self.0.wrapping_add(row.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(u64, &[&str])]) -> Carried {
        rows.iter().fold(Carried::default(), |mut sum, (line, fields)| {
            sum.add(Carried::row(*line, fields.iter().copied()));
            sum
        })
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_everything_else_does() {
        let rows: [(u64, &[&str]); 2] = [(2, &["T1", "1"]), (3, &["T1", "2"])];
        let sum = of(&rows);
        assert_eq!(sum, of(&[rows[1], rows[0]]));
        for other in [
            [(2, &["T1", "2"] as &[_]), (3, &["T1", "1"])],
            [(2, &["T1", "1"]), (4, &["T1", "2"])],
            [(2, &["T11", ""]), (3, &["T1", "2"])],
            [(2, &["T1", "1"]), (3, &["T1", "2", ""])],
        ] {
            assert_ne!(sum, of(&other), "{other:?}");
        }
        assert_ne!(sum, of(&rows[..1]));
    }
}
