/**
 * Field numbers of onnx.proto that the engine reads or writes
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
 */
export const modelField = { irVersion: 1, graph: 7, opsetImport: 8, functions: 25 } as const;
export const functionField = { node: 7, opsetImport: 9, domain: 10 } as const;
export const opsetField = { domain: 1, version: 2 } as const;
export const graphField = {
  node: 1,
  name: 2,
  initializer: 5,
  input: 11,
  output: 12,
  valueInfo: 13,
} as const;
export const nodeField = { input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 } as const;
export const attributeField = {
  name: 1,
  float: 2,
  integer: 3,
  text: 4,
  tensor: 5,
  graph: 6,
  integers: 8,
  graphs: 11,
  type: 20,
} as const;
export const attributeType = { integer: 2, text: 3, integers: 7 } as const;
export const tensorField = {
  dims: 1,
  dataType: 2,
  int32Data: 5,
  int64Data: 7,
  name: 8,
  rawData: 9,
  dataLocation: 14,
  externalData: 13,
} as const;
export const entryField = { key: 1, value: 2 } as const;
export const valueInfoField = { name: 1, type: 2 } as const;
export const typeField = { tensor: 1 } as const;
export const tensorTypeField = { elementType: 1, shape: 2 } as const;
export const shapeField = { dimension: 1 } as const;
export const dimensionField = { value: 1, symbol: 2 } as const;

/** TensorProto.DataType. */
export const elementType = {
  float: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  float16: 10,
  bfloat16: 16,
} as const;

/** The domain of ONNX Runtime's own operators. */
export const microsoftDomain = 'com.microsoft';

/** The domain of the operator in native/. */
export const operatorDomain = 'adaptlet';
