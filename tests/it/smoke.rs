//! The main job, once.

use crate::harness::{Workdir, config, rows, sessions, start};

#[test]
fn every_row_is_revoked_and_has_one_record() {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
    work.write("sessions.csv", rows(1_000, 10));
    work.run(&server, "sessions.csv").exits(0);
    let results = work.results("sessions.results.csv");
    assert_eq!((results.statuses().len(), results.count("revoked")), (10, 10));
    assert!(server.live_sessions().is_empty());
    assert!(!work.exists("sessions.results.remaining.csv"));
    assert_eq!(work.json("sessions.results.csv.manifest.json")["complete"], true);
}
