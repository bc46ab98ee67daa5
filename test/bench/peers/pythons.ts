import { pythonWith } from './install.ts';

export const versions = {
  genai: '0.18.0',
  onnxruntime: '1.32.0',
  peft: '0.21.2',
  transformers: '5.24.0',
  torch: '2.7.1',
  nodeLlamaCpp: '3.22.1',
};

const onnx = [
  `onnxruntime-genai==${versions.genai}`,
  `onnxruntime==${versions.onnxruntime}`,
  'numpy',
  'onnx',
  'safetensors',
];

export const genaiPython = (): Promise<string> => pythonWith('onnxruntime-genai', versions.genai, onnx);

/** With PEFT, and with what the model builder of GenAI needs. About 6 GB. */
export const torchPython = (): Promise<string> =>
  pythonWith('torch', `${versions.torch}-transformers-${versions.transformers}`, [
    `torch==${versions.torch}`,
    `transformers==${versions.transformers}`,
    `peft==${versions.peft}`,
    ...onnx,
    'onnx-ir',
    'gguf',
  ]);

export const ggufPython = (): Promise<string> => pythonWith('gguf', '1', ['gguf', 'numpy', 'safetensors']);
