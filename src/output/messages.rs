//! What happened, in sentences. Pure; all that comes from the input or from Slack is cleaned here.

use super::progress_view::bucket_words;
use super::text::{clean, format_duration, rate};
use crate::model::{Event, Outcome, Row, TeamId};
use std::time::Duration;

/// One event in a sentence without a full stop.
#[must_use]
pub fn sentence(event: &Event) -> String {
    match event {
        Event::Sending { line, call } => format!("line {line}: sending, call {call}"),
        Event::Ended { row, outcome } => ended(row, outcome),
        Event::Retrying { line, attempt, error, wait } => {
            format!("line {line}: {} at attempt {attempt}; again in {}", clean(error), format_duration(*wait))
        }
        Event::RateLimited { line, team, pause, stated } => rate_limited(*line, team.as_ref(), *pause, *stated),
        Event::BucketKnown(kind) => format!("Slack has {}", bucket_words(*kind)),
        Event::Estimate { team, per_minute } => format!("pace{} {}/min", of(team.as_ref()), rate(*per_minute)),
        Event::Parked { team, code } => {
            format!("workspace {team} refuses ({}); its rows are skipped, the others continue", clean(code.as_str()))
        }
        Event::OutageBegan { error } => {
            format!("Slack isn't answering ({}); one call at a time until it does", clean(error))
        }
        Event::OutageEnded => "Slack answers again".to_owned(),
        Event::TokenRefreshed => "the token had expired; continuing with a fresh one".to_owned(),
        Event::OtherOwner { owner, is_spared } => {
            let rows = if *is_spared { "this user's rows are left alone too" } else { "--allow-self was given" };
            format!(
                "the fresh token is {}'s ({}), whose token the run didn't have before; {rows}",
                clean(&owner.name),
                owner.id
            )
        }
        Event::Warning(text) => format!("Slack warns: {}", clean(text)),
        Event::Stopping(reason) => format!("stopping: {}; calls in flight are finished first", reason.entry().why),
    }
}

fn of(team: Option<&TeamId>) -> String {
    team.map(|team| format!(" of {team}")).unwrap_or_default()
}

fn ended(row: &Row, outcome: &Outcome) -> String {
    let mut text = format!("line {}: {}", row.line, outcome.status.as_str());
    if let Some(error) = &outcome.error {
        text = format!("{text}: {}", clean(error));
    }
    if !outcome.detail.is_empty() {
        text = format!("{text} ({})", clean(&outcome.detail));
    }
    if outcome.attempts > 1 {
        text = format!("{text}, {} attempts", outcome.attempts);
    }
    text
}

fn rate_limited(line: u64, team: Option<&TeamId>, pause: Duration, stated: Option<Duration>) -> String {
    let why = match stated {
        Some(stated) if pause <= stated => "as Slack asks".to_owned(),
        Some(stated) => {
            format!(
                "longer than the {} that Slack asks for, because that was too short before",
                format_duration(stated)
            )
        }
        None => "as Slack did not say for how long".to_owned(),
    };
    let scope = team.map(|team| format!("workspace {team} ")).unwrap_or_default();
    format!("line {line}: rate limited; {scope}pauses {}, {why}", format_duration(pause))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::stop_reason::tests::every_reason;
    use crate::model::{
        BucketKind, ErrorCode, Fields, IdentifyBy, SessionId, Stamp, Status, StopReason, Target, TokenOwner, UserId,
    };

    pub(in crate::output) const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{202e}\u{9b}2J\n";

    /// An ended row whose texts try to reach the terminal.
    pub(in crate::output) fn hostile_end() -> Event {
        let target = Target::by_team(
            SessionId::from(1_112_275_520_242),
            TeamId::parse("T1").unwrap(),
            Some(UserId::parse("U1").unwrap()),
        );
        assert_eq!(target.named_by(), IdentifyBy::Team);
        let row = Row { line: 7, fields: Fields::default(), target: Ok(target), may_have_been_sent: false };
        let outcome = Outcome {
            status: Status::Failed,
            error: Some(HOSTILE.into()),
            detail: HOSTILE.into(),
            http_status: Some(200),
            attempts: 2,
            rate_limited: 1,
            first_sent_at: Some(Stamp::from_millis(1_700_000_000_000)),
            finished_at: Stamp::from_millis(1_700_000_001_000),
            request_id: Some("r1".into()),
        };
        Event::Ended { row: Box::new(row), outcome }
    }

    fn owner() -> TokenOwner {
        TokenOwner {
            id: UserId::parse("W7").unwrap(),
            name: HOSTILE.into(),
            team_id: None,
            team: Box::default(),
            enterprise_id: None,
            url: Box::default(),
        }
    }

    /// One event of every kind, those with texts holding hostile ones.
    pub(in crate::output) fn every_event() -> Vec<Event> {
        let team = || TeamId::parse("T1").unwrap();
        let code = || ErrorCode::from(HOSTILE);
        let second = Duration::from_secs(1);
        vec![
            Event::Sending { line: 7, call: 1 },
            hostile_end(),
            Event::Retrying { line: 7, attempt: 1, error: HOSTILE.into(), wait: second },
            Event::RateLimited { line: 7, team: Some(team()), pause: second * 30, stated: Some(second) },
            Event::BucketKnown(BucketKind::Org),
            Event::Estimate { team: None, per_minute: 37.5 },
            Event::Parked { team: team(), code: code() },
            Event::OutageBegan { error: HOSTILE.into() },
            Event::OutageEnded,
            Event::TokenRefreshed,
            Event::OtherOwner { owner: Box::new(owner()), is_spared: true },
            Event::Warning(HOSTILE.into()),
            Event::Stopping(StopReason::Interrupted),
        ]
    }

    #[test]
    fn no_sentence_carries_a_control_character() {
        let reasons = every_reason(HOSTILE).into_iter().map(Event::Stopping);
        for event in every_event().into_iter().chain(reasons) {
            let text = sentence(&event);
            assert_eq!(clean(&text), text);
            assert!(!text.is_empty());
        }
    }

    #[test]
    fn sentences_name_the_row_and_the_cause() {
        let said: Vec<String> = every_event().iter().map(sentence).collect();
        assert!(said[1].starts_with("line 7: failed: ") && said[1].ends_with(", 2 attempts"), "{}", said[1]);
        let why = "longer than the 1s that Slack asks for, because that was too short before";
        assert_eq!(said[3], format!("line 7: rate limited; workspace T1 pauses 30s, {why}"));
        assert_eq!(said[5], "pace 37.5/min");
    }
}
