//! `rehearsal-organization.csv`: the sessions of the stand-in organization that all rehearsals in a directory share,
//! so that a whole incident can be rehearsed: `list` and `verify` no longer find what `run --rehearse` ended.

use super::table::Table;
use crate::files::atomic::open_regular;
use crate::files::during;
use crate::model::{SessionId, TeamId, UserId};
use std::io;
use std::path::{Path, PathBuf};

/// A larger organization isn't kept.
pub const MOST_SESSIONS: usize = 100_000;

const COLUMNS: [&str; 4] = ["user_id", "team_id", "session_id", "state"];
const ALIVE: &str = "alive";
const ENDED: &str = "ended";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RehearsalSession {
    pub id: SessionId,
    pub team: Option<TeamId>,
    pub user: Option<UserId>,
    pub is_alive: bool,
}

#[must_use]
pub fn path_in(folder: &Path) -> PathBuf {
    folder.join("rehearsal-organization.csv")
}

/// `None` if the file doesn't exist.
///
/// # Errors
/// If the file can't be read, or is another program's.
pub fn read(path: &Path) -> io::Result<Option<Vec<RehearsalSession>>> {
    let context = during("read", path);
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(context(error)),
    };
    let odd = |line: u64| context(io::Error::other(format!("line {line} isn't what a rehearsal writes")));
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let mut sessions = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| context(error.into()))?;
        let line = record.position().map_or(0, csv::Position::line);
        if line == 1 {
            if record.iter().ne(COLUMNS) {
                return Err(odd(line));
            }
            continue;
        }
        sessions.push(session_of(&record).ok_or_else(|| odd(line))?);
    }
    Ok(Some(sessions))
}

fn session_of(record: &csv::StringRecord) -> Option<RehearsalSession> {
    let fields: Vec<_> = record.iter().collect();
    let [user, team, id, state] = fields[..] else { return None };
    let user = if user.is_empty() { None } else { Some(UserId::parse(user).ok()?) };
    let team = if team.is_empty() { None } else { Some(TeamId::parse(team).ok()?) };
    let is_alive = match state {
        ALIVE => true,
        ENDED => false,
        _ => return None,
    };
    Some(RehearsalSession { id: SessionId::parse(id).ok()?, team, user, is_alive })
}

/// # Errors
/// If it can't be written.
pub fn write(path: &Path, sessions: &[RehearsalSession]) -> io::Result<()> {
    let mut table = Table::replace(path)?;
    table.row(COLUMNS);
    for RehearsalSession { id, team, user, is_alive } in sessions {
        let (team, user) = (team.as_ref().map_or("", TeamId::as_str), user.as_ref().map_or("", UserId::as_str));
        table.row([user, team, &id.to_string(), if *is_alive { ALIVE } else { ENDED }]);
        table.flush_beyond(64 * 1024)?;
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_organization_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        assert_eq!(read(&path).unwrap(), None);
        let session = |id: u64, team: Option<&str>, user: Option<&str>, is_alive| RehearsalSession {
            id: SessionId::from(id),
            team: team.map(|team| TeamId::parse(team).unwrap()),
            user: user.map(|user| UserId::parse(user).unwrap()),
            is_alive,
        };
        let sessions = [
            session(1, Some("T1"), Some("U1"), true),
            session(2, None, Some("W2"), false),
            session(3, None, None, true),
        ];
        write(&path, &sessions).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), sessions);
    }

    #[test]
    fn a_file_of_another_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        let header = COLUMNS.join(",");
        for (text, line) in [
            ("session_id,team_id\n1,T1\n", "line 1"),
            (&*format!("{header}\nU1,T1,1,gone\n"), "line 2"),
            (&*format!("{header}\nU1,T1,x,alive\n"), "line 2"),
            (&*format!("{header}\nU1,T1,1\n"), "line 2"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains("rehearsal-organization.csv"), "{error}");
        }
    }
}
