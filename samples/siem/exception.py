"""An exception for detection rules that alert when many sessions of a user are revoked, such as Panther's
Slack.AuditLogs.ApplicationDoS (60 in 24 hours): an audit entry is expected if the actor of a recorded run made it while
that run was sending. Everything else still alerts, also revocations by the same administrator outside of a run.

In the rule:    if is_of_a_run(event, RUNS): return False
RUNS is the output of runs.jq. `python3 exception.py` checks this file.
"""

from datetime import datetime, timedelta

ACTIONS = {"user_session_invalidated", "bulk_session_reset_by_admin"}

# Slack's clock and ours differ, and resetBulk works after the run has ended.
BEFORE = timedelta(minutes=1)
AFTER = {"user_session_invalidated": timedelta(minutes=1), "bulk_session_reset_by_admin": timedelta(hours=1)}


def is_of_a_run(event, runs):
    """Whether an entry of Slack's audit log was caused by one of the runs."""
    action = event.get("action")
    actor = event.get("actor", {}).get("user", {}).get("id")
    if action not in ACTIONS or not actor:
        return False
    at = event["date_create"]
    return any(
        run["actor"] == actor
        and (_seconds(run["from"]) - BEFORE.total_seconds()) <= at <= (_seconds(run["to"]) + AFTER[action].total_seconds())
        for run in runs
    )


def _seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _check():
    runs = [{"run_id": "r", "actor": "W1", "from": "2026-11-23T18:42:01.131Z", "to": "2026-11-23T18:50:01.000Z"}]
    began = int(_seconds("2026-11-23T18:42:01Z"))

    def entry(actor="W1", after=60, action="user_session_invalidated"):
        return {"action": action, "actor": {"user": {"id": actor}}, "date_create": began + after}

    assert is_of_a_run(entry(), runs)
    assert is_of_a_run(entry(after=-30), runs)
    assert is_of_a_run(entry(after=480 + 59), runs)
    assert is_of_a_run(entry(after=480 + 3000, action="bulk_session_reset_by_admin"), runs)
    assert not is_of_a_run(entry(actor="W2"), runs)
    assert not is_of_a_run(entry(after=-120), runs)
    assert not is_of_a_run(entry(after=480 + 120), runs)
    assert not is_of_a_run(entry(action="user_login"), runs)
    assert not is_of_a_run({"action": "user_session_invalidated"}, runs)
    assert not is_of_a_run(entry(), [])


if __name__ == "__main__":
    _check()
