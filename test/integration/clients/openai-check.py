"""What the unchanged OpenAI client of Python must be able to do. Writes what it saw as JSON to stdout."""

import asyncio
import json
import sys

import openai

base_url, model, rollout, unknown, prompt, max_tokens = sys.argv[1:7]
settings = {"base_url": base_url, "api_key": "unused", "max_retries": 0}
client = openai.OpenAI(**settings)
greedy = {"max_tokens": int(max_tokens), "temperature": 0}
chat = {"model": model, "messages": [{"role": "user", "content": prompt}], **greedy}
response = {"model": model, "input": prompt, "max_output_tokens": int(max_tokens), "temperature": 0}


def error_of(call):
    try:
        call()
    except openai.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "param": error.param,
            "message": error.message,
            "request_id": error.request_id,
        }
    return None


def completions():
    raw = client.completions.with_raw_response.create(model=rollout, prompt=prompt, n=2, seed=1, logprobs=1, **greedy)
    whole = raw.parse()
    text, usage = "", None
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    for chunk in client.completions.create(model=rollout, prompt=prompt, **greedy, **asked):
        text += chunk.choices[0].text if chunk.choices else ""
        usage = chunk.usage or usage
    return {
        "texts": [choice.text for choice in whole.choices],
        "logprobs": len(whole.choices[1].logprobs.token_logprobs),
        "usage": whole.usage.to_dict(),
        "adapter": raw.headers["x-adaptlet-adapter"],
        "streamed": text,
        "streamed_usage": usage.to_dict(),
        "request_id": [whole._request_id, raw.headers["x-adaptlet-request-id"]],
    }


def several_prompts():
    asked = {"model": rollout, "prompt": [prompt, prompt[::-1]], **greedy}
    alone = [client.completions.create(**{**asked, "prompt": one}) for one in asked["prompt"]]
    whole = client.completions.create(**asked)
    texts = ["", ""]
    for chunk in client.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    return {
        "alone": [one.choices[0].text for one in alone],
        "texts": [choice.text for choice in whole.choices],
        "indices": [choice.index for choice in whole.choices],
        "prompt_tokens": [sum(one.usage.prompt_tokens for one in alone), whole.usage.prompt_tokens],
        "streamed": texts,
    }


def told_prompt():
    """As lm-eval asks: a text, and what the model says of it."""
    asked = {**greedy, "max_tokens": 1, "echo": True, "logprobs": 1}
    choice = client.completions.create(model=rollout, prompt=prompt, **asked).choices[0]
    streamed = next(iter(client.completions.create(model=rollout, prompt=prompt, stream=True, **asked))).choices[0]
    longer = client.completions.create(model=rollout, prompt=choice.text, **asked).choices[0]
    scores = choice.logprobs
    return {
        "text": choice.text,
        "streamed": [streamed.text, streamed.logprobs.token_logprobs[1:]],
        "first": [scores.token_logprobs[0], scores.top_logprobs[0]],
        "scores": scores.token_logprobs[1:],
        "tops": [max(top, key=top.get) for top in scores.top_logprobs[1:]][-1],
        "tokens": scores.tokens,
        "offsets": scores.text_offset,
        "answer_as_prompt": longer.logprobs.token_logprobs[len(scores.tokens) - 1],
    }


def end_of(text):
    """A text that ends it early: the helpers raise where the limit of tokens does."""
    return text[len(text) // 2 :]


def chats():
    named = {**chat, "messages": [{**chat["messages"][0], "name": "anna"}]}
    whole = client.chat.completions.create(**named, n=2, logprobs=True, top_logprobs=2, store=True)
    stop = end_of(whole.choices[0].message.content)
    stopped = client.chat.completions.create(**chat, stop=stop)
    with client.chat.completions.stream(**chat, stop=[stop]) as stream:
        deltas = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    return {
        "texts": [choice.message.content for choice in whole.choices],
        "logprobs": len(whole.choices[0].logprobs.content),
        "stopped": stopped.choices[0].message.content,
        "deltas": deltas,
        "final": final.choices[0].message.content,
        "finish_reason": final.choices[0].finish_reason,
    }


def responses():
    whole = client.responses.create(**response, instructions="be brief", store=False)
    plain = client.responses.create(**response)
    stop = {"extra_body": {"stop": end_of(plain.output_text)}}
    stopped = client.responses.create(**response, **stop)
    with client.responses.stream(**response, **stop) as stream:
        types = [event.type for event in stream]
        final = stream.get_final_response()
    events = [event.type for event in client.responses.create(**response, stream=True)]
    return {
        "with_instructions": whole.output_text,
        "text": plain.output_text,
        "status": plain.status,
        "usage": plain.usage.to_dict(),
        "last_event": events[-1],
        "stopped": stopped.output_text,
        "types": types,
        "final": final.output_text,
    }


def ends():
    extras = {"ignore_eos": True, "min_tokens": 2, "bad_words": ["zebra"]}
    whole = client.chat.completions.create(**chat, n=2, extra_body=extras)
    plain = client.completions.create(model=model, prompt=prompt, **greedy, extra_body=extras)
    return {
        "texts": [choice.message.content for choice in whole.choices],
        "text": plain.choices[0].text,
        "response": client.responses.create(**response, extra_body=extras).output_text,
        "too_many": error_of(
            lambda: client.chat.completions.create(**chat, extra_body={"min_tokens": int(max_tokens) + 1})
        ),
    }


async def concurrently():
    async with openai.AsyncOpenAI(**settings) as later:
        answers = await asyncio.gather(*(later.chat.completions.create(**chat) for _ in range(4)))
        text = ""
        async for chunk in await later.chat.completions.create(**chat, stream=True):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        whole = await later.responses.create(**response)
        left = await later.chat.completions.create(**chat, stream=True)
        async for _ in left:
            break
        await left.close()
        try:
            await later.responses.create(**{**response, "model": unknown})
            error = None
        except openai.APIStatusError as raised:
            error = type(raised).__name__
    return {
        "texts": [answer.choices[0].message.content for answer in answers],
        "streamed": text,
        "response": whole.output_text,
        "error": error,
    }


json.dump(
    {
        "version": openai.__version__,
        "models": {one.id: getattr(one, "parent", None) for one in client.models.list()},
        "model": client.models.retrieve(model).id,
        "completions": completions(),
        "several_prompts": several_prompts(),
        "told_prompt": told_prompt(),
        "chats": chats(),
        "responses": responses(),
        "ends": ends(),
        "async": asyncio.run(concurrently()),
        "unknown": error_of(lambda: client.chat.completions.create(**{**chat, "model": unknown})),
        "best_of": error_of(lambda: client.completions.create(model=model, prompt=prompt, best_of=2)),
        "stored": error_of(lambda: client.responses.create(**response, previous_response_id="resp_1")),
        "too_long": error_of(
            lambda: client.completions.create(
                model=model, prompt=[prompt, prompt * 20_000], extra_headers={"x-request-id": "req-1"}
            )
        ),
        "made_up": error_of(lambda: client.chat.completions.create(**chat, extra_body={"temperatur": 1})),
    },
    sys.stdout,
)
