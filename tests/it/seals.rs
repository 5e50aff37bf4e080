//! `--seal-command`: the final manifest is signed or timestamped by somebody else's command, whose output is kept beside it.

use crate::harness::{Program, TOKEN, Workdir, config, in_flight, rows, sessions, start, until};
use rustix::process::Signal;
use slack_revoke::stand_in::{Latency, Server, StandInConfig};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const RESULTS: &str = "s.results.csv";
const MANIFEST: &str = "s.results.csv.manifest.json";
/// A seal that says of what it is.
const ECHO: &str = r#"echo "seal of $SLACK_REVOKE_MANIFEST_SHA256""#;

fn prepared() -> (Workdir, Server) {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 10))));
    work.write("s.csv", rows(1_000, 10));
    (work, server)
}

fn run(work: &Workdir, server: &Server) -> Program {
    work.run(server, "s.csv").args(["--rate", "unlimited"])
}

/// The digest of the manifest as it is now, as a tool outside of this program sees it.
fn digest(work: &Workdir) -> String {
    let mut sha256sum = Command::new("sha256sum");
    let printed = sha256sum.arg(work.path(MANIFEST)).output().expect("sha256sum").stdout;
    String::from_utf8_lossy(&printed[..64]).into_owned()
}

fn seal_of(sha256: &str) -> String {
    format!("{MANIFEST}.{sha256}.seal")
}

fn seals(work: &Workdir) -> Vec<String> {
    work.names()
        .into_iter()
        .filter(|name| name.contains(".manifest.json.") && name.rsplit('.').next() == Some("seal"))
        .collect()
}

