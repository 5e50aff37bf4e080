"""A loop over slack_sdk's asyncio client with one session: IN_FLIGHT calls in flight, a line for each answer.

slack_sdk_asyncio.py INPUT OUTPUT URL IN_FLIGHT, with the token in SLACK_TOKEN.
"""

import asyncio
import csv
import os
import sys

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient


async def work(client, rows, results):
    for row in rows:
        try:
            # The client's own method for it sends a query string; the form is what Slack documents.
            answer = await client.api_call("admin.users.session.invalidate", data=row)
            told = "revoked" if answer["ok"] else "failed"
        except SlackApiError as error:
            told = error.response["error"]
        results.write(f"{row['team_id']},{row['session_id']},{told}\n")


async def main(source, output, url, in_flight):
    connector = aiohttp.TCPConnector(limit=in_flight)
    # One reader is shared: a worker takes the next row when it has an answer to its last one.
    with open(source, newline="") as lines, open(output, "w", buffering=1) as results:
        rows = csv.DictReader(lines)
        async with aiohttp.ClientSession(connector=connector) as session:
            client = AsyncWebClient(token=os.environ["SLACK_TOKEN"], base_url=url, session=session)
            await asyncio.gather(*(work(client, rows, results) for _ in range(in_flight)))


asyncio.run(main(*sys.argv[1:4], int(sys.argv[4])))
