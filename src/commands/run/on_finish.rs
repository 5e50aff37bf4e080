//! `--on-finish`: runs a command after the run.

use super::finish::FinishedRun;
use crate::cli::Mode;
use crate::commands::hook::{Hook, HookOutput, path_variable};
use crate::engine::ports::Control;
use std::ffi::OsString;

/// The environment of the command. No name is that of a flag's variable.
pub(super) fn variables(mode: Mode, run: &FinishedRun) -> Vec<(&'static str, OsString)> {
    let mode = match mode {
        Mode::Run | Mode::Plan => "run",
        Mode::Rehearsal => "rehearsal",
    };
    let mut variables: Vec<(&str, OsString)> = vec![
        ("SLACK_REVOKE_EXIT_CODE", run.exit.code().to_string().into()),
        ("SLACK_REVOKE_STATUS", run.exit.word().into()),
        ("SLACK_REVOKE_MODE", mode.into()),
        ("SLACK_REVOKE_RUN_ID", run.run_id.clone().into()),
        ("SLACK_REVOKE_RESULTS", path_variable(&run.results)),
        ("SLACK_REVOKE_MANIFEST", path_variable(&run.manifest)),
    ];
    variables.extend(run.manifest_sha256.as_ref().map(|sha256| ("SLACK_REVOKE_MANIFEST_SHA256", sha256.into())));
    variables.extend(run.summary.as_ref().map(|summary| ("SLACK_REVOKE_SUMMARY", path_variable(summary))));
    variables
}

/// Runs `command`. Errors are logged, also with `-q`, and don't change the exit code.
pub(super) async fn run(command: &str, variables: Vec<(&'static str, OsString)>, signals: &mut impl Control) {
    let hook = Hook { command, flag_variable: "SLACK_REVOKE_ON_FINISH", variables, output: HookOutput::Shown };
    if let Err(trouble) = hook.run(signals).await {
        tracing::error!("--on-finish {trouble}; the exit code stays that of the run");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;
    use std::collections::BTreeSet;

    #[test]
    fn no_variable_of_it_is_a_flags() {
        let mut command = cli::command();
        command.build();
        let all = command.get_subcommands().flat_map(clap::Command::get_arguments);
        let flags: BTreeSet<_> = all.filter_map(|flag| flag.get_env()?.to_str()).collect();
        assert!(flags.len() > 30 && flags.contains("SLACK_REVOKE_SUMMARY_JSON"), "{flags:?}");
        let (exit, run_id) = (crate::model::ExitStatus::Stopped, "one".to_owned());
        let (summary, manifest_sha256) = (Some("s.json".into()), Some("0a".into()));
        let run =
            FinishedRun { exit, run_id, results: "r.csv".into(), summary, manifest: "m.json".into(), manifest_sha256 };
        let variables = variables(Mode::Rehearsal, &run);
        assert_eq!(variables.len(), 8);
        for (name, _) in &variables {
            assert!(!flags.contains(name), "{name}");
        }
        for want in [("EXIT_CODE", "3"), ("STATUS", "stopped"), ("MODE", "rehearsal")] {
            let name = format!("SLACK_REVOKE_{}", want.0);
            assert!(variables.iter().any(|(known, value)| *known == name && value == want.1), "{want:?}");
        }
    }
}
