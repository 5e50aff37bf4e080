use super::super::event_entry::tests::HOSTILE;
use super::*;
use crate::model::InvalidRow;
use crate::model::RunOnLimit;
use serde_json::{Value, json};

/// `--start-rate`, and `--max-rate` if it is another.
fn auto(start: &str, max: &str) -> RateChoice {
    RateChoice::Auto { start: start.parse().unwrap(), max: max.parse().unwrap() }
}

fn facts() -> PlanFacts {
    PlanFacts {
        input: "sessions.csv".to_owned(),
        input_age: Some(Duration::from_hours(51)),
        output: "sessions.results.csv".to_owned(),
        rows: 10_026,
        by_user: 0,
        by_team: 10_020,
        invalid: 3,
        duplicates: 2,
        protected: 1,
        already_done: 0,
        invalid_examples: vec![InvalidRow { line: 17, rule: "", text: "session_id is not an integer".to_owned() }],
        workspaces: 12,
        busiest_workspaces: vec![
            WorkspaceRows { team_id: "T1".to_owned(), rows: 9000 },
            WorkspaceRows { team_id: "T2".to_owned(), rows: 500 },
        ],
        users: 0,
        bulk: None,
        bulk_offer: None,
        only: None,
        users_to_confirm: None,
        rows_without_user: 10_020,
        rate: auto("20/min", "300/min"),
        learnt_per_minute: None,
        limits: Vec::new(),
        now: Timestamp::from_millis(1_700_000_000_000),
        api_host: "slack.com".to_owned(),
        proxy: Some("http://me:secret@proxy:3128".to_owned()),
        identity: Some(PlanIdentity {
            plan_id: "1a".repeat(32),
            content_sha256: "2b".repeat(32),
            listing_sha256: None,
            protect_ids: 2,
            organization: None,
        }),
    }
}

#[test]
fn the_plan_reads_from_the_input_to_the_results() {
    assert_eq!(
        plan_text(&facts(), &TimeZone::UTC, None),
        "\
input       sessions.csv: 10,026 rows, 2d 3h old
            SHA-256 2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b
to send     10,020 rows, named by team_id
protected   1 row
duplicate   2 rows
invalid     3 rows
            line 17: session_id is not an integer
            and 2 more
workspaces  12 (T1 9,000, T2 500, …)
time        8h 20m at 20/min, the first 20 at once; less if Slack allows more; started now, it ends at \
2023-11-15T06:33:20Z
API host    slack.com, through the proxy http://proxy:3128
results     sessions.results.csv
plan id     1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a
            in any organization, because none is known, with 2 ids in --protect
"
    );
}

#[test]
fn the_time_follows_the_pace() {
    let base = facts();
    for (rows, rate, want) in [
        (0, auto("20/min", "300/min"), "nothing to send"),
        (20, auto("20/min", "300/min"), "a few seconds at 20/min, the first 20 at once; less if Slack allows more;"),
        (21, auto("20/min", "300/min"), "3s at 20/min"),
        (1220, auto("20/min", "300/min"), "1h at 20/min"),
        (100, auto("40/min", "300/min"), "1m 30s at 40/min, the first 40 at once"),
        (7, auto("6/h", "6/h"), "1h at 0.1/min; started now"),
        (4, auto("1/h", "300/min"), "3h at 0.017/min; less"),
        (121, RateChoice::Fixed("60/min".parse().unwrap()), "2m at 60/min"),
        (121, RateChoice::Unlimited, "as fast as the network allows"),
    ] {
        let text = time(&PlanFacts { by_team: rows, rate, ..base.clone() }, &TimeZone::UTC);
        assert!(text.starts_with(want), "{rows} {rate:?}: {text}");
    }
    let endless = PlanFacts { by_team: u64::MAX, rate: RateChoice::Fixed("1/h".parse().unwrap()), ..base };
    assert_eq!((endless.duration(), endless.ends_at()), (None, None));
}

#[test]
fn whole_users_could_be_reset_in_bulk() {
    for (users, without, want) in [(0, 0, None), (1, 0, Some(1)), (1000, 0, Some(1)), (1001, 0, Some(2)), (9, 1, None)]
    {
        let facts = PlanFacts { users, rows_without_user: without, ..facts() };
        assert_eq!(facts.reset_bulk_calls(), want, "{users} {without}");
        assert_eq!(plan_text(&facts, &TimeZone::UTC, None).contains("resetBulk"), want.is_some());
    }
}

#[test]
fn the_plan_says_how_rows_are_identified() {
    for (by_user, by_team, want) in [
        (5, 0, ", named by user_id"),
        (0, 5, ", named by team_id"),
        (5, 2000, ", 5 named by user_id and 2,000 by team_id"),
        (0, 0, ""),
    ] {
        assert_eq!(form(&PlanFacts { by_user, by_team, ..facts() }), want);
    }
}

#[test]
fn the_json_has_derived_numbers_and_no_credentials() {
    let text = plan_json(&facts());
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&object["to_send"], &object["estimated_seconds"]), (&json!(10_020), &json!(30_000)));
    assert_eq!((&object["ends_at"], &object["pace"]), (&json!("2023-11-15T06:33:20.000Z"), &json!("auto")));
    assert_eq!((&object["proxy"], &object["reset_bulk_calls"]), (&json!("http://proxy:3128"), &Value::Null));
    assert!(!text.contains("secret"));
}

