use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const A_MINUTE: Duration = Duration::from_mins(1);

const GOOD: &str = "xoxp-1-secret";

fn file(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn by_file(path: &Path) -> TokenChoice {
    TokenChoice { file: Some(path.into()), command: None }
}

fn by_command(command: &str) -> TokenChoice {
    TokenChoice { file: None, command: Some(command.into()) }
}

fn no_env(_: &str) -> Option<OsString> {
    None
}

fn env_token(text: &'static str) -> impl Fn(&str) -> Option<OsString> {
    move |name| (name == "SLACK_TOKEN").then(|| text.into())
}

#[test]
fn the_sources_have_an_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "token", "xoxp-file", 0o600);
    file(folder.path(), CREDENTIAL, "xoxp-credential\n", 0o444);
    let credentials = folder.path().as_os_str().to_owned();
    let with_credential = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| credentials.clone());
    let both = |name: &str| env_token("xoxp-env")(name).or_else(|| with_credential(name));
    let ask = || Ok(SecretString::from("xoxp-typed"));
    let nothing = TokenChoice::default();
    for (token, want) in [
        (resolve(&by_file(&path), &both, Some(&ask)), "xoxp-file"),
        (resolve(&by_command("echo xoxp-command"), &both, Some(&ask)), "xoxp-command"),
        (resolve(&nothing, &both, Some(&ask)), "xoxp-env"),
        (resolve(&nothing, &with_credential, Some(&ask)), "xoxp-credential"),
        (resolve(&nothing, &no_env, Some(&ask)), "xoxp-typed"),
    ] {
        assert_eq!(token.unwrap().secret.expose_secret(), want);
    }
    assert!(matches!(resolve(&nothing, &no_env, None), Err(TokenError::Missing)));
    let other = |name: &str| (name == "SLACK_API_TOKEN").then(|| "xoxp-1".into());
    assert_eq!((unread_variable(&other), unread_variable(&no_env)), (Some("SLACK_API_TOKEN"), None));
    let two = TokenChoice { command: Some("true".into()), ..by_file(&path) };
    assert!(matches!(resolve(&two, &no_env, None), Err(TokenError::TwoSources)));
}

#[test]
fn only_user_tokens_are_taken_and_no_error_shows_a_token() {
    for text in ["xoxp-1", "xoxe.xoxp-1-Mi0yLTE", "  xoxp-1\r\n\n"] {
        assert_eq!(resolve_env(text).unwrap().secret.expose_secret(), text.trim());
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
        ("Bearer-xoxp-secret", "does not look like"),
        ("\"xoxp-secret\"", "in quotes"),
        ("'xoxp-secret'", "in quotes"),
        ("\u{201c}xoxp-secret\u{201d}", "typographic quotes"),
        ("Bearer xoxp-secret", "the word Bearer"),
        ("Authorization: Bearer xoxp-secret", "Authorization header"),
        ("SLACK_TOKEN=xoxp-secret", "SLACK_TOKEN= precedes"),
        ("export SLACK_TOKEN=xoxp-secret", "SLACK_TOKEN= precedes"),
        ("secret", "does not look like"),
    ] {
        let error = resolve_env(text).unwrap_err();
        assert!(error.to_string().contains(words), "{text:?}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("SLACK_TOKEN"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("sécret"), "{shown}");
    }
}

fn resolve_env(text: &'static str) -> Result<Token, TokenError> {
    resolve(&TokenChoice::default(), &env_token(text), None)
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o640, 0o604, 0o620, 0o601, 0o666, 0o777] {
        let path = file(folder.path(), "token", GOOD, mode);
        let error = resolve(&by_file(&path), &no_env, None).unwrap_err();
        assert!(matches!(error, TokenError::Exposed { mode: found, .. } if found == mode), "{mode:o}: {error}");
    }
    for mode in [0o600, 0o400, 0o700] {
        let path = file(folder.path(), "token", GOOD, mode);
        assert_eq!(resolve(&by_file(&path), &no_env, None).unwrap().secret.expose_secret(), GOOD);
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
    assert_eq!(resolve(&by_file(&path), &no_env, None).unwrap().secret.expose_secret(), "xoxp-piped");
    writer.join().unwrap().unwrap();
}

#[test]
fn what_cannot_be_read_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for path in [missing.as_path(), folder.path()] {
        let error = resolve(&by_file(path), &no_env, None).unwrap_err();
        assert!(matches!(error, TokenError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
    let long = file(folder.path(), "long", &"x".repeat(20_000), 0o600);
    assert!(matches!(resolve(&by_file(&long), &no_env, None), Err(TokenError::Malformed { .. })));
    let closed = || Err(io::Error::other("no terminal"));
    let error = resolve(&TokenChoice::default(), &no_env, Some(&closed)).unwrap_err();
    assert_eq!(error.to_string(), "the prompt cannot be read: no terminal");
}

#[test]
fn a_command_fails_by_its_exit_code_and_never_reads_standard_input() {
    let said = |command: &str| resolve(&by_command(command), &no_env, None);
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
    assert_eq!(error.to_string(), "--token-command brought no token within 1 s");
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
    let token = resolve(&by_file(&path), &no_env, None).unwrap();
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
    let token = resolve(&by_command("echo xoxp-secret"), &no_env, None).unwrap();
    let choice = by_command("echo xoxp-secret");
    let shown = format!("{token:?} {:?} {} {choice:?}", token.source(), token.source());
    assert!(!shown.contains("secret"), "{shown}");
    assert!(shown.contains("--token-command"), "{shown}");
}
