import { type Digest, namespaceOf, objectKey } from '../../api/names.ts';
import type { Artifacts } from '../../artifact/artifacts.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { type AdapterResource, type Versioned, versioned } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { Compiler } from '../compiled/compiled-adapter.ts';
import type { ResidencyOptions, Transition } from './core.ts';
import { digestOf, FakeEngine, Script } from './fake-engine.ts';
import { createResidency, type Residency } from './manager.ts';

/** Lets everything run that does not wait for a test. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export type Shape = Partial<AdapterResource['body']>;

/** An adapter `team/<name>` whose source is the path `<name>`. */
export const adapter = (name: string, shape: Shape = {}): Versioned<AdapterResource> =>
  versioned(adapterResource(key(name), { uid: `uid-${name}`, source: { path: { path: name } }, ...shape }));

export const key = (name: string) => objectKey('team', name);
export const never = (): AbortSignal => new AbortController().signal;

export type World = {
  readonly residency: Residency;
  readonly engine: FakeEngine;
  readonly script: Script;
  readonly clock: FakeClock;
  readonly disk: Map<Digest, number>;
  readonly verdicts: Map<string, string>;
  readonly resolutions: Map<string, Digest>;
  readonly arrows: Transition[];
  /** Content that a source gives; the digest follows from it. Default: the name of the path. */
  readonly content: Map<string, string>;
  readonly digest: (name: string) => Digest;
  /** RAM that the engine reports beyond what the compiled file says. */
  readonly extra: Map<string, number>;
  /** What is called while `fetch a` or `compile a` goes on without a byte of the source. */
  readonly works: Map<string, () => void>;
};

export type WorldShape = Partial<ResidencyOptions> & {
  readonly sizes?: Readonly<Record<string, number>>;
  readonly disk?: Map<Digest, number>;
  readonly resolved?: Map<string, Digest>;
  readonly passed?: Map<string, string>;
  /** `namespace digest`. Absent: everything on the disk is for everybody. */
  readonly grants?: Set<string>;
  /** Versions of the requirements that what is kept of the signatures of a content meets, and what its source has. */
  readonly signed?: Map<Digest, string>;
  readonly signable?: Map<Digest, string>;
  /** Bytes that are unpacked of an adapter once it is there. */
  readonly unpacked?: Readonly<Record<string, number>>;
  /** What was cancelled comes to its end all the same. */
  readonly endsLate?: boolean;
  /** What the disk has set aside for artifacts on their way. Absent: it sets nothing aside. */
  readonly reserved?: Map<Digest, number>;
};

