//! Rows that wait for their next attempt, or for the decision whether they failed.

use super::job::Job;
use std::collections::BTreeMap;
use std::time::Duration;

/// If this many rows wait for their next attempt, no new row is sent. Bounds the memory if every call fails; faults of single
/// rows stay far below it.
const MOST_WAITING: usize = 4096;

#[derive(Debug, Default)]
pub struct RetryQueue {
    /// Rows in their backoff, by due time and line.
    waiting: BTreeMap<(Duration, u64), Job>,
    /// Rows whose attempts are used up, until it is known whether the row or an outage is the cause.
    undecided: Vec<Job>,
}

impl RetryQueue {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.undecided.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.waiting.len() < MOST_WAITING
    }

    /// Waiting rows first.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.waiting.values().chain(&self.undecided)
    }

    pub fn wait_until(&mut self, due: Duration, job: Job) {
        self.waiting.insert((due, job.line()), job);
    }

    pub fn next_due(&self) -> Option<Duration> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    pub fn pop_due(&mut self, now: Duration) -> Option<Job> {
        let entry = self.waiting.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    pub fn leave_undecided(&mut self, job: Job) {
        self.undecided.push(job);
    }

    pub fn take_undecided(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.undecided)
    }

    /// After an outage was declared: makes these rows and the undecided ones due immediately, and doesn't count the failures
    /// of `streak`, which were part of the outage.
    pub fn forgive(&mut self, failed: Vec<Job>, streak: u64) {
        self.make_due(failed);
        self.waiting.values_mut().for_each(|job| job.forgive(streak));
    }

    /// Gives these rows, the undecided ones and all waiting ones their full number of attempts again.
    pub fn start_over(&mut self, failed: Vec<Job>) {
        self.make_due(failed);
        self.waiting.values_mut().for_each(Job::start_over);
    }

    fn make_due(&mut self, failed: Vec<Job>) {
        for job in failed.into_iter().chain(std::mem::take(&mut self.undecided)) {
            self.wait_until(Duration::ZERO, job);
        }
    }

    pub fn take_rows(&mut self, is_wanted: impl Fn(&Job) -> bool) -> Vec<Job> {
        let waiting = self.waiting.extract_if(.., |_, job| is_wanted(job)).map(|(_, job)| job);
        waiting.chain(self.undecided.extract_if(.., |job| is_wanted(job))).collect()
    }
}
