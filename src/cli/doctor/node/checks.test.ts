import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { StatusResponse } from '../../../gen/adaptlet/inference/v1/admin.ts';
import { issueAuthority } from '../../../operator/identity/certificate.ts';
import type { Products } from '../../../runtime/engine/ort/operator.ts';
import { type FindingId, nodeFindings } from '../catalogue.ts';
import type { Level } from '../finding.ts';
import { checkNode } from './checks.ts';
import type { NodeFacts } from './facts.ts';

const now = Date.parse('2026-06-01T12:00:00Z');
const day = 86_400_000;
const broken = (why: string) => ({ error: new AdaptletError('CONFIG_INVALID', why) });
const jwt = (claims: object): string =>
  `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`;
const file = (text: string) => ({ path: '/file', text: { value: text } });
const valid = await issueAuthority('one', { from: now - day, until: now + 300 * day });
const over = await issueAuthority('old', { from: now - 2 * day, until: now - day });
const status = StatusResponse.fromPartial({
  version: '0.1.0',
  baseModel: 'tiny',
  engine: 'ready',
  executionProvider: 'CPUExecutionProvider',
});
const space = { freeBytes: 50 * 2 ** 30, totalBytes: 100 * 2 ** 30 };
const data = { path: '/data', access: { value: true as const }, space: { value: space }, isLocked: true };
const address = 'adaptlet-operator.adaptlet-system.svc:9443';
const operator = {
  address,
  addresses: { value: ['10.0.0.1'] },
  handshake: { value: { validUntil: now + day, theirTime: now - 500 } },
};

const healthy: NodeFacts = {
  now,
  status: { value: status },
  data,
  model: { kind: 'folder', path: '/model', missing: { value: [] } },
  operator,
  ca: file(valid.certificate),
  token: file(jwt({ exp: now / 1000 + 3000, aud: ['adaptlet'] })),
  wantedProviders: ['CPUExecutionProvider'],
  providers: { value: ['CPUExecutionProvider'] },
  lora: { wish: 'auto', found: { value: { path: '/lib.so', instructionSet: 'avx2' } } },
};

const products: Products = { levels: ['avx2'], bytesOf: () => 0, pack: () => Promise.resolve() };
const multiplying: NodeFacts['lora'] = {
  wish: 'auto',
  found: { value: { path: '/lib.so', instructionSet: 'avx512', products } },
};

