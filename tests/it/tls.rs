//! Real TLS on the loopback address. A certificate that will not do ends the run before the token is sent.

use crate::harness::certificate::{authority, expired, named, server_config, showing};
use crate::harness::{Proxy, TOKEN, Workdir, config, rows, sessions, start};
use rcgen::KeyPair;
use rustls::ServerConfig;

/// Runs one row against that server; `trusted` is the PEM of the roots that the program knows.
fn meets(tls: ServerConfig, trusted: &str, code: i32) -> (Workdir, Proxy, String) {
    let (work, server) = (Workdir::new(), start(config(sessions(1_000, 3))));
    work.write("sessions.csv", rows(1_000, 3));
    let roots = work.write("roots.pem", trusted);
    let proxy = Proxy::encrypted(server.address(), tls);
    let finished = work
        .program(["run", "sessions.csv", "--yes", "--retries", "0"])
        .args(["--api-url", &format!("https://localhost:{}/api/", proxy.port())])
        .token(TOKEN)
        .env("SSL_CERT_FILE", roots.to_str().unwrap())
        .env("SSL_CERT_DIR", work.root().join("none").to_str().unwrap())
        .exits(code);
    assert_eq!(server.live_sessions().is_empty(), code == 0);
    (work, proxy, finished.stderr())
}

/// No HTTP at all came over the connection, no row has ended, and the last lines say why.
#[track_caller]
fn is_refused(tls: ServerConfig, trusted: &str, words: &str) {
    let (work, proxy, stderr) = meets(tls, trusted, 5);
    assert!(proxy.connections() > 0, "the program tried");
    assert_eq!(proxy.heads(), Vec::<String>::new(), "and sent nothing");
    assert!(work.results("sessions.results.csv").records.is_empty());
    assert_eq!(work.read("sessions.results.remaining.csv"), work.read("sessions.csv"));
    assert!(stderr.contains("certificate") && stderr.contains(words), "{stderr}");
}

#[test]
fn a_valid_certificate_is_accepted() {
    let authority = authority("Known");
    let (work, proxy, _) = meets(server_config(&named("localhost"), &authority), &authority.pem(), 0);
    assert_eq!(work.results("sessions.results.csv").count("revoked"), 3);
    assert_eq!(proxy.tampered(), 3);
    assert!(proxy.heads().iter().all(|head| head.contains(TOKEN)));
}

#[test]
fn an_unknown_authority_is_refused() {
    is_refused(server_config(&named("localhost"), &authority("Unknown")), &authority("Known").pem(), "UnknownIssuer");
}

#[test]
fn a_self_signed_certificate_is_refused() {
    let key = KeyPair::generate().unwrap();
    let certificate = named("localhost").self_signed(&key).unwrap().der().clone();
    is_refused(showing(certificate, &key), &authority("Known").pem(), "UnknownIssuer");
}

#[test]
fn a_certificate_of_another_name_is_refused() {
    let authority = authority("Known");
    is_refused(server_config(&named("slack.com.example"), &authority), &authority.pem(), "not valid for name");
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = authority("Known");
    is_refused(server_config(&expired(), &authority), &authority.pem(), "expired");
}
