//! An input out of a seed, and what each of its rows has to come to before anything is sent.

use crate::dice::Dice;
use slack_revoke::input::{Identify, Protection, Rules};
use slack_revoke::model::{SessionId, Status, UserId};
use std::collections::{BTreeMap, HashSet};

/// The user of the token, the protected user, and the protected session.
const OWN: &str = "U0OWN";
const PROTECTED: &str = "U0KEEP";
const KEPT_SESSION: u64 = 999;

/// What a row must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is sent under this identifier.
    Sent { session: u64, identifier: String },
    /// It never is.
    Never(Status),
}

/// One row as it stands in the file.
#[derive(Debug, Clone)]
pub struct Line {
    pub raw: String,
    pub fields: Vec<String>,
    pub fate: Fate,
}

/// A session as Slack knows it.
#[derive(Debug, Clone)]
pub struct Session {
    pub team: String,
    pub user: String,
    pub alive: bool,
}

/// An input, and the sessions that it is about.
#[derive(Debug)]
pub struct Case {
    pub header: String,
    pub columns: Vec<String>,
    pub rules: Rules,
    pub lines: BTreeMap<u64, Line>,
    pub sessions: BTreeMap<u64, Session>,
    /// Behind the first so many rows, the rest is added only after the first run.
    pub at_first: usize,
    with_team: bool,
    with_user: bool,
    teams: usize,
    end: &'static str,
    next_line: u64,
    seen: HashSet<(u64, String)>,
    targets: Vec<(u64, String, String)>,
}

impl Case {
    pub fn new(dice: &mut Dice) -> Self {
        let (with_team, with_user) = dice.pick(&[(true, false), (true, true), (true, true), (false, true)]);
        let with_note = dice.chance(0.3);
        let identify = match (with_team, with_user) {
            (true, true) => dice.pick(&[Identify::Auto, Identify::Auto, Identify::Team, Identify::User]),
            (true, false) => dice.pick(&[Identify::Auto, Identify::Team]),
            (false, _) => dice.pick(&[Identify::Auto, Identify::User]),
        };
        let mut columns = vec!["session_id".to_owned()];
        columns.extend(with_team.then(|| "team_id".to_owned()));
        columns.extend(with_user.then(|| "user_id".to_owned()));
        columns.extend(with_note.then(|| "note, free".to_owned()));
        let end = dice.pick(&["\n", "\n", "\r\n"]);
        let protection = Protection {
            users: HashSet::from([UserId::parse(PROTECTED).unwrap()]),
            sessions: HashSet::from([SessionId::from(KEPT_SESSION)]),
            own_users: UserId::parse(OWN).into_iter().collect(),
            ..Protection::default()
        };
        let header = quoted(&columns, end);
        let mut case = Self {
            header,
            columns,
            rules: Rules { identify, protection, ..Rules::default() },
            lines: BTreeMap::new(),
            sessions: BTreeMap::new(),
            at_first: 0,
            with_team,
            with_user,
            teams: dice.between(1, 4),
            end,
            next_line: 2,
            seen: HashSet::new(),
            targets: Vec::new(),
        };
        let rows = if dice.chance(0.7) { dice.between(1, 12) } else { dice.between(1, 25) };
        for _ in 0..rows {
            case.add_row(dice);
        }
        case.at_first = if dice.chance(0.15) { dice.between(1, rows) } else { rows };
        case
    }

    /// The first so many rows as a file.
    pub fn text(&self, rows: usize) -> String {
        self.lines.values().take(rows).fold(self.header.clone(), |text, line| text + &line.raw)
    }

    fn add_row(&mut self, dice: &mut Dice) {
        let (session, team, user) = self.ids(dice);
        let (mut session, mut team, mut user) = (session.to_string(), team, user);
        let mut fields_more = 0_i32;
        if dice.chance(0.1) {
            match dice.between(0, 5) {
                0 => session = dice.pick(&["", "1.11228E+12", "x", "-4"]).into(),
                1 => team = "u-1".into(),
                2 => user = "T1".into(),
                3 => fields_more = 1,
                4 => fields_more = -1,
                _ => (team, user) = (String::new(), String::new()),
            }
        }
        let mut fields = vec![session.clone()];
        fields.extend(self.with_team.then(|| team.clone()));
        fields.extend(self.with_user.then(|| user.clone()));
        if self.columns.len() > fields.len() {
            fields.push(dice.pick(&["", "a", "b,c", "two\nlines", "=cmd|' /C calc'!A0", "\"q\"", " é "]).into());
        }
        // A row of empty cells is a blank line, and none of the case's rows.
        if fields.iter().all(String::is_empty) {
            fields[0] = "x".into();
        }
        match fields_more {
            1 => fields.push("too much".into()),
            -1 => drop(fields.pop()),
            _ => {}
        }
        let fate = if fields_more == 0 { self.fate(&session, &team, &user) } else { Fate::Never(Status::Invalid) };
        let raw = quoted(&fields, self.end);
        let line = self.next_line;
        self.next_line += raw.matches('\n').count() as u64;
        self.lines.insert(line, Line { raw, fields, fate });
    }

    /// A session, new or of an earlier row, and the ids that a row names it by.
    fn ids(&mut self, dice: &mut Dice) -> (u64, String, String) {
        if !self.targets.is_empty() && dice.chance(0.12) {
            return dice.pick(&self.targets);
        }
        let id = if dice.chance(0.03) { KEPT_SESSION } else { 1_000_000_000_000 + self.next_line };
        let team = format!("T{}", dice.between(1, self.teams));
        let user = match dice.between(0, 30) {
            0 => OWN.into(),
            1 => PROTECTED.into(),
            _ => format!("U{}", dice.between(1, 6)),
        };
        let alive = dice.chance(0.85);
        self.sessions.insert(id, Session { team: team.clone(), user: user.clone(), alive });
        let named_team = if dice.chance(0.07) { "T9".into() } else { team };
        let named_user = if dice.chance(0.3) { String::new() } else { user };
        let ids = (id, named_team, named_user);
        self.targets.push(ids.clone());
        ids
    }

    /// The rules of contract.md, "Input", once more.
    fn fate(&mut self, session: &str, team: &str, user: &str) -> Fate {
        let Ok(session) = session.parse::<u64>() else { return Fate::Never(Status::Invalid) };
        let (team, user) = (if self.with_team { team } else { "" }, if self.with_user { user } else { "" });
        let bad = |id: &str, first: &str| !id.is_empty() && !id.starts_with(first);
        if bad(team, "T") || bad(user, "U") {
            return Fate::Never(Status::Invalid);
        }
        if session == KEPT_SESSION || user == PROTECTED || user == OWN {
            return Fate::Never(Status::Protected);
        }
        let identifier = match self.rules.identify {
            Identify::Team => team,
            Identify::Auto if user.is_empty() => team,
            Identify::Auto | Identify::User => user,
        };
        if identifier.is_empty() {
            return Fate::Never(Status::Invalid);
        }
        if !self.seen.insert((session, identifier.into())) {
            return Fate::Never(Status::Duplicate);
        }
        Fate::Sent { session, identifier: identifier.into() }
    }
}

fn quoted(fields: &[String], end: &str) -> String {
    let field = |text: &String| {
        if text.contains([',', '\n', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.clone() }
    };
    fields.iter().map(field).collect::<Vec<_>>().join(",") + end
}
