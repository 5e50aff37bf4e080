use super::super::stored::CHUNK;
use super::super::testing::{content, content_and_batches};
use super::super::{Covers, Identify, Rules, SurveyOptions};
use super::*;
use crate::model::Rejection;
use crate::model::TeamId;
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
    let mut batches = content_and_batches(&interleaved(520), SurveyOptions::default(), PossiblySent::default()).1;
    let sizes: Vec<usize> = (0..10).map(|_| batches.next_batch(Want::Any).unwrap().rows.len()).collect();
    assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 128, 128]);
    let last = batches.next_batch(Want::Any).unwrap();
    assert_eq!((last.rows.len(), last.exhausted), (9, true));
    assert_eq!((0, true), batches.next_batch(Want::Any).map(|batch| (batch.rows.len(), batch.exhausted)).unwrap());
}

#[test]
fn large_rows_come_in_small_batches() {
    let mut text = String::from("team_id,session_id,note\n");
    (0..100).for_each(|row| writeln!(text, "T{},{row},{}", row % 2, "x".repeat(MOST_BYTES / 3)).unwrap());
    for want in [Want::Any, Want::Of(team(1))] {
        let mut batches = content_and_batches(&text, SurveyOptions::default(), PossiblySent::default()).1;
        let sizes: Vec<usize> = (0..5).map(|_| batches.next_batch(want.clone()).unwrap().rows.len()).collect();
        assert_eq!(sizes, [1, 2, 3, 3, 3], "{want:?}");
    }
}

