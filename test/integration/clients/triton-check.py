"""What an unchanged tritonclient must be able to do. Writes what it saw as JSON to stdout."""

import json
import sys

import numpy as np
import tritonclient.grpc as triton

address, model, unknown, prompt, max_tokens = sys.argv[1:6]
client = triton.InferenceServerClient(url=address)


def infer(inputs, outputs=None, **more):
    parameters = {"max_tokens": int(max_tokens), "temperature": 0.0, "user": "anna"}
    return client.infer(model, inputs, outputs=outputs, parameters=parameters, **more)


def text_input(text):
    tensor = triton.InferInput("text", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([text.encode()], dtype=np.object_))
    return tensor


def error_of(call):
    try:
        call()
    except triton.InferenceServerException as error:
        return {"status": str(error.status()), "message": error.message()}
    return None


answer = infer([text_input(prompt)], request_id="7")
by_ids = triton.InferInput("input_ids", [1, 3], "INT64")
by_ids.set_data_from_numpy(np.array([[65, 66, 67]], dtype=np.int64))
some = infer([by_ids], outputs=[triton.InferRequestedOutput("token_ids")])

client.load_model(model)
seen = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": client.is_model_ready(model),
    "unknown_ready": client.is_model_ready(unknown),
    "server": client.get_server_metadata(as_json=True),
    "metadata": client.get_model_metadata(model, as_json=True),
    "index": client.get_model_repository_index(as_json=True),
    "id": answer.get_response().id,
    "version": answer.get_response().model_version,
    "text": answer.as_numpy("text")[0].decode(),
    "finish_reason": answer.as_numpy("finish_reason")[0].decode(),
    "token_ids_shape": list(answer.as_numpy("token_ids").shape),
    "by_ids_outputs": [output.name for output in some.get_response().outputs],
    "unknown": error_of(lambda: client.infer(unknown, [text_input(prompt)])),
    "invalid": error_of(lambda: infer([text_input(prompt), by_ids])),
}
client.unload_model(model)
json.dump(seen, sys.stdout)
