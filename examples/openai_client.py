"""Any client of OpenAI's API, pointed at any peer: here the official one, streaming.

    pip install openai
    meshinfer join --model smollm2            # in another terminal; its API listens on port 52415
    python examples/openai_client.py http://127.0.0.1:52415/v1 "What is the capital of France?"

A peer that goes away in the middle of an answer is no error here: the answer goes on after a pause. An
Idempotency-Key has even the peer that was asked replaced: ask another one with the same key.
"""

import sys

from openai import OpenAI


def main(url: str, question: str) -> None:
    client = OpenAI(base_url=url, api_key="none")
    model = next(model.id for model in client.models.list())
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        max_completion_tokens=64,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
        if chunk.usage is not None:
            print(f"\n{chunk.usage.completion_tokens} tokens")


if __name__ == "__main__":
    main(*sys.argv[1:3])
