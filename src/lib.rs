//! `slack-revoke`: a CSV of sessions in, every one of them revoked, one record per row out.
//!
//! Imports point inward: `domain` ← `engine` ← {`slack`, `store`, `report`, `shutdown`, `rehearsal`} ← `commands` ← `main`.

pub mod advice;
pub mod atomic;
pub mod cli;
pub mod commands;
pub mod domain;
pub mod engine;
pub mod error;
pub mod exit;
pub mod rehearsal;
pub mod report;
pub mod settings;
pub mod shutdown;
pub mod slack;
pub mod store;
