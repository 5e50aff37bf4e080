// Runs of the program for the page: against a server of this file's own, with limits, faults and a stop.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

export const ROWS = 260;
const HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\u202e</td>\u0007";

// The program, run to its end; the exit code has to be the one that is expected.
export async function run(binary, cwd, args, expected, { env = {}, started = () => {} } = {}) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^SLACK|_PROXY$/i.test(name)));
  const child = spawn(binary, args, { cwd, env: { ...clean, ...env }, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (text) => (said += text));
  started(child);
  const [code] = await once(child, "exit");
  if (code !== expected) throw new Error(`${args.join(" ")}: exit code ${code}, not ${expected}\n${said}`);
}

function answer(session, calls) {
  if (session % 40 === 7) return { ok: false, error: "user_not_found", response_metadata: { messages: [HOSTILE] } };
  if (session % 60 === 13) return { ok: false, error: "cannot_invalidate_primary_owner" };
  if (session % 17 === 5) return { ok: false, error: "session_not_found" };
  if (session % 29 === 11) return { ok: false, error: "session_expired" };
  if (session % 50 === 3) return null;
  return session % 70 === 1 && calls === 1 ? null : { ok: true };
}

// Slack, as far as a run needs it: 40 calls in any 2 s, then 429 with Retry-After. `answered` is called at every answer.
async function startServer(answered) {
  const [calls, recent] = [new Map(), []];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const say = (status, value, head = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...head });
      response.end(JSON.stringify(value));
    };
    if (request.url.endsWith("auth.test")) {
      const who = { user: "org-admin & co", user_id: "W0ADMIN", team: "Example <Corp>", team_id: "E0CORP", enterprise_id: "E0CORP" };
      return say(200, { ok: true, url: "https://example.enterprise.slack.com/", ...who });
    }
    const now = Date.now();
    while (recent[0] < now - 2000) recent.shift();
    if (recent.length >= 40) return say(429, { ok: false, error: "ratelimited" }, { "retry-after": "1" });
    recent.push(now);
    const session = Number(new URLSearchParams(body).get("session_id"));
    calls.set(session, (calls.get(session) ?? 0) + 1);
    answered();
    const value = answer(session, calls.get(session));
    if (value === null) response.writeHead(503, { "content-type": "text/html" }).end("<h1>outage</h1>");
    else say(200, value, { "x-slack-req-id": `req-${session}` });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, url: `http://127.0.0.1:${server.address().port}/api/` };
}

function input() {
  const lines = ["session_id,team_id,user_id,note"];
  for (let row = 0; row < ROWS; row++) lines.push(`${1000 + row},T${row % 7},U${row % 50},"${HOSTILE}"`);
  lines.push("1000,T0,U0,again", `"${HOSTILE}",T1,U1,no number`, "5000,t-lower,,no workspace", "5001,T1,U99,protected");
  return lines.join("\n") + "\n";
}

// A run that is stopped in the middle, then continued to its end; some rows fail, some stay unknown.
export async function runWithFaults(binary, folder) {
  writeFileSync(join(folder, "sessions.csv"), input());
  writeFileSync(join(folder, "keep.txt"), "U99\n");
  let [answers, child] = [0, undefined];
  const { server, url } = await startServer(() => ++answers === 100 && child.kill("SIGINT"));
  const env = { SLACK_TOKEN: "xoxp-stand-in-0001" };
  const rates = ["--start-rate", "600/min", "--max-rate", "1800/min", "--identify-by", "user"];
  const flags = ["--yes", "--api-url", url, "--retries", "1", "--max-failures", "100%", "--protect", "keep.txt"];
  const rest = ["--events", "events.ndjson", "--reason", `INC-1234: laptop <stolen> ${HOSTILE}`.replace(/[\u0000-\u001f]/g, "")];
  const line = ["run", "sessions.csv", ...rates, ...flags, ...rest];
  try {
    await run(binary, folder, line, 130, { env, started: (started) => (child = started) });
    await run(binary, folder, [...line, "--resume"], 1, { env });
  } finally {
    server.close();
    server.closeAllConnections();
  }
  return "sessions.results.csv";
}

export async function runRehearsal(binary, folder, root) {
  copyFileSync(join(root, "samples", "sessions.csv"), join(folder, "drill.csv"));
  await run(binary, folder, ["run", "--rehearse", "drill.csv"], 0);
  return "drill.rehearsal.csv";
}
