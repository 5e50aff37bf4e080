//! `slack-revoke`: a CSV of sessions in, every one of them revoked, one record per row out.
//!
//! Imports point inward: `model` ← `engine` ← {`slack`, `input`, `ledger`, `output`, `quota`, `signals`, `stand_in`} ← `commands` ← `main`.

pub mod cli;
pub mod commands;
pub mod engine;
pub mod error;
pub mod files;
pub mod input;
pub mod ledger;
pub mod model;

pub mod output;
pub mod quota;
pub mod signals;
pub mod slack;
pub mod stand_in;
