//! The directions of the design, over the paths in `src`: imports point inward, the edges never import each other, and one
//! outside crate has one place. Tests inside `src` may import what they like.

use slack_revoke::model::{ErrorCode, ResultColumn};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with those that it may import. An edge takes the engine's ports, and nothing else of the engine.
const ROOMS: [(&str, &[&str]); 15] = [
    ("model", &[]),
    ("engine", &["model"]),
    // What every kind of file that is kept has in common.
    ("files", &[]),
    ("slack", &["model", "engine::ports"]),
    ("input", &["model", "engine::ports", "files"]),
    ("ledger", &["model", "engine::ports", "files"]),
    ("output", &["model", "files"]),
    ("stand_in", &["model"]),
    ("signals", &["model", "engine::ports"]),
    ("quota", &["model", "engine::ports", "files"]),
    ("cli", &["model"]),
    // Wrong usage is one of the errors.
    ("error", &["model", "cli"]),
    ("commands", EVERY_ROOM),
    ("main", EVERY_ROOM),
    ("lib", &[]),
];

const EVERY_ROOM: &[&str] = &[
    "cli", "commands", "engine", "error", "files", "input", "ledger", "model", "output", "quota", "signals", "slack",
    "stand_in",
];

/// Crates that may be anywhere, of the model only serde: how data, errors, logs and tasks are written in this language.
const ANYWHERE: [&str; 4] = ["serde", "thiserror", "tokio", "tracing"];

/// Every other crate with its place; where there is more than one, why.
const PLACES: [(&str, &[&str]); 30] = [
    ("anstream", &["output/"]),
    ("anstyle", &["output/"]),
    ("askama", &["output/page/"]),
    ("axum", &["stand_in/"]),
    // A manual page and completions are made of clap's own description of the command line.
    ("clap", &["cli/", "commands/completions.rs", "commands/man.rs"]),
    ("clap_complete", &["commands/completions.rs"]),
    ("clap_mangen", &["commands/man.rs"]),
    // The crate is used in output/console.rs and output/text.rs alone; output and commands have modules of the same name.
    ("console", &["output/", "main.rs"]),
    ("csv", &["ledger/"]),
    ("csv_core", &["input/"]),
    // The jitter of a backoff, from a seed; and the random part of a run's id.
    ("fastrand", &["engine/retry.rs", "commands/run/preflight.rs"]),
    ("flate2", &["input/"]),
    ("governor", &["engine/spacing.rs"]),
    // The stand-in writes the dates that the client reads, and shares no code with it.
    ("httpdate", &["slack/retry_after.rs", "stand_in/service.rs"]),
    ("http_body", &["slack/request.rs"]),
    ("indicatif", &["output/progress_bar.rs"]),
    // What `--ip` takes, what it is compared with, and what a proxy is not used for.
    ("ipnet", &["cli/", "commands/listing/filter.rs", "slack/proxy.rs"]),
    // Spans as flags, stamps as columns, times for people; a plan hands over the local time zone.
    ("jiff", &["cli/values.rs", "model/timestamp.rs", "output/", "commands/run/plan.rs"]),
    // The store of the limits, and what addresses of one it takes.
    ("redis", &["quota/redis_store.rs", "cli/values.rs"]),
    ("reqwest", &["slack/"]),
    ("roaring", &["input/", "ledger/", "model/possibly_sent.rs"]),
    ("rpassword", &["slack/token.rs"]),
    (
        "rustix",
        &["files/atomic.rs", "commands/hook.rs", "commands/waiting.rs", "input/stored.rs", "slack/token/read.rs"],
    ),
    ("secrecy", &["slack/token", "commands/token.rs"]),
    // Replies, the audit log, the manifest, and what machines read of a run, of `doctor` and of `verify`: each its own format. The model
    // holds the manifest's unknown members.
    (
        "serde_json",
        &[
            "model/run_record.rs",
            "slack/",
            "input/audit/",
            "ledger/",
            "output/",
            "quota/",
            "commands/checks.rs",
            "commands/verify/",
        ],
    ),
    ("sha2", &["files/", "input/", "ledger/"]),
    // Misspelled variables, and misspelled headers of `--column`.
    ("strsim", &["cli/", "input/header.rs"]),
    // Copies of inputs, and whether a folder takes a file.
    ("tempfile", &["input/", "ledger/paths.rs"]),
    ("tracing_subscriber", &["output/logs.rs"]),
    ("zstd", &["input/"]),
];

