"""What the unchanged OpenAI client of Python must be able to do with models of pydantic. Writes what it saw as JSON to stdout."""

import asyncio
import json
import sys

import openai
from pydantic import BaseModel, Field

base_url, model, prompt, max_tokens = sys.argv[1:5]
settings = {"base_url": base_url, "api_key": "unused", "max_retries": 0}
client = openai.OpenAI(**settings)
question = {"role": "user", "content": prompt}
common = {"model": model, "temperature": 0}


class Side(BaseModel):
    salt: bool


class Order(BaseModel):
    """Orders something"""

    count: int = Field(ge=1, le=9)
    side: Side | None


tools = {"tools": [openai.pydantic_function_tool(Order)], "parallel_tool_calls": False}


def plain(parsed):
    """An Order as JSON; anything else is said to be what it is."""
    return parsed.model_dump() if isinstance(parsed, Order) else repr(parsed)


def chats():
    asked = {**common, "messages": [question], "max_tokens": int(max_tokens)}
    structure = {**asked, "response_format": Order}
    whole = client.chat.completions.parse(**structure)
    with client.chat.completions.stream(**structure) as stream:
        streamed = stream.get_final_completion()
    forced = {**asked, **tools, "tool_choice": "required"}
    answer = client.chat.completions.parse(**forced).choices[0]
    [call] = answer.message.tool_calls
    with client.chat.completions.stream(**forced) as stream:
        deltas = [event.arguments_delta for event in stream if event.type == "tool_calls.function.arguments.delta"]
        [streamed_call] = stream.get_final_completion().choices[0].message.tool_calls
    told = {"role": "tool", "tool_call_id": call.id, "content": ":"}
    conversation = {**asked, "messages": [question, answer.message, told]}
    later = client.chat.completions.create(**conversation, **tools, tool_choice="none")
    return {
        "parsed": plain(whole.choices[0].message.parsed),
        "streamed": plain(streamed.choices[0].message.parsed),
        "name": call.function.name,
        "finish_reason": answer.finish_reason,
        "arguments": plain(call.function.parsed_arguments),
        "streamed_arguments": plain(streamed_call.function.parsed_arguments),
        "deltas": "".join(deltas) == streamed_call.function.arguments and len(deltas) > 2,
        "later": later.choices[0].message.content,
    }


def responses():
    asked = {**common, "input": prompt, "max_output_tokens": int(max_tokens)}
    whole = client.responses.parse(**asked, text_format=Order)
    with client.responses.stream(**asked, text_format=Order) as stream:
        streamed = stream.get_final_response()
    forced = {**asked, **tools, "tool_choice": "required"}
    answer = client.responses.parse(**forced)
    [call] = answer.output
    with client.responses.stream(**forced) as stream:
        deltas = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
        [streamed_call] = stream.get_final_response().output
    told = {"type": "function_call_output", "call_id": call.call_id, "output": ":"}
    conversation = {**asked, "input": [question, *answer.output, told]}
    later = client.responses.parse(**conversation, **tools, tool_choice="none")
    return {
        "parsed": plain(whole.output_parsed),
        "streamed": plain(streamed.output_parsed),
        "name": call.name,
        "finish_reason": answer.status,
        "arguments": plain(call.parsed_arguments),
        "streamed_arguments": plain(streamed_call.parsed_arguments),
        "deltas": "".join(deltas) == streamed_call.arguments and len(deltas) > 2,
        "later": later.output_text,
    }


async def later():
    async with openai.AsyncOpenAI(**settings) as client:
        asked = {**common, "messages": [question], "max_tokens": int(max_tokens)}
        whole = await client.chat.completions.parse(**asked, response_format=Order)
        return plain(whole.choices[0].message.parsed)


json.dump({"chat": chats(), "responses": responses(), "async": asyncio.run(later())}, sys.stdout)
