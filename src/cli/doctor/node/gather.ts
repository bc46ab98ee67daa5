import { lookup } from 'node:dns/promises';
import { access, constants, readFile, statfs } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import type { z } from 'zod';
import { ownerOfFolder } from '../../../artifact/store-lock.ts';
import { certificatePem } from '../../../control/enrolment.ts';
import { checked } from '../../../disk/checked.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { errnoOf } from '../../../errors/errno.ts';
import type { StatusResponse } from '../../../gen/adaptlet/inference/v1/admin.ts';
import { modelSourceOf } from '../../../runtime/config/model-source.ts';
import { settingsSchema } from '../../../runtime/config/settings.ts';
import { saidOfProducts, usedProducts } from '../../../runtime/engine/graphs/products-verdict.ts';
import { findGraph } from '../../../runtime/engine/model/graph-file.ts';
import { libraryVariable } from '../../../runtime/engine/protocol.ts';
import { deviceSchema } from '../../../runtime/state/memory.ts';
import { parseAddress } from '../../../settings/address.ts';
import { callAdmin } from '../../admin-client.ts';
import { ask } from '../asked.ts';
import { shakeHands } from '../handshake.ts';
import type { NamedFile, NodeFacts } from './facts.ts';

/** The settings of `adaptlet serve` that something can be looked at for; none of them has to be given. */
export const nodeSettingsSchema = settingsSchema
  .pick({
    model: true,
    modelFile: true,
    dataDir: true,
    adminListen: true,
    operator: true,
    operatorCa: true,
    operatorToken: true,
    executionProviders: true,
    onnxRuntimeLibrary: true,
    loraOperator: true,
  })
  .partial();
type NodeSettings = z.output<typeof nodeSettingsSchema>;

/** Milliseconds for the operator, and for the runtime. */
const timeoutMs = 5000;
/** What a base model has; several precisions share configuration and tokenizer in the folder above. */
const modelFiles = [
  { name: 'config.json', names: ['config.json', 'genai_config.json'] },
  { name: 'tokenizer.json', names: ['tokenizer.json'] },
];

