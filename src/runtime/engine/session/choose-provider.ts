import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { nodeMessage, valueInfoMessage } from '../onnx/messages.ts';
import { elementType, graphField, modelField, opsetField } from '../onnx/schema.ts';
import { contentField, integerField } from '../onnx/wire.ts';
import { builtInProviders, cpuProvider } from '../ort/providers.ts';
import { OnnxSession } from '../ort/session.ts';
import { sessionOptions } from './runtime-options.ts';

/** Opens a session on a provider; rejects when that is not possible here. */
export type TryProvider = (provider: string) => Promise<void>;

export type ProviderWish = {
  /** In order of preference, by ONNX Runtime's names. */
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
  if (!known.includes(provider)) {
    throw new Error(`this build of ONNX Runtime has ${known.join(', ')}`);
  }
  const session = await OnnxSession.open(identityModel(), sessionOptions({ threads: 1, provider }, 'none'));
  session.release();
};

/**
 * The first of the wanted providers that a session really opens on; the CPU when none does. ONNX Runtime's bindings drop
 * what they lack without a word: here each one that falls out is told to `warn` with its reason.
 * @throws PROVIDER_NOT_AVAILABLE when none of those that were required is there
 */
export const chooseProvider = async (
  wish: ProviderWish,
  warn: (message: string) => void,
  tryProvider: TryProvider = openOn,
): Promise<string> => {
  const { executionProviders = [], requireProvider = false } = wish;
  const refused: string[] = [];
  for (const provider of executionProviders) {
    try {
      await tryProvider(provider);
      return provider;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      refused.push(`${provider}: ${why}`);
      warn(`the execution provider ${provider} is not usable here: ${why}`);
    }
  }
  if (requireProvider && executionProviders.length > 0) {
    throw new AdaptletError(
      'PROVIDER_NOT_AVAILABLE',
      `None of the execution providers is usable: ${refused.join('; ')}`,
    );
  }
  return cpuProvider;
};
