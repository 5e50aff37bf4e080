//! The workers: each makes one call at a time. The dispatcher decides what is called and when.

use super::state_machine::CallId;
use crate::model::Reply;
use std::pin::Pin;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinSet};

/// A call returned by [`super::ports::SessionApi::call`].
type CallFuture = Pin<Box<dyn Future<Output = Option<Reply>> + Send>>;

/// The worker, its call and the reply; `None` if the permit was withdrawn and nothing was sent.
type Finished = (usize, CallId, Option<Reply>);

/// As many tasks as the highest number of concurrent calls so far. Workers are reused, because spawning a task for each call
/// would cost more than all decisions about that call.
#[derive(Debug)]
pub struct Workers {
    /// One channel for each worker, with at most one call in it.
    calls: Vec<UnboundedSender<(CallId, CallFuture)>>,
    idle: Vec<usize>,
    results: UnboundedReceiver<Finished>,
    report: UnboundedSender<Finished>,
    tasks: JoinSet<()>,
}

impl Workers {
    pub fn new() -> Self {
        let (report, results) = unbounded_channel();
        Self { calls: Vec::new(), idle: Vec::new(), results, report, tasks: JoinSet::new() }
    }

    /// Passes the call to an idle worker, or to a new one.
    pub fn start(&mut self, id: CallId, call: impl Future<Output = Option<Reply>> + Send + 'static) {
        let worker = self.idle.pop().unwrap_or_else(|| self.spawn_worker());
        // This fails only if the worker panicked, and then the run ends.
        let _ = self.calls[worker].send((id, Box::pin(call)));
    }

    fn spawn_worker(&mut self) -> usize {
        let worker = self.calls.len();
        let (sender, calls) = unbounded_channel();
        self.calls.push(sender);
        self.tasks.spawn(work(worker, calls, self.report.clone()));
        worker
    }

    /// Waits for a result, and appends all available ones to `results`. Dropping the future loses none.
    ///
    /// # Errors
    /// If a worker panicked: its call has no answer.
    pub async fn results(&mut self, results: &mut Vec<(CallId, Option<Reply>)>) -> Result<(), JoinError> {
        let first = tokio::select! {
            biased;
            Some(Err(panicked)) = self.tasks.join_next() => return Err(panicked),
            Some(finished) = self.results.recv() => finished,
        };
        let mut next = Some(first);
        while let Some((worker, id, reply)) = next {
            self.idle.push(worker);
            results.push((id, reply));
            next = self.results.try_recv().ok();
        }
        Ok(())
    }
}

async fn work(worker: usize, mut calls: UnboundedReceiver<(CallId, CallFuture)>, report: UnboundedSender<Finished>) {
    while let Some((id, call)) = calls.recv().await {
        let reply = call.await;
        // After a second signal the receiver is gone.
        if report.send((worker, id, reply)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;
    use std::time::Duration;

    async fn answer_after(millis: u64) -> Option<Reply> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Some(Reply::bare(Answer::Ok))
    }

    async fn answered(workers: &mut Workers) -> Vec<CallId> {
        let mut results = Vec::new();
        workers.results(&mut results).await.unwrap();
        results.into_iter().map(|(id, _)| id).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_as_many_workers_as_calls_at_once() {
        let mut workers = Workers::new();
        for id in 1..=20 {
            workers.start(id, answer_after(1));
            assert_eq!(answered(&mut workers).await, [id]);
        }
        assert_eq!(workers.calls.len(), 1);
        for (id, millis) in [(21, 30), (22, 10), (23, 10), (24, 20)] {
            workers.start(id, answer_after(millis));
        }
        let mut order = Vec::new();
        while order.len() < 4 {
            order.extend(answered(&mut workers).await);
        }
        assert_eq!(order, [22, 23, 24, 21], "each comes when it is answered");
        workers.start(25, answer_after(1));
        assert_eq!(answered(&mut workers).await, [25]);
        assert_eq!(workers.calls.len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_reported_even_if_another_call_was_answered_at_the_same_time() {
        let mut workers = Workers::new();
        workers.start(1, answer_after(0));
        workers.start(2, async { panic!("a fault of the program") });
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(workers.results(&mut Vec::new()).await.unwrap_err().is_panic());
    }
}
