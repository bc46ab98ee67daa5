import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { adapterSpecSchema } from '../../api/adapter.ts';
import type { Digest } from '../../api/names.ts';
import type { ParsedManifest } from '../../api/objects.ts';
import { parseManifests } from '../../api/parse.ts';
import { keyOf } from '../../api/references.ts';
import { rolloutSpecSchema } from '../../api/rollout.ts';
import { digestOf } from '../../artifact/digest.ts';
import { defaultLimits } from '../../artifact/manifest.ts';
import { packFolder } from '../../artifact/pack.ts';
import { weightFacts } from '../../artifact/weight-facts.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { type Resource, resourceKey, versioned } from '../../plan/resources.ts';
import { Classifiers, type ClassifiersParts } from '../../runtime/classifiers/classifiers.ts';
import type { ServingFacts } from '../../runtime/routing/decision.ts';
import type { RequestContext } from '../../runtime/routing/request.ts';
import { buildTable, type RoutingTable } from '../../runtime/routing/table.ts';
import { decided } from '../../runtime/serving/ask-ahead.ts';
import { systemClock } from '../../time/clock.ts';

/** Routes of manifests, as a node would have them. */
export type Offline = AsyncDisposable & {
  readonly table: RoutingTable;
  readonly facts: ServingFacts;
};

/** Starts what runs `onnx` classifiers. A part of its own: the plug-in of kubectl has no engine. */
export type OpenEncoder = (
  artifacts: ClassifiersParts['artifacts'],
) => Promise<AsyncDisposable & Required<Pick<ClassifiersParts, 'heads'>>>;

export type OfflineParts = {
  /** Files, or folders of files. */
  readonly manifests: readonly string[];
  /** Folders of artifacts that classifiers name by their digests. */
  readonly classifiers: readonly string[];
  /** Absent: `onnx` classifiers are uncertain. */
  readonly encoder?: OpenEncoder | undefined;
  /** Namespace of objects that name none. */
  readonly namespace: string;
  readonly warn: (text: string) => void;
};

/**
 * Compiles routes without a node: every rollout has its spec.adapter as stable and every adapter is here, also those that
 * are in no manifest (`adaptlet lint` warns of these). Policies do not count.
 * @throws AdaptletError CONFIG_INVALID for manifests that are not valid; those of artifacts
 */
export const openOffline = async (parts: OfflineParts): Promise<Offline> => {
  const objects = await readObjects(parts);
  // What the manifests have comes last, in the place of what stands for it.
  const resources = [...objects.flatMap(targetsOf), ...objects].flatMap(resourceOf);
  const plan = new Map(resources.map((resource) => [resourceKey(resource), versioned(resource)]));
  return await offlineOf(buildTable(plan, { name: 'base model' }), parts);
};

/** A table that was compiled already, with classifiers from folders. @throws those of artifacts */
export const offlineOf = async (
  table: RoutingTable,
  parts: Pick<OfflineParts, 'classifiers' | 'encoder' | 'warn'>,
): Promise<Offline> => {
  const artifacts = await artifactsIn(parts.classifiers);
  const encoder = await parts.encoder?.(artifacts);
  const classifiers = new Classifiers({
    artifacts,
    heads: encoder?.heads,
    clock: systemClock,
    random: Math.random,
    log: {
      debug: () => undefined,
      info: () => undefined,
      error: () => undefined,
      warn: (keys) => {
        const { classifier, err } = keys as { readonly classifier: string; readonly err: Error };
        parts.warn(`classifier ${classifier}: ${err.message}`);
      },
    },
  });
  classifiers.follow(table);
  await classifiers.settled();
  const { classify, awaited } = classifiers;
  return {
    table,
    facts: { serves: () => false, isHeld: () => false, classify, awaited },
    [Symbol.asyncDispose]: async () => {
      classifiers.close();
      await encoder?.[Symbol.asyncDispose]();
    },
  };
};

const never = new AbortController().signal;

/** What routing says of a request once its classifiers have answered. */
export const told = async <T>(
  { facts }: Pick<Offline, 'facts'>,
  context: RequestContext,
  decide: () => T,
): Promise<T> => await decided(decide, () => facts.awaited?.(context, never));

