import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AdaptletError } from '../../../../src/errors/adaptlet-error.ts';
import { graphFactsOf } from '../../../../src/runtime/base-model/graph-facts.ts';
import { openChatTemplate } from '../../../../src/runtime/engine/model/chat-template.ts';
import { type ModelFolder, weightFilesOf } from '../../../../src/runtime/engine/model/folder.ts';
import { refuseForeignDecoder } from '../../../../src/runtime/engine/model/form.ts';
import { readSettings } from '../../../../src/runtime/engine/model/settings.ts';
import { openTextCodec } from '../../../../src/runtime/engine/model/tokenizer.ts';
import { probeTools } from '../../../../src/runtime/engine/model/tool-probe.ts';
import { externalWeights, moveValues } from '../../../../src/runtime/engine/onnx/external-weights.ts';
import { familyOf } from '../../../../src/runtime/engine/onnx/families.ts';
import { applyEdit, type Graph, readGraph, tensorsOf } from '../../../../src/runtime/engine/onnx/graph.ts';
import { inFloat32 } from '../../../../src/runtime/engine/onnx/in-float32.ts';
import { sitesOf } from '../../../../src/runtime/engine/onnx/inject.ts';
import { lengthUseOf } from '../../../../src/runtime/engine/onnx/lengths.ts';
import { refuseOwnDomain } from '../../../../src/runtime/engine/onnx/own-domain.ts';
import { elementType } from '../../../../src/runtime/engine/onnx/schema.ts';
import { withWholeCaches } from '../../../../src/runtime/engine/onnx/whole-caches.ts';
import { filesAt, jsonTexts, texts } from '../examples.ts';
import { words } from '../mutators/bytes.ts';
import { json } from '../mutators/json.ts';
import { protobuf } from '../mutators/protobuf.ts';
import { scratch } from '../scratch.ts';
import { must, type Target, textOf } from '../target.ts';

const exports = 'test/fixtures/exports';
const llama = familyOf('llama');
const unchanged = { nodes: new Map(), newInputs: [], staleShapes: new Set<string>(), outputs: new Map() };

/** There is no such folder: whatever is found was found elsewhere. */
const checkWeightFiles = (graph: Graph): void => {
  try {
    must(
      weightFilesOf({ folder: '/nowhere/model', graph: 'model.onnx' }, graph).length === 0,
      'weights of nowhere',
    );
  } catch (error) {
    if (!(error instanceof AdaptletError) || error.code !== 'MODEL_FILE_MISSING') throw error;
  }
};

const onnx: Target = {
  name: 'onnx',
  reads: 'src/runtime/engine/onnx, base-model/graph-facts.ts',
  examples: () =>
    filesAt(
      `${exports}/llama/default/model.onnx`,
      `${exports}/llama/int4/model.onnx`,
      `${exports}/gemma3/apart/model.onnx`,
      `${exports}/phi4-mini/apart/model.onnx`,
      `${exports}/phi4-mini/half/model.onnx`,
    ),
  mutators: [protobuf],
  codes: ['MODEL_INVALID', 'MODEL_UNSUPPORTED', 'MODEL_FILE_MISSING'],
  run: (bytes) => {
    const model = Buffer.from(bytes);
    const graph = readGraph(model);
    refuseOwnDomain(model);
    const { parameters, weightFiles } = graphFactsOf(graph);
    must(!Number.isNaN(parameters), 'parameters are no number');
    must(
      weightFiles.every((name) => typeof name === 'string'),
      'a file has no name',
    );
    for (const { place } of externalWeights(graph)) must(place.offset >= 0, `begins at ${place.offset}`);
    const same = readGraph(applyEdit(graph, unchanged));
    must(same.nodes.length === graph.nodes.length, 'copied, it has other nodes');
    moveValues(withWholeCaches(model), () => ({ location: 'x', offset: 0 }));
    const widened = inFloat32(graph);
    for (const which of ['inputs', 'outputs'] as const)
      for (const { code } of tensorsOf(widened, which))
        must(code !== elementType.float16 && code !== elementType.bfloat16, 'widened, it has 16 bits');
    refuseForeignDecoder(graph, { file: 'model.onnx', others: [] });
    lengthUseOf(graph);
    for (const { inFeatures, outFeatures } of sitesOf(graph, llama))
      must(inFeatures > 0 && outFeatures > 0, 'a linear of no size');
    checkWeightFiles(graph);
    return `${tensorsOf(graph, 'inputs').length}`;
  },
};

const folderWith = (name: string, bytes: Uint8Array): string => {
  const path = join(scratch(), name);
  writeFileSync(path, bytes);
  return path;
};

