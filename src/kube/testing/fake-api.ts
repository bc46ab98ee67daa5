import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeApi, KubeRequest } from '../client/api.ts';
import type { KubeMetadata } from '../client/object.ts';

type Stored = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: KubeMetadata;
} & Record<string, unknown>;
type Body = { readonly metadata?: Partial<KubeMetadata> } & Record<string, unknown>;

const conflict = (what: string) => new AdaptletError('KUBE_CONFLICT', what);
const notFound = (path: string) => new AdaptletError('KUBE_NOT_FOUND', `${path} not found`);

/** RFC 7386. */
const merge = (target: unknown, patch: unknown): unknown => {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> = { ...(target as Record<string, unknown> | undefined) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key], value);
  }
  return merged;
};

/**
 * An API server for tests of what reads and writes single objects: objects at their paths, revisions, preconditions of
 * writes by resourceVersion and uid, the status subresource, merge patches, server-side apply without owners of fields.
 * Not: watches, lists, schemas.
 */
export class FakeApi implements KubeApi {
  readonly objects = new Map<string, Stored>();
  /** Every request that was served, in order. */
  readonly requests: KubeRequest[] = [];
  /** Comes before each request. What it gives is the answer, what it throws the error; undefined: it is served. */
  before: (request: KubeRequest) => unknown = () => undefined;
  #revision = 100;

  async request<T>(request: KubeRequest): Promise<T> {
    request.signal?.throwIfAborted();
    const answer = await this.before(request);
    if (answer === undefined) return this.serve(request) as T;
    this.requests.push(request);
    return answer as T;
  }

  async stream(): Promise<AsyncIterable<unknown>> {
    throw new AdaptletError('KUBE_UNAVAILABLE', 'this fake has no watches');
  }

  /** Does at once what a request asks for. */
  serve(request: KubeRequest): Stored | object {
    this.requests.push(request);
    const { method, path } = request;
    const body = structuredClone(request.body ?? {}) as Body;
    switch (method) {
      case 'GET':
        return structuredClone(this.#at(path));
      case 'POST':
        return this.#create(path, body);
      case 'PUT':
        return this.#update(path, body, (old, isStatus) =>
          isStatus
            ? { ...old, status: body['status'] }
            : { ...body, ...('status' in old ? { status: old['status'] } : {}) },
        );
      case 'PATCH':
        if (request.contentType === 'application/apply-patch+yaml') return this.#apply(path, body);
        if (request.contentType !== 'application/merge-patch+json')
          throw new AdaptletError('KUBE_INVALID', `this fake knows no ${request.contentType}`);
        return this.#update(path, body, (old) => merge(old, body) as Body);
      case 'DELETE': {
        const old = this.#at(path);
        this.objects.delete(path);
        return old;
      }
    }
  }

  /** Puts an object at its path, as if somebody else had written it. */
  put(path: string, object: Body): Stored {
    const revision = ++this.#revision;
    return this.#store(
      path,
      { ...object, metadata: { uid: `uid-${revision}`, ...object.metadata } },
      revision,
    );
  }

  #at(path: string): Stored {
    const found = this.objects.get(path);
    if (found === undefined) throw notFound(path);
    return found;
  }

  #create(collection: string, body: Body): Stored {
    const path = `${collection}/${body.metadata?.name}`;
    if (this.objects.has(path)) throw conflict(`${path} exists already`);
    const { uid: _, ...metadata } = body.metadata ?? {};
    return this.put(path, { ...body, metadata });
  }

  #apply(path: string, body: Body): Stored {
    return this.put(path, merge(this.objects.get(path), body) as Body);
  }

  #update(at: string, body: Body, change: (old: Stored, isStatus: boolean) => Body): Stored {
    const isStatus = at.endsWith('/status');
    const path = isStatus ? at.slice(0, -'/status'.length) : at;
    const old = this.objects.get(path);
    const { uid, resourceVersion } = body.metadata ?? {};
    // A PUT may make a Lease, so there a uid in the body is a precondition also where there is no object.
    if (old === undefined)
      throw uid !== undefined && path.includes('/leases/') ? conflict(`${path} has no uid`) : notFound(path);
    if (uid !== undefined && uid !== old.metadata.uid) throw conflict(`${path} has another uid`);
    if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion)
      throw conflict(`${path} was changed`);
    const changed = change(old, isStatus);
    const metadata = {
      ...changed.metadata,
      uid: old.metadata.uid,
      creationTimestamp: old.metadata.creationTimestamp,
    };
    if (metadata.finalizers?.length === 0 && old.metadata.deletionTimestamp !== undefined) {
      this.objects.delete(path);
      return { ...changed, metadata } as Stored;
    }
    return this.#store(path, { ...changed, metadata }, ++this.#revision);
  }

  #store(path: string, body: Body, revision: number): Stored {
    const metadata = {
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...body.metadata,
      resourceVersion: `${revision}`,
    };
    const stored = { ...body, metadata } as Stored;
    this.objects.set(path, stored);
    return structuredClone(stored);
  }
}