fn sample(name: &str) -> String {
    format!("{}/samples/seal/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Whether a program is there; if not, says what isn't tested.
fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    let is_there = found.is_ok_and(|found| found.success());
    if !is_there {
        println!("left out: no {program} here");
    }
    is_there
}

#[track_caller]
fn sh(work: &Workdir, script: &str) -> bool {
    let mut shell = Command::new("sh");
    let status =
        shell.args(["-c", script]).current_dir(work.root()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.expect("a shell").success()
}

#[test]
fn the_last_manifest_of_every_step_is_sealed() {
    let (work, server) = prepared();
    // What the command finds, and that the hook comes after it.
    let command = format!("env > seal.env; cp \"$SLACK_REVOKE_MANIFEST\" sealed.json; {ECHO}");
    let hook = "test -e \"$SLACK_REVOKE_MANIFEST.$SLACK_REVOKE_MANIFEST_SHA256.seal\" && touch after";
    let flags = ["--seal-command", &command, "--on-finish", hook];
    let said = run(&work, &server).args(flags).env("SLACK_REVOKE_SEAL_COMMAND", "false").exits(0).stderr();
    let of_run = digest(&work);
    assert_eq!(work.read(&seal_of(&of_run)), format!("seal of {of_run}\n"));
    assert_eq!((work.read("sealed.json"), work.exists("after")), (work.read(MANIFEST), true));
    assert!(
        said.contains(&format!(
            "seal       {}",
            work.root().canonicalize().expect("a folder").join(seal_of(&of_run)).display()
        )),
        "{said}"
    );
    let mode = fs::metadata(work.path(&seal_of(&of_run))).expect("a seal").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let found = work.read("seal.env");
    assert!(found.contains("SLACK_REVOKE_MANIFEST_SHA256=") && !found.contains(TOKEN), "{found}");
    assert!(!found.contains("SLACK_REVOKE_SEAL_COMMAND"), "{found}");

    let step = |words: &[&str]| {
        let program = work.program(words.iter().copied()).token(TOKEN).env("SLACK_REVOKE_API_URL", &server.url());
        program.env("SLACK_REVOKE_SEAL_COMMAND", ECHO).exits(0).stderr()
    };
    step(&["verify", RESULTS]);
    let of_verify = digest(&work);
    step(&["report", RESULTS]);
    let of_report = digest(&work);
    assert_eq!(seals(&work).len(), 3);
    // The variable is no wish to seal a check.
    let checked = work.program(["report", RESULTS, "--check"]).env("SLACK_REVOKE_SEAL_COMMAND", "touch here").exits(0);
    let said = checked.stdout();
    assert!(!work.exists("here"));
    for (sha256, of) in
        [(&of_run, "before verify at"), (&of_verify, "before report at"), (&of_report, "as it is; not verified here")]
    {
        assert!(said.contains(&format!("seal       {}: of the manifest {of}", seal_of(sha256))), "{of}: {said}");
    }
    work.program(["report", RESULTS, "--check", "--seal-command", "true"]).exits(2);

    // A step that isn't sealed, and an older manifest that was put back.
    let newest = work.read(MANIFEST);
    work.program(["report", RESULTS]).exits(0);
    let said = work.program(["report", RESULTS, "--check"]).exits(0).stdout();
    assert!(said.contains("seal       none of the manifest as it is"), "{said}");
    work.write(&seal_of(&digest(&work)), "by hand");
    work.write(MANIFEST, newest);
    let said = work.program(["report", RESULTS, "--check"]).exits(1).stdout();
    assert!(said.contains("of a manifest that isn't in the history of this one"), "{said}");
}

#[test]
fn a_seal_that_fails_is_reported_and_changes_no_exit_code() {
    let (work, server) = prepared();
    run(&work, &server).exits(0);
    for (command, want) in [
        ("echo half a seal; exit 9", "failed (exit status: 9)"),
        ("true", "wrote nothing to standard output"),
        ("yes", "wrote more than a MiB"),
        ("echo >> \"$SLACK_REVOKE_MANIFEST\"; echo seal", "the manifest changed meanwhile"),
    ] {
        let manifest = work.read(MANIFEST);
        let said = work.program(["report", RESULTS, "-q", "--seal-command", command]).exits(0).stderr();
        assert!(said.contains("--seal-command ") && said.contains(want), "{command}: {said}");
        assert!(said.contains("the manifest has no seal"), "{said}");
        assert_eq!(seals(&work), [""; 0]);
        work.write(MANIFEST, manifest);
    }
    fs::remove_file(work.path(MANIFEST)).expect("a manifest");
    let said = work.program(["report", RESULTS, "-q", "--seal-command", ECHO]).exits(0).stderr();
    assert!(said.contains("--seal-command wasn't run, because no manifest was written"), "{said}");
    let said = run(&work, &server).args(["-o", "t.csv", "-q", "--seal-command", "exit 1"]).exits(0).stderr();
    assert!(said.contains("--seal-command failed"), "{said}");
    // Neither a plan nor a run that is refused is sealed.
    let seal = ["--seal-command", "touch here"];
    work.program(["plan", "s.csv", "-o", "u.csv"]).args(seal).exits(0);
    run(&work, &server).args(["-o", "t.csv"]).args(seal).exits(2);
    assert!(!work.exists("here"));
}

#[test]
fn a_run_is_sealed_after_the_first_signal_but_not_after_the_second() {
    for signals in [1, 2] {
        let latency = Latency::Fixed(Duration::from_millis(400));
        let (work, server) = (Workdir::new(), start(StandInConfig { latency, ..config(sessions(1_000, 100)) }));
        work.write("s.csv", rows(1_000, 100));
        let program = run(&work, &server).args(["-j", "1", "--events", "events", "--seal-command", ECHO]);
        let mut running = program.start();
        until(&mut running, || in_flight(&server) > 0);
        running.signal(Signal::INT);
        if signals == 2 {
            until(&mut running, || work.read("events").contains(r#""type":"stopping""#));
            running.signal(Signal::INT);
        }
        assert_eq!(running.wait().code(), Some(130));
        assert_eq!(seals(&work).len(), 2 - signals);
    }
}

#[test]
fn seals_go_with_the_run_that_is_archived_and_those_of_a_rehearsal_are_replaced() {
    let (work, server) = prepared();
    run(&work, &server).args(["--resume-or-start", "--seal-command", ECHO]).exits(0);
    let first = digest(&work);
    work.write("s.csv", rows(1_000, 3));
    run(&work, &server).args(["--resume-or-start", "--seal-command", ECHO]).exits(0);
    assert_eq!(seals(&work).len(), 2);
    assert!(work.exists(&seal_of(&digest(&work))) && !work.exists(&seal_of(&first)));
    let archived = seals(&work).into_iter().find(|name| name.contains(&first)).expect("the first seal");
    let results = archived.replace(&format!(".manifest.json.{first}.seal"), "");
    let said = work.program(["report", &results, "--check"]).exits(0).stdout();
    assert!(said.contains(&format!("{archived}: of the manifest as it is")), "{said}");

    let work = Workdir::new();
    work.sample("sessions.csv");
    for _ in 0..2 {
        work.program(["run", "sessions.csv", "--rehearse", "--seal-command", ECHO]).exits(0);
        assert_eq!(seals(&work).len(), 1, "{:?}", work.names());
    }
    work.program(["report", "sessions.rehearsal.csv", "--check"]).exits(0);
}

#[test]
fn an_ssh_key_signs_and_verifies_every_step() {
    if !has("ssh-keygen") {
        return;
    }
    let (work, server) = prepared();
    assert!(sh(
        &work,
        "ssh-keygen -q -t ed25519 -N '' -C dana -f key && printf 'dana@example.com %s\\n' \"$(cat key.pub)\" > signers"
    ));
    let sealing = |program: Program| program.env("SLACK_REVOKE_SEAL_COMMAND", &sample("ssh")).env("SEAL_KEY", "key");
    let mut digests = Vec::new();
    sealing(run(&work, &server)).exits(0);
    digests.push(digest(&work));
    sealing(work.program(["verify", RESULTS, "--api-url", &server.url()]).token(TOKEN)).exits(0);
    digests.push(digest(&work));
    sealing(work.program(["report", RESULTS])).exits(0);
    digests.push(digest(&work));
    let verifies = |text: &str, seal: &str| {
        let verify = "ssh-keygen -Y verify -f signers -I dana@example.com -n slack-revoke -s";
        sh(&work, &format!("{text} | {verify} {seal}"))
    };
    // As the sample says, and for the earlier ones with the digests that the manifest has of them.
    assert!(verifies(&format!("sha256sum <{MANIFEST} | cut -d ' ' -f 1"), &seal_of(&digests[2])));
    let history = work.json(MANIFEST)["history"].clone();
    for (step, sha256) in digests[..2].iter().enumerate() {
        assert_eq!(history[step + 1]["previous_sha256"], serde_json::json!(sha256));
        assert!(verifies(&format!("echo {sha256}"), &seal_of(sha256)));
    }
    // A manifest that was changed, and another key.
    work.write(MANIFEST, work.read(MANIFEST).replacen("\"revoked\": 10", "\"revoked\": 9", 1));
    assert!(!verifies(&format!("sha256sum <{MANIFEST} | cut -d ' ' -f 1"), &seal_of(&digests[2])));
    assert!(sh(&work, "rm key key.pub && ssh-keygen -q -t ed25519 -N '' -C eve -f key"));
    sealing(run(&work, &server).args(["-o", "t.csv"])).exits(0);
    let other = seals(&work).into_iter().find(|name| name.starts_with("t.csv")).expect("a seal");
    assert!(!verifies("sha256sum <t.csv.manifest.json | cut -d ' ' -f 1", &other));
    // Without a key there is no seal.
    let said = sealing(run(&work, &server).args(["-o", "u.csv", "-q"])).env("SEAL_KEY", "none").exits(0).stderr();
    assert!(said.contains("--seal-command failed"), "{said}");
}

/// The authority is openssl itself: what the sample sends with curl is answered by `ts -reply`.
const AUTHORITY: &str = r#"
set -eu
cat > ca.cnf <<'END'
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:true
[usage]
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = authority
[authority]
serial = ./serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
END
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=root -days 2 -config ca.cnf -extensions ca
openssl req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj /CN=tsa -config ca.cnf
openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out tsa.pem -days 2 -extfile ca.cnf -extensions usage
mkdir bin
cat > bin/curl <<'END'
#!/bin/sh
set -eu
for word; do
    case $word in
        @*) query=${word#@} ;;
        */seal) answer=$word ;;
        https://*) url=$word ;;
    esac
done
[ "$url" = https://tsa.example/tsr ]
if [ -e refuses ]; then printf '[tsa]\ndefault_tsa = a\n[a]\nserial = ./serial\ndigests = sha512\ndefault_policy = 1.2.3.4.1\n' > refuse.cnf; fi
openssl ts -reply -config "$([ -e refuses ] && echo refuse.cnf || echo ca.cnf)" -queryfile "$query" -signer tsa.pem -inkey tsa.key -out "$answer"
END
chmod +x bin/curl
"#;

#[test]
fn a_timestamp_authority_states_when_a_run_ended() {
    if !has("openssl") {
        return;
    }
    let (work, server) = prepared();
    assert!(sh(&work, AUTHORITY), "the authority is set up");
    let path = std::env::var("PATH").expect("a path");
    let path = format!("{}:{path}", work.path("bin").display());
    let sealing = |program: Program| {
        let program = program.env("SLACK_REVOKE_SEAL_COMMAND", &sample("timestamp"));
        program.env("PATH", &path).env("SEAL_TSA", "https://tsa.example/tsr")
    };
    let said = sealing(run(&work, &server)).exits(0).stderr();
    assert_eq!(seals(&work), [seal_of(&digest(&work))], "{said}");
    let verifies = |digest: &str| {
        sh(&work, &format!("openssl ts -verify -digest {digest} -in {} -CAfile ca.pem", seals(&work)[0]))
    };
    assert!(verifies(&digest(&work)));
    assert!(!verifies(&"0a".repeat(32)));
    work.write("refuses", "");
    let said = sealing(run(&work, &server).args(["-o", "t.csv", "-q"])).exits(0).stderr();
    assert!(said.contains("--seal-command failed") && seals(&work).len() == 1, "{said}");
}

/// The samples can be started as they are, and say how to verify what they make.
#[test]
fn the_samples_are_programs() {
    for name in ["ssh", "timestamp"] {
        let path = PathBuf::from(sample(name));
        let mode = fs::metadata(&path).expect("a sample").permissions();
        assert_eq!(mode.mode() & 0o111, Permissions::from_mode(0o111).mode(), "{name}");
        let text = fs::read_to_string(path).expect("a sample");
        assert!(text.contains("verify") && text.contains("SLACK_REVOKE_MANIFEST_SHA256"), "{name}");
    }
}
