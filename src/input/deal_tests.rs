use super::super::stored::CHUNK;
use super::super::testing::content_and_dealer;
use super::super::{Identify, Rules, SurveyOptions};
use super::*;
use crate::model::Rejection;
use proptest::prelude::*;
use std::collections::HashSet;
use std::fmt::Write as _;

/// A CSV of `team_id,session_id,user_id`; 0 stands for a team that is no id. Some rows have a blank line behind them.
fn csv(rows: &[(u8, u64, bool, bool)]) -> String {
    let mut text = String::from("team_id,session_id,user_id\n");
    for &(team, session, user, blank) in rows {
        let team = if team == 0 { "?".into() } else { format!("T{team}") };
        let user = if user { "U1" } else { "" };
        writeln!(text, "{team},{session},{user}{}", if blank { "\n" } else { "" }).unwrap();
    }
    text
}

fn team(number: u8) -> TeamId {
    TeamId::parse(&format!("T{number}")).unwrap()
}

fn lines(batch: &Batch) -> Vec<u64> {
    batch.rows.iter().map(|row| row.line).collect()
}

/// Rows `2..2 + count`, over teams 1 to 3 in turn.
fn interleaved(count: u64) -> String {
    let rows: Vec<_> = (0..count).map(|n| (1 + u8::try_from(n % 3).unwrap(), n, false, false)).collect();
    csv(&rows)
}

#[test]
fn batches_start_with_one_row_and_grow() {
    let mut dealer = content_and_dealer(&interleaved(520), SurveyOptions::default(), PossiblySent::default()).1;
    let sizes: Vec<usize> = (0..10).map(|_| dealer.deal(Want::Any).unwrap().rows.len()).collect();
    assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 128, 128]);
    let last = dealer.deal(Want::Any).unwrap();
    assert_eq!((last.rows.len(), last.exhausted), (9, true));
    assert_eq!((0, true), dealer.deal(Want::Any).map(|batch| (batch.rows.len(), batch.exhausted)).unwrap());
}

#[test]
fn large_rows_come_in_small_batches() {
    let mut text = String::from("team_id,session_id,note\n");
    (0..100).for_each(|row| writeln!(text, "T{},{row},{}", row % 2, "x".repeat(MOST_BYTES / 3)).unwrap());
    for want in [Want::Any, Want::Of(team(1))] {
        let mut dealer = content_and_dealer(&text, SurveyOptions::default(), PossiblySent::default()).1;
        let sizes: Vec<usize> = (0..5).map(|_| dealer.deal(want.clone()).unwrap().rows.len()).collect();
        assert_eq!(sizes, [1, 2, 3, 3, 3], "{want:?}");
    }
}

