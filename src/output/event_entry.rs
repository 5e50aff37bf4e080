//! One entry per event, used by the screen, the log and `--events`.

use super::progress_view::bucket_words;
use super::style::NOTICE;
use super::text::{clean, format_duration, rate};
use crate::model::{ColumnValue, Event, Outcome, RESULT_COLUMNS, Row, TeamId, UserId, counted};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::fmt;
use std::time::Duration;
use tracing::Level;

/// The properties of an event. Texts from the input and from Slack are cleaned.
pub(super) struct EventEntry<'a> {
    /// The `type` of its line in `--events`.
    kind: &'static str,
    level: Level,
    members: Members<'a>,
    /// A row that ended. `--events` has all its columns instead of the members.
    row: Option<(&'a Row, &'a Outcome)>,
    /// Without a full stop. Formatted only if it is read.
    sentence: fmt::Arguments<'a>,
}

/// Calls `read` with the entry of an event.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn with_entry<R>(event: &Event, read: impl FnOnce(EventEntry<'_>) -> R) -> R {
    let none = Members::default();
    match event {
        Event::Sending { line, call, is_bulk } => {
            let members = Members { line: Some(*line), call: Some(*call), bulk: is_bulk.then_some(true), ..none };
            read(entry("sending", Level::TRACE, members, format_args!("line {line}: sending, call {call}")))
        }
        Event::Ended { row, outcome } => {
            let (error, id) = (outcome.error.as_deref().map(clean), outcome.request_id.as_deref().map(clean));
            let members = Members {
                line: Some(row.line),
                status: Some(outcome.status.as_str()),
                error: error.as_deref(),
                http_status: outcome.http_status,
                attempts: Some(outcome.attempts),
                request_id: id.as_deref(),
                ..none
            };
            let sentence = fmt::from_fn(|out| write_ended(out, row.line, outcome));
            let sentence = format_args!("{sentence}");
            read(EventEntry { row: Some((row, outcome)), ..entry("row_ended", Level::DEBUG, members, sentence) })
        }
        Event::Retrying { line, attempt, error, wait } => {
            let (error, again) = (clean(error), format_duration(*wait));
            let wait_ms = Some(millis(*wait));
            let members = Members { line: Some(*line), attempt: Some(*attempt), error: Some(&error), wait_ms, ..none };
            let sentence = format_args!("line {line}: {error} at attempt {attempt}; again in {again}");
            read(entry("retrying", Level::TRACE, members, sentence))
        }
        Event::RateLimited { line, team, is_bulk, pause, stated } => {
            let members = Members {
                line: Some(*line),
                team_id: team.as_ref().map(TeamId::as_str),
                bulk: is_bulk.then_some(true),
                pause_ms: Some(millis(*pause)),
                stated: Some(stated.is_some()),
                stated_ms: stated.map(millis),
                ..none
            };
            let bulk = is_bulk.then(|| "resetBulk ".to_owned());
            let scope = team.as_ref().map(|team| format!("workspace {team} ")).or(bulk).unwrap_or_default();
            let (time, why) = (format_duration(*pause), why_so_long(*pause, *stated));
            let sentence = format_args!("line {line}: rate limited; {scope}pauses {time}, {why}");
            read(entry("rate_limited", Level::INFO, members, sentence))
        }
        Event::OneByOne { line, users, error } => {
            let (error, who) = (clean(error), counted(*users, "user", "users"));
            let members = Members { line: Some(*line), users: Some(*users), error: Some(&error), ..none };
            let sentence = format_args!("line {line}: {error} in bulk; the rows of {who} are sent one by one");
            read(entry("one_by_one", Level::INFO, members, sentence))
        }
        Event::PausedByOthers { team, pause } => {
            let team_id = team.as_ref().map(TeamId::as_str);
            let members = Members { team_id, pause_ms: Some(millis(*pause)), ..none };
            let (scope, time) = (of(team.as_ref()), format_duration(*pause));
            let sentence = format_args!("another run met the limit{scope}; no calls for {time}");
            read(entry("paused_by_others", Level::INFO, members, sentence))
        }
        Event::Shared { team, runs, is_incident, per_minute } => {
            let members = Members {
                team_id: team.as_ref().map(TeamId::as_str),
                other_runs: Some(*runs),
                incident: Some(*is_incident),
                per_minute: *per_minute,
                ..none
            };
            let sentence = shared(team.as_ref(), *runs, *is_incident, *per_minute);
            read(entry("shared", Level::INFO, members, format_args!("{sentence}")))
        }
        Event::NotShared(why) => {
            let text = clean(why);
            let members = Members { text: Some(&text), ..none };
            let sentence =
                format_args!("the rate limit isn't shared with other runs: {text}; this run paces on its own");
            read(entry("not_shared", Level::WARN, members, sentence))
        }
        Event::BucketKnown(kind) => {
            let members = Members { bucket: Some(kind.as_str()), ..none };
            read(entry("bucket_known", Level::INFO, members, format_args!("Slack has {}", bucket_words(*kind))))
        }
        Event::Estimate { team, per_minute } => {
            let team_id = team.as_ref().map(TeamId::as_str);
            let members = Members { team_id, per_minute: Some(*per_minute), ..none };
            let scope = of(team.as_ref());
            let sentence = format_args!("pace{scope} {}/min", rate(*per_minute));
            read(entry("estimate", Level::TRACE, members, sentence))
        }
        Event::Parked { team, code } => {
            let code = clean(code.as_str());
            let members = Members { team_id: Some(team.as_str()), code: Some(&code), ..none };
            let sentence = format_args!("workspace {team} refuses ({code}); its rows are skipped, the others continue");
            read(entry("parked", Level::WARN, members, sentence))
        }
        Event::OutageBegan { error } => {
            let error = clean(error);
            let sentence = format_args!("Slack isn't answering ({error}); one call at a time until it does");
            read(entry("outage_began", Level::WARN, Members { error: Some(&error), ..none }, sentence))
        }
        Event::OutageEnded => read(entry("outage_ended", Level::INFO, none, format_args!("Slack answers again"))),
        Event::TokenRefreshed => {
            let sentence = format_args!("the token had expired; continuing with a fresh one");
            read(entry("token_refreshed", Level::INFO, none, sentence))
        }
        Event::OtherOwner { owner, is_spared } => {
            let members = Members { user_id: Some(owner.id.as_str()), protected: Some(*is_spared), ..none };
            let (name, id) = (clean(&owner.name), &owner.id);
            let rows = if *is_spared { "this user's rows are left alone too" } else { "--allow-self was given" };
            let sentence =
                format_args!("the fresh token is {name}'s ({id}), whose token the run didn't have before; {rows}");
            read(entry("other_owner", Level::WARN, members, sentence))
        }
        Event::Warning(text) => {
            let text = clean(text);
            let members = Members { text: Some(&text), ..none };
            read(entry("warning", Level::WARN, members, format_args!("Slack warns: {text}")))
        }
        Event::Stopping(reason) => {
            let stop = reason.entry();
            let members = Members { reason: Some(stop.word), text: Some(&stop.why), ..none };
            let sentence = format_args!("stopping: {}; calls in flight are finished first", stop.why);
            read(entry("stopping", Level::WARN, members, sentence))
        }
    }
}

