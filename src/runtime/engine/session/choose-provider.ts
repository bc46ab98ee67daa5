import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { nodeMessage, valueInfoMessage } from '../onnx/messages.ts';
import { elementType, graphField, modelField, opsetField } from '../onnx/schema.ts';
import { contentField, integerField } from '../onnx/wire.ts';
import { builtInProviders, cpuProvider, readProvider } from '../ort/providers.ts';
import { OnnxSession } from '../ort/session.ts';
import { sessionOptions } from './runtime-options.ts';

/** Opens a session on a provider; rejects when that is not possible here. */
export type TryProvider = (provider: string) => Promise<void>;

export type ProviderWish = {
  /** In order of preference, by ONNX Runtime's names; options may follow: NAME?option=value&option=value. */
  readonly executionProviders?: readonly string[];
  /** Refuses the CPU unless it is named. */
  readonly requireProvider?: boolean;
};

const irVersionField = 1;
const graphNameField = 2;

const oneNumber = (name: string): Buffer => valueInfoMessage(name, elementType.float, [1]);

/** The smallest graph: y = x. */
const identityModel = (): Buffer => {
  const graph = Buffer.concat([
    contentField(
      graphField.node,
      nodeMessage({ opType: 'Identity', name: 'same', inputs: ['x'], outputs: ['y'] }),
    ),
    contentField(graphNameField, 'identity'),
    contentField(graphField.input, oneNumber('x')),
    contentField(graphField.output, oneNumber('y')),
  ]);
  return Buffer.concat([
    integerField(irVersionField, 8),
    contentField(modelField.graph, graph),
    contentField(modelField.opsetImport, integerField(opsetField.version, 17)),
  ]);
};

/** @throws the provider is not in this build, or ONNX Runtime cannot open a session on it */
export const openOn: TryProvider = async (provider) => {
  const known = builtInProviders();
  if (!known.includes(readProvider(provider).name)) {
    throw new Error(`this build of ONNX Runtime has ${known.join(', ')}`);
  }
  const session = await OnnxSession.open(identityModel(), sessionOptions({ threads: 1, provider }, 'none'));
  session.release();
};

/** A provider that was wanted and is not used, with the reason. */
export type RefusedProvider = { readonly provider: string; readonly reason: string };

export type OnProvider<T> = {
  readonly provider: string;
  readonly refused: readonly RefusedProvider[];
  readonly opened: T;
};

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).trim();

/**
 * What `open` makes on the first of the wanted providers on which that works; on the CPU when none does. ONNX Runtime's
 * bindings drop what they lack without a word: here each one that falls out is told to `warn` with its reason.
 *
 * A session of the smallest graph is tried first: where that fails the base model has no part in it.
 * @throws PROVIDER_NOT_AVAILABLE when none of those that were required works; whatever `open` throws on the CPU
 */
export const openOnFirst = async <T>(
  wish: ProviderWish & { readonly warn: (message: string) => void; readonly signal: AbortSignal },
  open: (provider: string) => Promise<T>,
  tryProvider: TryProvider = openOn,
): Promise<OnProvider<T>> => {
  const { executionProviders = [], requireProvider = false, warn, signal } = wish;
  const refused: RefusedProvider[] = [];
  for (const provider of executionProviders) {
    if (provider === cpuProvider) return { provider, refused, opened: await open(provider) };
    try {
      await tryProvider(provider);
      return { provider, refused, opened: await open(provider) };
    } catch (error) {
      signal.throwIfAborted();
      const reason = reasonOf(error);
      refused.push({ provider, reason });
      warn(`the execution provider ${provider} is not usable here: ${reason}`);
    }
  }
  if (requireProvider && executionProviders.length > 0) {
    const all = refused.map(({ provider, reason }) => `${provider}: ${reason}`).join('; ');
    throw new AdaptletError('PROVIDER_NOT_AVAILABLE', `None of the execution providers is usable: ${all}`);
  }
  return { provider: cpuProvider, refused, opened: await open(cpuProvider) };
};