const readObjects = async ({
  manifests,
  namespace,
}: Pick<OfflineParts, 'manifests' | 'namespace'>): Promise<readonly ParsedManifest[]> => {
  const objects: ParsedManifest[] = [];
  for (const file of (await Promise.all(manifests.map(filesAt))).flat()) {
    const { documents, problems } = parseManifests(await readFile(file, 'utf8'), file, {
      defaultNamespace: namespace,
    });
    const [problem] = problems;
    if (problem !== undefined) {
      throw new AdaptletError('CONFIG_INVALID', `${problem.file}:${problem.line}: ${problem.reason}`, {
        advice: 'Correct the manifest; `adaptlet lint` shows all problems.',
      });
    }
    objects.push(...documents.map(({ manifest }) => manifest));
  }
  return objects;
};

const filesAt = async (path: string): Promise<readonly string[]> => {
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name) && !entry.name.startsWith('.'))
    .map((entry) => join(path, entry.name))
    .toSorted();
};

/** The targets of a route, as far as it says what they are. */
const targetsOf = (object: ParsedManifest): readonly ParsedManifest[] => {
  if (object.kind !== 'AdapterRoute') return [];
  const { namespace } = object.metadata;
  const metadata = (name: string) => ({ namespace, name, annotations: {}, labels: {} });
  const targets = object.spec.rules.flatMap(({ targets: some = [], fallback }) => [...some, ...fallback]);
  return targets.flatMap(({ rollout, adapter }): ParsedManifest[] => {
    if (rollout !== undefined) {
      const spec = rolloutSpecSchema.parse({ adapter: rollout });
      return [{ kind: 'AdapterRollout', metadata: metadata(rollout), spec }];
    }
    if (adapter === undefined) return [];
    const spec = adapterSpecSchema.parse({ baseModel: 'any', source: { path: { path: 'any' } } });
    return [{ kind: 'Adapter', metadata: metadata(adapter), spec }];
  });
};

const placeholder = `sha256:${'0'.repeat(64)}` as Digest;

const resourceOf = (object: ParsedManifest): readonly Resource[] => {
  const name = keyOf(object);
  const identity = { uid: name, createdAt: '1970-01-01T00:00:00Z' };
  switch (object.kind) {
    case 'AdapterRoute': {
      const { model, rules, classifiers } = object.spec;
      const body = { ...identity, model, rules, ...(classifiers === undefined ? {} : { classifiers }) };
      return [{ type: 'Route', name, body }];
    }
    case 'AdapterRollout': {
      const { adapter, guard } = object.spec;
      const stable = { adapter, uid: adapter, digest: placeholder };
      return [
        { type: 'Split', name, body: { ...identity, stable, weight: 0, hashOn: 'User', guard, message: '' } },
      ];
    }
    case 'Adapter': {
      const { baseModel, source, priority, pinned, validation } = object.spec;
      const body = { uid: name, baseModel, baseModelDigests: [], source, priority, pinned, validation };
      return [{ type: 'AdapterSpec', name, body: { ...body, tier: 'None', held: false } }];
    }
    case 'AdapterAnalysis':
    case 'AdapterPolicy':
      return [];
  }
};

/** Folders in place of a store: what a classifier names by its digest is one of them. */
const artifactsIn = async (folders: readonly string[]): Promise<ClassifiersParts['artifacts']> => {
  // A thread of its own would not be in the plug-in of kubectl.
  const disk = {
    hash: async (path: string) => {
      const bytes = await readFile(path);
      return { digest: digestOf(bytes), size: bytes.length };
    },
    weights: async (path: string) => weightFacts(path),
  };
  const { signal } = new AbortController();
  const byDigest = new Map<Digest, { readonly folder: string; readonly bytes: number }>();
  for (const given of folders) {
    const folder = resolve(given);
    const { digest, bytes } = await packFolder(folder, { disk, limits: defaultLimits, signal });
    byDigest.set(digest, { folder, bytes });
  }
  const found = (digest: Digest | undefined) => {
    const one = digest === undefined ? undefined : byDigest.get(digest);
    if (one !== undefined && digest !== undefined) return { digest, ...one };
    throw new AdaptletError('ARTIFACT_NOT_FOUND', `no folder that was given has the digest ${digest}`, {
      advice: 'Name the folder of the artifact with --classifier.',
    });
  };
  return {
    fetch: async (_, digest) => found(digest),
    folder: (digest) => found(digest).folder,
    verify: async () => undefined,
    checkSigned: async () => undefined,
    // Folders of a person stay as they are.
    quarantine: async () => undefined,
  };
};
