//! The reading thread: it reads what was asked for, and nothing ahead of it.

use super::deal::Dealer;
use super::error::Trouble;
use crate::engine::ports::{Batch, RowSource, Want};
use crate::model::{InputSource, StopReason};
use std::io;
use std::sync::mpsc::{Receiver as Requests, Sender, channel};
use std::thread;
use tokio::sync::mpsc;

/// Answers that wait for the engine; the thread pauses when there are as many.
const WAITING: usize = 4;

type Answer = Result<Batch, StopReason>;

/// The input as the engine sees it. When it is dropped the thread ends by itself, and nobody waits for it.
#[derive(Debug)]
pub struct Source {
    requests: Sender<Want>,
    answers: mpsc::Receiver<Answer>,
}

impl Source {
    pub(super) fn start(input: InputSource, dealer: Dealer) -> io::Result<Self> {
        let (requests, wanted) = channel();
        let (answer, answers) = mpsc::channel(WAITING);
        thread::Builder::new().name("input".into()).spawn(move || serve(&input, dealer, &wanted, &answer))?;
        Ok(Self { requests, answers })
    }
}

/// Ends with the first answer that is an error, or when nobody asks any more.
fn serve(input: &InputSource, mut dealer: Dealer, wanted: &Requests<Want>, answers: &mpsc::Sender<Answer>) {
    for want in wanted {
        let answer = dealer.deal(want).map_err(|trouble| stop(trouble, input));
        let last = answer.is_err();
        if answers.blocking_send(answer).is_err() || last {
            return;
        }
    }
}

fn stop(trouble: Trouble, input: &InputSource) -> StopReason {
    match trouble {
        Trouble::Changed => StopReason::InputChanged(input.to_string().into()),
        other => StopReason::Unreadable(other.of(input).to_string().into()),
    }
}

impl RowSource for Source {
    fn request(&mut self, want: Want) {
        // A thread that has ended has left its error among the answers, or is missed there.
        drop(self.requests.send(want));
    }

    async fn next(&mut self) -> Answer {
        let ended = || Err(StopReason::Unreadable("the thread that reads it has ended".into()));
        self.answers.recv().await.unwrap_or_else(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::content;
    use super::super::{PossiblySent, SurveyOptions};
    use super::*;

    #[tokio::test]
    async fn requests_are_answered_in_order_up_to_the_end() {
        let (content, _) = content("team_id,session_id\nT1,1\nT1,2\nT1,3\n", SurveyOptions::default());
        let mut source = content.source(PossiblySent::default()).unwrap();
        let team = crate::model::TeamId::parse("T9").unwrap();
        for want in [Want::Any, Want::Of(team.clone()), Want::Any] {
            source.request(want);
        }
        let first = source.next().await.unwrap();
        assert_eq!((first.want, first.rows.len(), first.exhausted), (Want::Any, 1, false));
        let second = source.next().await.unwrap();
        assert_eq!((second.want, second.rows.len(), second.exhausted), (Want::Of(team), 0, true));
        let third = source.next().await.unwrap();
        assert_eq!((third.want, third.rows.len(), third.exhausted), (Want::Any, 2, true));
        assert_eq!(third.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 4]);
    }

    #[tokio::test]
    async fn an_error_is_told_once_and_then_missed() {
        let (content, _) = content("team_id,session_id\nT1,1\n", SurveyOptions::default());
        let (requests, wanted) = channel();
        let (answer, answers) = mpsc::channel(WAITING);
        drop((wanted, answer));
        let mut source = Source { requests, answers };
        source.request(Want::Any);
        assert!(matches!(source.next().await, Err(StopReason::Unreadable(why)) if why.contains("has ended")));
        drop(content);
    }
}
