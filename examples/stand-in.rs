//! The stand-in Slack as a process of its own, for measuring against it: prints its API address, and its counts when
//! standard input ends. Every session lives; `slack-revoke run … --api-url URL` with `SLACK_TOKEN=xoxp-stand-in-0001`.
//!
//! `cargo run --release --example stand-in [-- CALLS SECONDS]`: with two numbers, a fixed window of so many calls.

use slack_revoke::rehearsal::{Config, Limit, LimitKind, Limits, Method, Server, WindowStart};
use std::io::Read as _;
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let limits = match numbers[..] {
        [calls, seconds] => Limits {
            invalidate: Limit::of(LimitKind::FixedWindow {
                calls: u32::try_from(calls).unwrap_or(u32::MAX),
                per: Duration::from_secs(seconds),
                starts: WindowStart::FirstCall,
            }),
            ..Limits::default()
        },
        _ => Limits::default(),
    };
    let server = Server::start(Config { limits, ..Config::default() })?;
    println!("{}", server.url());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let stats = server.stats();
    println!("{:#?}\nrevoked {}, repeated {}", stats.of(Method::Invalidate), stats.revoked, stats.repeats);
    Ok(())
}