/** A residency over ports that succeed at once unless the script says otherwise. An adapter has 10 bytes. */
export const world = (shape: WorldShape = {}): World => {
  const script = new Script();
  const clock = new FakeClock();
  const disk = shape.disk ?? new Map<Digest, number>();
  const verdicts = shape.passed ?? new Map<string, string>();
  const resolutions = shape.resolved ?? new Map<string, Digest>();
  const content = new Map<string, string>();
  const extra = new Map<string, number>();
  const works = new Map<string, () => void>();
  const { grants, reserved, endsLate = false, signed = new Map(), signable = new Map() } = shape;
  const arrows: Transition[] = [];
  const names = new Map<Digest, string>();
  const sizeOf = (name: string): number => shape.sizes?.[name] ?? 10;
  const digest = (name: string): Digest => {
    const made = digestOf(content.get(name) ?? name);
    names.set(made, name);
    return made;
  };
  const engine = new FakeEngine(script, (name) => sizeOf(name) + (extra.get(name) ?? 0));

  const artifacts: Artifacts = {
    async fetch({ source, key: wished }, expected, { signal, onProgress, onWork, admit, onReserved }) {
      const name = source.path?.path ?? source.oci?.image ?? '';
      await admit?.({ digest: digest(name), bytes: 5, missingBytes: 5 });
      if (reserved?.has(digest(name)) === false) {
        reserved.set(digest(name), 5);
        onReserved?.();
      }
      onProgress?.({ receivedBytes: 1, totalBytes: 2 });
      if (onWork !== undefined) works.set(`fetch ${name}`, onWork);
      await script.enter(`fetch ${name}`);
      if (!endsLate) signal.throwIfAborted();
      void expected;
      reserved?.delete(digest(name));
      const bytes = 5 + (shape.unpacked?.[name] ?? 0);
      disk.set(digest(name), bytes);
      grants?.add(`${namespaceOf(wished)} ${digest(name)}`);
      return { digest: digest(name), bytes };
    },
    stored: ({ key: wished }, d) =>
      disk.has(d) && grants?.has(`${namespaceOf(wished)} ${d}`) !== false
        ? { bytes: disk.get(d) ?? 0 }
        : undefined,
    release({ key: wished }, d) {
      grants?.delete(`${namespaceOf(wished)} ${d}`);
      return Promise.resolve();
    },
    async checkSigned(_wish, d, requirement, signal) {
      if (signed.get(d) === requirement.version) return;
      if (signal !== undefined) await script.enter(`signatures of ${names.get(d)}`);
      if (signal !== undefined && signable.get(d) === requirement.version) {
        signed.set(d, requirement.version);
        return;
      }
      throw new AdaptletError('SIGNATURE_MISSING', `there is none of ${names.get(d)}`);
    },
    held: () =>
      [...disk].map(([d, bytes]) => ({
        digest: d,
        bytes,
        namespaces: [...(grants ?? [])].flatMap((grant) => {
          const [namespace = '', its] = grant.split(' ');
          return its === d ? [namespace] : [];
        }),
      })),
    disown(namespace, d) {
      grants?.delete(`${namespace} ${d}`);
      return Promise.resolve();
    },
    folder: (d) => `/store/${d}`,
    verify: (d) => script.enter(`verify ${names.get(d)}`),
    async remove(d) {
      await script.enter(`remove ${names.get(d)}`);
      disk.delete(d);
    },
    async quarantine(d) {
      await script.enter(`quarantine ${names.get(d)}`);
      disk.delete(d);
    },
  };
  const compiler: Compiler = {
    async compile({ digest: d, verify, alive }, _info, signal) {
      const name = names.get(d) ?? 'unknown';
      await verify(signal);
      if (alive !== undefined) works.set(`compile ${name}`, alive);
      await script.enter(`compile ${name}`);
      return {
        file: `/compiled/${name}`,
        bytes: Math.ceil(sizeOf(name) / 2),
        ramBytes: sizeOf(name),
        rank: 8,
        targetModules: ['q_proj'],
      };
    },
    async remove(d) {
      await script.enter(`uncompile ${names.get(d)}`);
    },
    bytesOf: () => 0,
  };
  const residency = createResidency({
    artifacts,
    compiler,
    engine,
    clock,
    verdicts: {
      get: (k) => verdicts.get(k),
      set: async (k, v) => {
        await script.enter('verdict');
        verdicts.set(k, v);
      },
    },
    resolutions: {
      get: (uid) => resolutions.get(uid),
      set: async (uid, d) => {
        await script.enter('resolve');
        resolutions.set(uid, d);
      },
      forget: (uid) => {
        resolutions.delete(uid);
        return Promise.resolve();
      },
      uidsOf: (d) => [...resolutions].flatMap(([uid, its]) => (its === d ? [uid] : [])),
    },
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    baseModel: 'tiny',
    budgetBytes: 100,
    maxParallelLoads: 2,
    ...shape,
  });
  residency.onTransition((arrow) => arrows.push(arrow));
  return {
    residency,
    engine,
    script,
    clock,
    disk,
    verdicts,
    resolutions,
    arrows,
    content,
    digest,
    extra,
    works,
  };
};

/** Bytes that the engine holds. */
export const loadedBytes = ({ engine }: World): number =>
  [...engine.loaded.values()].reduce((a, b) => a + b, 0);

export const stateOf = ({ residency }: World, name: string) => residency.state(key(name))?.kind;
