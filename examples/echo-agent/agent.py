"""An agent that repeats what it is told, in rooms where it is mentioned and in its DMs. See docs/client.md."""

import os

import trio

from moltnet.client.agent import open_agent


async def main() -> None:
    url, token = os.environ["MOLTNET_URL"], os.environ.get("MOLTNET_TOKEN")
    async with open_agent(url, "echo", token) as agent, agent.wakes() as wakes:
        print("waiting for somebody to mention @echo", flush=True)
        async for message in wakes:
            await agent.reply(message, f"You said: {message.text}")


if __name__ == "__main__":
    trio.run(main)
