use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const A_MINUTE: Duration = Duration::from_mins(1);

const GOOD: &str = "xoxp-1-secret";

fn file(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn read(source: &TokenSource) -> Result<Token, TokenError> {
    Token::read(source, &no_env, &|| Err(io::Error::other("no terminal")))
}

fn by_file(path: &Path) -> TokenSource {
    TokenSource::File(path.into())
}

fn by_command(command: &str) -> TokenSource {
    TokenSource::Command(command.into())
}

fn no_env(_: &str) -> Option<OsString> {
    None
}

fn env_token(text: &'static str) -> impl Fn(&str) -> Option<OsString> {
    move |name| (name == "SLACK_TOKEN").then(|| text.into())
}

#[test]
fn every_source_gives_its_own_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "token", "xoxp-file", 0o600);
    let credential = file(folder.path(), "slack-token", "xoxp-credential\n", 0o444);
    let ask = || Ok(SecretString::from("xoxp-typed"));
    for (source, want) in [
        (by_file(&path), "xoxp-file"),
        (by_command("echo xoxp-command"), "xoxp-command"),
        (TokenSource::Env, "xoxp-env"),
        (TokenSource::Credential(credential), "xoxp-credential"),
        (TokenSource::Prompt, "xoxp-typed"),
    ] {
        let token = Token::read(&source, &env_token("xoxp-env"), &ask);
        assert_eq!(token.unwrap().secret.expose_secret(), want);
    }
    let other = |name: &str| (name == "SLACK_API_TOKEN").then(|| "xoxp-1".into());
    assert_eq!((unread_variable(&other), unread_variable(&no_env)), (Some("SLACK_API_TOKEN"), None));
}

#[test]
fn only_user_tokens_are_taken_and_no_error_shows_a_token() {
    for text in ["xoxp-1", "xoxe.xoxp-1-Mi0yLTE", "  xoxp-1\r\n\n"] {
        assert_eq!(read_env(text).unwrap().secret.expose_secret(), text.trim());
    }
    for (text, words) in [
        ("", "empty"),
        (" \n", "empty"),
        ("xoxp-secret more", "blanks"),
        ("xoxp-sec\nret", "blanks"),
        ("xoxp-sécret", "ASCII"),
        ("xoxp-sec\u{7}ret", "ASCII"),
        ("xoxb-secret", "a bot can never have the user scope admin.users:write"),
        ("xoxe.xoxb-1-secret", "bot"),
        ("xoxe-1-secret", "refresh token"),
        ("xapp-1-secret", "app-level"),
        ("xoxa-2-secret", "workspace token"),
        ("xoxc-secret", "browser session"),
        ("xoxd-secret", "cookie"),
        ("xoxs-secret", "a kind of Slack token"),
        ("xoxp-", "a kind of Slack token"),
        ("Bearer-xoxp-secret", "doesn't look like"),
        ("\"xoxp-secret\"", "in quotes"),
        ("'xoxp-secret'", "in quotes"),
        ("\u{201c}xoxp-secret\u{201d}", "typographic quotes"),
        ("Bearer xoxp-secret", "the word Bearer"),
        ("Authorization: Bearer xoxp-secret", "Authorization header"),
        ("SLACK_TOKEN=xoxp-secret", "SLACK_TOKEN="),
        ("export SLACK_TOKEN=xoxp-secret", "SLACK_TOKEN="),
        ("secret", "doesn't look like"),
    ] {
        let error = read_env(text).unwrap_err();
        assert!(error.to_string().contains(words), "{text:?}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("SLACK_TOKEN"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("sécret"), "{shown}");
    }
}

fn read_env(text: &'static str) -> Result<Token, TokenError> {
    Token::read(&TokenSource::Env, &env_token(text), &|| Err(io::Error::other("no terminal")))
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o640, 0o604, 0o620, 0o601, 0o666, 0o777] {
        let path = file(folder.path(), "token", GOOD, mode);
        let error = read(&by_file(&path)).unwrap_err();
        assert!(matches!(error, TokenError::Exposed { mode: found, .. } if found == mode), "{mode:o}: {error}");
    }
    for mode in [0o600, 0o400, 0o700] {
        let path = file(folder.path(), "token", GOOD, mode);
        assert_eq!(read(&by_file(&path)).unwrap().secret.expose_secret(), GOOD);
    }
}