#[test]
fn batches_of_many_workspaces_stay_small() {
    let sizes = |teams: u64, rows: u64| {
        let mut text = String::from("team_id,session_id\n");
        (0..rows).for_each(|row| writeln!(text, "T{},{row}", row % teams).unwrap());
        let mut dealer = content_and_dealer(&text, SurveyOptions::default(), PossiblySent::default()).1;
        (0..8).map(|_| dealer.deal(Want::Of(team(1))).unwrap().rows.len()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(2, 400), [1, 2, 4, 8, 16, 32, 64, 64]);
    assert_eq!(sizes(1000, 50_000), [1, 2, 4, 8, 8, 8, 8, 8]);
    for teams in [100, 500, 1000, 5000] {
        assert!(most_of_team(teams) * teams <= MOST_ROWS_OF_TEAMS.max(LEAST_OF_TEAM * teams), "{teams} workspaces");
    }
}

#[test]
fn a_content_of_many_buffers_is_read_in_order_and_by_workspace() {
    let text = interleaved(20_000);
    assert!(text.len() > 2 * CHUNK, "{}", text.len());
    let ((content, _), mut forward) = content_and_dealer(&text, SurveyOptions::default(), PossiblySent::default());
    let mut next = 2;
    while next < 20_002 {
        for row in forward.deal(Want::Any).unwrap().rows {
            assert_eq!((row.line, row.fields.get(1)), (next, Some((next - 2).to_string().as_str())));
            next += 1;
        }
    }
    let mut by_team = content.dealer(PossiblySent::default());
    let mut count = 0;
    for number in [1, 3, 2] {
        while let batch = by_team.deal(Want::Of(team(number))).unwrap()
            && !batch.rows.is_empty()
        {
            count += batch.rows.len();
            assert_eq!(batch.exhausted, batch.rows.last().unwrap().line > 19_998);
        }
    }
    assert_eq!(count, 20_000);
    let rest = by_team.deal(Want::Any).unwrap();
    assert_eq!((rest.rows.len(), rest.exhausted), (0, true));
}

#[test]
fn a_workspace_gets_its_own_rows_and_the_rest_skips_them() {
    let mut dealer = content_and_dealer(&interleaved(9), SurveyOptions::default(), PossiblySent::default()).1;
    assert_eq!(lines(&dealer.deal(Want::Of(team(2))).unwrap()), [3]);
    assert_eq!(lines(&dealer.deal(Want::Any).unwrap()), [2]);
    assert_eq!(lines(&dealer.deal(Want::Any).unwrap()), [4, 5]);
    let batch = dealer.deal(Want::Of(team(2))).unwrap();
    assert_eq!((lines(&batch), batch.exhausted), (vec![6, 9], true));
    let batch = dealer.deal(Want::Any).unwrap();
    assert_eq!((lines(&batch), batch.exhausted), (vec![7, 8, 10], true));
    assert!(dealer.deal(Want::Of(team(9))).unwrap().exhausted);
}

#[test]
fn rows_of_no_workspace_come_ahead_of_the_others() {
    let rows: Vec<_> = (0..200).map(|n| (1, n, n >= 150, false)).collect();
    let options = SurveyOptions { done: [155].into_iter().collect(), ..SurveyOptions::default() };
    let mut dealer = content_and_dealer(&csv(&rows), options, PossiblySent::default()).1;
    assert_eq!(lines(&dealer.deal(Want::OfNoTeam).unwrap()), [152]);
    assert_eq!(lines(&dealer.deal(Want::OfNoTeam).unwrap()), [153, 154]);
    assert_eq!(lines(&dealer.deal(Want::OfNoTeam).unwrap()), [156, 157, 158, 159]);
    let mut last = dealer.deal(Want::OfNoTeam).unwrap();
    while !last.exhausted {
        last = dealer.deal(Want::OfNoTeam).unwrap();
    }
    assert_eq!(last.rows.last().unwrap().line, 201);
}

#[test]
fn done_rows_are_left_out_and_doubtful_ones_marked() {
    let options = SurveyOptions { done: [3, 5].into_iter().collect(), ..SurveyOptions::default() };
    let maybe = PossiblySent::Lines([4].into_iter().collect());
    let mut dealer = content_and_dealer(&interleaved(5), options, maybe).1;
    let mut rows = dealer.deal(Want::Of(team(2))).unwrap().rows;
    while rows.len() < 3 {
        rows.extend(dealer.deal(Want::Any).unwrap().rows);
    }
    let seen: Vec<_> = rows.iter().map(|row| (row.line, row.may_have_been_sent)).collect();
    assert_eq!(seen, [(6, false), (2, false), (4, true)]);
}

#[test]
fn duplicates_name_the_line_of_the_first() {
    let text = csv(&[(1, 7, false, true), (2, 7, false, false), (1, 7, false, false), (0, 7, false, false)]);
    let mut dealer = content_and_dealer(&text, SurveyOptions::default(), PossiblySent::All).1;
    let mut rows = Vec::new();
    while rows.len() < 4 {
        rows.extend(dealer.deal(Want::Any).unwrap().rows);
    }
    assert!(rows[0].target.is_ok() && rows[1].target.is_ok());
    assert_eq!(rows[2].target, Err(Rejection::Duplicate { first_line: Some(2) }));
    assert_eq!(rows[3].target.as_ref().unwrap_err().rule(), "bad_team_id");
    assert!(rows.iter().all(|row| row.may_have_been_sent));
}

proptest! {
    #[test]
    fn every_row_is_given_out_once(
        rows in prop::collection::vec((0_u8..5, 0_u64..200, any::<bool>(), any::<bool>()), 0..300),
        done in prop::collection::hash_set(2_u64..400, 0..40),
        wants in prop::collection::vec(0_u8..8, 0..40),
        by_team in any::<bool>(),
    ) {
        let identify = if by_team { Identify::Team } else { Identify::Auto };
        let rules = Rules { identify, ..Rules::default() };
        let options = SurveyOptions { rules, done: done.iter().copied().collect(), ..SurveyOptions::default() };
        let ((_, survey), mut dealer) = content_and_dealer(&csv(&rows), options, PossiblySent::default());
        let mut seen = HashSet::new();
        let mut wants = wants.into_iter();
        loop {
            let want = wants.next().map_or(Want::Any, |number| match number {
                0 | 6 => Want::Any,
                7 => Want::OfNoTeam,
                number => Want::Of(team(number)),
            });
            let batch = dealer.deal(want.clone()).unwrap();
            for row in &batch.rows {
                prop_assert!(!done.contains(&row.line));
                prop_assert!(seen.insert((row.line, row.target.is_ok())), "line {} came twice", row.line);
                let addressed = row.target.as_ref().ok().and_then(|target| target.addressed_team());
                match &want {
                    Want::Any => {}
                    Want::Of(team) => prop_assert_eq!(addressed, Some(team)),
                    Want::OfNoTeam => prop_assert_eq!(addressed, None),
                }
            }
            if want == Want::Any && batch.exhausted {
                break;
            }
        }
        let sendable = seen.iter().filter(|(_, sendable)| *sendable).count() as u64;
        prop_assert_eq!(sendable, survey.sendable);
        prop_assert_eq!(seen.len() as u64, survey.rows - survey.already_done);
    }
}
