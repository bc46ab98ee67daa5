import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeApi, KubeRequest } from '../../kube/api.ts';

type Stored = { readonly metadata: Record<string, unknown>; readonly [field: string]: unknown };

/**
 * An API server for tests of what reads and writes single objects: versions, preconditions, server-side apply without
 * owners of fields. No watch.
 */
export class FakeApi implements KubeApi {
  readonly objects = new Map<string, Stored>();
  readonly requests: KubeRequest[] = [];
  /** Looks at each request first; what it returns is the answer, what it throws the error. Undefined: go on. */
  intercept: (request: KubeRequest) => unknown = () => undefined;
  #version = 0;

  async request<T>(request: KubeRequest): Promise<T> {
    this.requests.push(request);
    // An answer never comes before the caller waits for it.
    await Promise.resolve();
    return ((await this.intercept(request)) ?? this.#answer(request)) as T;
  }

  stream(): Promise<never> {
    return Promise.reject(new AdaptletError('KUBE_UNAVAILABLE', 'this API server has no watch'));
  }

  #answer({ method, path, body }: KubeRequest): unknown {
    const found = this.objects.get(path);
    const given = body as Stored;
    if (method === 'POST') {
      const name = `${path}/${String(given.metadata['name'])}`;
      if (this.objects.has(name)) throw new AdaptletError('KUBE_CONFLICT', `${name} exists already`);
      return this.put(name, given);
    }
    if (method === 'PATCH') return this.put(path, merged(found, given));
    if (found === undefined) throw new AdaptletError('KUBE_NOT_FOUND', `${path} not found`);
    if (method === 'GET') return found;
    if (method === 'PUT') {
      const precondition = given.metadata['resourceVersion'];
      if (precondition !== undefined && precondition !== found.metadata['resourceVersion']) {
        throw new AdaptletError('KUBE_CONFLICT', `${path} changed`);
      }
      return this.put(path, { ...given, metadata: { ...found.metadata, ...given.metadata } });
    }
    this.objects.delete(path);
    return found;
  }

  put(path: string, object: Stored): Stored {
    this.#version += 1;
    const stored = {
      ...object,
      metadata: {
        uid: `uid-of-${path}`,
        creationTimestamp: '2026-01-01T00:00:00Z',
        ...object.metadata,
        resourceVersion: String(this.#version),
      },
    };
    this.objects.set(path, stored);
    return stored;
  }
}

const merged = (found: Stored | undefined, given: Stored): Stored =>
  found === undefined ? given : { ...found, ...given, metadata: { ...found.metadata, ...given.metadata } };