/// The state machine and its parts: no clock, no I/O, no await.
const PURE: [&str; 17] = [
    "engine/state_machine/mod.rs",
    "engine/state_machine/dispatch.rs",
    "engine/state_machine/recovery.rs",
    "engine/state_machine/replies.rs",
    "engine/state_machine/shared.rs",
    "engine/state_machine/users.rs",
    "engine/retry.rs",
    "engine/health/breaker.rs",
    "engine/health/mod.rs",
    "engine/health/outage.rs",
    "engine/rate_estimator/mod.rs",
    "engine/rate_gate.rs",
    "engine/shared_pace.rs",
    "engine/user_batch.rs",
    "ledger/resume.rs",
    "quota/record.rs",
    "quota/share.rs",
];

/// A file of `src`: its path below it, and its code without comments and tests.
struct Source {
    path: String,
    code: String,
}

impl Source {
    /// The room is the first part of the path.
    fn room(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }

    /// The paths that start with `root`, as in `crate::engine::ports::Permit`.
    fn paths_from(&self, root: &str) -> Vec<&str> {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let path_at = |at: usize| {
            let (before, path) = self.code.split_at(at);
            let end = path.find(|c: char| !is_name(c) && c != ':').unwrap_or(path.len());
            (!before.ends_with(|c| is_name(c) || c == ':')).then(|| &path[..end])
        };
        let found = self.code.match_indices(root).filter_map(|(at, _)| path_at(at));
        found.filter(|path| path[root.len()..].starts_with("::")).collect()
    }
}

fn sources() -> Vec<Source> {
    let (root, mut sources) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), Vec::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of src") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if !is_test(&path) {
                let code = without_tests(&fs::read_to_string(&path).expect("a source file"));
                let path = path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
                sources.push(Source { path, code });
            }
        }
    }
    assert!(sources.len() > 100, "src was not found");
    sources
}

fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let in_tests = path.iter().any(|part| part == "tests");
    in_tests || name == "tests" || name == "testing" || name.ends_with("_tests")
}

