import type { KubeApi } from './api.ts';
import { type KubeObject, pathOf, type ResourceType } from './object.ts';

type Page<T> = { readonly items: readonly T[]; readonly metadata: { readonly continue?: string } };

export type ListOptions = {
  /** Undefined: of all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string;
  readonly signal?: AbortSignal | undefined;
};

/** Objects of a page. */
const pageSize = '500';

/**
 * The objects of a collection, read page by page as they are taken.
 * @throws as `KubeApi.request`; KUBE_NOT_FOUND where the kind is not there
 */
export const listObjects = async function* <T = KubeObject>(
  api: KubeApi,
  type: ResourceType,
  { namespace, labelSelector, signal }: ListOptions = {},
): AsyncGenerator<T, void> {
  let next = '';
  do {
    const page: Page<T> = await api.request<Page<T>>({
      method: 'GET',
      path: pathOf(type, namespace),
      query: {
        limit: pageSize,
        ...(labelSelector === undefined ? {} : { labelSelector }),
        ...(next === '' ? {} : { continue: next }),
      },
      ...(signal === undefined ? {} : { signal }),
    });
    yield* page.items;
    next = page.metadata.continue ?? '';
  } while (next !== '');
};
