import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bind, type Claim, nodeOfName } from './binding.ts';
import type { TokenIdentity } from './token-review.ts';

const daemon: TokenIdentity = {
  namespace: 'adaptlet-system',
  serviceAccount: 'adaptlet-runtime',
  pod: 'runtime-x',
  podUid: 'uid-of-pod',
  node: 'node-1',
  nodeUid: 'uid-of-node',
};
const sidecar: TokenIdentity = {
  ...daemon,
  namespace: 'team-a',
  serviceAccount: 'default',
  pod: 'app-7f',
  node: 'node-2',
};
const node: Claim = { kind: 'Node', namespace: 'adaptlet-system', name: 'node-1' };
const pod: Claim = { kind: 'Pod', namespace: 'team-a', name: 'app-7f' };
const accounts = new Set(['adaptlet-system/adaptlet-runtime']);

describe('what a token lets a runtime be', () => {
  it('is the node that its pod runs on', () => {
    expect(bind(node, daemon, accounts)).toEqual({
      ...node,
      key: 'adaptlet-system/node-1',
      node: 'node-1',
      pod: 'runtime-x',
      account: 'adaptlet-runtime',
      ownerUid: 'uid-of-node',
    });
  });

  it('is its pod, in any namespace', () => {
    expect(bind(pod, sidecar, accounts)).toMatchObject({
      key: 'team-a/app-7f',
      node: 'node-2',
      ownerUid: 'uid-of-pod',
    });
  });

  it.each<[string, Claim, TokenIdentity, string]>([
    ['another node', { ...node, name: 'node-2' }, daemon, 'belongs to the node node-1'],
    ['beside another node', { ...node, name: 'node-2.model-a' }, daemon, 'belongs to the node node-1'],
    ['a node that is called like its own', { ...node, name: 'node-1.a' }, daemon, 'node-1.model-<word>'],
    ['two words behind', { ...node, name: 'node-1.model-a.b' }, daemon, 'belongs to the node node-1'],
    ['no word behind', { ...node, name: 'node-1.model-' }, daemon, 'belongs to the node node-1'],
    [
      'what another node is called, where that reads as one beside it',
      { ...node, name: 'node-1.model-a' },
      { ...daemon, node: 'node-1.model-a' },
      'node-1.model-a.model-<word>',
    ],
    ['a node, with a token that names none', node, { ...daemon, node: '' }, 'names no node'],
    [
      'a node of another namespace',
      { ...node, namespace: 'team-a' },
      daemon,
      'ServiceAccount adaptlet-system/',
    ],
    [
      'a node, by a pod of a team',
      { ...node, namespace: 'team-a', name: 'node-2' },
      sidecar,
      'may not serve nodes',
    ],
    [
      'a node, by another ServiceAccount of the namespace',
      node,
      { ...daemon, serviceAccount: 'default' },
      'adaptlet-system/default may not serve nodes',
    ],
    ['another pod', { ...pod, name: 'app-8f' }, sidecar, 'belongs to the pod app-7f'],
    ['a pod of another namespace', { ...pod, namespace: 'team-b' }, sidecar, 'ServiceAccount team-a/default'],
    ['a pod, with a token of no pod', pod, { ...sidecar, pod: '' }, 'bound to no pod'],
    ['a node, with a token of no pod', node, { ...daemon, pod: '' }, 'bound to no pod'],
  ])('is never %s', (_, claim, token, why) => {
    expect(() => bind(claim, token, accounts)).toThrow(
      expect.objectContaining({ code: 'PEER_IDENTITY', what: expect.stringContaining(why) as string }),
    );
  });
});

describe('names of runtimes of nodes', () => {
  it('say the node, also beside others of it', () => {
    const name = 'node-1.model-qwen2-5';
    expect(bind({ ...node, name }, daemon, accounts)).toEqual({
      ...node,
      name,
      key: 'adaptlet-system/node-1.model-qwen2-5',
      node: 'node-1',
      pod: 'runtime-x',
      account: 'adaptlet-runtime',
      ownerUid: 'uid-of-node',
    });
  });

  it('belong to one node each, whatever nodes are called', () => {
    const part = fc.constantFrom('a', 'b', 'model-a', 'model-b', 'model-', 'model', 'a-model-b');
    const dotted = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'));
    const accepted = (name: string, of: string): boolean => {
      try {
        bind({ ...node, name }, { ...daemon, node: of }, accounts);
        return true;
      } catch {
        return false;
      }
    };
    fc.assert(
      fc.property(dotted, dotted, dotted, (name, one, other) => {
        if (one === other) return;
        expect(accepted(name, one) && accepted(name, other)).toBe(false);
        expect(accepted(name, nodeOfName(name))).toBe(true);
      }),
    );
  });
});
