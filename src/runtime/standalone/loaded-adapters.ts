import { readFile, realpath } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { apiVersion, namespaceOf, type ObjectKey } from '../../api/names.ts';
import { parseManifests } from '../../api/parse.ts';
import { keyOf } from '../../api/references.ts';
import { KeyedMutex } from '../../artifact/keyed-mutex.ts';
import { isBelow, resolveImport } from '../../artifact/path-source.ts';
import { writeDurable } from '../../disk/durable.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf } from '../../errors/errno.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { Clock } from '../../time/clock.ts';
import { until } from '../../time/until.ts';
import type { BroughtAdapters } from '../admin/lora.ts';
import type { StandaloneController } from './controller.ts';
import { objectsOf, removedFile } from './folder-state.ts';

/** The file of the manifest folder that has what callers loaded, and nothing else. */
export const loadedFile = 'lora-loading.yaml';

/** Without a text the file would count as one that somebody cut by mistake. */
const heading =
  '# Adapters that callers loaded (/v1/load_lora_adapter). The runtime writes this file anew with each call.\n';

/** Milliseconds until a change of the folder is in force. */
const maxWaitMs = 10_000;

export type LoadedAdaptersParts = {
  readonly controller: Pick<StandaloneController, 'files' | 'folderReport' | 'inUse' | 'onFolder'>;
  readonly clock: Clock;
  /** Of the manifests. */
  readonly folder: string;
  readonly importRoots: readonly string[];
  /** Name of the base model that they are for. */
  readonly baseModel: string;
};

/** Path below an import root, by the key of the Adapter. */
type Loaded = ReadonlyMap<ObjectKey, string>;

const nameOf = (key: ObjectKey): string => key.slice(namespaceOf(key).length + 1);

/**
 * Adapters that callers load into a node without an operator: a manifest file as people write them, so that policies, rollouts,
 * restarts and `adaptlet status` treat them as all others.
 *
 * Guarantees: one change at a time; what a person wrote is never changed; what is added and does not come into force is taken back.
 */
export class LoadedAdapters implements BroughtAdapters {
  readonly #parts: LoadedAdaptersParts;
  readonly #changes = new KeyedMutex<typeof loadedFile>();

  constructor(parts: LoadedAdaptersParts) {
    this.#parts = parts;
  }

  add(key: ObjectKey, path: string, signal: AbortSignal): Promise<void> {
    return this.#changes.runExclusive(loadedFile, () => this.#add(key, path, signal), signal);
  }

  remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    return this.#changes.runExclusive(loadedFile, () => this.#remove(key, signal), signal);
  }

  async #add(key: ObjectKey, path: string, signal: AbortSignal): Promise<void> {
    const where = this.#fileOf(key);
    if (where === loadedFile) {
      throw new AdaptletError(
        'REQUEST_INVALID',
        `The LoRA adapter ${quoteUntrusted(nameOf(key))} has already been loaded`,
        { advice: 'Unload it first, or load another name: what an Adapter is never changes.' },
      );
    }
    if (where !== undefined) throw this.#notOurs(key, where);
    const before = await this.#read();
    const after = new Map(before).set(key, await this.#pathBelowRoot(path));
    this.#check(after);
    try {
      await this.#write(after);
      const isTaken = (): boolean => this.#fileOf(key) === loadedFile;
      const came = await this.#until(() => isTaken() || this.#problemOf(key) !== undefined, signal);
      const problem = this.#problemOf(key);
      if (!came || problem !== undefined) {
        throw new AdaptletError(
          'VERB_REFUSED',
          `Adapter ${key} did not come into force: ${problem ?? `the manifest folder was not taken within ${maxWaitMs / 1000} s`}`,
          { advice: 'Do what the message says, and load it again; `adaptlet status` lists all problems.' },
        );
      }
    } catch (error) {
      await this.#write(before);
      await this.#until(() => this.#fileOf(key) === undefined, new AbortController().signal);
      throw error;
    }
  }

  async #remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    const where = this.#fileOf(key);
    if (where === undefined) throw new AdaptletError('MODEL_NOT_FOUND', `there is no Adapter ${key}`);
    if (where !== loadedFile) throw this.#notOurs(key, where);
    const used = objectsOf(this.#parts.controller.files).find(
      (m) => m.kind === 'Adapter' && keyOf(m) === key && this.#parts.controller.inUse(m),
    );
    if (used !== undefined) {
      throw new AdaptletError('VERB_REFUSED', `a rollout uses Adapter ${key}`, {
        advice: 'Move the rollout to another Adapter, or remove it, and unload this one then.',
      });
    }
    const after = new Map(await this.#read());
    after.delete(key);
    await this.#write(after);
    if (await this.#until(() => this.#fileOf(key) === undefined, signal)) return;
    const what = `Adapter ${key} is still in the plan after ${maxWaitMs / 1000} s, and out of ${loadedFile}`;
    throw new AdaptletError('VERB_REFUSED', what, {
      advice: 'It goes once the manifest folder is taken; `adaptlet status` says what keeps it from that.',
    });
  }

  #until(holds: () => boolean, signal: AbortSignal): Promise<boolean> {
    const { clock, controller } = this.#parts;
    return until(holds, (look) => controller.onFolder(look), { clock, ms: maxWaitMs, signal });
  }

  /** The file that has the Adapter now; undefined: none. */
  #fileOf(key: ObjectKey): string | undefined {
    const has = Object.entries(this.#parts.controller.files).find(([, objects]) =>
      objects.some((m) => m.kind === 'Adapter' && keyOf(m) === key),
    );
    return has?.[0];
  }

  /** Why the plan does not have it as it is written. */
  #problemOf(key: ObjectKey): string | undefined {
    const { problems } = this.#parts.controller.folderReport();
    const starts = [`${key}: `, `Adapter ${key}: `, `Adapter ${key} `];
    return problems.find(
      ({ file, reason }) => file === loadedFile && starts.some((start) => reason.startsWith(start)),
    )?.reason;
  }

  #notOurs(key: ObjectKey, file: string): AdaptletError {
    return file === removedFile
      ? new AdaptletError('VERB_REFUSED', `Adapter ${key} was removed, and a rollout still uses it`, {
          advice: 'Wait until the rollout has let go of it, or load another name.',
        })
      : new AdaptletError('VERB_REFUSED', `Adapter ${key} is in ${file} of the manifest folder`, {
          advice: 'Change that file, or load another name.',
        });
  }

  /**
   * The path of a manifest, whatever way to the folder the caller named.
   * @throws SOURCE_NOT_ALLOWED, ARTIFACT_NOT_FOUND
   */
  async #pathBelowRoot(path: string): Promise<string> {
    const { importRoots } = this.#parts;
    const advice = 'Move the folder to a path of its own below one of --import-roots.';
    // Before anything is looked up: what there is elsewhere on the machine is not told. No path has a null byte.
    if (path.includes('\0') || !importRoots.some((root) => isBelow(resolve(root, path), root))) {
      throw new AdaptletError(
        'SOURCE_NOT_ALLOWED',
        `lora_path ${quoteUntrusted(path)} is not below an import root of the runtime`,
        { advice },
      );
    }
    const { folder, root } = await resolveImport(path, importRoots);
    const below = relative(await realpath(root), folder);
    const found = await resolveImport(below, importRoots);
    if (found.folder === folder) return below;
    throw new AdaptletError(
      'SOURCE_NOT_ALLOWED',
      `lora_path ${quoteUntrusted(path)}: ${found.root} has ${quoteUntrusted(below)} as well, and comes first`,
      { advice },
    );
  }

  /** @throws VERB_REFUSED where a person wrote something else into the file */
  async #read(): Promise<Loaded> {
    const text = await readFile(this.#path, 'utf8').catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return '';
      throw this.#unusable(`cannot be read (${errnoOf(error) ?? String(error)})`, error);
    });
    const { documents, problems } = parseManifests(text, loadedFile, { defaultNamespace: 'default' });
    const loaded = new Map<ObjectKey, string>();
    for (const { manifest } of documents) {
      const path = manifest.kind === 'Adapter' ? manifest.spec.source.path?.path : undefined;
      if (path === undefined) throw this.#unusable(`has a ${manifest.kind} that no call wrote`);
      loaded.set(keyOf(manifest), path);
    }
    if (problems[0] !== undefined) throw this.#unusable(problems[0].reason);
    return loaded;
  }

  /** @throws REQUEST_INVALID for a path that no manifest can have */
  #check(loaded: Loaded): void {
    const [problem] = parseManifests(this.#textOf(loaded), loadedFile, {
      defaultNamespace: 'default',
    }).problems;
    if (problem !== undefined) throw new AdaptletError('REQUEST_INVALID', problem.reason);
  }

  async #write(loaded: Loaded): Promise<void> {
    try {
      await writeDurable(this.#path, this.#textOf(loaded));
    } catch (error) {
      throw this.#unusable(`cannot be written (${errnoOf(error) ?? String(error)})`, error);
    }
  }

  #textOf(loaded: Loaded): string {
    const { baseModel } = this.#parts;
    const documents = [...loaded].map(([key, path]) => {
      const metadata = { name: nameOf(key), namespace: namespaceOf(key) };
      const spec = { baseModel, source: { path: { path } } };
      return `---\n${JSON.stringify({ apiVersion, kind: 'Adapter', metadata, spec })}\n`;
    });
    return heading + documents.join('');
  }

  get #path(): string {
    return join(this.#parts.folder, loadedFile);
  }

  #unusable(why: string, cause?: unknown): AdaptletError {
    return new AdaptletError('VERB_REFUSED', `${this.#path} ${why}`, {
      advice: `Make the manifest folder writable for the runtime, and leave ${loadedFile} to it.`,
      ...(cause === undefined ? {} : { cause }),
    });
  }
}