type Fault = readonly [string, Partial<NodeFacts>, FindingId, Level, RegExp];
const faults: readonly Fault[] = [
  [
    'no runtime',
    { status: broken('no runtime listens'), data: { ...data, isLocked: false } },
    'node-runtime',
    'problem',
    /no runtime listens$/,
  ],
  [
    'a runtime that hangs',
    { status: broken('no answer') },
    'node-runtime',
    'problem',
    /no answer; the folder is locked/,
  ],
  [
    'what the runtime says',
    { status: { value: { ...status, engine: 'down' } } },
    'node-problems',
    'problem',
    /the engine is down/,
  ],
  ['a data folder that is not known', { data: undefined }, 'node-data-folder', 'warning', /not known/],
  [
    'a data folder of root',
    { data: { ...data, access: broken('/data: EACCES') } },
    'node-data-folder',
    'problem',
    /EACCES/,
  ],
  [
    'a full disk',
    { data: { ...data, space: { value: { ...space, freeBytes: 100 * 2 ** 20 } } } },
    'node-disk',
    'problem',
    /100 MiB of 102400 MiB/,
  ],
  [
    'a model of a registry that nobody fetches',
    { model: { kind: 'registry', url: 'oci://registry.example/m' }, status: broken('no answer') },
    'node-model',
    'warning',
    /no runtime says how far oci:\/\/registry\.example\/m is/,
  ],
  ['a model folder that is not known', { model: undefined }, 'node-model', 'warning', /not known/],
  [
    'no model folder',
    { model: { kind: 'folder', path: '/model', missing: broken('/model: ENOENT') } },
    'node-model',
    'problem',
    /ENOENT/,
  ],
  [
    'a folder with several graphs',
    {
      model: {
        kind: 'folder',
        path: '/model',
        missing: { error: new AdaptletError('MODEL_INVALID', '/model has several ONNX files') },
      },
    },
    'node-model',
    'problem',
    /several ONNX files/,
  ],
  [
    'a folder without a tokenizer',
    { model: { kind: 'folder', path: '/model', missing: { value: ['tokenizer.json'] } } },
    'node-model',
    'warning',
    /plain tensors only/,
  ],
  [
    'a name that does not resolve',
    { operator: { address, addresses: broken('ENOTFOUND'), handshake: undefined } },
    'node-operator-name',
    'problem',
    /ENOTFOUND/,
  ],
  [
    'an operator that does not answer',
    { operator: { ...operator, handshake: broken('connect ECONNREFUSED') } },
    'node-operator',
    'problem',
    /does not answer: connect ECONNREFUSED/,
  ],
  [
    'an operator of another authority',
    { operator: { ...operator, handshake: broken('self-signed certificate in certificate chain') } },
    'node-operator',
    'problem',
    /is not trusted/,
  ],
  [
    'a certificate that is over',
    { operator: { ...operator, handshake: { value: { validUntil: now - 1, theirTime: now } } } },
    'node-operator',
    'problem',
    /is over since/,
  ],
  [
    'an authority that is not there',
    { ca: { path: '/ca', text: broken('/ca: ENOENT') } },
    'node-ca',
    'problem',
    /ENOENT/,
  ],
  [
    'an authority that is over',
    { ca: file(over.certificate) },
    'node-ca',
    'problem',
    /over since 2026-05-31/,
  ],
  ['an authority that is none', { ca: file('hello') }, 'node-ca', 'problem', /has no certificate/],
  [
    'an authority that is damaged',
    { ca: file('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----') },
    'node-ca',
    'problem',
    /cannot be read/,
  ],
  ['no token', { token: undefined }, 'node-token', 'problem', /none is set/],
  [
    'a token that is not there',
    { token: { path: '/token', text: broken('/token: ENOENT') } },
    'node-token',
    'problem',
    /ENOENT/,
  ],
  [
    'a token that is over',
    { token: file(jwt({ exp: now / 1000 - 60, aud: 'adaptlet' })) },
    'node-token',
    'problem',
    /over since 2026-06-01 11:59/,
  ],
  [
    'a token for somebody else',
    { token: file(jwt({ exp: now / 1000 + 60, aud: ['https://kubernetes'] })) },
    'node-token',
    'problem',
    /is for https:\/\/kubernetes, not for adaptlet/,
  ],
  ['a token that is none', { token: file('secret') }, 'node-token', 'warning', /no ServiceAccount token/],
  [
    'a clock of 1970',
    { now: 60_000 },
    'node-clock',
    'problem',
    /this clock says 1970-01-01 00:01, and \/file was made at 2026-05-31/,
  ],
  [
    'a certificate that the clock takes for over',
    { operator: { ...operator, handshake: broken('certificate has expired') } },
    'node-operator',
    'problem',
    /is not trusted: certificate has expired, by the clock of this node \(2026-06-01 12:00\)/,
  ],
  [
    'a clock that is behind',
    { operator: { ...operator, handshake: { value: { validUntil: now + day, theirTime: now + 600_000 } } } },
    'node-clock',
    'problem',
    /600 s behind/,
  ],
  [
    'a library that cannot be loaded',
    { providers: broken('libcudart.so.12 is missing') },
    'node-provider',
    'problem',
    /libcudart/,
  ],
  [
    'a library without the provider',
    { wantedProviders: ['CUDAExecutionProvider'] },
    'node-provider',
    'problem',
    /lacks CUDAExecutionProvider; it has CPU/,
  ],
  [
    'a provider that does not work',
    {
      wantedProviders: ['CUDAExecutionProvider', 'CPUExecutionProvider'],
      providers: { value: ['CUDAExecutionProvider', 'CPUExecutionProvider'] },
    },
    'node-provider',
    'warning',
    /CUDAExecutionProvider was asked for, CPUExecutionProvider runs/,
  ],
  [
    'no native operator',
    { lora: { wish: 'auto', found: { value: undefined } } },
    'node-lora',
    'warning',
    /is not there, adapters take the portable way/,
  ],
  [
    'a native operator of another version',
    { lora: { wish: '/lib.so', found: broken('the native operator /lib.so cannot be used') } },
    'node-lora',
    'warning',
    /\/lib\.so cannot be used/,
  ],
  [
    'memory without pages of 2 MiB where the native operator multiplies',
    { lora: { ...multiplying, largePages: 'always madvise [never]\n' } },
    'node-lora',
    'warning',
    /no pages of 2 MiB: such linears take up to 1\.6 times as long for a token$/,
  ],
];

