//! `--bulk` ends what a run without it ends: the real reader, the coverage and the engine, in virtual time, against an
//! organization that knows which sessions live.

mod organization;
mod play;

use crate::dice::Dice;
use crate::neighbours::Reader;
use crate::{round, scratch};
use organization::{Organization, Seen};
use play::{Play, Trouble, team_id, user_of};
use slack_revoke::engine::clock::Clock;
use slack_revoke::engine::policy::{BucketPolicy, MaxFailures, Policy};
use slack_revoke::engine::ports::{Control, NoStore, Observer, Signal, Unwritable};
use slack_revoke::engine::rate_gate::Pace;
use slack_revoke::engine::{self, RunEnd};
use slack_revoke::input::{Content, CoverageListing, Covers, Input, InputSource, InputSummary, Rules, SurveyOptions};
use slack_revoke::model::{Event, PossiblySent, SessionId, Snapshot, TeamId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

impl Play {
    fn survey(&self, folder: &Path, is_bulk: bool) -> (Content, InputSummary) {
        let path = folder.join("in.csv");
        std::fs::write(&path, self.text()).expect("room for the input");
        let input = Input::open(InputSource::File(path), folder).expect("the input opens");
        let options = SurveyOptions { rules: self.rules(), ..SurveyOptions::default() };
        let (content, survey) = input.survey(options, None).expect("the input is sound");
        if !is_bulk {
            return (content, survey);
        }
        let mut listing = CoverageListing::default();
        for session in &self.listed {
            let (user, team) = self.sessions[session];
            let team = TeamId::parse(&team_id(team)).expect("an id");
            listing.add(SessionId::from(*session), &user_of(user), &team);
        }
        let coverage = content.coverage(&listing.finish(), &self.rules()).expect("the input is there");
        let rules = Rules { covers: Covers::Listed(Arc::new(coverage)), ..self.rules() };
        content.survey_again(rules, roaring::RoaringTreemap::new()).expect("the input is there")
    }

    /// Runs it to its end; gives the sessions that it ended, and what was seen.
    fn run(&self, folder: &Path, is_bulk: bool, pace: Pace, seed: u64) -> (BTreeSet<u64>, Seen, RunEnd) {
        let (content, survey) = self.survey(folder, is_bulk);
        let policy = policy(&survey, pace, !seed.is_multiple_of(3), &mut Dice::new(seed));
        let mut reader = Reader { source: content.source(PossiblySent::default()).expect("a thread"), asked: 0 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let (organization, end) = runtime.expect("a runtime").block_on(async {
            let clock = Clock::start();
            let organization = Organization::new(self.clone(), clock, Dice::new(seed));
            let mut ended = CountedRows::default();
            let (quota, control) = (&mut NoStore, &mut Forever);
            let end = engine::run(policy, &organization, quota, &mut reader, &mut ended, control, clock).await;
            assert_eq!((ended.0, &end.stop), (survey.rows, &None), "a record for every row");
            (organization, end)
        });
        let state = organization.0.lock().expect("no panic before");
        let ended = self.alive.difference(&state.play.alive).copied().collect();
        (ended, state.seen.clone(), end)
    }
}

fn policy(survey: &InputSummary, pace: Pace, canary: bool, dice: &mut Dice) -> Policy {
    let (rows, users) = survey.whole.as_ref().map_or((0, 0), |whole| (whole.rows, whole.users));
    Policy {
        pace,
        bucket: dice.pick(&[BucketPolicy::Org, BucketPolicy::Auto, BucketPolicy::Team]),
        workspaces: survey.addressed.iter().map(|(team, rows)| (team.clone(), *rows)).collect(),
        retries: 20,
        canary,
        workers: None,
        max_failures: MaxFailures::Rows(1_000_000),
        rows: survey.rows,
        to_send: survey.sendable - rows,
        bulk_users: users,
        ..round::settings(dice, true)
    }
}

#[derive(Default)]
struct CountedRows(u64);

impl Observer for CountedRows {
    fn on_events(&mut self, events: &[Event]) -> Result<(), Unwritable> {
        if std::env::var_os("PROPS_SEED").is_some() {
            eprintln!("{events:#?}");
        }
        self.0 += events.iter().filter(|event| event.ended().is_some()).count() as u64;
        Ok(())
    }

    fn on_snapshot(&mut self, _snapshot: &Snapshot) {}
}

struct Forever;

impl Control for Forever {
    async fn next(&mut self) -> Signal {
        std::future::pending().await
    }
}

#[test]
fn a_bulk_run_ends_what_a_run_without_it_ends_and_later_sessions_of_covered_users() {
    let folder = tempfile::tempdir_in(scratch()).expect("a folder");
    let from: u64 = std::env::var("PROPS_FROM").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (mut covered_users, mut later_sessions, mut spared_sessions, mut fallen_back) = (0, 0, 0, 0);
    for seed in from..from + 1_000 {
        let play = Play::any(&mut Dice::new(seed));
        let pace = Pace::Auto { start: 20.0, most: 300.0 };
        let (single, seen, _) = play.run(folder.path(), false, pace, seed);
        assert_eq!(seen.calls[1], 0);
        let (bulk, seen, _) = play.run(folder.path(), true, pace, seed);
        let covered = play.covered();
        let later = |session: &u64| !play.listed.contains(session) && covered.contains(&play.sessions[session].0);
        let more: BTreeSet<u64> = bulk.difference(&single).copied().collect();
        // Without the listing, a row that names no user isn't known to be one of a protected user.
        let is_spared =
            |session: &u64| play.listed.contains(session) && play.protected_users.contains(&play.sessions[session].0);
        let less: BTreeSet<u64> = single.difference(&bulk).copied().collect();
        assert!(less.iter().all(is_spared), "seed {seed}: {less:?} {play:#?}");
        assert!(!bulk.iter().any(is_spared), "seed {seed}: {bulk:?} {play:#?}");
        spared_sessions += less.len();
        assert!(more.iter().all(later), "seed {seed}: {more:?} {play:#?}");
        assert!(seen.users_in_bulk.is_subset(&covered), "seed {seed}: {:?} {play:#?}", seen.users_in_bulk);
        if play.trouble.is_calm() {
            assert_eq!(seen.users_in_bulk, covered, "seed {seed}: {play:#?}");
            let all: BTreeSet<u64> = play.alive.iter().copied().filter(later).collect();
            assert!(all.is_subset(&bulk), "seed {seed}: {all:?} {bulk:?} {play:#?}");
        }
        covered_users += covered.len();
        later_sessions += more.len();
        fallen_back += usize::from(!play.trouble.not_in_bulk.is_disjoint(&covered));
    }
    println!("{covered_users} covered users, {later_sessions} later sessions, {fallen_back} cases with refused users");
    assert!(covered_users > 1_000 && later_sessions > 100 && spared_sessions > 20 && fallen_back > 20);
}

/// The numbers of the issue: 10,000 listed sessions of 4,000 users, 3,800 of them covered, and 212 sessions of the others.
#[test]
fn ten_thousand_sessions_take_five_bulk_calls_and_212_single_ones_within_15_minutes() {
    let mut play = Play {
        sessions: BTreeMap::new(),
        alive: BTreeSet::new(),
        listed: BTreeSet::new(),
        rows: Vec::new(),
        protected_users: BTreeSet::new(),
        protected_sessions: BTreeSet::new(),
        not_covered: BTreeSet::new(),
        trouble: Trouble { per_minute: Some(20), ..Trouble::default() },
    };
    // 3,800 users with 9,788 sessions, all of them in the input; 200 with 212 in it and one more each.
    for (user, sessions, named) in (0..3_800)
        .map(|user| (user, if user < 2_188 { 3 } else { 2 }, true))
        .chain((3_800..4_000).map(|user| (user, if user < 3_812 { 2 } else { 1 }, true)))
        .chain((3_800..4_000).map(|user| (user, 1, false)))
    {
        for _ in 0..sessions {
            let session = play.sessions.len() as u64 + 1;
            play.sessions.insert(session, (user, 1));
            play.rows.extend(named.then_some((session, None, Some(1))));
        }
    }
    play.listed = play.sessions.keys().copied().collect();
    play.alive = play.listed.clone();
    assert_eq!(play.rows.len(), 10_000);
    let folder = tempfile::tempdir_in(scratch()).expect("a folder");
    let named: BTreeSet<u64> = play.rows.iter().map(|row| row.0).collect();
    for pace in [Pace::Every(Duration::from_secs(3)), Pace::Auto { start: 20.0, most: 300.0 }] {
        let (ended, seen, end) = play.run(folder.path(), true, pace, 1);
        println!("{pace:?}: {:?} calls, {} limited, {:?}", seen.calls, seen.limited, end.elapsed);
        assert_eq!(ended, named, "no session that isn't in the input was alive before the run and was ended by it");
        assert_eq!((seen.calls[1], seen.users_in_bulk.len()), (5, 3_800));
        assert_eq!(seen.calls[0] - seen.limited, 212);
        assert!(end.elapsed < Duration::from_mins(13), "{:?}", end.elapsed);
        if let Pace::Every(_) = pace {
            assert_eq!(seen.limited, 0);
        }
    }
}
