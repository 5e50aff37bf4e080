//! Standard input under another name: anything that isn't a regular file is read once, and nothing is written beside it.

use crate::harness::{TOKEN, Workdir, config, rows, sessions, start};
use std::fs;

#[test]
fn streams_need_an_output() {
    let work = Workdir::new();
    work.write("s.csv", rows(1_000, 3));
    let fifo = work.path("fifo.csv");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO");
    for line in [
        "slack-revoke run /dev/stdin --yes < s.csv",
        "slack-revoke run /dev/fd/0 --yes < s.csv",
        "slack-revoke run /dev/fd/3 --yes 3< s.csv",
        "slack-revoke run /proc/self/fd/3 --yes 3< s.csv",
        // Refused before it waits for a writer.
        "slack-revoke run fifo.csv --yes",
        "slack-revoke run --rehearse fifo.csv",
    ] {
        let refused = work.shell(line).token(TOKEN).exits(2).stderr();
        assert!(refused.contains("-o FILE"), "{line}: {refused}");
        assert_eq!(work.names(), ["fifo.csv", "s.csv"], "{line}");
    }
}

#[test]
fn every_path_of_a_stream_works() {
    for line in [
        "slack-revoke run /dev/stdin -o out.csv --yes < s.csv",
        "slack-revoke run /dev/fd/3 -o out.csv --yes 3< s.csv",
        "sh -c 'cat s.csv | slack-revoke run /dev/stdin -o out.csv --yes'",
        "sh -c 'cat s.csv | slack-revoke run /proc/self/fd/0 -o out.csv --yes'",
        "sh -c 'mkfifo f; cat s.csv > f & slack-revoke run f -o out.csv --yes'",
    ] {
        let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
        work.write("s.csv", rows(1_000, 3));
        work.shell(line).token(TOKEN).env("SLACK_REVOKE_API_URL", &server.url()).exits(0);
        assert_eq!(work.results("out.csv").count("revoked"), 3, "{line}");
        let plan = line.replace("run", "plan").replace("-o out.csv", "--json").replace("mkfifo f;", "");
        let planned = work.shell(&plan).exits(0).stdout();
        assert!(planned.contains("\"rows\": 3"), "{plan}: {planned}");
    }
}

#[test]
fn streams_are_copied_to_the_temporary_directory() {
    let work = Workdir::new();
    let text = format!("T1,1,{}\n", "x".repeat(200_000)).repeat(200);
    let refused = work
        .program(["plan", "/dev/stdin", "-o", "out.csv"])
        .env("TMPDIR", "/nonexistent/temporary")
        .stdin(format!("team_id,session_id,note\n{text}"))
        .exits(2)
        .stderr();
    assert!(refused.contains("/nonexistent/temporary"), "{refused}");
    assert!(fs::read_dir(work.root()).expect("the test's folder").next().is_none());
}
