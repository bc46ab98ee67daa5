import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { flagOf, type Given, readSettings as readFrom, variableOf } from '../../settings/settings.ts';
import { type Machine, readMachine } from '../machine/machine.ts';
import { choose } from './choose.ts';
import { type ModelSource, modelNameOf, modelSourceOf } from './model-source.ts';
import { type Settings, settingsSchema } from './settings.ts';

/**
 * Settings from flags over environment variables over defaults; folders made absolute, and decided what is left to the machine.
 * @throws CONFIG_INVALID that names the flag and the variable of each bad setting
 */
export const readSettings = (
  flags: Given,
  environment: Readonly<Record<string, string | undefined>>,
  cwd: string,
  machine: Machine = readMachine(),
): Settings => {
  const { settings: s, choices } = choose(readFrom(settingsSchema, flags, environment), machine);
  checkSource(s);
  checkTls(s);
  checkPeers(s);
  const absolute = (path: string): string => resolve(cwd, path);
  const source = readSource(s.model);
  const model = source.kind === 'folder' ? absolute(source.folder) : source.url;
  const roots = s.importRoots.length > 0 ? s.importRoots : s.manifests === undefined ? [] : [s.manifests];
  return {
    ...s,
    choices,
    model,
    modelName: s.modelName ?? modelNameOf(modelSourceOf(model)),
    runtimeName: s.runtimeName ?? hostname().toLowerCase(),
    dataDir: absolute(s.dataDir),
    ...(s.manifests === undefined ? {} : { manifests: absolute(s.manifests) }),
    importRoots: roots.map(absolute),
    ...(s.operatorCa === undefined ? {} : { operatorCa: absolute(s.operatorCa) }),
    ...(s.operatorToken === undefined ? {} : { operatorToken: absolute(s.operatorToken) }),
    ...(s.enrolTokenFile === undefined ? {} : { enrolTokenFile: absolute(s.enrolTokenFile) }),
    ...(s.registryConfig === undefined ? {} : { registryConfig: absolute(s.registryConfig) }),
    ...(s.baseRegistryConfig === undefined ? {} : { baseRegistryConfig: absolute(s.baseRegistryConfig) }),
    ...(s.tlsCert === undefined ? {} : { tlsCert: absolute(s.tlsCert) }),
    ...(s.tlsKey === undefined ? {} : { tlsKey: absolute(s.tlsKey) }),
    ...(s.clientCa === undefined ? {} : { clientCa: absolute(s.clientCa) }),
  };
};

const readSource = (model: string): ModelSource => {
  try {
    return modelSourceOf(model);
  } catch (error) {
    if (!(error instanceof AdaptletError)) throw error;
    throw new AdaptletError('CONFIG_INVALID', `${flagOf('model')} (${variableOf('model')}): ${error.what}`, {
      advice: error.advice,
      cause: error,
    });
  }
};

/** One source of the plan at most, and never an operator that anybody could be. */
const checkSource = (
  s: {
    [key in 'manifests' | 'operator' | 'operatorCa' | 'operatorToken' | 'enrolTokenFile']?:
      | string
      | undefined;
  },
): void => {
  if (s.enrolTokenFile !== undefined) {
    const other = (['manifests', 'operatorCa', 'operatorToken'] as const).find((key) => s[key] !== undefined);
    if (other === undefined) return;
    throw new AdaptletError(
      'CONFIG_INVALID',
      `${flagOf('enrolTokenFile')} and ${flagOf(other)} are both given: keep the one that this node is to follow`,
    );
  }
  if (s.operator === undefined) return;
  if (s.manifests !== undefined)
    throw new AdaptletError(
      'CONFIG_INVALID',
      `${flagOf('manifests')} and ${flagOf('operator')} are both given: a runtime follows one of them`,
    );
  if (s.operatorCa === undefined)
    throw new AdaptletError(
      'CONFIG_INVALID',
      `${flagOf('operatorCa')} (${variableOf('operatorCa')}) is required with ${flagOf('operator')}`,
    );
};

/** Peers are told of by an operator, and have an address. */
const checkPeers = (
  s: {
    [key in 'peersListen' | 'peersHost' | 'operator' | 'operatorCa']?: string | undefined;
  } & { readonly runtimeKind: string },
): void => {
  if (s.peersListen === undefined) return;
  const missing = (['operator', 'operatorCa', 'peersHost'] as const).find((key) => s[key] === undefined);
  if (missing !== undefined)
    throw new AdaptletError('CONFIG_INVALID', `${flagOf(missing)} is required with ${flagOf('peersListen')}`);
  if (s.runtimeKind !== 'node')
    throw new AdaptletError(
      'CONFIG_INVALID',
      `${flagOf('peersListen')} is for runtimes of nodes, and ${flagOf('runtimeKind')} is ${s.runtimeKind}`,
    );
};

const notOfOperator = (why: string): AdaptletError =>
  new AdaptletError('CONFIG_INVALID', `${flagOf('tls')} (${variableOf('tls')}) is operator, and ${why}`);

/** A certificate has its key, and certificates of clients come over TLS. */
const checkTls = (
  s: { [key in 'tlsCert' | 'tlsKey' | 'clientCa' | 'operatorCa']?: string | undefined } & {
    readonly tls: 'auto' | 'operator';
    readonly runtimeKind: string;
  },
): void => {
  if (s.tls === 'operator') {
    if (s.tlsCert !== undefined || s.tlsKey !== undefined)
      throw notOfOperator(
        `${flagOf(s.tlsCert === undefined ? 'tlsKey' : 'tlsCert')} is given: keep one of them`,
      );
    if (s.operatorCa === undefined)
      throw notOfOperator(`${flagOf('operator')} and ${flagOf('operatorCa')} are required with it`);
    if (s.runtimeKind !== 'node')
      throw notOfOperator(
        `${flagOf('runtimeKind')} is ${s.runtimeKind}: only runtimes of nodes get certificates`,
      );
    return;
  }
  const needs = (given: 'tlsCert' | 'tlsKey' | 'clientCa', needed: 'tlsCert' | 'tlsKey'): void => {
    if (s[given] === undefined || s[needed] !== undefined) return;
    throw new AdaptletError(
      'CONFIG_INVALID',
      `${flagOf(needed)} (${variableOf(needed)}) is required with ${flagOf(given)}`,
    );
  };
  needs('tlsCert', 'tlsKey');
  needs('tlsKey', 'tlsCert');
  needs('clientCa', 'tlsCert');
};