#[expect(clippy::large_types_passed_by_value, reason = "moved into the entry")]
fn entry<'a>(kind: &'static str, level: Level, members: Members<'a>, sentence: fmt::Arguments<'a>) -> EventEntry<'a> {
    EventEntry { kind, level, members, row: None, sentence }
}

/// Members of a line, in JSON logs and in `--events`; absent ones are omitted.
macro_rules! members {
    ($($name:ident: $kind:ty,)*) => {
        #[derive(Clone, Copy, Default)]
        struct Members<'a> {
            $($name: Option<$kind>,)*
        }

        impl Members<'_> {
            fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                $(if let Some(value) = &self.$name {
                    map.serialize_entry(stringify!($name), value)?;
                })*
                Ok(())
            }
        }

        impl EventEntry<'_> {
            /// Cheap if its level is off: without a limit, there are about 30,000 rows and calls a second.
            pub(super) fn log(&self) {
                let Self { level, members, sentence, .. } = self;
                match *level {
                    Level::TRACE => tracing::trace!(target: NOTICE, $($name = members.$name,)* "{sentence}"),
                    Level::DEBUG => tracing::debug!(target: NOTICE, $($name = members.$name,)* "{sentence}"),
                    Level::INFO => tracing::info!(target: NOTICE, $($name = members.$name,)* "{sentence}"),
                    _ => tracing::warn!(target: NOTICE, $($name = members.$name,)* "{sentence}"),
                }
            }
        }
    };
}