#[test]
fn a_pipe_is_read_whatever_its_mode() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    let pipe = path.clone();
    let writer = std::thread::spawn(move || fs::write(pipe, "xoxp-piped\n"));
    assert_eq!(read(&by_file(&path)).unwrap().secret.expose_secret(), "xoxp-piped");
    writer.join().unwrap().unwrap();
}

#[test]
fn what_cannot_be_read_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for path in [missing.as_path(), folder.path()] {
        let error = read(&by_file(path)).unwrap_err();
        assert!(matches!(error, TokenError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
    let long = file(folder.path(), "long", &"x".repeat(20_000), 0o600);
    assert!(matches!(read(&by_file(&long)), Err(TokenError::Malformed { .. })));
    let error = read(&TokenSource::Prompt).unwrap_err();
    assert_eq!(error.to_string(), "the prompt can't be read: no terminal");
}

#[test]
fn a_command_fails_by_its_exit_code_and_never_reads_standard_input() {
    let said = |command: &str| read(&by_command(command));
    assert_eq!(said("cat; printf 'xoxp-a\\n'").unwrap().secret.expose_secret(), "xoxp-a");
    for command in ["echo xoxp-secret; exit 3", "command-that-does-not-exist-anywhere 2>/dev/null"] {
        let error = said(command).unwrap_err();
        assert!(matches!(error, TokenError::CommandFailed { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
    assert!(matches!(said("true"), Err(TokenError::Empty { .. })));
    assert!(matches!(said("yes xoxp-a"), Err(TokenError::Malformed { .. })));
}

#[test]
fn a_command_that_hangs_is_killed_with_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let (pid, source) = (folder.path().join("pid"), |command: String| TokenSource::Command(command));
    let hangs = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display());
    let error = Token::read_again(&source(hangs), Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.to_string(), "--token-command printed no token within 1s");
    // Without a terminal, the whole group: what was started in the background is gone, or about to be.
    if fs::File::open("/dev/tty").is_err() {
        let started = fs::read_to_string(&pid).unwrap();
        let status = PathBuf::from(format!("/proc/{}/stat", started.trim()));
        let is_alive = || fs::read_to_string(&status).is_ok_and(|text| !text.contains(") Z "));
        while is_alive() {
            std::thread::yield_now();
        }
    }
}

#[test]
fn only_files_and_commands_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "token", "xoxp-old", 0o600);
    let token = read(&by_file(&path)).unwrap();
    fs::write(&path, "xoxp-new").unwrap();
    assert_eq!(Token::read_again(token.source(), A_MINUTE).unwrap().unwrap().secret.expose_secret(), "xoxp-new");
    assert!(Token::read_again(&TokenSource::Env, A_MINUTE).unwrap().is_none());
    assert!(Token::read_again(&TokenSource::Prompt, A_MINUTE).unwrap().is_none());
    assert!(Token::read_again(&TokenSource::Credential(path), A_MINUTE).unwrap().is_none());
    assert!(Token::read_again(&TokenSource::Command("exit 1".into()), A_MINUTE).is_err());
    for source in [TokenSource::Env, TokenSource::File("x".into()), TokenSource::Command("x".into())] {
        assert_eq!(source.is_renewable(), source != TokenSource::Env);
    }
}

#[test]
fn nothing_shows_the_token_or_the_command() {
    let token = read(&by_command("echo xoxp-secret")).unwrap();
    let choice = by_command("echo xoxp-secret");
    let shown = format!("{token:?} {:?} {} {choice:?}", token.source(), token.source());
    assert!(!shown.contains("secret"), "{shown}");
    assert!(shown.contains("--token-command"), "{shown}");
}
