//! The stand-in Slack as a process of its own, for measuring against it: prints its API address, and its counts as one
//! line of JSON when standard input ends. Every session lives; the token is `xoxp-stand-in-0001`.
//!
//! `cargo run --release --example stand-in [-- window|sliding CALLS SECONDS token|team]`, without a limit where none is
//! given.

use slack_revoke::stand_in::{
    Limit, LimitKind, LimitScope, Method, MethodLimits, Server, StandInConfig, Stats, WindowStart,
};
use std::io::Read as _;
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let limits = match words[..] {
        [] => MethodLimits::default(),
        [kind, calls, seconds, scope] => match limit(kind, calls, seconds, scope) {
            Some(invalidate) => MethodLimits { invalidate, ..MethodLimits::default() },
            None => return Err(std::io::Error::other("usage: stand-in [window|sliding CALLS SECONDS token|team]")),
        },
        _ => return Err(std::io::Error::other("usage: stand-in [window|sliding CALLS SECONDS token|team]")),
    };
    let server = Server::start(StandInConfig { limits, ..StandInConfig::default() })?;
    println!("{}", server.url());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("{}", counts(&server.stats()));
    Ok(())
}

fn limit(kind: &str, calls: &str, seconds: &str, scope: &str) -> Option<Limit> {
    let (calls, per) = (calls.parse().ok()?, Duration::from_secs(seconds.parse().ok()?));
    let kind = match kind {
        "window" => LimitKind::FixedWindow { calls, per, starts: WindowStart::FirstCall },
        "sliding" => LimitKind::SlidingLog { calls, per },
        _ => return None,
    };
    let scope = match scope {
        "token" => LimitScope::Token,
        "team" => LimitScope::Team,
        _ => return None,
    };
    Some(Limit { scope, ..Limit::of(kind) })
}

/// What was counted of `admin.users.session.invalidate`, each under the name that [`Stats`] has for it: `revoked` counts
/// every session once, `calls` and `repeats` count calls.
fn counts(stats: &Stats) -> serde_json::Value {
    let calls = stats.of(Method::Invalidate);
    serde_json::json!({
        "calls": calls.calls,
        "accepted": calls.accepted,
        "limited": calls.limited,
        "inside_pause": calls.inside_pause,
        "most_in_a_minute": calls.most_in_a_minute,
        "most_in_flight": calls.most_in_flight,
        "unauthorized": stats.unauthorized,
        "revoked": stats.revoked,
        "repeats": stats.repeats,
        "after_ok": stats.after_ok,
    })
}
