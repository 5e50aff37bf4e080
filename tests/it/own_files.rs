//! The files that the program keeps for itself: locked, opened without following links, and cleaned up after a death.

use crate::harness::{Workdir, config, rows, sessions, start};
use slack_revoke::stand_in::Server;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

const JOURNAL: &str = "s.results.csv.journal";
const MANIFEST: &str = "s.results.csv.manifest.json";

fn three() -> (Workdir, Server) {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("s.csv", rows(1_000, 3));
    (work, server)
}

#[test]
fn a_symlink_as_journal_is_refused() {
    for content in [None, Some("")] {
        let (work, server) = three();
        if let Some(content) = content {
            work.write("other", content);
        }
        symlink(work.path("other"), work.path(JOURNAL)).unwrap();
        let refused = work.run(&server, "s.csv").exits(2);
        assert!(refused.stderr().contains(JOURNAL), "{}", refused.stderr());
        assert_eq!(fs::read_to_string(work.path("other")).ok().as_deref(), content);
        assert_eq!(server.stats().revoked, 0);
    }
}

#[test]
fn a_symlink_as_manifest_is_replaced() {
    let (work, server) = three();
    work.run(&server, "s.csv").exits(0);
    fs::rename(work.path(MANIFEST), work.path("moved")).unwrap();
    symlink(work.path("moved"), work.path(MANIFEST)).unwrap();
    let before = work.read("moved");
    work.run(&server, "s.csv").args(["--resume"]).exits(0);
    assert_eq!(work.read("moved"), before);
    assert!(fs::symlink_metadata(work.path(MANIFEST)).unwrap().is_file());
}

#[test]
fn a_fifo_as_manifest_is_refused() {
    let (work, server) = three();
    let made = Command::new("mkfifo").arg(work.path(MANIFEST)).status().expect("mkfifo");
    assert!(made.success());
    for flags in [&[][..], &["--resume"], &["--resume-or-start"]] {
        let finished = work.run(&server, "s.csv").args(flags.iter().copied()).start().wait_at_most();
        assert_eq!(finished.code(), Some(2), "{}", finished.stderr());
        assert!(finished.stderr().contains("not a regular file"), "{}", finished.stderr());
    }
    assert_eq!(server.stats().revoked, 0);
}

#[test]
fn a_journal_of_zeros_does_not_block_a_run() {
    for flags in [&[][..], &["--resume"], &["--resume-or-start"], &["-n"]] {
        let (work, server) = three();
        work.write(JOURNAL, [0; 64]);
        work.run(&server, "s.csv").args(flags.iter().copied()).exits(0);
    }
}

#[test]
fn temporary_files_are_removed_only_if_their_process_is_dead() {
    let (work, server) = three();
    let targets = [MANIFEST, "s.results.csv", "s.results.remaining.csv", "m.prom", "sum.json"];
    for target in targets {
        work.write(&format!(".{target}.slack-revoke.4000000-7.tmp"), "left");
    }
    let living = format!(".{MANIFEST}.slack-revoke.4000000-8.tmp");
    let file = fs::File::create(work.path(&living)).unwrap();
    file.try_lock().unwrap();
    work.run(&server, "s.csv").args(["--metrics-file", "m.prom", "--summary-json", "sum.json"]).exits(0);
    let left: Vec<_> = work.names().into_iter().filter(|name| name.contains(".slack-revoke.")).collect();
    assert_eq!(left, [living]);
}

/// What a system call that fails is to the run; false if strace can't be used here.
fn with_fault(work: &Workdir, server: &Server, fault: &str) -> Option<(Option<i32>, String)> {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        println!("left out: strace can't be used here");
        return None;
    }
    let line = format!(
        "exec strace -f -qq -o /dev/null {fault} \"$0\" run s.csv --yes --rate unlimited --api-url {}",
        server.url()
    );
    let ended = Command::new("sh")
        .args(["-c", &line, env!("CARGO_BIN_EXE_slack-revoke")])
        .current_dir(work.root())
        .env("SLACK_TOKEN", crate::harness::TOKEN)
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    Some((ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned()))
}

#[test]
fn a_filesystem_without_locks_is_refused() {
    for error in ["ENOLCK", "EOPNOTSUPP"] {
        let (work, server) = three();
        let Some((code, text)) = with_fault(&work, &server, &format!("-e inject=flock:error={error}")) else { return };
        assert_eq!(code, Some(7), "{text}");
        assert!(text.contains("can't be locked") && text.contains("filesystem with locks"), "{text}");
        assert_eq!(server.stats().revoked, 0);
    }
}

#[test]
fn directory_sync_may_fail_and_a_failed_rename_leaves_no_temporary_file() {
    let (work, server) = three();
    let folder_alone = format!("-P {} -e inject=fsync:error=EINVAL", work.root().display());
    let Some((code, text)) = with_fault(&work, &server, &folder_alone) else { return };
    assert_eq!(code, Some(0), "{text}");
    let (work, server) = three();
    let Some((code, text)) = with_fault(&work, &server, "-e inject=rename,renameat,renameat2:error=EIO") else {
        return;
    };
    assert_eq!(code, Some(7), "{text}");
    assert!(work.names().iter().all(|name| !name.contains(".slack-revoke.")), "{:?}", work.names());
    assert_eq!(server.stats().revoked, 0);
}
