//! `report`: a run on one page of HTML that needs nothing but itself.
//!
//! No script, no request, no font or picture from elsewhere: the page may be mailed, archived and printed, and a
//! Content-Security-Policy in it says so to the browser. Everything that comes from the input, from Slack or from a file
//! is cleaned ([`clean`]) and then escaped by askama. The templates are in `templates/`.
//!
//! Pure: [`Figures`] take in the records one by one, [`Facts`] are what else is known, [`page`] gives the text.

mod bars;
mod chart;
mod ends;
mod events;
mod facts;
mod figures;
mod groups;
mod scale;
mod spans;
mod story;
mod tables;
mod template;
#[cfg(test)]
mod tests;

pub use events::{Events, RunEvents, read as read_events};
pub use facts::{Check, Facts, ManifestFacts, ResultsFile, Run, Told, Verified};
pub use figures::{Figures, Seen};
pub use spans::{Spans, Steps};
pub use template::{is_page, page};