describe('the doctor of a node', () => {
  it('finds nothing wrong where nothing is, and has looked at everything', () => {
    const findings = checkNode(healthy);
    expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
    expect(findings.map(({ id }) => id)).toEqual(Object.keys(nodeFindings));
  });

  it.each(faults)('names %s, and what to do', (_, fault, id, level, message) => {
    const found = checkNode({ ...healthy, ...fault }).filter((finding) => finding.level !== 'ok');
    const finding = found.find((one) => one.id === id);
    expect(finding).toMatchObject({ level, message: expect.stringMatching(message) });
    expect(found.every(({ fix = '' }) => fix !== '')).toBe(true);
  });

  it('has a fault for every finding', () => {
    expect(new Set(faults.map(([, , id]) => id))).toEqual(new Set(Object.keys(nodeFindings)));
  });

  it('says of a model from a registry how far it is', () => {
    const model = { kind: 'registry' as const, url: 'oci://registry.example/m' };
    const loading = StatusResponse.fromPartial({ ...status, model: { source: model.url, state: 'Loading' } });
    const findings = checkNode({ ...healthy, model, status: { value: loading } });
    expect(findings.find(({ id }) => id === 'node-model')).toMatchObject({
      level: 'ok',
      message: 'oci://registry.example/m: Loading',
    });
  });

  it('says which instruction set the native operator uses, and takes no offence where it is off', () => {
    const said = (lora: NodeFacts['lora']) =>
      checkNode({ ...healthy, lora }).find(({ id }) => id === 'node-lora');
    expect(said(healthy.lora)).toMatchObject({
      level: 'ok',
      message: "/lib.so uses avx2; linears in int4 and int8 have ONNX Runtime's products",
    });
    expect(said({ ...multiplying, largePages: 'always [madvise] never\n' })).toMatchObject({
      level: 'ok',
      message: '/lib.so uses avx512; linears in int4 and int8 can have its own products, by avx2',
    });
    const linears = ["keep ONNX Runtime's products: slower"];
    expect(said({ ...multiplying, linears })).toMatchObject({
      level: 'ok',
      message: "/lib.so uses avx512; linears in int4 and int8 keep ONNX Runtime's products: slower",
    });
    expect(said({ ...healthy.lora, largePages: 'always madvise [never]\n' })).toMatchObject({ level: 'ok' });
    expect(said({ wish: 'off', found: { value: undefined } })).toMatchObject({ level: 'ok' });
  });

  it('asks nothing of a node that follows no operator', () => {
    const alone = { operator: undefined, ca: undefined, token: undefined };
    expect(checkNode({ ...healthy, ...alone }).filter(({ level }) => level !== 'ok')).toEqual([]);
  });

  it('never shows a token', () => {
    const secret = jwt({ exp: now / 1000 - 60, aud: 'adaptlet' });
    expect(JSON.stringify(checkNode({ ...healthy, token: file(secret) }))).not.toContain(secret.slice(4, 20));
  });
});
