//! Reads entries from CSV: the export of the admin page, whose headers aren't documented, or a table of a SIEM.
//! Columns are found by name, by `--column`, or by the content of the first rows.

use super::entry::time;
use super::{AuditEntry, AuditProblem, FoundEntry, json};
use crate::input::records::{ByteSource, Dialect, RecordReader};
use crate::model::{ColumnNames, Delimiter, EmailAddress, Fields, IdColumn, SessionId, UserId, folded};
use std::net::IpAddr;

/// Number of rows used to find a column by content.
const SAMPLE: usize = 50;

const CHUNK: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Session,
    User,
    Email,
    Team,
    Action,
    At,
    Ip,
    UserAgent,
    Id,
    App,
    ActedOn,
    ActorType,
}

/// The column names of each part, without case, separators and dots; the most specific first.
const PARTS: [(Part, &[&str]); 12] = [
    (Part::Session, &["contextsessionid", "sessionid", "session"]),
    (Part::User, &["actoruserid", "actorid", "userid"]),
    (Part::Email, &["actoruseremail", "actoremail", "useremail", "email"]),
    (Part::Team, &["contextlocationid", "locationid", "teamid", "workspaceid"]),
    (Part::Action, &["action", "actionname", "event", "eventtype"]),
    (Part::At, &["datecreate", "datecreated", "date", "timestamp", "time", "createdat"]),
    (Part::Ip, &["contextipaddress", "ipaddress", "ip", "sourceip"]),
    (Part::UserAgent, &["contextua", "useragent", "ua"]),
    (Part::Id, &["id", "entryid", "auditid"]),
    (Part::App, &["contextapp", "contextappid", "contextappname", "appid", "app"]),
    (Part::ActedOn, &["entityuserid", "entityid", "targetid"]),
    (Part::ActorType, &["actortype"]),
];

/// The column of each part.
struct AuditColumns([Option<usize>; PARTS.len()]);

/// Calls `take` with every row. Only one is in memory at a time.
pub(super) fn read(
    source: impl ByteSource,
    names: &ColumnNames,
    delimiter: Option<Delimiter>,
    path: &str,
    take: &mut dyn FnMut(FoundEntry<'_>),
) -> Result<(), AuditProblem> {
    let mut records = RecordReader::at_start(source, CHUNK)?;
    let header = header(&mut records, delimiter)?;
    if let Some((column, path)) = column_of(path, &header) {
        while let Some(record) = records.next()? {
            if !json::read_inner(record.field(column), path, take) {
                take(FoundEntry::Other(None));
            }
        }
        return Ok(());
    }
    if !path.is_empty() {
        return Err(AuditProblem::NoPathColumn { seen: seen(&header) });
    }
    let mut sample = Vec::new();
    while sample.len() < SAMPLE
        && let Some(record) = records.next()?
    {
        sample.push(record.to_fields(record.len()));
    }
    let columns = AuditColumns::find(&header, names, &sample)?;
    let of = |cell: &dyn Fn(usize) -> Option<String>| FoundEntry::Entry(Box::new(columns.entry(cell)));
    for row in &sample {
        take(of(&|index| row.get(index).map(str::to_owned)));
    }
    while let Some(record) = records.next()? {
        take(of(&|index| Some(record.field(index).to_owned())));
    }
    Ok(())
}

/// Reads the first record with the delimiter that results in the most columns.
fn header<S: ByteSource>(records: &mut RecordReader<S>, forced: Option<Delimiter>) -> Result<Fields, AuditProblem> {
    let guesses = [Delimiter::COMMA, Delimiter::SEMICOLON, Delimiter::TAB];
    let candidates = forced.as_ref().map_or(&guesses[..], std::slice::from_ref);
    let mut best = None;
    for delimiter in candidates {
        records.retry_with(Dialect::quoted(*delimiter));
        let columns = records.next()?.ok_or(AuditProblem::Empty)?.len();
        if best.is_none_or(|(most, _)| columns > most) {
            best = Some((columns, *delimiter));
        }
    }
    let (_, delimiter) = best.ok_or(AuditProblem::Empty)?;
    records.retry_with(Dialect::quoted(delimiter));
    let header = records.next()?.ok_or(AuditProblem::Empty)?;
    Ok(header.to_fields(header.len()))
}

/// The column that `--path` begins with, and the rest of the path, which is for the JSON in its cells.
fn column_of<'a>(path: &'a str, header: &Fields) -> Option<(usize, &'a str)> {
    let rest = |name: &str| path.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('.'));
    let mut named = header.iter().enumerate().filter(|(_, name)| !name.is_empty());
    named.find_map(|(index, name)| Some((index, rest(name)?.trim_start_matches('.'))))
}

