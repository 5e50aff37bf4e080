//! `slack-revoke`: a CSV of sessions in, every one of them revoked, one record per row out.
//!
//! Imports point inward: `domain` ← `engine` ← {`slack`, `store`, `report`, `shutdown`, `rehearsal`} ← `commands` ← `main`.

pub mod domain;
pub mod engine;
pub mod rehearsal;
pub mod report;
pub mod slack;
pub mod store;
