"""What unchanged langchain-openai must be able to do. Writes what it saw as JSON to stdout."""

import asyncio
import json
import sys

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAI

base_url, model, prompt, max_tokens = sys.argv[1:5]
settings = {"model": model, "base_url": base_url, "api_key": "unused", "max_retries": 0, "temperature": 0}
chat = ChatOpenAI(**settings, max_tokens=int(max_tokens), stream_usage=True)
responses = ChatOpenAI(**settings, max_tokens=int(max_tokens), use_responses_api=True)
text = OpenAI(**settings, max_tokens=int(max_tokens))
conversation = [SystemMessage("be brief"), HumanMessage(prompt)]


def text_of(message):
    """The content is a text, or a list of parts with the Responses API."""
    if isinstance(message.content, str):
        return message.content
    return "".join(part.get("text", "") for part in message.content)


def streamed(of):
    whole = None
    for chunk in of.stream(conversation):
        whole = chunk if whole is None else whole + chunk
    return {"text": text_of(whole), "usage": whole.usage_metadata}


answer = chat.invoke(conversation)
json.dump(
    {
        "chat": text_of(answer),
        "usage": answer.usage_metadata,
        "finish_reason": answer.response_metadata["finish_reason"],
        "fingerprint": answer.response_metadata.get("system_fingerprint"),
        "streamed": streamed(chat),
        "batch": [text_of(one) for one in chat.batch([conversation, conversation])],
        "async": text_of(asyncio.run(chat.ainvoke(conversation))),
        "several": [one.text for one in ChatOpenAI(**settings, max_tokens=int(max_tokens), n=2).generate([conversation]).generations[0]],
        "responses": text_of(responses.invoke(conversation)),
        "responses_streamed": streamed(responses)["text"],
        "text": text.invoke(prompt),
        "text_batch": text.batch([prompt, prompt]),
        "text_streamed": "".join(text.stream(prompt)),
    },
    sys.stdout,
)
