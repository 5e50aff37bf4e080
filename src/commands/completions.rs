//! `completions SHELL`: the only `clap_complete`.

use crate::cli::{self, Shell};
use std::io::{self, Write};

/// # Errors
/// If `out` can't be written.
pub fn write(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Elvish => clap_complete::Shell::Elvish,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::PowerShell => clap_complete::Shell::PowerShell,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    // The generator panics if its writer fails, as a closed pipe does.
    let (mut command, mut script) = (cli::command(), Vec::new());
    clap_complete::generate(generator, &mut command, NAME, &mut script);
    let script = String::from_utf8(script).map_err(io::Error::other)?;
    let script = match shell {
        Shell::Bash => for_bash(&script),
        Shell::Fish => script + &arguments_for_fish(&command),
        Shell::Elvish | Shell::PowerShell | Shell::Zsh => script,
    };
    out.write_all(script.as_bytes())
}

const NAME: &str = "slack-revoke";

/// Corrects the script of the generator for bash:
///
/// * If the program's name has a hyphen, states are set under one name and matched under another, so nothing is completed after
///   a command: <https://github.com/clap-rs/clap/issues/6421>.
/// * File names are split at spaces. If the script offers nothing, bash completes and quotes them itself.
/// * Flags are offered in place of file arguments. They should only be offered once a dash is typed.
fn for_bash(script: &str) -> String {
    let script = script.replace("slack__subcmd__revoke", "slack__revoke");
    let script = script.replace(r#"COMPREPLY=($(compgen -f "${cur}"))"#, "COMPREPLY=()");
    let (all, words) = (r#"compgen -W "${opts}" --"#, r#"compgen -W "${opts}" -X '-*' --"#);
    let mut after_dash = false;
    let mut corrected = |line: &str| {
        let on_dash = line.split_once(" || ${COMP_CWORD} -eq ").map(|(on_dash, _)| format!("{on_dash} ]] ; then\n"));
        let offers_flags = std::mem::replace(&mut after_dash, on_dash.is_some());
        on_dash.unwrap_or_else(|| if offers_flags { format!("{line}\n") } else { line.replace(all, words) + "\n" })
    };
    script.lines().map(&mut corrected).collect()
}

/// The possible values of positional arguments, which the generator for fish leaves out.
fn arguments_for_fish(command: &clap::Command) -> String {
    let line = |known: &clap::Command| {
        let values = known.get_positionals().flat_map(clap::Arg::get_possible_values);
        let words: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        let (name, words) = (known.get_name(), words.join(" "));
        let is_of_it = format!("__fish_slack_revoke_using_subcommand {name}");
        (!words.is_empty()).then(|| format!("complete -c {NAME} -n \"{is_of_it}\" -f -a \"{words}\"\n"))
    };
    command.get_subcommands().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_flags() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let mut script = Vec::new();
            write(shell, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("max-retry-after") && script.contains("slack-revoke"), "{shell:?}");
        }
    }

    #[test]
    fn bash_matches_every_state_that_it_sets() {
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

    /// The completions that bash gets for each of these lines; empty if bash completes file names itself.
    #[test]
    fn bash_completes_arguments_and_leaves_files_to_itself() {
        let mut script = Vec::new();
        write(Shell::Bash, &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("complete -F _slack__revoke -o nosort -o bashdefault -o default slack-revoke"));
        for (words, want) in [
            ("'pl'", "plan"),
            ("completions ''", "bash elvish fish powershell zsh"),
            ("completions 'f'", "fish"),
            ("man 'ver'", "verify"),
            ("help 'ver'", "verify"),
            ("run ''", ""),
            ("run 'my l'", ""),
            ("run --yes ''", ""),
            ("run --output 'my l'", ""),
            ("run -o ''", ""),
            ("run --rate ''", ""),
            ("run --dr", "--dry-run"),
            ("run --bucket 'o'", "org"),
            ("report --eve", "--events"),
        ] {
            let test = format!(
                "{script}\nCOMP_WORDS=(slack-revoke {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
                 _slack__revoke slack-revoke \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[*]}}\""
            );
            let offered = std::process::Command::new("bash").args(["--norc", "-c", &test]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&offered.stdout).trim(), want, "{words}");
        }
    }

    #[test]
    fn fish_completes_arguments() {
        let mut script = Vec::new();
        write(Shell::Fish, &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        for line in [
            r#"using_subcommand completions" -f -a "bash elvish fish powershell zsh""#,
            r#"using_subcommand man" -f -a "run plan "#,
        ] {
            assert!(script.contains(line), "{line}");
        }
    }

    #[test]
    fn a_failed_write_is_an_error_not_a_panic() {
        assert!(write(Shell::Bash, &mut [0; 16].as_mut_slice()).is_err());
    }
}
