import type { ResourceType } from '../../kube/client/object.ts';
import { createInformer, type InformerOptions } from '../../kube/informer/informer.ts';
import { canonicalJson } from '../../plan/canonical.ts';
import { LabelList } from './label-list.ts';

type Labels = Readonly<Record<string, string>>;

/** What this replica has seen of the Nodes of the cluster. */
export type Nodes = {
  /**
   * What a runtime on that Node is labelled with, of what it says of itself: its own labels but for those that belong to
   * Nodes, and those of its Node. '' is no Node.
   */
  labelsAt(node: string, own: Labels): Labels;
  /** `kubectl cordon`: no new pod comes there. */
  isCordoned(node: string): boolean;
  /** Called with the name of a Node whose labels or cordon changed. The result ends it. */
  onChange(listener: (node: string) => void): () => void;
};

/** For an operator that reads no Nodes. */
export const noNodes: Nodes = {
  labelsAt: (_, own) => own,
  isCordoned: () => false,
  onChange: () => () => undefined,
};

export type FollowNodes = Pick<InformerOptions<unknown>, 'api' | 'clock' | 'random' | 'logger'> & {
  /** Label keys and prefixes; none: no labels are taken from Nodes. */
  readonly labels: readonly string[];
  /** Whether the cordon of a Node is looked at. */
  readonly cordon: boolean;
};

const nodeType: ResourceType = {
  group: '',
  version: 'v1',
  kind: 'Node',
  plural: 'nodes',
  namespaced: false,
};

/**
 * Follows the Nodes, by their metadata. The stack ends it. What is not wanted is not asked for and needs no right.
 * Resolves when they were listed once.
 * @throws the reason of the signal
 */
export const followNodes = async (
  { labels, cordon, ...parts }: FollowNodes,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Nodes> => {
  const list = new LabelList(labels);
  const open = <T>(options: Pick<InformerOptions<T>, 'project' | 'fieldSelector'>) => {
    const informer = createInformer<T>({ ...parts, type: nodeType, metadataOnly: true, ...options });
    stack.defer(() => informer.close());
    informer.start();
    return informer;
  };
  const labelled =
    labels.length === 0
      ? undefined
      : open<Labels>({ project: ({ metadata }) => list.pick(metadata.labels ?? {}) });
  const cordoned = cordon
    ? open<true>({ project: () => true, fieldSelector: 'spec.unschedulable=true' })
    : undefined;
  await Promise.all([labelled?.whenSynced(signal), cordoned?.whenSynced(signal)]);
  return {
    labelsAt: (node, own) => ({ ...list.omit(own), ...labelled?.cache.get(node) }),
    isCordoned: (node) => cordoned?.cache.get(node) === true,
    onChange: (listener) => {
      const ends = [
        // One that was deleted takes its AdapterRuntimes with it: nothing is left to be labelled.
        labelled?.cache.onChange((change) => {
          if (change.type === 'added' || (change.type === 'updated' && isOther(change.object, change.before)))
            listener(change.key);
        }),
        cordoned?.cache.onChange((change) => {
          if (change.type !== 'updated') listener(change.key);
        }),
      ];
      return () => {
        for (const end of ends) end?.();
      };
    },
  };
};

/** Nodes are written every few minutes, their labels hardly ever. */
const isOther = (a: Labels, b: Labels): boolean => canonicalJson(a) !== canonicalJson(b);
