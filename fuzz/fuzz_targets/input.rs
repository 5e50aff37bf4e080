//! The input reader: any bytes are refused, or give the same rows in the survey, to the engine, and in a copy.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slack_revoke::engine::ports::{RowSource, Want};
use slack_revoke::input::{Content, Input, InputSource, InputSummary, PossiblySent, SurveyOptions};
use std::fs;

fn survey(bytes: &[u8]) -> Option<(Content, InputSummary, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    fs::write(&path, bytes).unwrap();
    let input = Input::open(InputSource::File(path), folder.path()).unwrap();
    input.survey(SurveyOptions::default(), None).ok().map(|(content, survey)| (content, survey, folder))
}

fn dealt(content: &Content) -> u64 {
    let mut source = content.source(PossiblySent::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut rows = 0;
    loop {
        source.request(Want::Any);
        let batch = runtime.block_on(source.next()).unwrap();
        rows += batch.rows.len() as u64;
        if batch.exhausted {
            return rows;
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((content, found, _folder)) = survey(bytes) else { return };
    assert_eq!(dealt(&content), found.rows);
    let mut copy = Vec::new();
    assert_eq!(content.copy_rows(|_, _| true, &mut copy).unwrap(), found.rows);
    if found.rows > 0 {
        let (_, again, _folder) = survey(&copy).expect("a copy can be fed back");
        assert_eq!((again.rows, again.header), (found.rows, found.header));
    }
});
