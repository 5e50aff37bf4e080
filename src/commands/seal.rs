//! `--seal-command`: a signature or a timestamp of the final manifest, made by somebody else's command and kept beside it.

use super::hook::{Hook, HookOutput, path_variable};
use super::waiting;
use crate::cli::SealArgs;
use crate::engine::ports::Control;
use crate::error::RunError;
use crate::files::fingerprint;
use crate::ledger::seal_files;
use crate::output::{Console, clean};
use std::path::{Path, PathBuf};

/// Has the manifest with this digest sealed. What goes wrong is logged, also under `-q`: the evidence is weaker, and what was done
/// stays done.
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

/// As [`seal`], for a command without signals of its own.
///
/// # Errors
/// If signals can't be listened for.
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
