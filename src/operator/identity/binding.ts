import { type ObjectKey, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { TokenIdentity } from './token-review.ts';

/** What a runtime says it is: the namespace and name of its AdapterRuntime. */
export type Claim = { readonly kind: 'Node' | 'Pod'; readonly namespace: string; readonly name: string };

/** A runtime whose claim its token proves. */
export type BoundRuntime = Claim & {
  readonly key: ObjectKey;
  readonly node: string;
  readonly pod: string;
  /** Name of its ServiceAccount; '' of a device. */
  readonly account: string;
  /** uid of the Node or Pod that it serves; '' when the API server did not say, and of a device. */
  readonly ownerUid: string;
  /** Of a device outside of the cluster. */
  readonly device?: {
    /** End of its certificate, wall time in milliseconds. */
    readonly until: number;
    /** Why it may not be here any more; undefined: it may. */
    refusal(): AdaptletError | undefined;
  };
};

/** What stands after the name of its node in the name of a runtime that has others beside it. */
const beside = /^(.+)\.model-[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;

/**
 * The node whose runtime has this name: `edge-1` and `edge-1.model-qwen` are both of edge-1. Each name belongs to
 * exactly one node, whatever other nodes are called: without the fixed word, `a.b` could be of the node a.b or of a.
 */
export const nodeOfName = (name: string): string => beside.exec(name)?.[1] ?? name;

/**
 * A runtime of a node: its token names that node, whose name it has, alone or with `.model-` and a word behind; its
 * ServiceAccount is of the claimed namespace and one of `nodeAccounts` (`namespace/name`). A runtime of a pod: its token
 * names that pod, of that namespace.
 * @throws PEER_IDENTITY
 */
export const bind = (
  { kind, namespace, name }: Claim,
  token: TokenIdentity,
  nodeAccounts: ReadonlySet<string>,
): BoundRuntime => {
  const refuse = (why: string): AdaptletError =>
    new AdaptletError('PEER_IDENTITY', `${kind} ${namespace}/${name} is not accepted: ${why}`);
  const account = `${token.namespace}/${token.serviceAccount}`;
  if (token.namespace !== namespace) throw refuse(`the token belongs to the ServiceAccount ${account}`);
  if (token.pod === '') throw refuse('the token is bound to no pod; mount a projected one');
  if (kind === 'Node') {
    if (!nodeAccounts.has(account)) throw refuse(`the ServiceAccount ${account} may not serve nodes`);
    if (token.node === '') throw refuse('the token names no node');
    if (token.node !== nodeOfName(name)) {
      const names = `${token.node} or ${token.node}.model-<word>`;
      throw refuse(`the token belongs to the node ${token.node}, whose runtimes are named ${names}`);
    }
  } else if (token.pod !== name) throw refuse(`the token belongs to the pod ${token.pod}`);
  return {
    kind,
    namespace,
    name,
    key: objectKey(namespace, name),
    node: token.node,
    pod: token.pod,
    account: token.serviceAccount,
    ownerUid: kind === 'Node' ? token.nodeUid : token.podUid,
  };
};
