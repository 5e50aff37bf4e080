//! One page after another, until Slack says that there are no more, and the count of them.

use super::{Incomplete, ListError, Lister, PAGE};
use crate::engine::clock::Clock;
use crate::model::{ScreenMode, TeamId, UserId};
use crate::output::{Console, counted};
use crate::slack::{ListQuery, SessionPage};
use std::collections::HashSet;
use std::time::Duration;

#[derive(Debug)]
pub struct Pages {
    query: ListQuery,
    /// Every cursor so far: one that is repeated would be followed forever.
    cursors: HashSet<Box<str>>,
    next: NextPage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextPage {
    Page,
    Repeats,
    Over,
}

impl Pages {
    /// From the start, or from a `cursor`.
    #[must_use]
    pub fn new(owner: Option<(TeamId, UserId)>, cursor: Option<Box<str>>) -> Self {
        let cursors = cursor.iter().cloned().collect();
        Self { query: ListQuery { owner, cursor, limit: PAGE }, cursors, next: NextPage::Page }
    }

    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// If the listing can't, or mustn't, go on.
    pub async fn next(&mut self, lister: &mut Lister) -> Result<Option<SessionPage>, ListError> {
        match self.next {
            NextPage::Over => return Ok(None),
            NextPage::Repeats => return Err(ListError::Incomplete(Incomplete::CursorRepeated)),
            NextPage::Page => {}
        }
        let page = lister.page(&self.query).await?;
        self.note(page.next_cursor.clone());
        Ok(Some(page))
    }

    /// Whether another page follows the last one, and can be asked for.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.next == NextPage::Page
    }

    fn note(&mut self, cursor: Option<Box<str>>) {
        self.next = match &cursor {
            None => NextPage::Over,
            Some(cursor) if !self.cursors.insert(cursor.clone()) => NextPage::Repeats,
            Some(_) => NextPage::Page,
        };
        self.query.cursor = cursor;
    }
}

/// The count of a listing on standard error, printed now and then.
pub struct ListProgress<'a> {
    console: &'a Console,
    clock: Clock,
    printed_at: Duration,
}

impl<'a> ListProgress<'a> {
    #[must_use]
    pub fn new(console: &'a Console, clock: Clock) -> Self {
        Self { console, clock, printed_at: clock.elapsed() }
    }

    /// Prints the count, at most every two seconds on a terminal and every ten seconds elsewhere.
    pub fn update(&mut self, pages: u64, seen: u64) {
        let every = match self.console.style().progress {
            ScreenMode::Bar => Duration::from_secs(2),
            ScreenMode::Plain => Duration::from_secs(10),
            ScreenMode::None => return,
        };
        let now = self.clock.elapsed();
        if now.saturating_sub(self.printed_at) >= every {
            self.printed_at = now;
            self.console.note(&count(pages, seen));
        }
    }
}

#[must_use]
pub fn count(pages: u64, seen: u64) -> String {
    let (pages, seen) = (counted(pages, "page", "pages"), counted(seen, "session", "sessions"));
    format!("{pages} read, {seen} seen")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_cursor_is_not_followed() {
        for (start, cursors, want) in [
            (None, &[Some("a"), Some("b"), None][..], NextPage::Over),
            (None, &[Some("a"), Some("b")], NextPage::Page),
            (None, &[Some("a"), Some("a")], NextPage::Repeats),
            (None, &[Some("a"), Some("b"), Some("a")], NextPage::Repeats),
            (Some("a"), &[Some("a")], NextPage::Repeats),
            (Some("a"), &[Some("b")], NextPage::Page),
        ] {
            let mut pages = Pages::new(None, start.map(Into::into));
            for cursor in cursors {
                pages.note(cursor.map(Into::into));
            }
            assert_eq!(pages.next, want, "{start:?} {cursors:?}");
            assert_eq!(pages.has_next(), want == NextPage::Page);
        }
    }
}
