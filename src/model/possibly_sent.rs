//! Which rows an earlier run may have sent without recording an answer.

use roaring::RoaringTreemap;

/// Rows that a run which died may have sent without recording an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum PossiblySent {
    Lines(RoaringTreemap),
    /// Any: there is no journal to tell.
    All,
}

impl Default for PossiblySent {
    fn default() -> Self {
        Self::Lines(RoaringTreemap::new())
    }
}

impl PossiblySent {
    /// The same, and the rows of these lines.
    #[must_use]
    pub fn and(self, lines: &RoaringTreemap) -> Self {
        match self {
            Self::Lines(listed) => Self::Lines(listed | lines),
            Self::All => Self::All,
        }
    }

    /// Whether the row of this line may have been sent.
    #[must_use]
    pub fn contains(&self, line: u64) -> bool {
        match self {
            Self::Lines(lines) => lines.contains(line),
            Self::All => true,
        }
    }
}