members! {
    line: u64,
    call: u32,
    bulk: bool,
    users: u64,
    status: &'a str,
    attempt: u32,
    error: &'a str,
    http_status: u16,
    attempts: u32,
    request_id: &'a str,
    wait_ms: u64,
    team_id: &'a str,
    pause_ms: u64,
    stated: bool,
    stated_ms: u64,
    other_runs: u32,
    incident: bool,
    bucket: &'a str,
    per_minute: f64,
    code: &'a str,
    user_id: &'a str,
    protected: bool,
    reason: &'a str,
    text: &'a str,
}

impl Serialize for EventEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.kind)?;
        match self.row {
            Some((row, outcome)) => write_row(&mut map, row, outcome)?,
            None => self.members.write(&mut map)?,
        }
        map.end()
    }
}

fn write_row<M: SerializeMap>(map: &mut M, row: &Row, outcome: &Outcome) -> Result<(), M::Error> {
    for column in &RESULT_COLUMNS {
        match (column.value)(row.line, outcome) {
            ColumnValue::Empty => {}
            ColumnValue::Number(number) => map.serialize_entry(column.name, &number)?,
            ColumnValue::Text(text) => map.serialize_entry(column.name, &clean(text))?,
            ColumnValue::Time(time) => map.serialize_entry(column.name, &time.rfc3339())?,
        }
    }
    let Ok(target) = &row.target else { return Ok(()) };
    if let Some(session) = target.session() {
        map.serialize_entry("session_id", &session.get())?;
    }
    let ids = [("team_id", target.team().map(TeamId::as_str)), ("user_id", target.user().map(UserId::as_str))];
    for (name, id) in ids.into_iter().filter_map(|(name, id)| Some((name, id?))) {
        map.serialize_entry(name, id)?;
    }
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn of(team: Option<&TeamId>) -> String {
    team.map(|team| format!(" of {team}")).unwrap_or_default()
}

fn shared(team: Option<&TeamId>, runs: u32, is_incident: bool, per_minute: Option<f64>) -> String {
    let whose = of(team);
    if runs == 0 {
        return format!("no other run uses the rate limit{whose} any more");
    }
    let who = counted(u64::from(runs), "other run uses", "other runs use");
    let first = if is_incident { ", and an incident goes first" } else { "" };
    let share = per_minute.map(|share| format!("; this run gets {}/min", rate(share))).unwrap_or_default();
    format!("{who} the rate limit{whose} too{first}{share}")
}

fn write_ended(out: &mut fmt::Formatter<'_>, line: u64, outcome: &Outcome) -> fmt::Result {
    write!(out, "line {line}: {}", outcome.status.as_str())?;
    if let Some(error) = &outcome.error {
        write!(out, ": {}", clean(error))?;
    }
    if !outcome.detail.is_empty() {
        write!(out, " ({})", clean(&outcome.detail))?;
    }
    if outcome.attempts > 1 {
        write!(out, ", {} attempts", outcome.attempts)?;
    }
    Ok(())
}

fn why_so_long(pause: Duration, stated: Option<Duration>) -> String {
    match stated {
        Some(stated) if pause <= stated => "as Slack asks".to_owned(),
        Some(stated) => {
            let stated = format_duration(stated);
            format!("longer than the {stated} that Slack asks for, because that was too short before")
        }
        None => "as Slack did not say for how long".to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::console::Console;
    use super::super::console::tests::{Page, style};
    use super::super::logs::{dispatch, targets};
    use super::*;
    use crate::model::stop_reason::tests::every_reason;
    use crate::model::{
        BucketKind, ErrorCode, Fields, IdentifyBy, LogFormat, ScreenMode, SessionId, Status, StopReason, Target,
        Timestamp, TokenOwner, UserId, Verbosity,
    };

    pub(in crate::output) fn sentence(event: &Event) -> String {
        with_entry(event, |entry| entry.sentence.to_string())
    }

    pub(in crate::output) const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{202e}\u{9b}2J\n";

    /// An ended row with escape sequences in its texts.
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
            first_sent_at: Some(Timestamp::from_millis(1_700_000_000_000)),
            finished_at: Timestamp::from_millis(1_700_000_001_000),
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

    /// One event of every kind, with escape sequences in the texts.
    pub(in crate::output) fn every_event() -> Vec<Event> {
        let team = || TeamId::parse("T1").unwrap();
        let code = || ErrorCode::from(HOSTILE);
        let second = Duration::from_secs(1);
        vec![
            Event::Sending { line: 7, call: 1, is_bulk: true },
            hostile_end(),
            Event::Retrying { line: 7, attempt: 1, error: HOSTILE.into(), wait: second },
            Event::RateLimited {
                line: 7,
                team: Some(team()),
                is_bulk: false,
                pause: second * 30,
                stated: Some(second),
            },
            Event::BucketKnown(BucketKind::Org),
            Event::Estimate { team: None, per_minute: 37.5 },
            Event::Parked { team: team(), code: code() },
            Event::OutageBegan { error: HOSTILE.into() },
            Event::OutageEnded,
            Event::TokenRefreshed,
            Event::OtherOwner { owner: Box::new(owner()), is_spared: true },
            Event::Warning(HOSTILE.into()),
            Event::Stopping(StopReason::Interrupted),
            Event::PausedByOthers { team: Some(team()), pause: second * 20 },
            Event::Shared { team: None, runs: 2, is_incident: true, per_minute: Some(0.5) },
            Event::NotShared(HOSTILE.into()),
            Event::OneByOne { line: 7, users: 3, error: HOSTILE.into() },
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
        assert_eq!(said[13], "another run met the limit of T1; no calls for 20s");
        let share = "2 other runs use the rate limit too, and an incident goes first; this run gets 0.5/min";
        assert_eq!(said[14], share);
    }

    fn told(mode: ScreenMode, verbosity: Verbosity, format: LogFormat) -> Vec<String> {
        let page = Page::default();
        let console = Console::on(Box::new(page.clone()), style(mode, verbosity, format));
        let targets = targets(console.style(), None).unwrap();
        let log = || {
            for event in &every_event() {
                with_entry(event, |entry| entry.log());
            }
        };
        tracing::dispatcher::with_default(&dispatch(&console, targets), log);
        page.text().lines().map(str::to_owned).collect()
    }

    #[test]
    fn verbosity_decides_what_is_shown() {
        for (mode, verbosity, want) in [
            (ScreenMode::None, Verbosity::Quiet, 0),
            (ScreenMode::Bar, Verbosity::Normal, 6),
            (ScreenMode::Plain, Verbosity::Normal, 13),
            (ScreenMode::Bar, Verbosity::Rows, 14),
            (ScreenMode::Plain, Verbosity::Calls, 17),
        ] {
            let lines = told(mode, verbosity, LogFormat::Text);
            assert_eq!(lines.len(), want, "{mode:?} {verbosity:?}: {lines:#?}");
            assert!(lines.iter().all(|line| line.starts_with("slack-revoke: ") && clean(line) == *line));
        }
    }

    #[test]
    fn json_says_the_same_with_fields_and_nothing_hostile_in_them() {
        let lines = told(ScreenMode::Plain, Verbosity::Calls, LogFormat::Json);
        assert_eq!(lines.len(), every_event().len());
        for (line, event) in lines.iter().zip(every_event()) {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["message"], sentence(&event));
            let texts = object.as_object().unwrap().values().filter_map(|value| value.as_str());
            texts.for_each(|text| assert_eq!(clean(text), text, "{line}"));
        }
    }
}