#[test]
fn batches_of_many_workspaces_stay_small() {
    let sizes = |teams: u64, rows: u64| {
        let mut text = String::from("team_id,session_id\n");
        (0..rows).for_each(|row| writeln!(text, "T{},{row}", row % teams).unwrap());
        let mut batches = content_and_batches(&text, SurveyOptions::default(), PossiblySent::default()).1;
        (0..8).map(|_| batches.next_batch(Want::Of(team(1))).unwrap().rows.len()).collect::<Vec<_>>()
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
    let ((content, _), mut forward) = content_and_batches(&text, SurveyOptions::default(), PossiblySent::default());
    let mut next = 2;
    while next < 20_002 {
        for row in forward.next_batch(Want::Any).unwrap().rows {
            assert_eq!((row.line, row.fields.get(1)), (next, Some((next - 2).to_string().as_str())));
            next += 1;
        }
    }
    let mut by_team = content.batches(PossiblySent::default());
    let mut count = 0;
    for number in [1, 3, 2] {
        while let batch = by_team.next_batch(Want::Of(team(number))).unwrap()
            && !batch.rows.is_empty()
        {
            count += batch.rows.len();
            assert_eq!(batch.exhausted, batch.rows.last().unwrap().line > 19_998);
        }
    }
    assert_eq!(count, 20_000);
    let rest = by_team.next_batch(Want::Any).unwrap();
    assert_eq!((rest.rows.len(), rest.exhausted), (0, true));
}

#[test]
fn rows_of_whole_users_come_apart_from_the_others_once_they_were_requested() {
    let rules = Rules { covers: Covers::Everybody, ..Rules::default() };
    let options = SurveyOptions { rules, ..SurveyOptions::default() };
    let text = csv(&[(1, 1, true, false), (1, 2, false, false), (2, 3, true, false), (0, 4, true, false)]);
    let mut batches = content_and_batches(&text, options.clone(), PossiblySent::default()).1;
    assert_eq!(lines(&batches.next_batch(Want::OfUsers).unwrap()), [2]);
    let rest = batches.next_batch(Want::Any).unwrap();
    assert_eq!((lines(&rest), rest.exhausted), (vec![3], false));
    let rest = batches.next_batch(Want::Any).unwrap();
    assert_eq!((lines(&rest), rest.exhausted), (vec![5], true));
    let users = batches.next_batch(Want::OfUsers).unwrap();
    assert_eq!((lines(&users), users.exhausted), (vec![4], true));

    // A reading that wants everything gets everything.
    let mut batches = content_and_batches(&text, options, PossiblySent::default()).1;
    let all: Vec<u64> = (0..3).flat_map(|_| lines(&batches.next_batch(Want::Any).unwrap())).collect();
    assert_eq!(all, [2, 3, 4, 5]);
}

#[test]
fn sessions_of_covered_users_are_sent_as_users_and_once() {
    let id = |number: u64| crate::model::SessionId::from(number);
    let mut listed = crate::input::CoverageListing::default();
    let user = |id| crate::model::UserId::parse(id).unwrap();
    for (session, of) in [(1, "U1"), (2, "U1"), (3, "U2"), (4, "U2")] {
        listed.add(id(session), &user(of), &team(1));
    }
    let text = csv(&[(1, 1, true, false), (1, 2, false, false), (1, 1, true, false), (1, 3, false, false)]);
    let ((content, _), _) = content_and_batches(&text, SurveyOptions::default(), PossiblySent::default());
    let covers = Covers::Listed(Arc::new(content.coverage(&listed.finish(), &Rules::default()).unwrap()));
    let options = SurveyOptions { rules: Rules { covers, ..Rules::default() }, ..SurveyOptions::default() };
    let ((_, survey), mut batches) = content_and_batches(&text, options, PossiblySent::default());
    assert_eq!((survey.sendable, survey.duplicates, survey.addressed.get(&team(1))), (3, 1, Some(&1)));
    let of_users = [batches.next_batch(Want::OfUsers).unwrap(), batches.next_batch(Want::OfUsers).unwrap()];
    assert_eq!(of_users.each_ref().map(lines), [vec![2], vec![3]]);
    let owners = of_users.iter().flat_map(|batch| &batch.rows).map(|row| row.target.as_ref().unwrap().user().cloned());
    assert_eq!(owners.collect::<Vec<_>>(), [Some(user("U1")), Some(user("U1"))]);
    let rest: Vec<u64> = batches.everything().into_iter().map(|row| row.line).collect();
    assert_eq!(rest, [4, 5]);
}

impl BatchReader {
    /// All rows that no other want gives.
    fn everything(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        loop {
            let batch = self.next_batch(Want::Any).unwrap();
            rows.extend(batch.rows);
            if batch.exhausted {
                return rows;
            }
        }
    }
}

#[test]
fn a_workspace_gets_its_own_rows_and_the_rest_skips_them() {
    let mut batches = content_and_batches(&interleaved(9), SurveyOptions::default(), PossiblySent::default()).1;
    assert_eq!(lines(&batches.next_batch(Want::Of(team(2))).unwrap()), [3]);
    assert_eq!(lines(&batches.next_batch(Want::Any).unwrap()), [2]);
    assert_eq!(lines(&batches.next_batch(Want::Any).unwrap()), [4, 5]);
    let batch = batches.next_batch(Want::Of(team(2))).unwrap();
    assert_eq!((lines(&batch), batch.exhausted), (vec![6, 9], true));
    let batch = batches.next_batch(Want::Any).unwrap();
    assert_eq!((lines(&batch), batch.exhausted), (vec![7, 8, 10], true));
    assert!(batches.next_batch(Want::Of(team(9))).unwrap().exhausted);
}

#[test]
fn rows_of_no_workspace_come_ahead_of_the_others() {
    let rows: Vec<_> = (0..200).map(|n| (1, n, n >= 150, false)).collect();
    let options = SurveyOptions { done: [155].into_iter().collect(), ..SurveyOptions::default() };
    let mut batches = content_and_batches(&csv(&rows), options, PossiblySent::default()).1;
    assert_eq!(lines(&batches.next_batch(Want::OfNoTeam).unwrap()), [152]);
    assert_eq!(lines(&batches.next_batch(Want::OfNoTeam).unwrap()), [153, 154]);
    assert_eq!(lines(&batches.next_batch(Want::OfNoTeam).unwrap()), [156, 157, 158, 159]);
    let mut last = batches.next_batch(Want::OfNoTeam).unwrap();
    while !last.exhausted {
        last = batches.next_batch(Want::OfNoTeam).unwrap();
    }
    assert_eq!(last.rows.last().unwrap().line, 201);
}

#[test]
fn done_rows_are_left_out_and_doubtful_ones_marked() {
    let options = SurveyOptions { done: [3, 5].into_iter().collect(), ..SurveyOptions::default() };
    let maybe = PossiblySent::Lines([4].into_iter().collect());
    let mut batches = content_and_batches(&interleaved(5), options, maybe).1;
    let mut rows = batches.next_batch(Want::Of(team(2))).unwrap().rows;
    while rows.len() < 3 {
        rows.extend(batches.next_batch(Want::Any).unwrap().rows);
    }
    let seen: Vec<_> = rows.iter().map(|row| (row.line, row.may_have_been_sent)).collect();
    assert_eq!(seen, [(6, false), (2, false), (4, true)]);
}

#[test]
fn duplicates_name_the_line_of_the_first() {
    let text = csv(&[(1, 7, false, true), (2, 7, false, false), (1, 7, false, false), (0, 7, false, false)]);
    let mut batches = content_and_batches(&text, SurveyOptions::default(), PossiblySent::All).1;
    let mut rows = Vec::new();
    while rows.len() < 4 {
        rows.extend(batches.next_batch(Want::Any).unwrap().rows);
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
        let ((_, survey), mut batches) = content_and_batches(&csv(&rows), options, PossiblySent::default());
        let mut seen = HashSet::new();
        let mut wants = wants.into_iter();
        loop {
            let want = wants.next().map_or(Want::Any, |number| match number {
                0 | 6 => Want::Any,
                7 => Want::OfNoTeam,
                number => Want::Of(team(number)),
            });
            let batch = batches.next_batch(want.clone()).unwrap();
            for row in &batch.rows {
                prop_assert!(!done.contains(&row.line));
                prop_assert!(seen.insert((row.line, row.target.is_ok())), "line {} came twice", row.line);
                let addressed = row.target.as_ref().ok().and_then(|target| target.addressed_team());
                match &want {
                    Want::Any => {}
                    Want::Of(team) => prop_assert_eq!(addressed, Some(team)),
                    Want::OfNoTeam | Want::OfUsers => prop_assert_eq!(addressed, None),
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

#[tokio::test]
async fn requests_are_answered_in_order_up_to_the_end() {
    let (content, _) = content("team_id,session_id\nT1,1\nT1,2\nT1,3\n", SurveyOptions::default());
    let mut source = content.source(PossiblySent::default()).unwrap();
    let team = crate::model::TeamId::parse("T9").unwrap();
    for want in [Want::Any, Want::Of(team.clone()), Want::Any] {
        source.request(want);
    }
    let first = source.next().await.unwrap();
    assert_eq!((first.want, first.rows.len(), first.exhausted), (Want::Any, 1, false));
    let second = source.next().await.unwrap();
    assert_eq!((second.want, second.rows.len(), second.exhausted), (Want::Of(team), 0, true));
    let third = source.next().await.unwrap();
    assert_eq!((third.want, third.rows.len(), third.exhausted), (Want::Any, 2, true));
    assert_eq!(third.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 4]);
}

#[tokio::test]
async fn an_error_is_told_once_and_then_missed() {
    let (content, _) = content("team_id,session_id\nT1,1\n", SurveyOptions::default());
    let (requests, wanted) = channel();
    let (answer, answers) = mpsc::channel(WAITING);
    drop((wanted, answer));
    let mut source = Source { requests, answers };
    source.request(Want::Any);
    assert!(matches!(source.next().await, Err(StopReason::Unreadable(why)) if why.contains("has ended")));
    drop(content);
}