#[test]
fn nothing_hostile_reaches_the_terminal() {
    let hostile = || HOSTILE.to_owned();
    let facts = PlanFacts {
        input: hostile(),
        output: hostile(),
        invalid_examples: vec![InvalidRow { line: 1, rule: "", text: hostile() }],
        busiest_workspaces: vec![WorkspaceRows { team_id: hostile(), rows: 1 }],
        api_host: hostile(),
        proxy: Some(hostile()),
        ..facts()
    };
    for line in plan_text(&facts, &TimeZone::UTC, None).lines() {
        assert_eq!(clean(line), line);
    }
}

#[test]
fn whole_users_are_shown_as_calls_with_a_warning() {
    let facts = PlanFacts {
        by_user: 2_600,
        by_team: 0,
        users: 2_500,
        rows_without_user: 0,
        bulk: Some(BulkPlan { listing: None, users: 2_500, calls: 4, sessions: 0 }),
        users_to_confirm: Some(2_501),
        ..facts()
    };
    let text = plan_text(&facts, &TimeZone::UTC, None);
    for want in [
        "to send     2,600 rows, as whole users: 4 calls of admin.users.session.resetBulk\n",
        "time        a few seconds at 20/min",
        "EVERY session of 2,500 users will end, including those that aren't listed, on all devices.",
        "--confirm-users 2501 confirms it without a terminal.\n",
    ] {
        assert!(text.contains(want), "{want} is missing in {text}");
    }
    let json: Value = serde_json::from_str(&plan_json(&facts)).unwrap();
    assert_eq!((&json["calls"], &json["to_send"], &json["estimated_seconds"]), (&json!(4), &json!(2_600), &json!(0)));
}

/// The numbers of the issue: 10,000 sessions, 3,800 of 4,000 users covered.
#[test]
fn the_plan_of_a_bulk_run_shows_both_ways() {
    let plan = BulkPlan { listing: Some("all.csv".into()), users: 3_800, calls: 5, sessions: 212 };
    let mut facts = PlanFacts { by_team: 10_000, bulk: Some(plan.clone()), users_to_confirm: Some(3_800), ..facts() };
    facts.identity.iter_mut().for_each(|identity| identity.listing_sha256 = Some("3c".repeat(32)));
    let text = plan_text(&facts, &TimeZone::UTC, None);
    for want in [
        "to send     10,000 rows, 9,788 of them with their users by admin.users.session.resetBulk\n",
        "time        9m 36s at 20/min",
        &format!("with 2 ids in --protect\n            and the listing with SHA-256 {}\n", "3c".repeat(32)),
        "3,800 users in 5 bulk calls and 212 sessions one by one: about 9m 36s. Without --bulk: about 8h 19m. Sessions of these users \
         that began after all.csv was listed end too. Slack queues it; verify proves it. --confirm-users 3800 confirms the number.\n",
    ] {
        assert!(text.contains(want), "{want} is missing in {text}");
    }
    let json: Value = serde_json::from_str(&plan_json(&facts)).unwrap();
    assert_eq!(json["bulk"], json!({"listing": "all.csv", "users": 3_800, "calls": 5, "sessions": 212}));
    assert_eq!((&json["estimated_seconds"], &json["calls"]), (&json!(576), &json!(217)));
    assert_eq!(json["estimated_seconds_without_bulk"], 29_940);
    let fixed = PlanFacts { rate: RateChoice::Fixed("20/min".parse().unwrap()), ..facts };
    assert_eq!(fixed.duration(), Some(Duration::from_secs(216 * 3)), "a fixed rate is that of both methods together");
}

#[test]
fn bulk_is_offered_if_it_saves_more_than_half_of_the_time() {
    let offer = |users, sessions| BulkPlan { listing: Some("others.csv".into()), users, calls: 2, sessions };
    let plain = PlanFacts { by_team: 1_000, ..facts() };
    for (facts, offer, is_made) in [
        (plain.clone(), offer(900, 100), true),
        (plain.clone(), offer(400, 600), false),
        (PlanFacts { by_team: 10, ..facts() }, offer(10, 0), false),
        (PlanFacts { bulk: Some(offer(1, 999)), ..plain.clone() }, offer(900, 100), false),
    ] {
        let facts = facts.offering(Some(offer));
        let text = plan_text(&facts, &TimeZone::UTC, None);
        let words = "With --bulk others.csv the same sessions end sooner: 900 users in 2 bulk calls and 100 sessions one by one, about 4m \
                     instead of about 49m.\n";
        assert_eq!(text.ends_with(words), is_made, "{text}");
        let json: Value = serde_json::from_str(&plan_json(&facts)).unwrap();
        assert_eq!(json["bulk_offer"]["estimated_seconds"].is_u64(), is_made);
    }
}

#[test]
fn the_plan_says_who_else_uses_the_limit() {
    let run = |incident| RunOnLimit { host: "ci".into(), run_id: "one".into(), rows_left: 4000, incident };
    let at = |seconds: i64| Timestamp::from_millis(1_700_000_000_000 + seconds * 1000);
    let limit = LimitUse {
        limit: "admin.users.session.invalidate".into(),
        runs: vec![run(false), run(true)],
        closed_until: Some(at(12)),
        learned_per_minute: Some(37.0),
        learned_at: Some(at(-7200)),
    };
    let text = plan_text(&PlanFacts { limits: vec![limit], ..facts() }, &TimeZone::UTC, None);
    let want = "limit       admin.users.session.invalidate: closed for 12s more; 2 other runs draw on it with 8,000 rows left, an \
                incident among them (one on ci, one on ci); 37/min was learned 2h ago, and is the start\n";
    assert!(text.contains(want), "{text}");
}
