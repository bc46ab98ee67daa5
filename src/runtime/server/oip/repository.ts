import { type ObjectKey, objectKey } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type {
  RepositoryIndexResponse,
  RepositoryModelLoadRequest,
  RepositoryModelUnloadRequest,
} from '../../../gen/inference/grpc_service.ts';
import { needRight } from '../../callers/caller.ts';
import { namespaceIn } from '../../routing/names.ts';
import type { ModelCard, Serving } from '../../serving/serving.ts';
import { type Asking, askedNamespace } from '../context.ts';

type LoadRequest = RepositoryModelLoadRequest | RepositoryModelUnloadRequest;

/** What a repository call is about: the name's card, its key when it is an Adapter, and whether a credential asked for it. */
export type Subject = {
  readonly card: ModelCard;
  readonly key: ObjectKey | undefined;
  readonly isOwn: boolean;
};

const keyOf = (card: ModelCard, namespace: string): ObjectKey => {
  const name = card.id.replace(/^adapter:/, '');
  return name.includes('/') ? (name as ObjectKey) : objectKey(namespace, name);
};

/**
 * Finds the subject of a load or unload. KServe's message has the model's name as field 1, where Triton's has the
 * repository's: a request with only that field is KServe's.
 * @throws FORBIDDEN or UNAUTHENTICATED without the right Lifecycle in the namespace, before anything is looked up;
 * MODEL_NOT_FOUND, REQUEST_INVALID, VERB_REFUSED for a route or a rollout
 */
export const subjectOf = (request: LoadRequest, serving: Serving, { headers, caller }: Asking): Subject => {
  const kserve = request.modelName === '';
  const asked = kserve ? request.repositoryName : request.modelName;
  if (asked === '') throw new AdaptletError('REQUEST_INVALID', 'model_name is empty');
  const repository = namespaceIn(asked) ?? (kserve ? undefined : request.repositoryName);
  const namespace = askedNamespace(headers, caller, repository);
  const grant = needRight(caller, namespace, 'Lifecycle', 'loading and unloading adapters');
  const isOwn = grant.caller !== '';
  const card = serving.model(namespace, asked);
  if (card.kind === 'base') return { card, key: undefined, isOwn };
  if (card.kind !== 'adapter')
    throw new AdaptletError(
      'VERB_REFUSED',
      `${asked} is a ${card.kind}: only an Adapter can be loaded or unloaded by hand`,
    );
  return { card, key: keyOf(card, namespace), isOwn };
};

/** Every name that can be asked for, READY or UNAVAILABLE with the reason. */
export const repositoryIndex = (
  cards: readonly ModelCard[],
  readyOnly: boolean,
): RepositoryIndexResponse => ({
  models: cards
    .filter((card) => card.ready || !readyOnly)
    .map((card) => ({
      name: card.id,
      version: card.digest,
      state: card.ready ? 'READY' : 'UNAVAILABLE',
      reason: card.reason,
    })),
});
