# Events of a run (--events) as OCSF 1.3 Authentication events (class 3002), activity Logoff, one per line:
#
#     jq -cn --arg actor W0ADMIN -f samples/siem/ocsf.jq sessions.ndjson
#
# Slack's own audit entry user_session_invalidated belongs to the same class.

def status_id: if IN("revoked", "already_revoked", "not_found") then 1 elif IN("failed") then 2 else 0 end;
# Milliseconds since 1970, from RFC 3339 with milliseconds, which fromdate can't read.
def milliseconds: (.[:19] + "Z" | fromdate) * 1000 + (.[20:23] | tonumber);

foreach inputs as $event ({}; if $event.type == "run_started" then {id: $event.run_id, rehearsal: $event.rehearsal} else . end;
    . as $run | $event | select(.type == "row_ended" and .attempts + .rate_limited > 0) | {
        category_uid: 3,
        class_uid: 3002,
        activity_id: 2,
        type_uid: 300202,
        severity_id: 1,
        time: (.finished_at | milliseconds),
        status_id: (.status | status_id),
        status_code: (.error // .status),
        status_detail: .detail,
        actor: {user: {uid: $actor}},
        user: {uid: (.user_id // "unknown")},
        session: {uid: (.session_id | tostring)},
        service: {name: "Slack"},
        metadata: {
            version: "1.3.0",
            product: {name: "slack-revoke", vendor_name: "slack-revoke"},
            correlation_uid: $run.id,
            labels: (if $run.rehearsal then ["rehearsal"] else [] end)
        },
        unmapped: {team_id, status, request_id}
    } | del(.. | nulls) | del(.status_detail | select(. == "")))
