//! Reads entries from JSON, one at a time: an API body, an array, or a sequence of values, possibly nested.

use super::AuditProblem;
use super::{FoundEntry, MOST_OF_ENTRY};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;

/// The member that holds the entries in a body of Slack's API.
const ENTRIES: &str = "entries";

/// Calls `take` with every entry. Only one is in memory at a time.
pub(super) fn read(text: impl Read, path: &str, take: &mut dyn FnMut(FoundEntry<'_>)) -> Result<(), AuditProblem> {
    let gauge = Rc::new(Gauge::default());
    let mut values = serde_json::Deserializer::from_reader(Gauged { text, gauge: Rc::clone(&gauge) });
    loop {
        gauge.start();
        let read = match values.end() {
            Ok(()) => return Ok(()),
            Err(error) if error.is_io() => Err(error),
            Err(_) => EntryScan { path, take, gauge: &gauge }.deserialize(&mut values),
        };
        read.map_err(|error| match (error.io_error_kind(), gauge.is_over.get()) {
            (Some(_), true) => AuditProblem::TooLong { line: gauge.line.get() },
            (Some(_), false) => AuditProblem::Unreadable(error.into()),
            (None, _) => AuditProblem::Json { line: error.line(), column: error.column(), cut: error.is_eof() },
        })?;
    }
}

/// Reads entries from JSON inside a JSON string. Returns whether all of it was valid.
pub(super) fn read_inner(text: &str, path: &str, take: &mut dyn FnMut(FoundEntry<'_>)) -> bool {
    let mut values = serde_json::Deserializer::from_str(text);
    let read = EntryScan { path, take, gauge: &Gauge::default() }.deserialize(&mut values);
    read.and_then(|()| values.end()).is_ok()
}

/// Counts down the bytes of an entry, and fails if it is too long.
#[derive(Default)]
struct Gauge {
    left: Cell<Option<usize>>,
    line: Cell<u64>,
    is_over: Cell<bool>,
}

impl Gauge {
    fn start(&self) {
        self.left.set(Some(MOST_OF_ENTRY));
    }

    /// Skipped values use no memory, so their length isn't limited.
    fn pause(&self) {
        self.left.set(None);
    }
}

struct Gauged<R> {
    text: R,
    gauge: Rc<Gauge>,
}

impl<R: Read> Read for Gauged<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.text.read(into)?;
        // The deserializer asks for one byte at a time.
        self.gauge.line.set(self.gauge.line.get() + u64::from(into[..read].contains(&b'\n')));
        if let Some(left) = self.gauge.left.get() {
            let Some(left) = left.checked_sub(read) else {
                self.gauge.is_over.set(true);
                return Err(io::Error::other("too long"));
            };
            self.gauge.left.set(Some(left));
        }
        Ok(read)
    }
}

/// Finds the entries at `path` in a value.
struct EntryScan<'a> {
    path: &'a str,
    take: &'a mut dyn FnMut(FoundEntry<'_>),
    gauge: &'a Gauge,
}

impl EntryScan<'_> {
    fn within<'b>(&'b mut self, path: &'b str) -> EntryScan<'b> {
        EntryScan { path, take: self.take, gauge: self.gauge }
    }

    fn nothing(self) {
        (self.take)(if self.path.is_empty() { FoundEntry::Other(None) } else { FoundEntry::NoPath });
    }

    /// Handles an object that may be an entry or contain entries.
    fn collect<'de, A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let (mut object, mut is_body) = (Map::new(), false);
        while let Some(key) = members.next_key::<String>()? {
            if key == ENTRIES {
                is_body = true;
                members.next_value_seed(self.within(""))?;
                self.gauge.start();
            } else if is_body {
                self.gauge.pause();
                members.next_value::<IgnoredAny>()?;
                self.gauge.start();
            } else {
                object.insert(key, members.next_value::<Value>()?);
            }
        }
        if !is_body {
            let value = Value::Object(object);
            (self.take)(FoundEntry::of(&value));
        }
        Ok(())
    }

    /// Follows the path into a member, whose key may contain dots.
    fn follow<'de, A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let (path, mut is_found) = (self.path, false);
        while let Some(key) = members.next_key::<String>()? {
            let rest = path.strip_prefix(&*key).filter(|rest| rest.is_empty() || rest.starts_with('.'));
            if let Some(rest) = rest {
                is_found = true;
                members.next_value_seed(self.within(rest.trim_start_matches('.')))?;
            } else {
                self.gauge.pause();
                members.next_value::<IgnoredAny>()?;
            }
            self.gauge.start();
        }
        if !is_found {
            (self.take)(FoundEntry::NoPath);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for EntryScan<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EntryScan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let path = self.path;
        self.gauge.start();
        while items.next_element_seed(self.within(path))?.is_some() {
            self.gauge.start();
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        if self.path.is_empty() { self.collect(members) } else { self.follow(members) }
    }

    /// JSON inside a string.
    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<(), E> {
        let path = self.path;
        if !text.trim_start().starts_with(['{', '[']) || !read_inner(text, path, self.within(path).take) {
            self.nothing();
        }
        Ok(())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.nothing();
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.visit_unit()
    }
}
