# Events of a run (--events) as documents of the Elastic Common Schema, one per line:
#
#     jq -cn --arg actor W0ADMIN -f samples/siem/ecs.jq sessions.ndjson
#
# The same category and type as Elastic's own integration gives to Slack's audit entry user_session_invalidated.

def outcome: if IN("revoked", "already_revoked", "not_found") then "success" elif IN("failed") then "failure" else "unknown" end;

foreach inputs as $event ({}; if $event.type == "run_started" then {id: $event.run_id, rehearsal: $event.rehearsal} else . end;
    . as $run | $event | select(.type == "row_ended" and .attempts + .rate_limited > 0) | {
        "@timestamp": .finished_at,
        ecs: {version: "8.17.0"},
        event: {
            kind: "event",
            category: ["authentication", "session"],
            type: ["info", "end"],
            action: "session-revocation",
            outcome: (.status | outcome),
            code: (.error // .status),
            reason: .detail,
            dataset: "slack_revoke.events",
            provider: "slack-revoke"
        },
        user: {id: $actor, target: {id: .user_id}},
        organization: {id: .team_id},
        http: {request: {id: .request_id}, response: {status_code: .http_status}},
        labels: {run_id: $run.id, status: .status, session_id: (.session_id | tostring), rehearsal: ($run.rehearsal | tostring)}
    } | del(.. | nulls) | del(.. | select(. == {} or . == "")))
