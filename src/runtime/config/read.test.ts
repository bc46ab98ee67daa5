import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { flagOf, variableOf } from '../../settings/settings.ts';
import { readSettings } from './read.ts';
import { settingsSchema } from './settings.ts';

const least = { model: 'models/tiny', dataDir: 'data' };

describe('readSettings', () => {
  it('makes folders absolute and names the base model after its folder', () => {
    expect(readSettings(least, {}, '/srv')).toMatchObject({
      model: '/srv/models/tiny',
      modelName: 'tiny',
      dataDir: '/srv/data',
    });
  });

  it('leaves a model of a registry as it is named, and names it after its repository', () => {
    const model = 'oci://registry.example:5000/models/smollm2:int4';
    expect(readSettings({ ...least, model }, {}, '/srv')).toMatchObject({ model, modelName: 'smollm2' });
    expect(() => readSettings({ ...least, model: 'oci://smollm2' }, {}, '/srv')).toThrow(
      /--model.*ADAPTLET_MODEL/,
    );
  });

  it('takes no encoder of a registry for a folder of that name', () => {
    const classifierModel = 'oci://registry.example:5000/models/minilm:int8';
    expect(() => readSettings({ ...least, classifierModel }, {}, '/srv')).toThrow(
      /--classifier-model.*must be a folder/,
    );
  });

  it('leaves to the machine what nobody says', () => {
    const machine = { cores: { physical: 4 }, memory: { bytes: 3 * 2 ** 30, kind: 'limit' } } as const;
    expect(readSettings({ ...least, adapterMemory: 'auto' }, {}, '/', machine)).toMatchObject({
      threads: 3,
      adapterMemory: 2 ** 29,
      choices: [{ setting: '--threads' }, { setting: '--adapter-memory' }],
    });
    expect(readSettings({ ...least, threads: '4', adapterMemory: '1Mi' }, {}, '/', machine)).toMatchObject({
      threads: 4,
      adapterMemory: 2 ** 20,
      choices: [],
    });
  });

  it('shares blobs where there is an operator to say with whom, and an address to say', () => {
    const peers = { ...least, peersListen: '0.0.0.0:9446', peersHost: '10.0.0.1' };
    const operator = { operator: 'operator:9443', operatorCa: 'ca.crt' };
    const read = readSettings({ ...peers, ...operator, peersBandwidth: '10Mi' }, {}, '/');
    expect(read.peersBandwidth.otherwise).toBe(10 * 2 ** 20);
    expect(() => readSettings(peers, {}, '/')).toThrow('--operator is required with --peers-listen');
    expect(() => readSettings({ ...peers, ...operator, peersHost: undefined }, {}, '/')).toThrow(
      '--peers-host is',
    );
    expect(() => readSettings({ ...peers, ...operator, peersHost: 'node-1' }, {}, '/')).toThrow(
      '--peers-host',
    );
    expect(() => readSettings({ ...peers, ...operator, runtimeKind: 'pod' }, {}, '/')).toThrow(
      'runtimes of nodes',
    );
  });

  it('takes flags before variables before defaults', () => {
    const environment = { ADAPTLET_THREADS: '3', ADAPTLET_MAX_QUEUE: '7' };
    expect(readSettings({ ...least, threads: '2' }, environment, '/')).toMatchObject({
      threads: 2,
      maxQueue: 7,
      maxConcurrent: 8,
    });
  });

  it('lets adapters come from the manifest folder unless import roots are given', () => {
    expect(readSettings({ ...least, manifests: 'm' }, {}, '/srv').importRoots).toEqual(['/srv/m']);
    expect(readSettings({ ...least, manifests: 'm', importRoots: 'a, /b' }, {}, '/srv').importRoots).toEqual([
      '/srv/a',
      '/b',
    ]);
  });

  it('takes a size for keys and values, or lets the machine decide', () => {
    expect(readSettings(least, {}, '/')).toMatchObject({ kvMemory: 'auto', kvPrecision: 'auto' });
    const given = { ...least, kvMemory: '1Gi', kvPrecision: 'int8' };
    expect(readSettings(given, {}, '/')).toMatchObject({ kvMemory: 2 ** 30, kvPrecision: 'int8' });
  });

  it.each([
    ['256Mi', 268_435_456],
    ['1Gi', 1_073_741_824],
    ['4096', 4096],
  ])('reads the size %s', (text, bytes) => {
    expect(readSettings({ ...least, adapterMemory: text }, {}, '/').adapterMemory).toBe(bytes);
  });

  it.each([
    [{ dataDir: 'd' }, '--model (ADAPTLET_MODEL) is required'],
    [{ ...least, threads: 'many' }, '--threads (ADAPTLET_THREADS) is "many"'],
    [{ ...least, threads: '0' }, '--threads'],
    [{ ...least, adapterMemory: '5 bananas' }, '256Mi'],
    [{ ...least, labels: 'zone' }, 'key=value'],
    [{ ...least, logLevel: 'loud' }, '--log-level'],
    [{ ...least, oneAdapter: 'yes' }, '--one-adapter'],
    [{ ...least, evictionPolicy: 'fifo' }, '--eviction-policy'],
    [{ ...least, kvMemory: 'much' }, '--kv-memory'],
    [{ ...least, kvPrecision: 'int4' }, '--kv-precision'],
    [{ ...least, kvPrecision: 'float16' }, 'take int8'],
  ])('refuses %j and names the setting', (flags, words) => {
    const read = () => readSettings(flags, {}, '/');
    expect(read).toThrow(words);
    expect(read).toThrow(AdaptletError);
  });

  it('gives every setting a flag and a variable of its own', () => {
    expect(flagOf('grpcListen')).toBe('--grpc-listen');
    expect(variableOf('grpcListen')).toBe('ADAPTLET_GRPC_LISTEN');
    const names = Object.keys(settingsSchema.shape);
    expect(new Set(names.map(variableOf)).size).toBe(names.length);
  });

  const operator = { ...least, operator: 'operator.adaptlet-system.svc:9443', operatorCa: 'ca.crt' };

  it('reads how to reach an operator, and who this runtime is there', () => {
    const settings = readSettings(
      { ...operator, runtimeKind: 'pod', operatorToken: '/var/token' },
      {},
      '/srv',
    );
    expect(settings).toMatchObject({
      operator: 'operator.adaptlet-system.svc:9443',
      operatorCa: '/srv/ca.crt',
      operatorToken: '/var/token',
      runtimeNamespace: 'default',
      runtimeKind: 'pod',
      runtimeName: expect.stringMatching(/^[a-z0-9.-]+$/),
    });
  });

  it.each([
    ['a folder as well', { ...operator, manifests: 'm' }, '--manifests and --operator are both given'],
    ['no authority', { ...least, operator: 'o:1' }, '--operator-ca (ADAPTLET_OPERATOR_CA) is required'],
    ['no port', { ...operator, operator: 'o' }, 'must be host:port'],
    ['a name that no object can have', { ...operator, runtimeName: 'Node_1' }, '--runtime-name'],
    ['another kind', { ...operator, runtimeKind: 'device' }, '--runtime-kind'],
  ])('refuses an operator with %s', (_, flags, words) => {
    expect(() => readSettings(flags, {}, '/srv')).toThrow(words);
  });

  it('takes a certificate with its key, and authorities of clients with both', () => {
    const read = (more: object) => readSettings({ ...least, ...more }, {}, '/srv');
    const pair = { tlsCert: 'tls.crt', tlsKey: 'tls.key' };
    expect(read({ ...pair, clientCa: 'ca.crt' })).toMatchObject({
      tlsCert: '/srv/tls.crt',
      tlsKey: '/srv/tls.key',
      clientCa: '/srv/ca.crt',
    });
    expect(() => read({ tlsCert: 'tls.crt' })).toThrow(/--tls-key .* is required with --tls-cert/);
    expect(() => read({ tlsKey: 'tls.key' })).toThrow(/--tls-cert .* is required with --tls-key/);
    expect(() => read({ clientCa: 'ca.crt' })).toThrow(/--tls-cert .* is required with --client-ca/);
  });

  it('takes a certificate of its operator, as the runtime of a node that follows one', () => {
    const read = (more: object) => readSettings({ ...operator, tls: 'operator', ...more }, {}, '/srv');
    expect(read({ clientCa: 'ca.crt' })).toMatchObject({ tls: 'operator', clientCa: '/srv/ca.crt' });
    expect(() => readSettings({ ...least, tls: 'operator' }, {}, '/')).toThrow(/--operator-ca are required/);
    expect(() => read({ tlsCert: 'tls.crt', tlsKey: 'tls.key' })).toThrow(/--tls-cert is given/);
    expect(() => read({ runtimeKind: 'pod' })).toThrow(/--runtime-kind is pod/);
    const device = { ...least, tls: 'operator', operator: 'o:1', enrolTokenFile: 'token' };
    expect(() => readSettings(device, {}, '/')).toThrow(/--operator-ca are required/);
  });
});
