import type { Digest } from '../../api/names.ts';
import { credentialsIn } from '../../artifact/docker-config.ts';
import { Registry } from '../../artifact/registry.ts';
import { kvFields } from '../admin/kv-text.ts';
import { ModelDelivery } from '../base-model/delivery.ts';
import { folderDigest } from '../base-model/folder-digest.ts';
import { LateEngine } from '../base-model/late-engine.ts';
import { type ModelState, modelText } from '../base-model/model-state.ts';
import { openModelStore } from '../base-model/model-store.ts';
import { untilReady } from '../base-model/until-ready.ts';
import { type ModelSource, modelSourceOf } from '../config/model-source.ts';
import { type EngineClient, type EngineOptions, startEngine } from '../engine/client/client.ts';
import type { Disk } from './disk.ts';
import type { NodeEgress } from './egress.ts';
import { engineOptions } from './engine.ts';
import type { RuntimeParts } from './parts.ts';
import { type Downloads, registryOptions } from './store.ts';

/** The base model of a runtime: on its way, then in its engine. */
export type BaseModel = {
  /** `starting` until the model is loaded for the first time. */
  readonly engine: EngineClient;
  readonly state: () => ModelState;
  /** Of its OCI manifest; '' until it is known. Of a folder it is computed once the model serves. */
  readonly manifestDigest: () => Digest | '';
  /** How far it is has changed, or more of it arrived. */
  readonly onChange: (listener: () => void) => void;
  /**
   * Brings the model here and into the engine; resolves when it is ready. `besideBytes`: see {@link EngineOptions}.
   * @throws those of a base model that cannot be used
   */
  readonly load: (besideBytes?: () => number) => Promise<void>;
};

type Network = { readonly egress: NodeEgress; readonly downloads: Downloads };

/** The base model that the settings name. Nothing is fetched or loaded yet; the stack ends what is. */
export const openBaseModel = async (
  parts: RuntimeParts,
  { disk, ...network }: { readonly disk: Pick<Disk, 'memory' | 'remembered' | 'nodeDisk'> } & Network,
  stack: AsyncDisposableStack,
): Promise<BaseModel> => {
  const source = modelSourceOf(parts.settings.model);
  const delivery =
    source.kind === 'folder' ? undefined : await openDelivery(parts, source, { ...disk, ...network }, stack);
  const listeners: (() => void)[] = [];
  let isReady = false;
  let doing: string | undefined;
  let folderManifest: Digest | undefined;
  const state = (): ModelState => {
    if (isReady) return { kind: 'Ready' };
    const { failure } = engine;
    const loading = { kind: 'Loading', ...(doing === undefined ? {} : { doing }) } as const;
    if (failure !== undefined) return { ...loading, failure: `${failure.code}: ${failure.message}` };
    return delivery === undefined || delivery.state.kind === 'Loading' ? loading : delivery.state;
  };
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  delivery?.onState(tell);
  const engine: LateEngine = new LateEngine(() => modelText(state()));
  disk.nodeDisk.countWhenReady(engine);
  const stop = new AbortController();
  stack.defer(() => engine.close());
  stack.defer(() => stop.abort());

  const start = async (
    modelDir: string,
    modelFile: string | undefined,
    besideBytes: EngineOptions['besideBytes'],
  ): Promise<void> => {
    parts.logger.info(
      { model: modelDir, ...(modelFile === undefined ? {} : { modelFile }) },
      'loading the base model; the first time takes longer, as its graph is optimised and proved on this machine',
    );
    const onDoing = (what: string): void => {
      doing = what;
      tell();
    };
    const options = engineOptions(parts, { modelDir, modelFile });
    const cacheRoomBytes = (): number => disk.nodeDisk.preparedRoom(options.cacheDir);
    engine.begin(startEngine({ ...options, onDoing, besideBytes, cacheRoomBytes }));
    await untilReady(engine);
    isReady = true;
    const { kv } = engine.info();
    if (kv !== undefined) parts.logger.info(kvFields(kv), 'room for requests');
    tell();
  };
  /** Reads gigabytes beside the requests; the stack ends it before anything else. */
  const inBackground = (work: (signal: AbortSignal) => Promise<void>, failed: string): void => {
    const working = work(stop.signal).catch((error: unknown) => {
      if (!stop.signal.aborted) parts.logger.error({ err: error }, failed);
    });
    stack.defer(async () => {
      stop.abort();
      await working;
    });
  };
  const identify = async (graph: string, signal: AbortSignal): Promise<void> => {
    const { modelFolder: memory } = disk.memory;
    folderManifest = await folderDigest(graph, { remembered: disk.remembered.modelFolder, memory, signal });
    tell();
  };
  return {
    engine,
    state,
    manifestDigest: () => folderManifest ?? delivery?.digest ?? '',
    onChange: (listener) => void listeners.push(listener),
    load: async (besideBytes) => {
      if (source.kind === 'folder') {
        await start(source.folder, parts.settings.modelFile, besideBytes);
        inBackground(
          (signal) => identify(engine.info().graphFile, signal),
          'the digest of the base model could not be computed',
        );
      } else if (delivery !== undefined) {
        const delivered = await delivery.run(stop.signal);
        await start(delivered.folder, delivered.file, besideBytes);
        await delivery.serves(delivered.digest);
        inBackground(
          (signal) => delivery.check(delivered.digest, signal),
          'the check of the base model did not end',
        );
      }
    },
  };
};

const openDelivery = async (
  { settings, clock, logger }: RuntimeParts,
  source: Extract<ModelSource, { kind: 'registry' }>,
  { memory, remembered, nodeDisk, ...network }: Pick<Disk, 'memory' | 'remembered' | 'nodeDisk'> & Network,
  stack: AsyncDisposableStack,
): Promise<ModelDelivery> => {
  const { dataDir, modelDisk: budgetBytes, modelFile } = settings;
  const store = await openModelStore({ dataDir, budgetBytes, within: nodeDisk.models }, stack);
  for (const trouble of store.store.caution.troubles)
    logger.warn({ trouble }, 'the store of base models was not tidied up at its start');
  const random = Math.random;
  const delivery = new ModelDelivery({
    ...store,
    source,
    modelFile,
    // One attempt each: the delivery says that it failed, and tries again.
    registry: new Registry({
      ...registryOptions(settings, { clock, random, ...network }),
      credentials: credentialsIn(settings.baseRegistryConfig ?? settings.registryConfig),
      attempts: 1,
    }),
    remembered: remembered.model,
    memory: memory.model,
    clock,
    random,
    logger,
  });
  stack.defer(() => delivery.close());
  return delivery;
};