const noFolder: ModelFolder = {
  folder: 'x',
  graph: 'x',
  file: 'x',
  others: [],
  config: undefined,
  tokenizer: '',
  tokenizerConfig: '',
  generationConfig: undefined,
  genaiConfig: undefined,
  chatTemplate: undefined,
};

type Families = Readonly<Record<string, { readonly tokenizer: unknown }>>;

const samples = ['Hello, World! 123', ' \n\t naïve 你好 👨‍👩‍👧 <|im_end|>', ''];

const tokenizer: Target = {
  name: 'tokenizer',
  reads: 'src/runtime/engine/model/tokenizer.ts',
  examples: () => {
    const [families] = filesAt('test/fixtures/tokenizers/families.json');
    const all = Object.values(JSON.parse(Buffer.from(families ?? []).toString('utf8')) as Families);
    return [
      ...filesAt('test/fixtures/models/tiny/model/tokenizer.json'),
      ...jsonTexts(...all.map((each) => each.tokenizer)),
    ];
  },
  mutators: [json],
  codes: ['MODEL_INVALID', 'MODEL_UNSUPPORTED', 'REQUEST_INVALID'],
  run: (bytes) => {
    const model = {
      ...noFolder,
      tokenizer: folderWith('tokenizer.json', bytes),
      tokenizerConfig: folderWith(
        'tokenizer_config.json',
        Buffer.from('{"tokenizer_class":"PreTrainedTokenizerFast"}'),
      ),
    };
    const codec = openTextCodec(model, 1000);
    for (const text of samples) {
      const { ids } = codec.encodeInput(text, 8);
      must(
        ids.every((id) => typeof id === 'number'),
        'a token is no number',
      );
      codec.decode(ids);
    }
    return '';
  },
};

type Templates = { readonly templates: Readonly<Record<string, string>> };

const conversations = [
  [{ role: 'user', content: 'Hi' }],
  [
    { role: 'system', content: '{{ messages }} {% if x %} \' " \\n & <' },
    { role: 'user', content: 'a' },
    { role: 'assistant', content: '<think>\nhm\n</think>\nHi!' },
  ],
] as const;

const chatTemplate: Target = {
  name: 'chat-template',
  reads: 'src/runtime/engine/model/chat-template.ts',
  examples: () => {
    const [file] = filesAt('test/fixtures/tokenizers/templates.json');
    const { templates } = JSON.parse(Buffer.from(file ?? []).toString('utf8')) as Templates;
    return texts(...Object.values(templates));
  },
  mutators: [
    words([
      '{{',
      '}}',
      '{%',
      '%}',
      '{#',
      '#}',
      '{%- endif %}',
      '{% for m in messages %}',
      '{% endfor %}',
      '{% macro a(b) %}',

      'messages',
      'loop.index',
      '.constructor',
      '["__proto__"]',
      '|tojson',
      '|join(",")',
      '(',
      ')',
      '[',
      ']',
      '~',
      '""',

      "raise_exception('x')",
      ' is defined',
      ' in ',
      'namespace(a=1)',
      '.prototype',
      '|map(attribute="constructor")',
    ]),
  ],
  codes: ['MODEL_INVALID', 'REQUEST_INVALID'],
  run: (bytes) => {
    const template = openChatTemplate(noFolder, { chat_template: textOf(bytes), bos_token: '<s>' });
    const { takesTools, told } = probeTools(template);
    for (const messages of conversations) {
      for (const tools of [undefined, [{ type: 'function', function: { name: 'f' } }]]) {
        const text = template(messages, true, { tools, values: {} });
        must(!text.includes('[native code]'), 'functions of this program are within reach');
      }
    }
    return `${takesTools ? 'tools' : ''} ${told === undefined ? '' : 'calls'}`;
  },
};

const settings: Target = {
  name: 'model-config',
  reads: 'src/runtime/engine/model/settings.ts',
  examples: () =>
    ['llama', 'mistral-window', 'gemma3', 'phi3', 'qwen2', 'bert'].flatMap((family) =>
      filesAt(`${exports}/${family}/config.json`),
    ),
  mutators: [json],
  codes: ['MODEL_INVALID', 'MODEL_UNSUPPORTED', 'MODEL_FILE_MISSING'],
  run: (bytes) => {
    const { contextLength, headSize, windows } = readSettings({
      ...noFolder,
      config: folderWith('config.json', bytes),
    });
    must(contextLength > 0, `a context of ${contextLength}`);
    must(headSize > 0, `a head of ${headSize}`);
    return windows === undefined ? 'no windows' : 'windows';
  },
};

export const modelTargets: readonly Target[] = [onnx, tokenizer, chatTemplate, settings];