fn seen(header: &Fields) -> String {
    header.iter().take(12).map(|name| name.trim().escape_debug().to_string()).collect::<Vec<_>>().join(", ")
}

impl AuditColumns {
    fn find(header: &Fields, names: &ColumnNames, rows: &[Fields]) -> Result<Self, AuditProblem> {
        let given =
            names.find_given(&header.iter()).map_err(|error| AuditProblem::Columns { error, seen: seen(header) })?;
        let mut this = Self([None; PARTS.len()]);
        for (place, (part, aliases)) in PARTS.into_iter().enumerate() {
            let given = part.column().and_then(|column| given.of(column));
            this.0[place] = given.or_else(|| by_name(header, aliases));
        }
        for (place, (part, _)) in PARTS.into_iter().enumerate() {
            if this.0[place].is_none() {
                this.0[place] = this.by_content(part, header, rows)?;
            }
        }
        for part in [Part::Session, Part::User] {
            if this.of(part).is_none() {
                return Err(AuditProblem::NoColumn { column: part.column(), seen: seen(header) });
            }
        }
        Ok(this)
    }

    fn of(&self, part: Part) -> Option<usize> {
        self.0[part as usize]
    }

    /// The only column whose cells match this part and no other.
    fn by_content(&self, part: Part, header: &Fields, rows: &[Fields]) -> Result<Option<usize>, AuditProblem> {
        let fits = |index: &usize| {
            let mut cells =
                rows.iter().filter_map(|row| row.get(*index)).map(str::trim).filter(|cell| !cell.is_empty());
            cells.clone().next().is_some() && cells.all(|cell| part.is_likely(cell))
        };
        let is_free = |index: &usize| !self.0.contains(&Some(*index));
        let fitting: Vec<usize> = (0..header.len()).filter(is_free).filter(fits).collect();
        match (&*fitting, part.column()) {
            ([only], _) => Ok(Some(*only)),
            ([], _) | (_, None) => Ok(None),
            (several, Some(column)) => {
                let headers = several.iter().filter_map(|index| header.get(*index)).map(Into::into).collect();
                Err(AuditProblem::SeveralColumns { column, headers })
            }
        }
    }

    fn entry(&self, cell: &dyn Fn(usize) -> Option<String>) -> AuditEntry {
        let text = |part| self.of(part).and_then(cell).map(|text| text.trim().to_owned()).unwrap_or_default();
        AuditEntry {
            id: text(Part::Id),
            action: text(Part::Action),
            at: time(&text(Part::At)),
            actor_type: text(Part::ActorType).to_lowercase(),
            user_id: text(Part::User),
            email: EmailAddress::parse(&text(Part::Email)),
            acted_on: Some(text(Part::ActedOn)).filter(|id| UserId::parse(id).is_ok()).unwrap_or_default(),
            team_id: text(Part::Team),
            ip: text(Part::Ip),
            user_agent: text(Part::UserAgent),
            session_id: text(Part::Session),
            has_app: !text(Part::App).is_empty(),
        }
    }
}

fn by_name(header: &Fields, aliases: &[&str]) -> Option<usize> {
    let plain = |name: &str| folded(name).replace(['.', '/', ':', '[', ']'], "");
    aliases.iter().find_map(|alias| {
        let mut named = header.iter().enumerate().filter(|(_, name)| plain(name) == *alias);
        named.next().map(|(index, _)| index).filter(|_| named.next().is_none())
    })
}

impl Part {
    fn column(self) -> Option<IdColumn> {
        match self {
            Self::Session => Some(IdColumn::Session),
            Self::User => Some(IdColumn::User),
            Self::Team => Some(IdColumn::Team),
            Self::Email => Some(IdColumn::Email),
            Self::Action
            | Self::At
            | Self::Ip
            | Self::UserAgent
            | Self::Id
            | Self::App
            | Self::ActedOn
            | Self::ActorType => None,
        }
    }

    /// Whether a cell matches this part and is unlikely to be something else.
    fn is_likely(self, cell: &str) -> bool {
        match self {
            Self::Session => (11..=16).contains(&cell.len()) && SessionId::parse(cell).is_ok(),
            Self::User => cell.len() >= 8 && UserId::parse(cell).is_ok(),
            Self::Email => EmailAddress::parse(cell).is_some(),
            Self::At => time(cell).is_some() && (cell.len() == 10 || cell.contains(['T', ' '])),
            Self::Ip => cell.parse::<IpAddr>().is_ok(),
            Self::UserAgent => cell.contains("Mozilla/") || cell.contains("com.tinyspeck"),
            Self::Action => cell.contains('_') && cell.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            Self::Team | Self::Id | Self::App | Self::ActedOn | Self::ActorType => false,
        }
    }
}