const bad = (what: string, error: unknown): AdaptletError =>
  new AdaptletError('CONFIG_INVALID', `${what}: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });

const readable = async (path: string): Promise<string> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw bad(path, error);
  }
};

const fileAt = async (path: string | undefined): Promise<NamedFile | undefined> =>
  path === undefined ? undefined : { path, text: await ask(() => readable(resolve(path)), path) };

/** What a device knows of its operator, and shows to it; undefined: this node never enrolled. */
const deviceAt = async (dir: string | undefined): Promise<NodeFacts['device']> => {
  if (dir === undefined) return undefined;
  const path = join(resolve(dir), 'state/device.json');
  let isThere = true;
  const device = await ask(async () => {
    try {
      return deviceSchema.parse(checked(await readFile(path, 'utf8')));
    } catch (error) {
      isThere = errnoOf(error) !== 'ENOENT';
      throw bad(path, error);
    }
  }, path);
  return isThere ? device : undefined;
};

const dataAt = async (dir: string | undefined): Promise<NodeFacts['data']> => {
  if (dir === undefined) return undefined;
  const path = resolve(dir);
  const writable = await ask(async (): Promise<true> => {
    try {
      await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
      return true;
    } catch (error) {
      throw bad(path, error);
    }
  }, path);
  const space = await ask(async () => {
    const { bavail, blocks, bsize } = await statfs(path);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  }, path);
  // A store that is not there or may not be asked is told by `access`.
  const owner = await ownerOfFolder(join(path, 'store')).catch(() => undefined);
  return { path, access: writable, space, isLocked: owner !== undefined };
};

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const modelAt = async (model: string | undefined, file: string | undefined): Promise<NodeFacts['model']> => {
  if (model === undefined) return undefined;
  const source = modelSourceOf(model);
  if (source.kind === 'registry') return { kind: 'registry', url: source.url };
  const path = resolve(source.folder);
  const missing = await ask(async () => {
    try {
      await access(path, constants.R_OK | constants.X_OK);
    } catch (error) {
      throw bad(path, error);
    }
    const folder = dirname(findGraph(path, file));
    const there = await Promise.all(
      modelFiles.map(({ names }) =>
        Promise.all(
          names.flatMap((name) => [folder, dirname(folder)].map((place) => isThere(join(place, name)))),
        ),
      ),
    );
    return modelFiles.filter((_, i) => there[i]?.every((is) => !is) === true).map(({ name }) => name);
  }, path);
  return { kind: 'folder', path, missing };
};

const operatorAt = async (
  address: string | undefined,
  ca: NamedFile | undefined,
): Promise<NodeFacts['operator']> => {
  if (address === undefined) return undefined;
  const { host, port } = parseAddress(address);
  const addresses = await ask(async () => {
    try {
      return isIP(host) === 0 ? (await lookup(host, { all: true })).map((found) => found.address) : [host];
    } catch (error) {
      throw bad(host, error);
    }
  }, host);
  const pem = ca !== undefined && 'value' in ca.text ? ca.text.value : undefined;
  if (pem === undefined || 'error' in addresses) return { address, addresses, handshake: undefined };
  return {
    address,
    addresses,
    handshake: await ask(() => shakeHands({ host, port, ca: pem, timeoutMs }), address),
  };
};

/** Loads ONNX Runtime into this process, which ends soon. */
const builtInProviders = async (library: string | undefined): Promise<readonly string[]> => {
  process.env['ORT_DISABLE_TELEMETRY'] = '1';
  if (library !== undefined) process.env[libraryVariable] = library;
  const { builtInProviders: all } = await import('../../../runtime/engine/ort/providers.ts');
  return all();
};

/** Loads the operator into this process, too. */
const loraAt = async (wish: string, dataDir: string | undefined): Promise<NodeFacts['lora']> => {
  const found = await ask(async () => {
    const { findOperator } = await import('../../../runtime/engine/ort/operator.ts');
    return findOperator(wish, (message) => {
      throw new AdaptletError('CONFIG_INVALID', message);
    });
  }, 'the native operator');
  const of = 'value' in found && found.value !== undefined ? usedProducts(found.value) : undefined;
  return {
    wish,
    found,
    largePages: await readFile('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').catch(() => undefined),
    linears: of === undefined || dataDir === undefined ? [] : saidOfProducts(join(dataDir, 'base'), of),
  };
};

/** Reads everything that the checks look at. Never throws for what may not be read or does not answer. */
export const gatherNode = async (settings: NodeSettings, now: () => number): Promise<NodeFacts> => {
  const { dataDir, adminListen, model, operator, operatorCa, operatorToken } = settings;
  const at = {
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(adminListen === undefined ? {} : { admin: adminListen }),
  };
  const given = await fileAt(operatorCa);
  const device = given === undefined ? await deviceAt(dataDir) : undefined;
  const enrolled = device !== undefined && 'value' in device ? device.value : undefined;
  const ca =
    enrolled === undefined
      ? given
      : { path: 'the token', text: { value: certificatePem(enrolled.authority) } };
  return {
    status: await ask(
      () =>
        callAdmin<StatusResponse>(at, (client, done) => {
          const deadline = now() + timeoutMs;
          return client.status({}, new Metadata(), { deadline }, done);
        }),
      'Admin',
    ),
    data: await dataAt(dataDir),
    model: await modelAt(model, settings.modelFile),
    operator: await operatorAt(operator ?? enrolled?.address, ca),
    ca,
    token: await fileAt(operatorToken),
    device,
    wantedProviders: settings.executionProviders ?? [],
    providers: await ask(() => builtInProviders(settings.onnxRuntimeLibrary), 'ONNX Runtime'),
    lora: await loraAt(settings.loraOperator ?? 'auto', dataDir),
    now: now(),
  };
};
