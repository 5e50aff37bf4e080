//! The files of a run: results, manifest, journal, remaining rows, and lists.

mod append_file;
pub mod archive;
pub mod columns;
pub mod evidence;
pub mod input_age;
pub mod journal;
mod journal_file;
#[expect(clippy::module_inception, reason = "the folder is the room, the file its main type")]
pub mod ledger;
pub mod listing;
pub mod manifest;
pub mod organization;
pub mod paths;
pub mod plan_id;
pub mod preflight;
mod record;
pub mod remaining;
pub mod results;
pub mod resume;
pub mod scan;
pub mod seal;
pub mod seal_files;
mod sync;
pub mod table;
pub mod verified;
pub mod whole_listing;

#[cfg(test)]
mod testing;
