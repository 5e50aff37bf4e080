// A loop over @slack/web-api: IN_FLIGHT calls in flight, a line for each answer.
//
// web-api.mjs INPUT OUTPUT URL IN_FLIGHT, with the token in SLACK_TOKEN and SLACK_WEB_API naming the folder in whose
// node_modules the package is.

import { createReadStream, createWriteStream } from 'node:fs'
import { createRequire } from 'node:module'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const { WebClient, LogLevel } = createRequire(`${process.env.SLACK_WEB_API}/`)('@slack/web-api')
const [input, output, slackApiUrl, words] = process.argv.slice(2)
const inFlight = Number(words)

const options = { slackApiUrl, maxRequestConcurrency: inFlight, logLevel: LogLevel.ERROR }
const client = new WebClient(process.env.SLACK_TOKEN, options)
const results = createWriteStream(output)
const lines = createInterface({ input: createReadStream(input) })[Symbol.asyncIterator]()
await lines.next() // the header

async function work () {
  for (let line = await lines.next(); !line.done; line = await lines.next()) {
    const [team_id, session_id] = line.value.split(',')
    const told = await client.admin.users.session.invalidate({ team_id, session_id }).then(
      answer => answer.ok ? 'revoked' : 'failed',
      error => error.data?.error ?? error.message
    )
    results.write(`${team_id},${session_id},${told}\n`)
  }
}
await Promise.all(Array.from({ length: inFlight }, work))
results.end()
await once(results, 'finish')
