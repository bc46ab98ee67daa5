"""What KServe's unchanged Python clients must be able to do. Writes what they saw as JSON to stdout."""

import asyncio
import json
import sys

from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import to_http_parameters

grpc_address, http_url, model, unknown, prompt, max_tokens = sys.argv[1:7]


def request(name):
    tensor = InferInput("text", [1], "BYTES", data=[prompt])
    parameters = {"max_tokens": int(max_tokens), "temperature": 0, "user": "anna"}  # Its gRPC takes no floats.
    return InferRequest(model_name=name, infer_inputs=[tensor], request_id="7", parameters=parameters)


async def error_of(call):
    try:
        await call
    except Exception as error:  # The clients raise what their libraries raise.
        return str(error)
    return None


def output(answer, name):
    value = next(one for one in answer.outputs if one.name == name).data[0]
    return value.decode() if isinstance(value, bytes) else value


async def main():
    rest = InferenceRESTClient(config=RESTConfig(protocol="v2"))
    rpc = InferenceGRPCClient(url=grpc_address)
    by_rest = await rest.infer(http_url, request(model), model_name=model)
    by_rpc = await rpc.infer(request(model))
    seen = {
        "rest_live": await rest.is_server_live(http_url),
        "rest_ready": await rest.is_server_ready(http_url),
        "rest_model_ready": await rest.is_model_ready(http_url, model),
        "rest_text": output(by_rest, "text"),
        "rest_id": by_rest.id,
        "rest_parameters": by_rest.parameters,
        "rest_unknown": await error_of(rest.infer(http_url, request(unknown), model_name=unknown)),
        "grpc_live": await rpc.is_server_live(),
        "grpc_ready": await rpc.is_server_ready(),
        "grpc_model_ready": await rpc.is_model_ready(model),
        "grpc_text": output(by_rpc, "text"),
        "grpc_id": by_rpc.id,
        "grpc_parameters": to_http_parameters(by_rpc.parameters),
        "grpc_unknown": await error_of(rpc.infer(request(unknown))),
    }
    await rpc.close()
    await rest.close()
    json.dump(seen, sys.stdout)


asyncio.run(main())
