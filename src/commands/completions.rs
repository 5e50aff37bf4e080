//! `completions SHELL`: the only `clap_complete`.

use crate::cli::{self, Shell};
use std::io::{self, Write};

/// Writes the completions of a shell.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Elvish => clap_complete::Shell::Elvish,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::PowerShell => clap_complete::Shell::PowerShell,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    // The generator panics where its writer fails, as a closed pipe does.
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut cli::command(), "slack-revoke", &mut script);
    let script = String::from_utf8(script).map_err(io::Error::other)?;
    out.write_all(agreeing(&script).as_bytes())
}

/// For a program with a hyphen in its name, the script for bash goes to states by one name and has them under another, and
/// completes nothing behind a command: <https://github.com/clap-rs/clap/issues/6421>.
fn agreeing(script: &str) -> String {
    script.replace("slack__subcmd__revoke", "slack__revoke")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_told_of_a_flag() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let mut script = Vec::new();
            write(shell, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("max-retry-after") && script.contains("slack-revoke"), "{shell:?}");
        }
    }

    #[test]
    fn bash_has_every_state_that_it_goes_to() {
        let mut script = Vec::new();
        write(Shell::Bash, &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        let states: Vec<&str> = script.split("cmd=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(states.contains(&"slack__revoke__subcmd__run"), "{states:?}");
        for state in states.into_iter().filter(|state| !state.is_empty()) {
            let arm = format!("\n        {state})\n");
            assert!(script.contains(&arm), "{state} is nowhere");
        }
    }

    #[test]
    fn a_writer_that_fails_is_an_error_and_no_panic() {
        assert!(write(Shell::Bash, &mut [0; 16].as_mut_slice()).is_err());
    }
}
