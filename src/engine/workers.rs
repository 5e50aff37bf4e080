//! The workers: each makes one call after another. They only speak to Slack; who calls when is the dispatcher's.

use super::core::CallId;
use super::ports::SessionApi;
use crate::model::Reply;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinSet};

/// A call that is over, and its worker. Without a reply if its permit was withdrawn and nothing was sent.
type Done = (usize, CallId, Option<Reply>);

/// As many tasks as there ever were calls at once. A worker outlives its call, for a task for each of them would cost more
/// than all that is decided about it.
#[derive(Debug)]
pub struct Workers<A: SessionApi> {
    /// One for each worker, for one call at a time.
    jobs: Vec<UnboundedSender<(CallId, A::Call)>>,
    /// Those without a call.
    idle: Vec<usize>,
    done: UnboundedReceiver<Done>,
    report: UnboundedSender<Done>,
    tasks: JoinSet<()>,
}

impl<A: SessionApi> Workers<A> {
    /// Nobody yet.
    pub fn new() -> Self {
        let (report, done) = unbounded_channel();
        Self { jobs: Vec::new(), idle: Vec::new(), done, report, tasks: JoinSet::new() }
    }

    /// Has a call carried out, by a worker that is idle or a new one.
    pub fn take(&mut self, id: CallId, call: A::Call) {
        let worker = self.idle.pop().unwrap_or_else(|| self.hire());
        // Only a worker that panicked is not there to take it, and that ends the run.
        let _ = self.jobs[worker].send((id, call));
    }

    fn hire(&mut self) -> usize {
        let worker = self.jobs.len();
        let (job, jobs) = unbounded_channel();
        self.jobs.push(job);
        self.tasks.spawn(work::<A>(worker, jobs, self.report.clone()));
        worker
    }

    /// Waits for answers and adds them to `answers`, all that are there. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Where a worker panicked: its call has no answer.
    pub async fn answers(&mut self, answers: &mut Vec<(CallId, Option<Reply>)>) -> Result<(), JoinError> {
        let first = tokio::select! {
            biased;
            Some(Err(panicked)) = self.tasks.join_next() => return Err(panicked),
            Some(done) = self.done.recv() => done,
        };
        let mut next = Some(first);
        while let Some((worker, id, reply)) = next {
            self.idle.push(worker);
            answers.push((id, reply));
            next = self.done.try_recv().ok();
        }
        Ok(())
    }
}

async fn work<A: SessionApi>(
    worker: usize,
    mut jobs: UnboundedReceiver<(CallId, A::Call)>,
    report: UnboundedSender<Done>,
) {
    while let Some((id, call)) = jobs.recv().await {
        let reply = A::carry_out(call).await;
        // Nobody waits for it after a second signal.
        if report.send((worker, id, reply)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ports::{Permit, Refreshed};
    use crate::model::{Answer, SessionTarget, UserId};
    use std::sync::Arc;
    use std::time::Duration;

    struct Slack;

    impl SessionApi for Slack {
        /// Milliseconds until the answer; none is a fault of the program.
        type Call = Option<u64>;

        fn invalidate(&self, _permit: Permit, _target: SessionTarget) -> Option<u64> {
            None
        }

        fn reset_users(&self, _permit: Permit, _users: Arc<[UserId]>) -> Option<u64> {
            None
        }

        async fn carry_out(call: Option<u64>) -> Option<Reply> {
            tokio::time::sleep(Duration::from_millis(call.expect("an answer"))).await;
            Some(Reply::bare(Answer::Ok))
        }

        async fn refresh_token(&self) -> Refreshed {
            Refreshed::Unchanged
        }
    }

    async fn answered(workers: &mut Workers<Slack>) -> Vec<CallId> {
        let mut answers = Vec::new();
        workers.answers(&mut answers).await.unwrap();
        answers.into_iter().map(|(id, _)| id).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_as_many_workers_as_calls_at_once() {
        let mut workers = Workers::new();
        for id in 1..=20 {
            workers.take(id, Some(1));
            assert_eq!(answered(&mut workers).await, [id]);
        }
        assert_eq!(workers.jobs.len(), 1);
        for (id, millis) in [(21, 30), (22, 10), (23, 10), (24, 20)] {
            workers.take(id, Some(millis));
        }
        let mut order = Vec::new();
        while order.len() < 4 {
            order.extend(answered(&mut workers).await);
        }
        assert_eq!(order, [22, 23, 24, 21], "each comes when it is answered");
        workers.take(25, Some(1));
        assert_eq!(answered(&mut workers).await, [25]);
        assert_eq!(workers.jobs.len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_told_though_another_call_was_answered_with_it() {
        let mut workers = Workers::<Slack>::new();
        workers.take(1, Some(0));
        workers.take(2, None);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(workers.answers(&mut Vec::new()).await.unwrap_err().is_panic());
    }
}
