//! `--seal-command`: runs a command that signs or timestamps the final manifest, and keeps its output next to it.

use super::hook::{Hook, HookOutput, path_variable};
use super::waiting;
use crate::cli::SealArgs;
use crate::engine::ports::Control;
use crate::error::RunError;
use crate::files::fingerprint;
use crate::ledger::seal_files;
use crate::output::{Console, clean};
use std::path::{Path, PathBuf};

/// Seals the manifest with this digest. Errors are logged, also with `-q`, because the evidence is weaker; they don't
/// change the exit code.
pub async fn seal(command: &str, manifest: &Path, sha256: Option<&str>, signals: &mut impl Control, console: &Console) {
    let sealed = match sha256 {
        Some(sha256) => sealed(command, manifest, sha256, signals).await,
        None => Err("wasn't run, because no manifest was written".into()),
    };
    match sealed {
        Ok(path) => console.note(&format!("seal       {}", clean(&path.to_string_lossy()))),
        Err(trouble) => {
            tracing::error!("--seal-command {trouble}; the manifest has no seal, and the exit code stays as it is");
        }
    }
}

/// As [`seal`], for a command that doesn't handle signals itself.
///
/// # Errors
/// If signals can't be handled.
pub fn seal_now(typed: &SealArgs, manifest: &Path, sha256: Option<&str>, console: &Console) -> Result<(), RunError> {
    let Some(command) = &typed.seal_command else { return Ok(()) };
    waiting::block_on(async {
        let mut signals = waiting::signals()?;
        seal(command, manifest, sha256, &mut signals, console).await;
        Ok(())
    })
}

async fn sealed(command: &str, manifest: &Path, sha256: &str, signals: &mut impl Control) -> Result<PathBuf, String> {
    let variables =
        vec![("SLACK_REVOKE_MANIFEST", path_variable(manifest)), ("SLACK_REVOKE_MANIFEST_SHA256", sha256.into())];
    let hook = Hook { command, flag_variable: "SLACK_REVOKE_SEAL_COMMAND", variables, output: HookOutput::Kept };
    let seal = hook.run(signals).await?;
    if seal.is_empty() {
        return Err("wrote nothing to standard output".into());
    }
    let now = fingerprint(manifest).map_err(|error| format!("can't be relied on: {error}"))?;
    if now.sha256 != sha256 {
        return Err("can't be relied on: the manifest changed meanwhile".into());
    }
    seal_files::write(manifest, sha256, &seal).map_err(|error| format!("has a seal that can't be kept: {error}"))
}
