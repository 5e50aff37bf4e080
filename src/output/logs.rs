//! Tracing: filter and format of the messages on standard error.
//!
//! Every notice is a tracing event, so that text and `--log-format json` have the same content. Records of the `log`
//! crate, which some libraries use, are ignored.

use super::console::Console;
use super::style::{NOTICE, Palette, WEAKENED};
use super::text::{clean, wrapped};
use crate::model::{LogFormat, OutputStyle, ScreenMode, Status, Tone, Verbosity};
use std::fmt::{self, Write as _};
use std::io;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

const OURS: &str = "slack_revoke";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    #[error("SLACK_REVOKE_LOG is not a filter such as \"debug\" or \"slack_revoke::engine=trace\": {0}")]
    Filter(String),
    #[error("the logs are set up already")]
    Twice,
}

/// Sends every tracing event of the process to `console`. `filter` is the value of `SLACK_REVOKE_LOG`, which replaces
/// `-q` and `-v`.
///
/// # Errors
/// [`LogError::Filter`] for an invalid filter, [`LogError::Twice`] for a second call.
pub fn install(console: &Console, filter: Option<&str>) -> Result<(), LogError> {
    let targets = targets(console.style(), filter)?;
    tracing::dispatcher::set_global_default(dispatch(console, targets)).map_err(|_| LogError::Twice)
}

/// The level according to the flags. With a bar, notices aren't needed.
fn level(style: OutputStyle) -> LevelFilter {
    match (style.verbosity, style.progress, style.log_format) {
        (Verbosity::Quiet, _, _) => LevelFilter::ERROR,
        (Verbosity::Normal, ScreenMode::Bar, LogFormat::Text) => LevelFilter::WARN,
        (Verbosity::Normal, _, _) => LevelFilter::INFO,
        (Verbosity::Rows, _, _) => LevelFilter::DEBUG,
        (Verbosity::Calls, _, _) => LevelFilter::TRACE,
    }
}

/// Other crates are limited to warnings, whatever the filter says: at lower levels an HTTP library prints headers,
/// including the token.
///
/// # Errors
/// [`LogError::Filter`] for an invalid filter.
pub(super) fn targets(style: OutputStyle, filter: Option<&str>) -> Result<Targets, LogError> {
    let Some(filter) = filter.filter(|filter| !filter.trim().is_empty()) else {
        return Ok(capped(level(style)));
    };
    let asked: Targets = filter.parse().map_err(|error| LogError::Filter(clean(&format!("{error}")).into_owned()))?;
    let general = asked.default_level().unwrap_or_else(|| level(style));
    let limited = |target: &str, level: LevelFilter| if is_ours(target) { level } else { level.min(LevelFilter::WARN) };
    Ok(capped(general).with_targets(asked.iter().map(|(target, level)| (target.to_owned(), limited(target, level)))))
}

/// `level` for this program, at most warnings for other crates, and always the warnings of [`WEAKENED`].
fn capped(level: LevelFilter) -> Targets {
    let weakened = level.max(LevelFilter::WARN);
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(OURS, level).with_target(WEAKENED, weakened)
}

fn is_ours(target: &str) -> bool {
    target.strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

pub(super) fn dispatch(console: &Console, targets: Targets) -> Dispatch {
    let layer = tracing_subscriber::fmt::layer().with_writer(Lines(console.clone())).log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(targets);
    match console.style().log_format {
        LogFormat::Text => Dispatch::new(registry.with(layer.event_format(Sentences(console.clone())))),
        LogFormat::Json => Dispatch::new(
            registry.with(layer.json().flatten_event(true).with_current_span(false).with_span_list(false)),
        ),
    }
}

/// Passes each event, which is one write, to the console.
struct Lines(Console);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl io::Write for &Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        // JSON only escapes C0 characters. Texts were cleaned before they were colored.
        match self.0.style().log_format {
            LogFormat::Json => self.0.line(format!("{}\n", clean(text.trim_end_matches('\n')))),
            LogFormat::Text => self.0.line(text.into_owned()),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `slack-revoke: warning: message`, followed by the fields unless the message contains them.
struct Sentences(Console);

impl<S, N> FormatEvent<S, N> for Sentences
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut words = Words::default();
        event.record(&mut words);
        let metadata = event.metadata();
        let (tone, kind) = match *metadata.level() {
            Level::ERROR => (Tone::Bad, "error: "),
            Level::WARN => (Tone::Warning, "warning: "),
            _ => (words.tone.unwrap_or(Tone::Plain), ""),
        };
        let fields = if [NOTICE, WEAKENED].contains(&metadata.target()) { "" } else { &words.fields };
        let sentence = format!("{kind}{}{}", clean(&words.message), clean(fields));
        let painted = Palette::new(self.0.style().color).paint(tone, &sentence);
        writeln!(out, "{}", wrapped(&format!("slack-revoke: {painted}"), self.0.width(), 2))
    }
}

