# The runs that an alert may be matched with, from the files of --summary-json: who, from when to when, which run.
#
#     jq -n -f samples/siem/runs.jq done/*/sessions.summary.json > runs.json
#
# Rehearsals and runs that sent nothing are no runs.

[inputs | select(.window and (.rehearsal | not)) | {run_id, actor: (.actor // "" | split(" ")[0]), from: .window.from, to: .window.to}]