/// What comes before the module of tests, which is the last thing in a file.
fn without_tests(text: &str) -> String {
    let module = |line: &str| line.ends_with("mod tests {");
    let lines = text.lines().take_while(|line| !module(line));
    lines.filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn imports_point_inward_and_edges_never_import_each_other() {
    let mut wrong = Vec::new();
    for source in sources() {
        let room = ROOMS.iter().find(|(room, _)| *room == source.room());
        let Some((room, allowed)) = room else { panic!("{} is in no room of this test", source.path) };
        let roots = ["crate", "slack_revoke"];
        for path in roots.into_iter().flat_map(|root| source.paths_from(root)) {
            let inner = path.split_once("::").map_or("", |(_, inner)| inner);
            // `slack_revoke::engine=trace` is a filter's text, and `slack_revoke::notice` a target.
            let is_text = path.starts_with("slack_revoke") && *room != "main";
            let fits = |may: &&str| inner == *may || inner.starts_with(&format!("{may}::"));
            if !is_text && !fits(room) && !allowed.iter().any(fits) {
                wrong.push(format!("{}: {path}", source.path));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn each_external_crate_is_used_in_one_module() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places) in PLACES {
            let is_used = !source.paths_from(name).is_empty();
            if is_used && !places.iter().any(|place| source.path.starts_with(place)) {
                wrong.push(format!("{}: {name}", source.path));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_dependency_is_in_these_tables() {
    let manifest =
        fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("Cargo.toml");
    let section = manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next()).expect("a section");
    let names = section.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    let listed: BTreeSet<String> = names.map(|(name, _)| name.replace('-', "_")).collect();
    let known = PLACES.iter().map(|(name, _)| *name).chain(ANYWHERE).map(str::to_owned);
    assert_eq!(listed, known.collect());
}

#[test]
fn the_model_uses_only_std_and_serde() {
    let crates = PLACES.iter().map(|(name, _)| *name).chain(ANYWHERE);
    let crates: Vec<&str> = crates.filter(|name| *name != "serde").collect();
    // The calendar, the set of lines that the input and the ledger share, and a manifest's unknown members.
    let exceptions = ["model/timestamp.rs", "model/possibly_sent.rs", "model/run_record.rs"];
    for source in sources().iter().filter(|source| source.room() == "model" && !exceptions.contains(&&*source.path)) {
        let used = crates.iter().find(|name| !source.paths_from(name).is_empty());
        assert_eq!(used, None, "{}", source.path);
    }
}

#[test]
fn the_state_machine_does_not_wait_or_read_a_clock() {
    let sources = sources();
    for path in PURE {
        let source = sources.iter().find(|source| source.path == path).unwrap_or_else(|| panic!("{path} is gone"));
        for word in ["tokio::", ".await", "async ", "Instant::", "SystemTime", "std::fs", "std::io"] {
            assert!(!source.code.contains(word), "{path}: {word}");
        }
    }
}

/// `Path::exists` calls a file missing that can't be looked at, and what is missing is written anew.
#[test]
fn other_errors_are_not_treated_as_a_missing_file() {
    let wrong: Vec<_> = sources().into_iter().filter(|source| source.code.contains(".exists()")).collect();
    assert_eq!(wrong.iter().map(|source| &*source.path).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_import_rules_reject_a_wrong_import() {
    let code = "use crate::input;\nuse super::tokio;\nlet x = my_csv::Reader; csv::Writer::new()\n";
    let source = Source { path: "slack/client.rs".into(), code: code.into() };
    assert_eq!((source.room(), source.paths_from("crate")), ("slack", vec!["crate::input"]));
    assert_eq!(source.paths_from("csv"), ["csv::Writer::new"]);
    assert_eq!(source.paths_from("tokio").len(), 0);
    assert_eq!(without_tests("use a;\n// csv::x\nmod tests {\n    use csv::x;\n}\n"), "use a;\n");
}

/// A code is in the table of codes and a column in the table of columns; nothing else spells one.
#[test]
fn codes_and_columns_are_spelled_only_in_their_tables() {
    let mut sources = sources();
    sources.retain(|source| Path::new(&source.path).extension().is_some_and(|kind| kind == "rs"));
    // Also the name of an event.
    let codes =
        ErrorCode::LISTED.iter().map(|(text, _)| (*text, "model/code.rs")).filter(|(text, _)| *text != "rate_limited");
    // Words that are not only a column's name.
    let common = ["line", "status", "error", "detail", "rate_limited"];
    let columns = ResultColumn::NAMES.into_iter().filter(|name| !common.contains(name));
    let columns = columns.map(|name| (name, "model/result_columns.rs"));
    for (word, home) in codes.chain(columns) {
        let spelled = format!("\"{word}\"");
        let having = sources.iter().filter(|source| source.code.contains(&spelled));
        let found: Vec<_> = having.map(|source| &*source.path).collect();
        assert_eq!(found, [home], "{word}");
    }
}

#[test]
fn files_named_in_contributing_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = include_str!("../../CONTRIBUTING.md");
    let is_ours = |path: &&str| ["src/", "tests/", "docs/", "benches/"].iter().any(|root| path.starts_with(root));
    let paths = text.split('`').skip(1).step_by(2).filter(is_ours);
    let paths: Vec<_> = paths.filter(|path| !path.contains("NAME") && !path.contains(' ')).collect();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        assert!(root.join(path).exists(), "{path}");
    }
}

/// The names that `use` declarations bring into a file, each as a whole path: `use a::{b, c::d}` gives `a::b` and `a::c::d`.
fn used_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for declaration in code.split(';') {
        let start = declaration.find("use ").filter(|at| {
            let before = declaration[..*at].trim_end();
            before.is_empty() || before.ends_with(['}', ')', ']']) || before.ends_with("pub")
        });
        if let Some(at) = start {
            let text: String = declaration[at + 4..].split_whitespace().collect::<Vec<_>>().join(" ");
            expand("", &text, &mut paths);
        }
    }
    paths
}

fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((outer, group)) = tree.split_once('{').filter(|(outer, _)| !outer.contains(',')) else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return paths.push(format!("{prefix}{}", path.trim_end_matches("::self")));
    };
    let (mut depth, mut start) = (0, 0);
    let group = group.trim_end().trim_end_matches('}');
    for (at, char) in group.char_indices().chain([(group.len(), ',')]) {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 && !group[start..at].trim().is_empty() => {
                expand(&format!("{prefix}{}", outer.trim()), group[start..at].trim(), paths);
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The module that a file is: `engine/core/mod.rs` and `engine/core.rs` are both `engine::core`.
fn module_of(path: &str) -> String {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.replace('/', "::")
}

/// A path from the crate's root, or `None` if it leads out of the crate.
fn resolved(path: &str, module: &str) -> Option<String> {
    if let Some(path) = path.strip_prefix("crate::") {
        return Some(path.into());
    }
    let mut at: Vec<&str> = module.split("::").collect();
    let mut rest = path;
    while let Some(inner) = rest.strip_prefix("super::") {
        at.pop();
        rest = inner;
    }
    (rest.len() < path.len()).then(|| [&at[..], &[rest]].concat().join("::"))
}

/// What a file takes from another one. A module's own file is the face of its folder: names that it only hands on
/// are followed to the file that defines them.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    let modules: BTreeMap<String, &Source> = sources.iter().map(|source| (module_of(&source.path), source)).collect();
    let handed_on = |module: &str, name: &str| {
        let source = modules.get(module)?;
        let public = source.code.split("pub use ").skip(1).filter_map(|text| text.split(';').next());
        let mut paths = Vec::new();
        public.for_each(|tree| expand("", &tree.split_whitespace().collect::<Vec<_>>().join(" "), &mut paths));
        let path = paths.into_iter().find(|path| path.rsplit("::").next() == Some(name))?;
        Some(resolved(&path, module).unwrap_or_else(|| format!("{module}::{path}")))
    };
    let owner = |path: &str| {
        let mut path = path.to_owned();
        for _ in 0..4 {
            let (mut module, mut inner) = (path.clone(), String::new());
            while !modules.contains_key(&module) {
                let (outer, last) = module.rsplit_once("::")?;
                (module, inner) = (outer.to_owned(), last.to_owned());
            }
            match handed_on(&module, &inner) {
                Some(next) if next != path => path = next,
                _ => return Some(module),
            }
        }
        None
    };
    let mut imports: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (module, source) in &modules {
        let private = source.code.replace("pub use ", "pub_use ");
        let taken = used_paths(&private).into_iter().filter_map(|path| owner(&resolved(&path, module)?));
        imports.insert(module, taken.filter(|taken| taken != module).collect());
    }
    let mut circles = BTreeSet::new();
    for start in imports.keys() {
        let (mut seen, mut open) = (BTreeSet::new(), vec![*start]);
        while let Some(at) = open.pop() {
            for next in imports.get(at).into_iter().flatten() {
                if seen.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        if seen.contains(start) {
            circles.insert(*start);
        }
    }
    assert_eq!(circles, BTreeSet::new());
}

/// A name that two types share has to be looked up each time it is read.
#[test]
fn no_two_types_have_the_same_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        for line in source.code.lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("pub").map_or(line, |rest| rest.trim_start_matches(|c| c != ' ').trim_start());
            let named = ["struct ", "enum ", "trait "].iter().find_map(|kind| line.strip_prefix(kind));
            if let Some(name) = named {
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
                places.entry(name[..end].into()).or_default().push(source.path.clone());
            }
        }
    }
    places.retain(|_, places| places.len() > 1);
    assert_eq!(places, BTreeMap::new());
}