#[derive(Default)]
struct Words {
    message: String,
    fields: String,
    tone: Option<Tone>,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "status" {
            self.tone = Status::parse(value).map(Status::tone);
        }
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        debug_assert!(written.is_ok(), "a string takes everything");
        if field.name() == "pause_ms" {
            self.tone = Some(Tone::Warning);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::console::tests::{Page, style};
    use super::*;

    fn passes(style: OutputStyle, filter: Option<&str>, target: &str, level: Level) -> bool {
        targets(style, filter).unwrap().would_enable(target, &level)
    }

    #[test]
    fn the_flags_choose_the_level() {
        use LogFormat::{Json, Text};
        for (mode, verbosity, format, passing, held) in [
            (ScreenMode::None, Verbosity::Quiet, Text, Level::ERROR, Some(Level::WARN)),
            (ScreenMode::Bar, Verbosity::Normal, Text, Level::WARN, Some(Level::INFO)),
            (ScreenMode::Bar, Verbosity::Normal, Json, Level::INFO, Some(Level::DEBUG)),
            (ScreenMode::Plain, Verbosity::Normal, Text, Level::INFO, Some(Level::DEBUG)),
            (ScreenMode::Bar, Verbosity::Rows, Text, Level::DEBUG, Some(Level::TRACE)),
            (ScreenMode::None, Verbosity::Calls, Text, Level::TRACE, None),
        ] {
            let style = style(mode, verbosity, format);
            assert!(passes(style, None, NOTICE, passing), "{style:?}");
            assert!(held.is_none_or(|level| !passes(style, None, NOTICE, level)), "{style:?}");
        }
    }

    #[test]
    fn no_filter_opens_another_crate_beyond_warnings() {
        let style = style(ScreenMode::None, Verbosity::Calls, LogFormat::Text);
        for filter in [
            None,
            Some("trace"),
            Some("hyper=trace,reqwest=debug"),
            Some("=trace"),
            Some("h=trace"),
            Some("slack=trace"),
        ] {
            for target in ["hyper::proto", "reqwest::connect", "rustls", "h2"] {
                let open = passes(style, filter, target, Level::INFO);
                assert!(!open, "{filter:?} opens {target}");
            }
        }
    }

    #[test]
    fn the_filter_overrides_the_flags() {
        let quiet = style(ScreenMode::None, Verbosity::Quiet, LogFormat::Text);
        assert!(passes(quiet, Some("debug"), NOTICE, Level::DEBUG));
        assert!(passes(
            quiet,
            Some("slack_revoke::engine=trace"),
            "slack_revoke::engine::rate_estimator",
            Level::TRACE
        ));
        assert!(!passes(quiet, Some("slack_revoke::engine=trace"), NOTICE, Level::WARN));
        assert!(!passes(quiet, Some("  "), NOTICE, Level::WARN));
        assert!(matches!(targets(quiet, Some("a=b=c")), Err(LogError::Filter(_))));
    }

    #[test]
    fn quiet_does_not_hide_weakened_protection() {
        let quiet = style(ScreenMode::None, Verbosity::Quiet, LogFormat::Text);
        for filter in [None, Some("error"), Some("slack_revoke=off")] {
            assert!(passes(quiet, filter, WEAKENED, Level::WARN), "{filter:?}");
            assert!(!passes(quiet, filter, WEAKENED, Level::INFO), "{filter:?}");
        }
    }

    fn told(style: OutputStyle, tell: impl FnOnce()) -> String {
        let page = Page::default();
        let console = Console::on(Box::new(page.clone()), style);
        tracing::dispatcher::with_default(&dispatch(&console, targets(style, None).unwrap()), tell);
        page.text()
    }

    #[test]
    fn sentences_are_clean_and_carry_their_fields() {
        let style = style(ScreenMode::Plain, Verbosity::Rows, LogFormat::Text);
        let text = told(style, || {
            tracing::warn!(target: "slack_revoke::slack", code = "a\u{1b}b", "odd \u{202e}reply\n");
            tracing::info!(target: NOTICE, pause_ms = 3, "rate limited");
        });
        assert_eq!(text, "slack-revoke: warning: odd \u{fffd}reply  code=a\u{fffd}b\nslack-revoke: rate limited\n");
    }

    #[test]
    fn colours_follow_level_status_and_pause() {
        let style = OutputStyle { color: true, ..style(ScreenMode::Plain, Verbosity::Rows, LogFormat::Text) };
        for (want, text) in [
            ("\u{1b}[31merror: x", told(style, || tracing::error!(target: NOTICE, "x"))),
            ("\u{1b}[32mx", told(style, || tracing::debug!(target: NOTICE, status = "revoked", "x"))),
            ("\u{1b}[31mx", told(style, || tracing::debug!(target: NOTICE, status = "unknown", "x"))),
            ("\u{1b}[33mx", told(style, || tracing::info!(target: NOTICE, pause_ms = 1, "x"))),
            (" x\n", told(style, || tracing::info!(target: NOTICE, "x"))),
        ] {
            assert!(text.contains(want), "{text:?}");
        }
    }

    #[test]
    fn json_lines_hold_message_and_fields_and_no_control() {
        let style = style(ScreenMode::Plain, Verbosity::Normal, LogFormat::Json);
        let text = told(style, || tracing::warn!(target: NOTICE, line = 7, "a \u{9b}\u{202e}\u{1b}[2J \"b\""));
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&object["level"], &object["line"]), (&"WARN".into(), &7.into()));
        assert!(object["message"].as_str().unwrap().starts_with("a \u{fffd}\u{fffd}"));
        assert!(object["timestamp"].as_str().unwrap().ends_with('Z'));
        assert!(text.ends_with("}\n") && !text.trim_end().chars().any(char::is_control), "{text:?}");
    }
}
