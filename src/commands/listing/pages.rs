//! One page after another, until Slack says that there are no more.

use super::{Halt, Incomplete, Lister, PAGE};
use crate::model::{TeamId, UserId};
use crate::slack::{ListQuery, Page};
use std::collections::HashSet;

/// Where a listing is.
#[derive(Debug)]
pub struct Pages {
    query: ListQuery,
    /// Every cursor so far: one that comes again would be followed forever.
    cursors: HashSet<Box<str>>,
    next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Page,
    Repeats,
    Over,
}

impl Pages {
    /// From the start, or from a `cursor`.
    #[must_use]
    pub fn new(owner: Option<(TeamId, UserId)>, cursor: Option<Box<str>>) -> Self {
        let cursors = cursor.iter().cloned().collect();
        Self { query: ListQuery { owner, cursor, limit: PAGE }, cursors, next: Next::Page }
    }

    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// If the listing can't, or mustn't, go on.
    pub async fn next(&mut self, lister: &mut Lister) -> Result<Option<Page>, Halt> {
        match self.next {
            Next::Over => return Ok(None),
            Next::Repeats => return Err(Halt::Incomplete(Incomplete::CursorRepeated)),
            Next::Page => {}
        }
        let page = lister.page(&self.query).await?;
        self.note(page.next_cursor.clone());
        Ok(Some(page))
    }

    /// Whether another page follows the last one, and can be asked for.
    #[must_use]
    pub fn go_on(&self) -> bool {
        self.next == Next::Page
    }

    fn note(&mut self, cursor: Option<Box<str>>) {
        self.next = match &cursor {
            None => Next::Over,
            Some(cursor) if !self.cursors.insert(cursor.clone()) => Next::Repeats,
            Some(_) => Next::Page,
        };
        self.query.cursor = cursor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_was_there_before_is_not_followed() {
        for (start, cursors, want) in [
            (None, &[Some("a"), Some("b"), None][..], Next::Over),
            (None, &[Some("a"), Some("b")], Next::Page),
            (None, &[Some("a"), Some("a")], Next::Repeats),
            (None, &[Some("a"), Some("b"), Some("a")], Next::Repeats),
            (Some("a"), &[Some("a")], Next::Repeats),
            (Some("a"), &[Some("b")], Next::Page),
        ] {
            let mut pages = Pages::new(None, start.map(Into::into));
            for cursor in cursors {
                pages.note(cursor.map(Into::into));
            }
            assert_eq!(pages.next, want, "{start:?} {cursors:?}");
            assert_eq!(pages.go_on(), want == Next::Page);
        }
    }
}
