"""One message, sent from where this runs: ``python -m tests.faults.speak URL ID``."""

import sys

import trio

from tests.fakes.http_client import HttpClient
from tests.fakes.network import room_message


async def speak(url: str, message_id: str) -> None:
    request = room_message(f"this is {message_id}", message_id=message_id, sender="ada", sender_type="human")
    answer = await HttpClient(url, "ops").post("/v1/messages", request)
    assert answer.status == 202, answer.body


if __name__ == "__main__":
    trio.run(speak, sys.argv[1], sys.argv[2])
