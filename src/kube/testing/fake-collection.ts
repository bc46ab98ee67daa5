import { setImmediate } from 'node:timers/promises';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type { KubeApi } from '../client/api.ts';
import { type KubeObject, keyOfObject, type ResourceType } from '../client/object.ts';

export const things: ResourceType = {
  group: 'test.dev',
  version: 'v1',
  kind: 'Thing',
  plural: 'things',
  namespaced: true,
};

type Event = { readonly type: string; readonly object: unknown };

/** Lets everything that is ready run. */
export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 4; turn++) await setImmediate();
};

/** A watch at the server. */
class Stream implements AsyncIterable<unknown> {
  #events: unknown[] = [];
  #end: { readonly error: unknown } | undefined;
  #wake = Promise.withResolvers<void>();
  readonly #gate: () => Promise<void>;

  constructor(gate: () => Promise<void>) {
    this.#gate = gate;
  }
  push(event: unknown): void {
    this.#events.push(event);
    this.#wake.resolve();
  }
  /** Ends in order, or with an error; what was sent still arrives. */
  finish(error?: unknown): void {
    this.#end ??= { error };
    this.#wake.resolve();
  }
  async *[Symbol.asyncIterator](): AsyncGenerator {
    for (;;) {
      await this.#gate();
      const event = this.#events.shift();
      if (event !== undefined) yield event;
      else if (this.#end === undefined) {
        this.#wake = Promise.withResolvers();
        await this.#wake.promise;
      } else if (this.#end.error === undefined) return;
      else throw this.#end.error;
    }
  }
}

/** A model of one collection at the API server: versions, history, compaction, pages, watches, and all that breaks. */
export class FakeCollection implements KubeApi {
  version = 100;
  readonly objects = new Map<string, KubeObject>();
  readonly requests: { readonly path: string; readonly query: Readonly<Record<string, string>> }[] = [];
  readonly #history: { readonly version: number; readonly event: Event }[] = [];
  /** Lists that are being read, by token. */
  readonly #lists = new Map<string, { readonly version: number; readonly rest: readonly KubeObject[] }>();
  readonly #streams = new Set<Stream>();
  #compacted = 0;
  #uid = 0;
  #refusal: AdaptletError | undefined;
  #paused: PromiseWithResolvers<void> | undefined;

  get watchers(): number {
    return this.#streams.size;
  }

  put(name: string, spec: unknown = {}): KubeObject {
    const before = this.objects.get(`n/${name}`);
    const object: KubeObject = {
      apiVersion: 'test.dev/v1',
      kind: 'Thing',
      metadata: {
        name,
        namespace: 'n',
        uid: before?.metadata.uid ?? `uid-${++this.#uid}`,
        resourceVersion: String(++this.version),
        creationTimestamp: '2026-01-01T00:00:00Z',
      },
      spec,
    };
    this.objects.set(keyOfObject(object), object);
    this.#emit({ type: before === undefined ? 'ADDED' : 'MODIFIED', object });
    return object;
  }

  delete(name: string): void {
    const before = this.objects.get(`n/${name}`);
    if (before === undefined) return;
    this.objects.delete(`n/${name}`);
    const metadata = { ...before.metadata, resourceVersion: String(++this.version) };
    this.#emit({ type: 'DELETED', object: { ...before, metadata } });
  }

  bookmark(): void {
    // Other collections move the version on, too.
    this.version += 5;
    this.send({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(this.version) } } });
  }
  /** Sends something out of order. */
  send(event: unknown): void {
    for (const stream of this.#streams) stream.push(event);
  }
  /** Sends an event of the past again; `back` counts from the last one. */
  repeat(back: number): void {
    const past = this.#history.at(-1 - back);
    if (past !== undefined) this.send(past.event);
  }
  /** Ends all watches, in order or with an error. */
  drop(error?: AdaptletError): void {
    for (const stream of this.#streams) stream.finish(error);
    this.#streams.clear();
  }
  compact(): void {
    this.#compacted = this.version;
  }
  refuse(code: ErrorCode, retryAfterMs?: number): void {
    this.#refusal = new AdaptletError(
      code,
      `the model says ${code}`,
      retryAfterMs === undefined ? {} : { retryAfterMs },
    );
  }
  /** Neither answers nor sends, until `heal`. */
  pause(): void {
    this.#paused ??= Promise.withResolvers();
  }
  heal(): void {
    this.#refusal = undefined;
    this.#paused?.resolve();
    this.#paused = undefined;
  }
  /** etcd comes back from an old backup. */
  goBackTo(version: number): void {
    this.version = version;
    this.#history.length = 0;
  }

  request = async <T>({
    path,
    query = {},
  }: {
    path: string;
    query?: Readonly<Record<string, string>>;
  }): Promise<T> => {
    this.requests.push({ path, query });
    await this.#open();
    const { continue: token, limit } = query;
    const list =
      token === undefined
        ? { version: this.version, rest: [...this.objects.values()] }
        : this.#lists.get(token);
    if (list === undefined || list.version < this.#compacted)
      throw new AdaptletError('KUBE_GONE', 'the token is too old');
    const rest = list.rest.slice(Number(limit));
    const next = `${list.version}/${rest.length}`;
    this.#lists.set(next, { version: list.version, rest });
    return {
      metadata: {
        resourceVersion: String(list.version),
        ...(rest.length === 0 ? {} : { continue: next }),
      },
      items: list.rest.slice(0, Number(limit)),
    } as T;
  };

  stream: KubeApi['stream'] = async ({ path, query, signal }) => {
    this.requests.push({ path, query });
    await this.#open();
    const from = Number(query['resourceVersion']);
    if (from < this.#compacted && from % 2 === 0) throw new AdaptletError('KUBE_GONE', 'too old');
    const stream = new Stream(() => this.#passed());
    if (from < this.#compacted) stream.push({ type: 'ERROR', object: { code: 410, message: 'too old' } });
    else for (const { version, event } of this.#history) if (version > from) stream.push(event);
    this.#streams.add(stream);
    signal.addEventListener('abort', () => {
      this.#streams.delete(stream);
      stream.finish(signal.reason);
    });
    return stream;
  };

  #emit(event: Event): void {
    this.#history.push({ version: this.version, event });
    this.send(event);
  }
  async #open(): Promise<void> {
    await this.#passed();
    if (this.#refusal !== undefined) throw this.#refusal;
  }
  async #passed(): Promise<void> {
    await this.#paused?.promise;
  }
}
