//! Reading an input row by row, outside of a run.

use crate::cli::InputSource;
use crate::domain::Row;
use crate::engine::ports::{RowSource, Want};
use crate::error::{RunError, Trouble};
use crate::store::input::{Content, Delimiter, Input, InputError, InputPath, MaybeSent, SurveyOptions};

/// An input that was read to its end once, and can be read.
///
/// # Errors
/// Where it cannot be used.
pub(super) fn content(source: InputSource, delimiter: Option<u8>) -> Result<Content, RunError> {
    let path = match source {
        InputSource::Stdin => InputPath::Stdin,
        InputSource::File(path) => InputPath::File(path),
    };
    let delimiter = delimiter.and_then(|byte| Delimiter::parse(&char::from(byte).to_string()).ok());
    let options = SurveyOptions { delimiter, ..SurveyOptions::default() };
    let input = Input::open(path, &std::env::temp_dir()).map_err(|error| unusable(&error))?;
    input.survey(options, None).map(|(content, _)| content).map_err(|error| unusable(&error))
}

/// An input that cannot be used.
pub(super) fn unusable(error: &InputError) -> RunError {
    let text = error.to_string();
    let (what, next) = text.split_once("; ").unwrap_or((&text, "correct the input and run it again"));
    RunError::Input(Trouble::new(what, next))
}

/// Hands every row over, in the input's order.
///
/// # Errors
/// Where it cannot be read again.
pub(super) async fn each(content: &Content, mut take: impl FnMut(&Row)) -> Result<(), RunError> {
    let mut source = content.source(MaybeSent::default()).map_err(|error| unusable(&error))?;
    loop {
        source.request(Want::Any);
        let batch = source
            .next()
            .await
            .map_err(|error| RunError::Input(Trouble::new(error, "leave the input as it is until the end")))?;
        batch.rows.iter().for_each(&mut take);
        if batch.exhausted {
            return Ok(());
        }
    }
}
