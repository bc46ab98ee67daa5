"""Compares our messages of package `inference` with those that tritonclient was generated from.

Reads a FileDescriptorSet in base64 from stdin; writes every difference as JSON to stdout. Triton may have more.
"""

import base64
import json
import sys

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from tritonclient.grpc import service_pb2

theirs = FileDescriptorProto()
service_pb2.DESCRIPTOR.CopyToProto(theirs)
ours = FileDescriptorSet.FromString(base64.b64decode(sys.stdin.read()))
ours = next(file for file in ours.file if file.package == "inference")
differences = []


def fields(message):
    return {f.name: (f.number, f.type, f.label, f.type_name) for f in message.field}


def compare(mine, other, path):
    if fields(mine) != fields(other):
        differences.append({"message": path, "ours": fields(mine), "theirs": fields(other)})
    nested = {m.name: m for m in other.nested_type}
    for message in mine.nested_type:
        compare(message, nested[message.name], f"{path}.{message.name}")


messages = {m.name: m for m in theirs.message_type}
for message in ours.message_type:
    compare(message, messages[message.name], message.name)

methods = {m.name: (m.input_type, m.output_type) for s in theirs.service for m in s.method}
for method in ours.service[0].method:
    if methods.get(method.name) != (method.input_type, method.output_type):
        differences.append({"method": method.name})

json.dump({"messages": len(ours.message_type), "differences": differences}, sys.stdout)
