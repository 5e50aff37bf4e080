//! The exchange with the other runs on the limits. The run goes on meanwhile: a slow store holds back only the calls that it has
//! to record.

use super::ports::{LimitNews, LimitReport, QuotaStore};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;

/// The answer to the report of a bucket.
pub type Exchanged = (usize, Result<LimitNews, Box<str>>);

type UnderWay<'a, Q> = Pin<Box<dyn Future<Output = (&'a mut Q, Exchanged)> + 'a>>;

pub struct Exchange<'a, Q> {
    /// `None` while a report is under way.
    store: Option<&'a mut Q>,
    under_way: Option<UnderWay<'a, Q>>,
    waiting: VecDeque<(usize, LimitReport)>,
}

impl<'a, Q: QuotaStore> Exchange<'a, Q> {
    pub fn new(store: &'a mut Q) -> Self {
        Self { store: Some(store), under_way: None, waiting: VecDeque::new() }
    }

    pub fn push(&mut self, bucket: usize, report: LimitReport) {
        self.waiting.push_back((bucket, report));
    }

    pub fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_empty()
    }

    /// The next answer; never ends without a report. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Exchanged {
        if self.under_way.is_none()
            && let Some((bucket, report)) = self.waiting.pop_front()
            && let Some(store) = self.store.take()
        {
            self.under_way = Some(Box::pin(async move {
                let news = store.exchange(report).await;
                (store, (bucket, news))
            }));
        }
        let Some(under_way) = &mut self.under_way else { return std::future::pending().await };
        let (store, exchanged) = under_way.as_mut().await;
        (self.store, self.under_way) = (Some(store), None);
        if exchanged.1.is_err() {
            // The store would be waited for again with each of them, and the run paces on its own now.
            self.waiting.clear();
        }
        exchanged
    }
}
