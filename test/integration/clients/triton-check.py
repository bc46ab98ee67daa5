"""What an unchanged tritonclient must be able to do. Writes what it saw as JSON to stdout."""

import json
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.http as http

address, http_address, model, unknown, prompt, max_tokens = sys.argv[1:7]
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
    except (triton.InferenceServerException, http.InferenceServerException) as error:
        return {"status": str(error.status()), "message": error.message()}
    return None


answer = infer([text_input(prompt)], request_id="7")
by_ids = triton.InferInput("input_ids", [1, 3], "INT64")
by_ids.set_data_from_numpy(np.array([[65, 66, 67]], dtype=np.int64))
some = infer([by_ids], outputs=[triton.InferRequestedOutput("token_ids")])



def http_text_input(binary):
    tensor = http.InferInput("text", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([prompt.encode()], dtype=np.object_), binary_data=binary)
    return tensor


def http_infer(binary, **more):
    outputs = [http.InferRequestedOutput(name, binary_data=binary) for name in ("text", "token_ids")]
    parameters = {"max_tokens": int(max_tokens), "temperature": 0.0, "user": "anna"}
    inputs = [http_text_input(binary)]
    return rest.infer(model, inputs, outputs=outputs, request_id="7", parameters=parameters, **more)


rest = http.InferenceServerClient(url=http_address)
by_bytes = http_infer(True)
by_json = http_infer(False)
accepting = http_infer(True, response_compression_algorithm="gzip")


def text_of(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def stream():
    """The text of one streamed request, and the error of another one in the same stream."""
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    parameters = {"max_tokens": int(max_tokens), "temperature": 0.0}
    client.async_stream_infer(model, [text_input(prompt)], parameters=parameters)
    text = ""
    told = []
    while True:
        result, error = answers.get(timeout=30)
        if error is not None:
            raise error
        text += result.as_numpy("text")[0].decode()
        parameters = result.get_response().parameters
        told.append({name: parameters[name].string_param for name in ("digest", "adapter", "arm", "rule")})
        if result.get_response().parameters["triton_final_response"].bool_param:
            break
    client.async_stream_infer(unknown, [text_input(prompt)])
    _, error = answers.get(timeout=30)
    client.stop_stream()
    return text, error.message(), told


streamed, stream_error, stream_told = stream()
client.load_model(model)
rest.load_model(model)
seen = {
    "http_live": rest.is_server_live(),
    "http_ready": rest.is_server_ready(),
    "http_model_ready": rest.is_model_ready(model),
    "http_unknown_ready": rest.is_model_ready(unknown),
    "http_metadata": rest.get_model_metadata(model),
    "http_index": rest.get_model_repository_index(),
    "http_id": by_bytes.get_response()["id"],
    "http_version": by_bytes.get_response()["model_version"],
    "http_text": text_of(by_bytes.as_numpy("text")[0]),
    "http_json_text": text_of(by_json.as_numpy("text")[0]),
    "http_token_ids": by_json.as_numpy("token_ids")[0].tolist(),
    "http_accepting_text": text_of(accepting.as_numpy("text")[0]),
    "http_gzip": error_of(lambda: http_infer(True, request_compression_algorithm="gzip")),
    "http_deflate": error_of(lambda: http_infer(False, request_compression_algorithm="deflate")),
    "grpc_gzip": error_of(lambda: infer([text_input(prompt)], compression_algorithm="gzip")),
    "grpc_deflate": error_of(lambda: infer([text_input(prompt)], compression_algorithm="deflate")),
    "http_unknown": error_of(lambda: rest.infer(unknown, [http_text_input(True)])),
    "stream_text": streamed,
    "stream_error": stream_error,
    "stream_told": stream_told,
    "token_ids": answer.as_numpy("token_ids")[0].tolist(),
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
rest.load_model(model)
rest.unload_model(model)
json.dump(seen, sys.stdout)
