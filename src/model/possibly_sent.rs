//! Rows that an earlier run may have sent without recording an answer.

use roaring::RoaringTreemap;

#[derive(Debug, Clone, PartialEq)]
pub enum PossiblySent {
    Lines(RoaringTreemap),
    /// Any row may have been sent, because there is no journal.
    All,
}

impl Default for PossiblySent {
    fn default() -> Self {
        Self::Lines(RoaringTreemap::new())
    }
}

impl PossiblySent {
    /// Adds the rows of these lines.
    #[must_use]
    pub fn and(self, lines: &RoaringTreemap) -> Self {
        match self {
            Self::Lines(listed) => Self::Lines(listed | lines),
            Self::All => Self::All,
        }
    }

    #[must_use]
    pub fn contains(&self, line: u64) -> bool {
        match self {
            Self::Lines(lines) => lines.contains(line),
            Self::All => true,
        }
    }
}
