"""What unchanged langchain-openai must be able to do with models of pydantic. Writes what it saw as JSON to stdout."""

import asyncio
import json
import sys

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

base_url, model, prompt, max_tokens = sys.argv[1:5]
settings = {"model": model, "base_url": base_url, "api_key": "unused", "max_retries": 0, "temperature": 0}
conversation = [HumanMessage(prompt)]


class Side(BaseModel):
    salt: bool


class Order(BaseModel):
    """Orders something"""

    count: int = Field(ge=1, le=9)
    side: Side | None


def plain(parsed):
    """An Order as JSON; anything else is said to be what it is."""
    return parsed.model_dump() if isinstance(parsed, Order) else repr(parsed)


def text_of(message):
    """The content is a text, or a list of parts with the Responses API."""
    if isinstance(message.content, str):
        return message.content
    return "".join(part.get("text", "") for part in message.content)


def structured(chat, method):
    asked = chat.with_structured_output(Order, method=method)
    return {
        "whole": plain(asked.invoke(conversation)),
        "streamed": plain(list(asked.stream(conversation))[-1]),
    }


def called(chat):
    forced = chat.bind_tools([Order], tool_choice="required", parallel_tool_calls=False)
    whole = forced.invoke(conversation)
    chunks = list(forced.stream(conversation))
    streamed = chunks[0]
    for chunk in chunks[1:]:
        streamed += chunk
    [call], [streamed_call] = whole.tool_calls, streamed.tool_calls
    told = ToolMessage(":", tool_call_id=call["id"])
    later = chat.bind_tools([Order], tool_choice="none").invoke([*conversation, whole, told])
    return {
        "name": call["name"],
        "arguments": plain(Order(**call["args"])),
        "streamed_arguments": streamed_call["args"],
        "later": text_of(later),
    }


async def later(chats):
    """In one loop of events: connections do not outlive theirs."""
    asked = [chat.with_structured_output(Order).ainvoke(conversation) for chat in chats]
    return [plain(parsed) for parsed in await asyncio.gather(*asked)]


def seen_by(chat):
    return {
        "json_schema": structured(chat, "json_schema"),
        "function_calling": structured(chat, "function_calling"),
        "called": called(chat),
    }


settings["max_tokens"] = int(max_tokens)
chat, responses = ChatOpenAI(**settings), ChatOpenAI(**settings, use_responses_api=True)
seen = {"chat": seen_by(chat), "responses": seen_by(responses), "async": asyncio.run(later([chat, responses]))}
json.dump(seen, sys.stdout)
