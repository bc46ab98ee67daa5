import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';

/** The files of a google.protobuf.FileDescriptorSet: its field 1, each a FileDescriptorProto. */
const filesOf = (set: Uint8Array): Buffer[] => {
  const reader = new BinaryReader(set);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) files.push(Buffer.from(reader.bytes()));
    else reader.skip(wireType);
  }
  return files;
};

/** Adds gRPC reflection (v1 and v1alpha). `descriptors`: a FileDescriptorSet in base64, from src/gen/descriptors.ts. */
export const addReflection = (server: Server, descriptors: string): void => {
  // The library wants proto-loader's package definition but reads nothing of it except these bytes.
  const files = {
    format: 'Protocol Buffer 3 DescriptorProto',
    type: {},
    fileDescriptorProtos: filesOf(Buffer.from(descriptors, 'base64')),
  };
  new ReflectionService({ files } as unknown as ConstructorParameters<
    typeof ReflectionService
  >[0]).addToServer(server);
};
